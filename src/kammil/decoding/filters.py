"""Filters say which ids may be chosen, and how likely; samplers choose.

Both are pure functions of log-weights, (B, V): log-probabilities up to a constant for each row. Shapes: B batch, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.options import DecodingOptions
from kammil.engine.reference import log_softmax

LogWeights = NDArray[np.floating]
Filter = Callable[[LogWeights], LogWeights]
V = TypeVar("V")


def _of_value(change: Callable[[V, LogWeights], LogWeights]) -> Callable[[V], Filter]:
    return lambda value: partial(change, value)


def forbid(ids: Sequence[int], size: int) -> Filter:
    """Refuse some ids; `size` is V."""
    barrier = np.zeros(size)
    barrier[list(ids)] = -np.inf
    return lambda rows: rows + barrier


def apply_penalties(rows: LogWeights, counts: NDArray[np.integer], options: DecodingOptions) -> LogWeights:
    """Return normalised log-probabilities, (B, V), after the penalties for what was written, counts (B, V).

    `repetition_penalty` (CTRL, Keskar et al. 2019, arXiv:1909.05858) multiplies log-probabilities, since logits have no
    natural zero: a value above 1 always makes rarer. `presence_penalty` and `frequency_penalty` are those of OpenAI's
    API: subtracted once for a written character, and each time it was written.
    """
    written = counts > 0
    after = np.where(written, rows * options.repetition_penalty, rows)
    return log_softmax(after - options.presence_penalty * written - options.frequency_penalty * counts)


@_of_value
def temperature(value: float, rows: LogWeights) -> LogWeights:
    """Divide log-probabilities by a temperature > 0 (Ackley, Hinton & Sejnowski 1985)."""
    below = rows - rows.max(axis=-1, keepdims=True)  # the best stay at 0
    with np.errstate(over="ignore"):
        return below / value


@_of_value
def top_k(k: int, rows: LogWeights) -> LogWeights:
    """Keep the k most probable ids; of equals, the lower ones."""
    drop = np.argsort(-rows, axis=-1, kind="stable")[:, k:]  # (B, V - k)
    kept = rows.copy()
    np.put_along_axis(kept, drop, -np.inf, axis=-1)
    return kept


@_of_value
def top_p(p: float, rows: LogWeights) -> LogWeights:
    """Keep the smallest set of ids with probability p (Holtzman et al. 2020, arXiv:1904.09751)."""
    return _until(p, rows, np.exp(log_softmax(rows)), np.argsort(-rows, axis=-1, kind="stable"))


@_of_value
def min_p(share: float, rows: LogWeights) -> LogWeights:
    """Keep ids with `share` of the maximum probability (Nguyen et al. 2024, arXiv:2407.01082)."""
    floor = rows.max(axis=-1, keepdims=True) + (np.log(share) if share > 0 else -np.inf)
    return np.where(rows >= floor, rows, -np.inf)


@_of_value
def typical_p(mass: float, rows: LogWeights) -> LogWeights:
    """Keep the ids whose surprise is nearest to the entropy, up to this probability; of equals the lower.

    Locally typical sampling (Meister et al. 2023, arXiv:2202.00666): people seldom write what is very probable.
    """
    log_p = log_softmax(rows)
    p = np.exp(log_p)
    surprise = np.where(p > 0, -log_p, 0)
    away = np.abs(surprise - (p * surprise).sum(axis=-1, keepdims=True))
    return _until(mass, rows, p, np.argsort(away, axis=-1, kind="stable"))


def _until(mass: float, rows: LogWeights, p: LogWeights, order: NDArray[np.int64]) -> LogWeights:
    """Keep one id or more in an order, (B, V), until probabilities sum to `mass`."""
    sorted_p = np.take_along_axis(p, order, axis=-1)
    drop = np.cumsum(sorted_p, axis=-1) - sorted_p >= mass
    drop[:, 0] = False
    kept = rows.copy()
    np.put_along_axis(kept, order, np.where(drop, -np.inf, np.take_along_axis(rows, order, -1)), axis=-1)
    return kept


FILTERS: dict[str, Callable[[Any], Filter]] = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "typical_p": typical_p}
"""Option -> constructor of its filter, in the order in which they apply; an option at its default adds none."""


def active(options: DecodingOptions) -> tuple[tuple[str, object], ...]:
    """Return names and values of the active filters; none at temperature 0."""
    if options.temperature == 0:
        return ()
    fields = type(options).model_fields
    values = ((name, getattr(options, name)) for name in FILTERS)
    return tuple((name, value) for name, value in values if value != fields[name].default)


def filters(options: DecodingOptions) -> list[Filter]:
    """Return the active filters in order, after the temperature."""
    heat = [temperature(options.temperature)] if options.temperature not in (0, 1) else []
    return heat + [FILTERS[name](value) for name, value in active(options)]


def greedy(weights: LogWeights) -> NDArray[np.int64]:
    """Return the most probable id of each row, (B,); of equals, the lowest."""
    return weights.argmax(axis=-1)


def sample(weights: LogWeights, chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw an id for each row, the same in any batch: the first whose cumulative probability exceeds its chance, (B,)
    in [0, 1) (inverse transform sampling)."""
    sums = np.exp(weights).cumsum(axis=-1)  # (B, V)
    if len(sums) == 1 or not (sums[:, -1] > 0).all():
        drawn = (_sample_row(row, own, c) for row, own, c in zip(weights, sums, chances.tolist(), strict=True))
        return np.fromiter(drawn, np.int64, len(sums))
    return np.minimum((sums <= (chances * sums[:, -1])[:, None]).sum(axis=-1), weights.shape[1] - 1)


def _sample_row(row: LogWeights, cumulative: LogWeights, chance: float) -> int:
    if not cumulative[-1] > 0:  # all underflow
        cumulative = np.exp(row - row.max()).cumsum()
    return min(int(cumulative.searchsorted(chance * cumulative[-1], side="right")), len(row) - 1)
