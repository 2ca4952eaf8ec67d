"""95 % intervals by resampling texts: characters of one text are not independent, texts nearly are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Enough for the second digit of a 2.5 % quantile; the seed is fixed, so that a report is reproducible."""
_AT_ONCE = 1 << 18
"""Numbers drawn in one call at most: bounds the memory of many texts, and few texts need no loop."""


@dataclass(frozen=True)
class Figure:
    """A ratio of sums over texts with its 95 % interval."""

    value: float
    low: float
    high: float


def ratio(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> Figure | None:
    """sum(numerators) / sum(denominators) over texts, each (N,), with the percentile bootstrap interval.

    Source: Efron & Tibshirani 1993, chapter 13. None where the denominators sum to nothing.
    """
    total = denominators.sum()
    if total <= 0:
        return None
    n = len(numerators)
    generator = np.random.default_rng(0)
    ratios: list[NDArray[np.float64]] = []
    many = max(1, _AT_ONCE // n)
    for begin in range(0, RESAMPLES, many):
        drawn = generator.integers(n, size=(min(many, RESAMPLES - begin), n))  # (resamples, N)
        above, below = numerators[drawn].sum(axis=1), denominators[drawn].sum(axis=1)
        ratios.append(above[below > 0] / below[below > 0])
    low, high = np.percentile(np.concatenate(ratios), [2.5, 97.5])
    return Figure(float(numerators.sum() / total), float(low), float(high))
