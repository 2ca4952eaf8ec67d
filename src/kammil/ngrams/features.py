"""Features of counts, a text's own past included: of experts for the gate, of followers for their scores.

An *expert* is a pair of a table and a context type, or a context type of the text cache.

Shapes: B batch, T time, W window, C context types of the text cache, P positions, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kammil.language_model import Ids, State
from kammil.ngrams.count_table import Floats, Index, Keys, Matches, runs
from kammil.vocabulary import PAD

GATE_FEATURES = 5
SCORE_FEATURES = 2
"""log(1 + 10 count), and count / total of its context."""
WINDOW = 256
"""Remembered positions; a tweet is shorter (docs/log.md#what-is-the-texts-own-past-worth)."""
_ID_BITS = 16


class ExpertFeatures(NamedTuple):
    """Features of experts at some positions."""

    gate: Floats
    """(P, GATE_FEATURES * K): of all experts log(1 + total), log(1 + distinct), share of the commonest follower,
    unknown context, single follower."""
    places: Index
    """(N,): position * K + expert."""
    ids: Index
    """(N,)."""
    scores: Floats
    """(N, SCORE_FEATURES)."""


def expert_features(tables: Sequence[Matches]) -> ExpertFeatures:
    """Compute the features of tables at the same positions."""
    widths = [table.totals.shape[1] for table in tables]
    begins = np.cumsum([0, *widths])
    totals = np.concatenate([table.totals for table in tables], axis=1)  # (P, K)
    distinct = np.concatenate([table.distinct for table in tables], axis=1)
    places = np.concatenate(
        [t.flat_index // w * begins[-1] + b + t.flat_index % w for t, w, b in zip(tables, widths, begins, strict=False)]
    )
    ids = np.concatenate([table.ids for table in tables])
    counts = np.concatenate([table.counts for table in tables])
    flat = totals.reshape(-1)
    share = counts / flat[places]
    top = np.zeros(flat.shape, np.float32)
    np.maximum.at(top, places, share)
    absent, single = totals == 0, distinct == 1
    gate = np.concatenate(
        [np.log1p(totals), np.log1p(distinct), top.reshape(totals.shape), absent, single], axis=1, dtype=np.float32
    )
    return ExpertFeatures(gate, places, ids, np.stack([np.log1p(10 * counts), share], axis=1))  # (N, 2)


class TextCache:
    """Counts of what followed the same contexts earlier in the text (Kuhn & De Mori 1990)."""

    def __init__(self, context_types: int) -> None:
        self._context_types = context_types

    def initial_state(self, batch: int) -> State:
        """Return keys (B, n, C) and ids (B, n) of n <= W last positions, here 0."""
        return np.zeros((batch, 0, self._context_types), np.uint32), np.zeros((batch, 0), np.int64)

    def look_up(self, ids: Ids, keys: Keys, state: State, *, last: int) -> tuple[Matches, State]:
        """Read ids (B, T) with keys after them (B, T, C); return matches of the last positions, and the state. PAD
        matches nothing."""
        batch = len(ids)
        old_keys, old_ids = state
        all_ids = np.concatenate([old_ids.astype(np.int64), ids], axis=1)  # (B, W + T)
        all_keys = np.concatenate([old_keys.astype(np.uint32), keys], axis=1)  # (B, W + T, C)
        new_state = all_keys[:, -WINDOW:], all_ids[:, -WINDOW:]
        begin = max(0, all_ids.shape[1] - last - WINDOW)  # no position looks further back
        end = all_ids.shape[1]
        at = np.arange(end - last, end)[:, None]  # (last, 1): positions asked for
        before = np.arange(begin, end - 1)[None]  # (1, J): positions with known followers
        in_window = (before < at) & (before >= at - WINDOW)  # (last, J)
        is_id = all_ids != PAD
        visible = in_window[None] & is_id[:, end - last :, None] & is_id[:, None, begin : end - 1]  # (B, last, J)
        same = all_keys[:, end - last :, None] == all_keys[:, None, begin : end - 1]  # (B, last, J, C)
        row, position, earlier, context_type = np.nonzero(same & visible[..., None])  # (M,) each
        places = (row * last + position) * self._context_types + context_type
        followers = all_ids[row, begin + earlier + 1]
        pairs = places << _ID_BITS | followers
        pairs.sort()
        first, counts = runs(pairs)
        pairs = pairs[first]  # (N,)
        place = pairs >> _ID_BITS
        size = batch * last * self._context_types
        totals, distinct = (
            np.bincount(place, weights, size).reshape(batch * last, self._context_types).astype(np.float32)
            for weights in (counts, None)
        )
        matches = Matches(totals, distinct, place, pairs & ((1 << _ID_BITS) - 1), counts.astype(np.float32))
        return matches, new_state

    @staticmethod
    def pad_states(states: Sequence[State]) -> list[State]:
        """Pad states in front to the longest."""
        longest = max(ids.shape[1] for _, ids in states)
        padded: list[State] = []
        for keys, ids in states:
            batch, length, types = keys.shape
            empty = np.zeros((batch, longest - length, types), keys.dtype), np.full((batch, longest - length), PAD)
            # `np.pad` takes five times as long
            longer = np.concatenate([empty[0], keys], axis=1), np.concatenate([empty[1], ids], axis=1)
            padded.append(longer if length < longest else (keys, ids))
        return padded


def columns_of(chosen: Sequence[str], context_types: Sequence[str]) -> Index:
    """Return the index of each context type; `ValueError` for an unknown one."""
    if missing := [name for name in chosen if name not in context_types]:
        raise ValueError(f"{missing[0]} is looked up in the text but is no context type that is counted")
    return np.array([context_types.index(name) for name in chosen], np.int64)
