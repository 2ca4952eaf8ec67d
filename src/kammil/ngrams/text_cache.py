"""Counts of what followed the same contexts earlier in the same text: how a name or a hashtag is repeated.

The tables of counts hold other texts; this cache is filled while a text is read, and copies without parameters (Kuhn
& De Mori 1990, "A Cache-Based Natural Language Model for Speech Recognition").

Shapes: B batch, T time, W window, K context types, P = B * last positions, N entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, State
from kammil.ngrams.count_table import Keys, Matches, runs
from kammil.vocabulary import PAD

WINDOW = 256
"""Positions that are remembered; a tweet is shorter (docs/log.md#what-is-the-texts-own-past-worth)."""
_ID_BITS = 16


class TextCache:
    """Remembers the last characters and their contexts.

    Args:
        kinds: K, how many context types are looked up.
    """

    def __init__(self, kinds: int) -> None:
        self._kinds = kinds

    def initial_state(self, batch: int) -> State:
        """Return the state before any id: keys (B, n, K) and ids (B, n) of the last n <= W positions; n is 0."""
        return np.zeros((batch, 0, self._kinds), np.uint32), np.zeros((batch, 0), np.int64)

    def look_up(self, ids: Ids, keys: Keys, state: State, *, last: int) -> tuple[Matches, State]:
        """Read ids (B, T) with the keys of the contexts after them (B, T, K); return the matches of the last positions,
        and the new state.

        Positions whose id is PAD match nothing, and are not remembered.
        """
        batch = len(ids)
        old_keys, old_ids = state
        all_ids = np.concatenate([old_ids.astype(np.int64), ids], axis=1)  # (B, W + T)
        all_keys = np.concatenate([old_keys.astype(np.uint32), keys], axis=1)  # (B, W + T, K)
        new_state = all_keys[:, -WINDOW:], all_ids[:, -WINDOW:]
        begin = max(0, all_ids.shape[1] - last - WINDOW)  # no position looks further back
        end = all_ids.shape[1]
        at = np.arange(end - last, end)[:, None]  # (last, 1): positions asked for
        before = np.arange(begin, end - 1)[None]  # (1, J): positions whose followers are known by then
        in_window = (before < at) & (before >= at - WINDOW)  # (last, J)
        is_id = all_ids != PAD
        visible = in_window[None] & is_id[:, end - last :, None] & is_id[:, None, begin : end - 1]  # (B, last, J)
        same = all_keys[:, end - last :, None] == all_keys[:, None, begin : end - 1]  # (B, last, J, K)
        row, position, earlier, kind = np.nonzero(same & visible[..., None])  # (M,) each
        places = (row * last + position) * self._kinds + kind
        followers = all_ids[row, begin + earlier + 1]
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
        matches = Matches(totals, distinct, place, pairs & ((1 << _ID_BITS) - 1), counts.astype(np.float32))
        return matches, new_state

    @staticmethod
    def pad_states(states: Sequence[State]) -> list[State]:
        """Pad states in front to the length of the longest; padded positions match nothing."""
        longest = max(ids.shape[1] for _, ids in states)
        padded: list[State] = []
        for keys, ids in states:
            batch, length, kinds = keys.shape
            empty = np.zeros((batch, longest - length, kinds), keys.dtype), np.full((batch, longest - length), PAD)
            # `np.pad` takes five times as long
            longer = np.concatenate([empty[0], keys], axis=1), np.concatenate([empty[1], ids], axis=1)
            padded.append(longer if length < longest else (keys, ids))
        return padded


def kind_columns(kinds: tuple[str, ...], chosen: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the index of each chosen context type among all; raises `ValueError` for one that is not among them."""
    missing = [kind for kind in chosen if kind not in kinds]
    if missing:
        raise ValueError(f"{missing[0]} is looked up in the text but is no kind that is counted")
    return np.array([kinds.index(kind) for kind in chosen], np.int64)
