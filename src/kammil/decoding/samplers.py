"""Choosers: from log-weights to one id for each row. Shapes: B batch, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.filters import LogWeights


def greedy(rows: LogWeights) -> NDArray[np.int64]:
    """The most probable id of each row, (B,); of equals, the lowest id."""
    return rows.argmax(axis=-1).astype(np.int64)


def sample(rows: LogWeights, generators: Sequence[np.random.Generator]) -> NDArray[np.int64]:
    """One id for each row, (B,), drawn with that row's own generator, so that a row is the same in any batch."""
    sums = np.exp(rows).cumsum(axis=-1)  # (B, V)
    if not (sums[:, -1] > 0).all():
        return np.array([_at(row, own, g) for row, own, g in zip(rows, sums, generators, strict=True)])
    chances = np.array([generator.random() for generator in generators]) * sums[:, -1]
    return np.minimum((sums <= chances[:, None]).sum(axis=-1), rows.shape[1] - 1)  # as `_at`, for all at once


def first_above(row: LogWeights, generator: np.random.Generator) -> int:
    """The id drawn from one row, (V,)."""
    return _at(row, np.exp(row).cumsum(), generator)


def _at(row: LogWeights, cumulative: LogWeights, generator: np.random.Generator) -> int:
    if not cumulative[-1] > 0:  # all of them too unlikely to be told apart from 0
        cumulative = np.exp(row - row.max()).cumsum()
    return min(int(cumulative.searchsorted(generator.random() * cumulative[-1], side="right")), len(row) - 1)
