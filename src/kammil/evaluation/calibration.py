"""Calibration of suggestions: whether those with a probability of 30 % are right in 30 of 100 cases.

Suggestions are put into ten bins by their probability; in each bin, the mean probability is compared with the share
that was right. A plot of that is a *reliability diagram*; the mean distance, weighted by the size of the bins, is the
*expected calibration error* (Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599).

Shapes: N texts, R resamples, 10 bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates

BINS = 10
"""Number of bins, of equal width: so the rare, very probable suggestions show too. On lev30/validation the error is
1.0 %; with ten bins of equal size it is 1.3 %."""


@dataclass(frozen=True)
class Bin:
    """One bin: the suggestions of about the same probability."""

    suggestions: int
    probability: float
    """Their mean probability."""
    right: float
    """The share of them that was right."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a model's suggestions."""

    error: Interval | None
    """Expected calibration error, 0 to 1, with its 95 % interval over texts; None without any suggestion."""
    bins: tuple[Bin, ...]
    """The bins that are not empty, from the least probable to the most."""


def calibration(probabilities: Sequence[Array], right: Sequence[NDArray[np.bool_]]) -> Calibration:
    """Compute the calibration of suggestions from their probabilities, above 0, and whether each was right, by text."""
    columns = np.zeros((len(probabilities), 3, BINS))  # how many, sums of probabilities, how many right
    for row, p, was_right in zip(columns, probabilities, right, strict=True):
        bin_index = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        for sums, weights in zip(row, (np.ones(len(p)), p, was_right.astype(np.float64)), strict=True):
            sums[:] = np.bincount(bin_index, weights, BINS)
    (estimate,) = estimates([Statistic(columns.reshape(len(columns), -1), _error)])
    counts, predicted, hits = columns.sum(axis=0)
    bins = [Bin(int(n), float(s / n), float(t / n)) for n, s, t in zip(counts, predicted, hits, strict=True) if n]
    return Calibration(estimate.interval(), tuple(bins))


def _error(sums: Array) -> Array:
    """Return the expected calibration error of sums, (R, 3 * BINS) -> (R,); NaN where there was no suggestion."""
    counts, predicted, hits = sums.reshape(len(sums), 3, BINS).transpose(1, 0, 2)
    total = counts.sum(axis=1)
    return np.divide(np.abs(predicted - hits).sum(axis=1), total, out=np.full(len(sums), np.nan), where=total > 0)
