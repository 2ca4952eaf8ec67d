"""95 % confidence intervals by resampling texts: characters of one text are not independent, texts nearly are.

Every metric is a function of sums over texts, so one matrix product gives all metrics in all resamples. Metrics share
their resamples, so differences of predictors are *paired*: what makes a text hard for both
cancels. Source: Efron & Tibshirani 1993, chapter 13 (percentile bootstrap).

Shapes: N texts, K sums, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 2000
"""Enough for the second digit of a 2.5 % quantile."""
MIN_TEXTS = 10
"""Minimum number of texts for an interval: simulated 95 % intervals over 3, 10 and 60 texts cover the truth in 76, 89
and 94 % of cases."""
_MAX_DRAWS = 1 << 18
"""Random numbers at once: bounds memory."""


@dataclass(frozen=True)
class Interval:
    """A value over texts with its 95 % confidence interval."""

    value: float
    low: float | None
    """None, as `high`, below `MIN_TEXTS` texts."""
    high: float | None


@dataclass(frozen=True)
class Statistic:
    """A function of sums over texts."""

    columns: Array
    """(N, K)"""
    of: Callable[[Array], Array]
    """(R, K) -> (R,); NaN where a resample has no value."""


@dataclass(frozen=True)
class BootstrapEstimate:
    """The value of a statistic, and its bootstrap distribution."""

    value: float
    """NaN without a value."""
    resampled: Array
    """(R,)"""
    texts: int
    """N; 1 where only the sum over all texts is known."""

    def minus(self, other: BootstrapEstimate) -> BootstrapEstimate:
        """Return the paired difference; both must come from the same texts in the same order."""
        texts = min(self.texts, other.texts)
        return BootstrapEstimate(self.value - other.value, self.resampled - other.resampled, texts)

    def interval(self) -> Interval | None:
        """Return the value with its interval; None without a value."""
        if np.isnan(self.value):
            return None
        if self.texts < MIN_TEXTS:
            return Interval(self.value, None, None)
        low, high = np.nanpercentile(self.resampled, [2.5, 97.5])
        return Interval(self.value, float(low), float(high))


def quotient(sums: Array) -> Array:
    """Divide the first sum by the second, (R, 2) -> (R,); NaN where the second is 0."""
    above, below = sums[:, 0], sums[:, 1]
    return np.divide(above, below, out=np.full(len(sums), np.nan), where=below > 0)


def estimates(statistics: Sequence[Statistic]) -> list[BootstrapEstimate]:
    """Estimate statistics over the same N texts, on the same resamples."""
    if not statistics:
        return []
    columns = np.concatenate([s.columns for s in statistics], axis=1)  # (N, all K)
    ends = np.cumsum([s.columns.shape[1] for s in statistics])[:-1]
    totals = np.split(columns.sum(axis=0, keepdims=True), ends, axis=1)  # (1, K) each
    resampled = np.split(_resampled(columns), ends, axis=1)  # (R, K) each
    return [
        BootstrapEstimate(float(statistic.of(total)[0]), statistic.of(sums), len(columns))
        for statistic, total, sums in zip(statistics, totals, resampled, strict=True)
    ]


def ratio(numerators: Array, denominators: Array) -> Interval | None:
    """Return sum(numerators) / sum(denominators), (N,) each; None where the denominators sum to 0."""
    (estimate,) = estimates([Statistic(np.stack([numerators, denominators], axis=1), quotient)])
    return estimate.interval()


def _resampled(columns: Array) -> Array:
    """Return the sums of columns (N, K) over R resamples, (R, K); the resamples depend on N alone."""
    n = len(columns)
    if n == 0:
        return np.zeros((RESAMPLES, columns.shape[1]))
    generator = np.random.default_rng(0)
    sums: list[Array] = []
    batch = max(1, _MAX_DRAWS // n)
    for begin in range(0, RESAMPLES, batch):
        indices = generator.integers(n, size=(min(batch, RESAMPLES - begin), n))  # (resamples, N)
        flat = (indices + n * np.arange(len(indices))[:, None]).ravel()
        counts = np.bincount(flat, minlength=indices.size).reshape(indices.shape)  # (resamples, N)
        sums.append(counts.astype(np.float64) @ columns)
    return np.concatenate(sums)
