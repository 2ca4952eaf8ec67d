"""Whether a suggestion that is said to be 30 % likely is right in 30 of 100 cases.

Suggestions are put into ten bins by their probability; in each, the mean probability is held against the share that was
right. Drawn, that is a *reliability diagram*; the mean distance, each bin weighing what it holds, is the *expected
calibration error* (Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599).

Shapes: N texts, R resamples, 10 bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates

BINS = 10
"""Of equal width: they show the rare, very probable suggestions too. On lev30/validation their error is 1.0 %; that of
ten bins of equal size is 1.3 %."""


@dataclass(frozen=True)
class Bin:
    """The suggestions of about one probability."""

    suggestions: int
    probability: float
    """Their mean probability."""
    right: float
    """The share of them that was right."""


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed."""

    error: Interval | None
    """Expected calibration error, 0 to 1, with its 95 % interval over texts; None without any suggestion."""
    bins: tuple[Bin, ...]
    """From the least probable to the most, those that hold something."""


def calibration(probabilities: Sequence[Array], right: Sequence[NDArray[np.bool_]]) -> Calibration:
    """Judge suggestions, text by text: their probabilities above 0, and whether each was right."""
    columns = np.zeros((len(probabilities), 3, BINS))  # how many, sums of probabilities, how many right
    for row, p, hit in zip(columns, probabilities, right, strict=True):
        at = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        for sums, weights in zip(row, (np.ones(len(p)), p, hit.astype(np.float64)), strict=True):
            sums[:] = np.bincount(at, weights, BINS)
    (estimate,) = estimates([Statistic(columns.reshape(len(columns), -1), _error)])
    many, said, true = columns.sum(axis=0)
    bins = [Bin(int(n), float(s / n), float(t / n)) for n, s, t in zip(many, said, true, strict=True) if n]
    return Calibration(estimate.figure(), tuple(bins))


def _error(sums: Array) -> Array:
    """The error of each of R sums, (R, 3 * BINS) -> (R,); NaN where there was no suggestion."""
    many, said, true = sums.reshape(len(sums), 3, BINS).transpose(1, 0, 2)
    total = many.sum(axis=1)
    return np.divide(np.abs(said - true).sum(axis=1), total, out=np.full(len(sums), np.nan), where=total > 0)
