"""Hashes of the contexts of a position, one for each type of context.

Types are `o1` ... `o32`, the last n ids, and six of words (runs of letters, marks, digits, underscores): `w`, the word
so far and what stands right before it; `w1`, with the word before; `w2`, with two; `w1s`, with the word before the
previous one; `l`, the letters of the word so far alone; `l1`, with those of the word before. Hashes of ids are summed
(Zobrist 1970), so that one cumulative sum gives all orders.

Shapes: B batch, T time, K context types, L longest order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, State
from kammil.vocabulary import BOS

Hashes = NDArray[np.uint64]

WORD_CONTEXTS = ("w", "w1", "w2", "w1s", "l", "l1")
WORD_STATE = 6
"""Numbers from which word contexts are hashed."""
MAX_ORDER = 32

_MIX_A, _MIX_B, _MIX_C = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_S33, _S29 = np.uint64(33), np.uint64(29)


def _mix64(x: Hashes) -> Hashes:
    """The finaliser of MurmurHash3 (Appleby 2011), a bijection."""
    x = x ^ (x >> _S33)
    x *= _MIX_A
    x ^= x >> _S33
    x *= _MIX_B
    x ^= x >> _S29
    return x


class ContextHasher:
    """Hashes contexts of texts, all at once or step by step.

    Args:
        context_types: such as `("o1", "o3", "w")`; `ValueError` for another name.
        in_word: whether each id belongs to a word, (V,).
    """

    def __init__(self, context_types: Sequence[str], in_word: NDArray[np.bool_]) -> None:
        self.context_types = tuple(context_types)
        self._orders = [
            (k, int(name[1:])) for k, name in enumerate(self.context_types) if name[:1] == "o" and name[1:].isdigit()
        ]
        self._words = [(k, name) for k, name in enumerate(self.context_types) if name in WORD_CONTEXTS]
        orders = [n for _, n in self._orders]
        if len(orders) + len(self._words) != len(self.context_types) or not all(1 <= n <= MAX_ORDER for n in orders):
            raise ValueError(f"{self.context_types} holds a kind of context that there is not")
        self.in_word = in_word
        self.longest = max(orders, default=1)
        self._places, self._ends = np.array([k for k, _ in self._orders], np.int64), np.array(orders, np.int64) - 1
        self._distances = np.arange(1, self.longest + 1)
        ids = np.arange(len(in_word), dtype=np.uint64)[None]  # (1, V)
        distance = np.arange(self.longest + 1, dtype=np.uint64)[:, None]
        # Row 0 is for words, row n for the n-th last id.
        self.numbers = _mix64(_mix64(ids + _MIX_C) + distance * _MIX_B)  # (L + 1, V)
        self.spec = [(name, 0 if name in WORD_CONTEXTS else int(name[1:])) for name in self.context_types]
        self.salts = _mix64(np.arange(1, len(self.context_types) + 1, dtype=np.uint64) * _MIX_C)  # (K,)

    def initial_state(self, batch: int) -> State:
        """Return the last ids (B, L), all BOS, and (B, WORD_STATE): hashes of current, previous and earlier word,
        whether one is under way, hashes of the letters of the current and of the previous one."""
        return np.full((batch, self.longest), BOS, np.int64), np.zeros((batch, WORD_STATE), np.uint64)

    def hash_contexts(self, ids: Ids, state: State) -> tuple[Hashes, State]:
        """Read ids (B, T); return the hashes after each, (B, T, K), and the state."""
        recent, words = state
        batch, time = ids.shape
        all_ids = np.concatenate([recent.astype(np.int64), ids], axis=1)  # (B, L + T)
        hashes = np.empty((batch, time, len(self.context_types)), np.uint64)
        if self._orders:
            back = self._distances[::-1] + np.arange(time)[:, None]  # (T, L), the last id first
            id_hashes = self.numbers[self._distances, all_ids[:, back]]  # (B, T, L)
            hashes[..., self._places] = id_hashes.cumsum(axis=-1)[..., self._ends]
        words = words.astype(np.uint64)
        if self._words:
            current, previous, earlier, letters, letters_before, words = self._word_hashes(ids, words)
            word_pair = _mix64(current + _MIX_A) + previous
            for k, context_type in self._words:
                if context_type == "w":
                    hashes[..., k] = current
                elif context_type == "w1":
                    hashes[..., k] = word_pair
                elif context_type[0] == "l":
                    hashes[..., k] = letters if context_type == "l" else _mix64(letters + _MIX_A) + letters_before
                else:
                    hashes[..., k] = _mix64(word_pair if context_type == "w2" else current + _MIX_B) + earlier
        return _mix64(hashes + self.salts), (all_ids[:, -self.longest :], words)

    def _word_hashes(self, ids: Ids, words: Hashes) -> tuple[Hashes, Hashes, Hashes, Hashes, Hashes, Hashes]:
        """Return hashes of the current, previous and earlier word after each id, and of the letters of the current and
        of the previous one, (B, T) each, and the state."""
        inside = self.in_word[ids.T]  # (T, B)
        before = np.concatenate([words[None, :, 3] > 0, inside[:-1]])[: len(inside)]
        ended = before & ~inside  # a word just ended
        current, previous, earlier = self._running(ids, inside, ended, words[:, :3])
        letters, letters_before, _ = self._running(ids, inside & before, ended, words[:, [4, 5, 5]])
        if len(inside):
            last = (
                each[-1] for each in (current, previous, earlier, inside.astype(np.uint64), letters, letters_before)
            )
            words = np.stack([*last], axis=1)
        return current.T, previous.T, earlier.T, letters.T, letters_before.T, words

    def _running(
        self, ids: Ids, goes_on: NDArray[np.bool_], ended: NDArray[np.bool_], words: Hashes
    ) -> tuple[Hashes, Hashes, Hashes]:
        """Return running hashes of words that go on, and of the last two that ended, (T, B) each."""
        time, batch = goes_on.shape
        id_hashes = self.numbers[0][ids.T]
        current = np.empty((time + 1, batch), np.uint64)
        current[0] = words[:, 0]
        for t in range(time):
            current[t + 1] = _mix64(current[t] * goes_on[t] + id_hashes[t])
        count = ended.cumsum(axis=0)
        finished = np.empty((2 + int(count[-1].max(initial=0)) if time else 2, batch), np.uint64)
        finished[0], finished[1] = words[:, 2], words[:, 1]
        at, row = ended.nonzero()
        finished[1 + count[at, row], row] = current[at, row]
        rows = np.arange(batch)
        return current[1:], finished[count + 1, rows], finished[count, rows]
