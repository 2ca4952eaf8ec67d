"""Features of counts: for each position those that a gate weighs experts by, for each follower those of its score.

Each pair of a table and a context type is an *expert*.

Shapes: P positions, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kammil.ngrams.count_table import Index, Matches

GATE_FEATURES = 5
"""Features of an expert for the gate."""
SCORE_FEATURES = 2
"""Features of an entry for its score: log(1 + 10 count), and count / total of its context."""

Floats = NDArray[np.float32]


class ExpertFeatures(NamedTuple):
    """Features of all experts at some positions."""

    gate: Floats
    """(P, GATE_FEATURES * K): log(1 + total) of every expert, then of every expert log(1 + distinct followers), the
    share of the commonest follower, whether the context was never seen, and whether it had one follower only."""
    places: Index
    """(N,): position * K + expert of each entry."""
    ids: Index
    """(N,): the follower."""
    scores: Floats
    """(N, SCORE_FEATURES): features of each follower."""


def expert_features(tables: Sequence[Matches]) -> ExpertFeatures:
    """Compute the features of several tables at the same positions; the experts of the first table come first."""
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
