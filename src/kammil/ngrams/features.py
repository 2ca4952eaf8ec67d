"""What counts say about positions of texts, as numbers that a gate and a sum can use.

Each pair of a table and a kind of context is an *expert*. For a position it gives numbers on how much it knows (the
gate decides by them whom to believe), and for each character that it saw follow, two features of how often.

Shapes: P positions, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.ngrams.count_table import Index, Matches

GATE_FEATURES = 5
"""Numbers for the gate from each expert."""
SCORE_FEATURES = 2
"""Numbers about each entry: log(1 + 10 count) and the share of its context."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ExpertFeatures:
    """What the experts know of some positions."""

    clues: Floats
    """(P, CLUES * K): for every expert log(1 + total), log(1 + distinct followers), share of the commonest follower,
    whether the context was never seen, and whether one id alone has followed it."""
    places: Index
    """(N,): position * K + expert."""
    ids: Index
    """(N,)."""
    features: Floats
    """(N, FEATURES)."""


def expert_features(tables: Sequence[Matches]) -> ExpertFeatures:
    """The evidence of some tables about the same positions; the experts of the first table come first."""
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
    clues = np.concatenate(
        [np.log1p(totals), np.log1p(distinct), top.reshape(totals.shape), absent, single], axis=1, dtype=np.float32
    )
    return ExpertFeatures(clues, places, ids, np.stack([np.log1p(10 * counts), share], axis=1))  # (N, 2)
