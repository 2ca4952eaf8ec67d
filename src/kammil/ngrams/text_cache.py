"""What followed the same contexts earlier in this very text: how a name or a hashtag comes back.

The tables of counts hold other texts. This one is made while reading: for every kind of context that is asked for, the
characters that followed its earlier occurrences: a copy path without parameters (a cache: Kuhn & De Mori 1990, "A
Cache-Based Natural Language Model for Speech Recognition").

Shapes: B batch, T time, W window, K kinds, P = B * last positions, N entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, State
from kammil.ngrams.count_table import Keys, Matches, runs
from kammil.vocabulary import PAD

WINDOW = 256
"""Characters looked back at; a tweet is shorter (docs/log.md#what-is-the-texts-own-past-worth)."""
_ID_BITS = 16


class TextCache:
    """Remembers the last characters and their contexts.

    Args:
        kinds: K, how many kinds of context are looked up.
    """

    def __init__(self, kinds: int) -> None:
        """An empty one needs no memory: the state holds it."""
        self._kinds = kinds

    def initial_state(self, batch: int) -> State:
        """Nothing read: keys (B, n, K) and ids (B, n) of the last n <= W positions, of which there are none yet."""
        return np.zeros((batch, 0, self._kinds), np.uint32), np.zeros((batch, 0), np.int64)

    def look_up(self, ids: Ids, keys: Keys, state: State, *, last: int) -> tuple[Matches, State]:
        """Read ids (B, T) with the keys of the contexts after them (B, T, K); entries of the last positions.

        About positions whose id is PAD nothing is known, and they are not remembered as contexts.
        """
        batch = len(ids)
        old_keys, old_ids = state
        line = np.concatenate([old_ids.astype(np.int64), ids], axis=1)  # (B, W + T)
        marks = np.concatenate([old_keys.astype(np.uint32), keys], axis=1)  # (B, W + T, K)
        new = marks[:, -WINDOW:], line[:, -WINDOW:]
        begin = max(0, line.shape[1] - last - WINDOW)  # what no position looks back at
        end = line.shape[1]
        at = np.arange(end - last, end)[:, None]  # (last, 1): positions asked for
        before = np.arange(begin, end - 1)[None]  # (1, J): positions whose followers are known by then
        near = (before < at) & (before >= at - WINDOW)  # (last, J)
        real = line != PAD
        may = near[None] & real[:, end - last :, None] & real[:, None, begin : end - 1]  # (B, last, J)
        same = marks[:, end - last :, None] == marks[:, None, begin : end - 1]  # (B, last, J, K)
        row, position, earlier, kind = np.nonzero(same & may[..., None])  # (M,) each
        places = (row * last + position) * self._kinds + kind
        followers = line[row, begin + earlier + 1]
        pairs = places << _ID_BITS | followers
        pairs.sort()
        first, counts = runs(pairs)
        pairs = pairs[first]  # (N,)
        place = pairs >> _ID_BITS
        size = batch * last * self._kinds
        totals, distinct = (
            np.bincount(place, weights, size).reshape(batch * last, self._kinds).astype(np.float32)
            for weights in (counts, None)
        )
        entries = Matches(totals, distinct, place, pairs & ((1 << _ID_BITS) - 1), counts.astype(np.float32))
        return entries, new

    @staticmethod
    def pad_states(states: Sequence[State]) -> list[State]:
        """States as long as the longest of them: nothing is known of the positions put in front."""
        longest = max(line.shape[1] for _, line in states)
        made: list[State] = []
        for marks, line in states:
            batch, length, kinds = marks.shape
            empty = np.zeros((batch, longest - length, kinds), marks.dtype), np.full((batch, longest - length), PAD)
            # `np.pad` takes five times as long
            padded = np.concatenate([empty[0], marks], axis=1), np.concatenate([empty[1], line], axis=1)
            made.append(padded if length < longest else (marks, line))
        return made


def columns(kinds: tuple[str, ...], chosen: tuple[str, ...]) -> NDArray[np.int64]:
    """Where the chosen kinds stand among all; `ValueError` for one that is not among them."""
    missing = [kind for kind in chosen if kind not in kinds]
    if missing:
        raise ValueError(f"{missing[0]} is looked up in the text but is no kind that is counted")
    return np.array([kinds.index(kind) for kind in chosen], np.int64)
