"""From log-probabilities to a choice: filters, each a pure function, then a chooser.

A filter takes log-weights (B, V), log-probabilities up to a constant for each row, and gives log-weights back, some of
them at minus infinity. Nothing is renormalised between filters: a keystroke has no time for it, and the chooser only
compares. Shapes: B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil.errors import OptionError

Rows = NDArray[np.floating]
Filter = Callable[[Rows], Rows]

LONGEST = 100_000
"""Characters of one completion at most."""


class Decoding(BaseModel):
    """How a completion is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(default=30, ge=0, le=LONGEST)
    """Characters (code points) at most; the notebook's task asks for 30."""
    temperature: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    """0 takes the most probable character always; 1 samples the model as it is; above 1 flattens it."""
    top_k: int | None = Field(default=None, ge=1)
    """Keep exactly the k most probable."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Keep the smallest set of most probable ones that holds at least this much probability (nucleus)."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Keep what has at least this share of the most probable one's probability."""
    stop: tuple[str, ...] = ()
    """End before the first of these strings."""
    seed: int = Field(default=0, ge=0, lt=2**64)
    """Same seed, same model, same prompt: same completion."""

    @classmethod
    def of(cls, **options: object) -> Self:
        """Checked options; `OptionError` with one sentence for the first that is out of range."""
        try:
            made = cls.model_validate(options)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "options"
            reason = _REASONS.get(name, first["msg"])
            raise OptionError(f"{name} is {first['input']!r}, but {reason}.") from error
        if any(not s for s in made.stop):
            raise OptionError("a stop string is empty, but it must hold at least one character.")
        return made


_REASONS = {
    "length": f"it must be a whole number from 0 to {LONGEST}",
    "temperature": "it must be 0 (always the most probable) or more, such as 0.7",
    "top_k": "it must be a whole number of at least 1",
    "top_p": "it must be above 0 and at most 1, such as 0.9",
    "min_p": "it must be between 0 and 1, such as 0.05",
    "stop": "it must be a list of strings",
    "seed": f"it must be a whole number from 0 to {2**64 - 1}",
}


def forbid(ids: Sequence[int], size: int) -> Filter:
    """Nothing of these ids among V = `size`."""
    barrier = np.zeros(size)
    barrier[list(ids)] = -np.inf
    return lambda rows: rows + barrier


def temperature(value: float) -> Filter:
    """Log-probabilities divided by a temperature > 0 (Ackley, Hinton & Sejnowski 1985)."""

    def apply(rows: Rows) -> Rows:
        below = rows - rows.max(axis=-1, keepdims=True)  # the best stay at 0, however small the temperature
        with np.errstate(over="ignore"):
            return below / value

    return apply


def top_k(k: int) -> Filter:
    """Exactly the k most probable ids; of equals, those with the lower id."""

    def apply(rows: Rows) -> Rows:
        drop = np.argsort(-rows, axis=-1, kind="stable")[:, k:]  # (B, V - k)
        kept = rows.copy()
        np.put_along_axis(kept, drop, -np.inf, axis=-1)
        return kept

    return apply


def top_p(p: float) -> Filter:
    """The smallest set of most probable ids whose probability reaches p (Holtzman et al. 2020, arXiv:1904.09751)."""

    def apply(rows: Rows) -> Rows:
        order = np.argsort(-rows, axis=-1, kind="stable")  # (B, V)
        sorted_p = np.exp(np.take_along_axis(normalised(rows), order, axis=-1))
        before = np.cumsum(sorted_p, axis=-1) - sorted_p  # probability of all that are more probable
        kept = rows.copy()
        drop = before >= p
        drop[:, 0] = False
        np.put_along_axis(kept, order, np.where(drop, -np.inf, np.take_along_axis(rows, order, -1)), axis=-1)
        return kept

    return apply


def min_p(share: float) -> Filter:
    """What has at least `share` of the most probable id's probability (Nguyen et al. 2024, arXiv:2407.01082)."""

    def apply(rows: Rows) -> Rows:
        floor = rows.max(axis=-1, keepdims=True) + (np.log(share) if share > 0 else -np.inf)
        return np.where(rows >= floor, rows, -np.inf)

    return apply


def filters(options: Decoding, size: int, forbidden: Sequence[int] = ()) -> list[Filter]:
    """The filters that the options ask for, in their order: forbidden ids, temperature, top-k, top-p, min-p.

    At temperature 0 nothing but the forbidden ids matters.
    """
    made: list[Filter] = [forbid(forbidden, size)] if forbidden else []
    if options.temperature == 0:
        return made
    if options.temperature != 1:
        made.append(temperature(options.temperature))
    if options.top_k is not None:
        made.append(top_k(options.top_k))
    if options.top_p < 1:
        made.append(top_p(options.top_p))
    if options.min_p > 0:
        made.append(min_p(options.min_p))
    return made


def normalised(rows: Rows) -> Rows:
    """Rows shifted so that their exponentials sum to one; each row must hold a finite entry."""
    top = rows.max(axis=-1, keepdims=True)
    return rows - top - np.log(np.exp(rows - top).sum(axis=-1, keepdims=True))


def greedy(rows: Rows) -> NDArray[np.int64]:
    """The most probable id of each row, (B,); of equals, the lowest id."""
    return rows.argmax(axis=-1).astype(np.int64)


def sample(rows: Rows, generators: Sequence[np.random.Generator]) -> NDArray[np.int64]:
    """One id for each row, (B,), drawn with that row's own generator, so that a row is the same in any batch."""
    cumulative = np.exp(rows).cumsum(axis=-1)  # (B, V)
    drawn: list[int] = []
    for i, generator in enumerate(generators):
        row = cumulative[i]
        if not row[-1] > 0:  # all of them too unlikely to be told apart from 0
            row = np.exp(rows[i] - rows[i].max()).cumsum()
        drawn.append(min(int(row.searchsorted(generator.random() * row[-1], side="right")), len(row) - 1))
    return np.array(drawn)
