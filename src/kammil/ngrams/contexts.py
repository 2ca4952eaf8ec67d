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
from functools import cached_property

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
_ONE_, _TWO_, _MASK = int(_ONE), int(_TWO), (1 << 64) - 1


def _stir(x: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that spreads every bit (the finaliser of MurmurHash3, Appleby 2011)."""
    x = x ^ (x >> _S33)
    x *= _ONE
    x ^= x >> _S33
    x *= _TWO
    x ^= x >> _S29
    return x


def _stir_one(x: int) -> int:
    """As `_stir`; of one number, whose bits beyond 64 do not count."""
    x &= _MASK
    x = (x ^ x >> 33) * _ONE_ & _MASK
    x = (x ^ x >> 33) * _TWO_ & _MASK
    return x ^ x >> 29


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
            along = np.empty((batch, time, 3), np.uint64)  # this word, the one before, and the one before that
            if batch == 1:
                word = words[0].tolist()
                for t, id in enumerate(ids[0].tolist()):
                    word = self._extend_one(word, id)
                    along[0, t] = word[:3]
                words = np.array([word], np.uint64)
            else:
                for t in range(time):
                    words = self._extend(words, ids[:, t])
                    along[:, t] = words[:, :3]
            now, before, earlier = along[..., 0], along[..., 1], along[..., 2]
            both = _stir(now + _ONE) + before
            for k, name in self._words:
                if name == "w":
                    hashes[..., k] = now
                elif name == "w1":
                    hashes[..., k] = both
                else:
                    hashes[..., k] = _stir(both if name == "w2" else now + _TWO) + earlier
        return _stir(hashes + self.salts), (line[:, -self.longest :], words)

    def read_one(self, id: int, recent: Sequence[int], words: Sequence[int]) -> tuple[Hashes, list[int]]:
        """Hashes (K,) after one more id of one text: what `read` gives, in plain whole numbers up to the last step.

        Args:
            id: what is read.
            recent: the ids before it, L - 1 at least.
            words: of the state, (4,).

        Returns: the hashes, and the words of the new state.
        """
        numbers = self._plain[0]
        total = numbers[1][id]
        sums = [total]
        for n in range(2, self.longest + 1):
            total += numbers[n][recent[1 - n]]
            sums.append(total & _MASK)
        words = self._extend_one(words, id) if self._words else list(words)
        made: list[int] = []
        for name, place in self.spec:
            if place:
                made.append(sums[place - 1])
            elif name == "w":
                made.append(words[0])
            elif name == "w1":
                made.append(_stir_one(words[0] + _ONE_) + words[1] & _MASK)
            elif name == "w2":
                made.append(_stir_one(_stir_one(words[0] + _ONE_) + words[1]) + words[2] & _MASK)
            else:
                made.append(_stir_one(words[0] + _TWO_) + words[2] & _MASK)
        hashes = np.array(made, np.uint64)
        hashes += self.salts
        return _stir(hashes), words

    @cached_property
    def _plain(self) -> tuple[list[list[int]], list[bool]]:
        """The random numbers, and which ids belong to words, as Python's own numbers."""
        return self.numbers.tolist(), self.in_word.tolist()

    def _extend_one(self, words: Sequence[int], id: int) -> list[int]:
        """As `_extend`, for one text."""
        (own, *_), in_word = self._plain
        now, before, earlier, begun = words
        inside = in_word[id]
        if begun and not inside:
            before, earlier = now, before
        return [_stir_one((now if inside else 0) + own[id]), before, earlier, int(inside)]

    def _extend(self, words: Hashes, ids: Ids) -> Hashes:
        """The word state (B, 4) after one more id each, (B,)."""
        inside = self.in_word[ids]
        begun = words[:, 3] > 0
        left = begun & ~inside  # a word just ended
        new = words.copy()
        new[left, 2], new[left, 1] = words[left, 1], words[left, 0]
        # A word's hash begins with that of the character before it; between words the last character counts alone.
        new[:, 0] = _stir(np.where(inside, words[:, 0], np.uint64(0)) + self.numbers[0][ids])
        new[:, 3] = inside
        return new
