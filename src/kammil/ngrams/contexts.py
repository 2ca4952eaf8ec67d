"""What has just been read, as hashes: one for each kind of context that the blend counts.

Kinds are `o1` ... `o12`, the last n ids, and four that respect words: `w`, the word so far; `w1`, the word before it as
well; `w2`, two words before; `w1s`, the word so far and the word before the previous one, which is skipped. A word is a
run of letters, marks, digits and underscores; between words the last character stands for the word so far.

Orders are summed hashes (Zobrist 1970): every id has a random number for each distance, and the hash of the last n ids
is the sum of n of them, so that one cumulative sum gives all orders. Word hashes grow character by character.

Shapes: B batch, T time, K kinds, L longest order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, State
from kammil.vocabulary import BOS

Hashes = NDArray[np.uint64]

WORD_KINDS = ("w", "w1", "w2", "w1s")
MAX_ORDER = 32
"""Largest order."""

_ONE, _TWO, _THREE = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_S33, _S29 = np.uint64(33), np.uint64(29)


def _stir(x: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that spreads every bit (the finaliser of MurmurHash3, Appleby 2011)."""
    x = x ^ (x >> _S33)
    x *= _ONE
    x ^= x >> _S33
    x *= _TWO
    x ^= x >> _S29
    return x


class ContextHasher:
    """Hashes the contexts of texts, all at once or character by character.

    Args:
        kinds: names of the kinds, such as `("o1", "o3", "w")`; `ValueError` for another name.
        in_word: for each id, whether it belongs to a word, (V,).
    """

    def __init__(self, context_types: Sequence[str], in_word: NDArray[np.bool_]) -> None:
        """Set up the random numbers; they depend on V and the kinds alone, so that a saved model finds its counts."""
        self.kinds = tuple(context_types)
        self._orders = [
            (k, int(name[1:])) for k, name in enumerate(self.kinds) if name[:1] == "o" and name[1:].isdigit()
        ]
        self._words = [(k, name) for k, name in enumerate(self.kinds) if name in WORD_KINDS]
        orders = [n for _, n in self._orders]
        if len(orders) + len(self._words) != len(self.kinds) or not all(1 <= n <= MAX_ORDER for n in orders):
            raise ValueError(f"{self.kinds} holds a kind of context that there is not")
        self.in_word = in_word
        self.longest = max(orders, default=1)
        self._places, self._ends = np.array([k for k, _ in self._orders], np.int64), np.array(orders, np.int64) - 1
        self._distances = np.arange(1, self.longest + 1)
        ids = np.arange(len(in_word), dtype=np.uint64)[None]  # (1, V)
        distance = np.arange(self.longest + 1, dtype=np.uint64)[:, None]
        # Row 0 is for words, row n for the n-th last id.
        self.numbers = _stir(_stir(ids + _THREE) + distance * _TWO)  # (L + 1, V)
        self.spec = [(name, 0 if name in WORD_KINDS else int(name[1:])) for name in self.kinds]
        self.salts = _stir(np.arange(1, len(self.kinds) + 1, dtype=np.uint64) * _THREE)  # (K,)

    def initial_state(self, batch: int) -> State:
        """Nothing read: the last ids (B, L), all BOS, and (B, 4) the hashes of the word so far, of the word before, of
        the one before that, and whether a word is under way."""
        return np.full((batch, self.longest), BOS, np.int64), np.zeros((batch, 4), np.uint64)

    def hash_contexts(self, ids: Ids, state: State) -> tuple[Hashes, State]:
        """Hashes (B, T, K) of the contexts after each of the ids (B, T), and the new state."""
        recent, words = state
        batch, time = ids.shape
        line = np.concatenate([recent.astype(np.int64), ids], axis=1)  # (B, L + T)
        hashes = np.empty((batch, time, len(self.kinds)), np.uint64)
        if self._orders:
            back = self._distances[::-1] + np.arange(time)[:, None]  # (T, L): the last id, the one before, ...
            numbers = self.numbers[self._distances, line[:, back]]  # (B, T, L)
            hashes[..., self._places] = numbers.cumsum(axis=-1)[..., self._ends]
        words = words.astype(np.uint64)
        if self._words:
            now, before, earlier, words = self._along_words(ids, words)
            both = _stir(now + _ONE) + before
            for k, name in self._words:
                if name == "w":
                    hashes[..., k] = now
                elif name == "w1":
                    hashes[..., k] = both
                else:
                    hashes[..., k] = _stir(both if name == "w2" else now + _TWO) + earlier
        return _stir(hashes + self.salts), (line[:, -self.longest :], words)

    def _along_words(self, ids: Ids, words: Hashes) -> tuple[Hashes, Hashes, Hashes, Hashes]:
        """Hashes after each of ids (B, T) of the word so far, the word before and the one before that, (B, T) each, and
        the state (B, 4) after them; `words` is the state before."""
        batch, time = ids.shape
        inside, own = self.in_word[ids.T], self.numbers[0][ids.T]  # (T, B)
        line = np.empty((time + 1, batch), np.uint64)
        line[0] = words[:, 0]
        for t in range(time):
            # A word's hash begins with that of the character before it; between words the last character counts alone.
            line[t + 1] = _stir(line[t] * inside[t] + own[t])
        begun = np.concatenate([words[None, :, 3] > 0, inside[:-1]])
        ended = begun & ~inside  # (T, B): a word just ended
        count = ended.cumsum(axis=0)
        past = np.empty((2 + int(count[-1].max(initial=0)) if time else 2, batch), np.uint64)  # words that ended
        past[0], past[1] = words[:, 2], words[:, 1]
        at, row = ended.nonzero()
        past[1 + count[at, row], row] = line[at, row]
        rows = np.arange(batch)
        before, earlier = past[count + 1, rows], past[count, rows]  # (T, B)
        if time:
            words = np.stack([line[-1], before[-1], earlier[-1], inside[-1].astype(np.uint64)], axis=1)
        return line[1:].T, before.T, earlier.T, words
