"""Samplers: log-weights to one id for each row. Shapes: B batch, V vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.filters import LogWeights


def greedy(weights: LogWeights) -> NDArray[np.int64]:
    """Return the most probable id of each row, (B,); of equals, the lowest id."""
    return weights.argmax(axis=-1)


def sample(weights: LogWeights, chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each row, (B, V), the first id up to which the probabilities sum to more than its chance, (B,) in
    [0, 1), so that an id is drawn with its probability, and a row is drawn alike in any batch."""
    sums = np.exp(weights).cumsum(axis=-1)  # (B, V)
    if len(sums) == 1 or not (sums[:, -1] > 0).all():
        drawn = (_sample_row(row, own, c) for row, own, c in zip(weights, sums, chances.tolist(), strict=True))
        return np.fromiter(drawn, np.int64, len(sums))
    return np.minimum((sums <= (chances * sums[:, -1])[:, None]).sum(axis=-1), weights.shape[1] - 1)


def _sample_row(row: LogWeights, cumulative: LogWeights, chance: float) -> int:
    if not cumulative[-1] > 0:  # all of them too unlikely to be told apart from 0
        cumulative = np.exp(row - row.max()).cumsum()
    return min(int(cumulative.searchsorted(chance * cumulative[-1], side="right")), len(row) - 1)
