"""What fits into the minutes of a run: a small part of its texts is prepared, exported and judged, and timed.

Preparing (groups, counts), finishing (packing, baselines) and judging take a time that grows with the characters, so a
small part tells what the whole will take on this very machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kammil.errors import KammilError
from kammil.progress import listening, note, phase
from kammil.training.clock import Clock
from kammil.training.recipe import Recipe
from kammil.training.run import Run
from kammil.training.texts import HELD_OUT, Dataset, prepare

_LEAST_SLOPE = 0.25
_LEAST = 20
"""Texts that are used in any case: fewer cannot be split."""
SHARE = 0.5
"""Of the time, for everything but learning, at most: half of it is left to learn from fewer texts."""
_TEXTS, _JUDGES, _LENGTH = 400, 40, 300
"""Texts of the small part, and validation texts, and their characters at most: a second or two."""


@dataclass(frozen=True)
class Pace:
    """Seconds a character, and those that a run takes however few its texts are."""

    prepare: float
    """Of the training texts, before learning."""
    finish: float
    """Of the training texts, after it."""
    judge: float
    """Of the validation texts, after it."""
    fixed: float = 0.0

    def reserve(self, data: Dataset) -> float:
        """Seconds from the end of learning to a finished folder."""
        return self.fixed + self.finish * characters(data.train) + self.judge * characters(data.validation)


def measure(recipe: Recipe, texts: Sequence[str], validation: Sequence[str]) -> Pace | None:
    """The pace of a recipe on such texts; None where they are too few to tell."""
    few, judges = _part(texts, _TEXTS), _part(validation, _JUDGES)
    fewer, fewer_judges = few[:16], judges[:4]
    plain = recipe.model_copy(update={"base": None, "members": (), "exclude": (), "raw": True, "rules": {}})
    try:
        with phase("timing a small part"), listening(_unheard):
            _rehearsed(plain, fewer, fewer_judges)  # what is done for the first time in a process takes longer
            least = _rehearsed(plain, fewer, fewer_judges)
            more = _rehearsed(plain, few, judges)
    except KammilError:
        return None
    sizes = [(characters(fewer), characters(few))] * 2 + [(characters(fewer_judges), characters(judges))]
    paces = [_slope(*size, *times) for size, *times in zip(sizes, least, more, strict=True)]
    fixed = sum(max(0.0, t - pace * n) for (n, _), t, pace in zip(sizes[1:], least[1:], paces[1:], strict=True))
    return Pace(*paces, fixed=fixed)


def _slope(few: int, many: int, short: float, long: float) -> float:
    """Seconds a character: what more characters took more, and some of the whole at least, for clocks are rough."""
    return max((long - short) / max(1, many - few), _LEAST_SLOPE * long / many)


def _rehearsed(recipe: Recipe, texts: Sequence[str], validation: Sequence[str]) -> tuple[float, float, float]:
    """Seconds to prepare, to finish and to judge these texts."""
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        run = Run(recipe, prepare(recipe, texts, validation), Path(place) / "rehearsal", None)
        learnt, made = run.rehearse()
        return learnt - began, made - learnt, time.monotonic() - made


class TextFit:
    """As many texts of a run as fit into its time."""

    def __init__(self, recipe: Recipe, clock: Clock, drawn: Sequence[int] | None = None) -> None:
        """Nothing is measured yet; `drawn`: how many texts an interrupted run drew, of all and for validation."""
        self.pace: Pace | None = None
        self._recipe, self._clock, self._drawn = recipe, clock, drawn
        self._room = float("inf")

    def texts(self, texts: list[str], validation: list[str] | None) -> list[str]:
        """The texts, or some of them, drawn by the seed. Measures first: `validation` are those of a file, if any."""
        if self._clock.seconds is None:
            return texts
        self.pace = measure(self._recipe, texts, validation or texts)
        if self.pace is None or self._drawn is not None:
            return texts if self._drawn is None else self._some(texts, self._drawn[0], "texts")
        self._room = SHARE * self._clock.left
        judging = self.pace.judge * (HELD_OUT * characters(texts) if validation is None else characters(validation))
        seconds = (self.pace.prepare + self.pace.finish) * characters(texts)
        room = self._room - min(judging, self._room / 2)
        return self._some(texts, max(_LEAST, int(len(texts) * min(1.0, room / seconds))), "texts")

    def judges(self, validation: list[str]) -> list[str]:
        """The validation texts, or some of them, drawn by the seed."""
        if self._drawn is not None:
            return self._some(validation, self._drawn[1], "validation texts")
        if self.pace is None:
            return validation
        share = min(1.0, self._room / 2 / (self.pace.judge * characters(validation)))
        return self._some(validation, max(_LEAST, int(len(validation) * share)), "validation texts")

    def _some(self, texts: list[str], number: int, what: str) -> list[str]:
        if number >= len(texts):
            return texts
        chosen = np.random.default_rng(self._recipe.training.seed).permutation(len(texts))[:number]
        note(
            f"{self._recipe.training.minutes:g} minutes are too few for {len(texts):,} {what}: "
            f"{number:,} of them, drawn by the seed, are used; more minutes use more"
        )
        return [texts[i] for i in sorted(chosen.tolist())]


def _part(texts: Sequence[str], most: int) -> list[str]:
    """Some of the texts, spread evenly, cut to a bearable length."""
    number = min(most, len(texts))
    return [texts[i * len(texts) // number][:_LENGTH] for i in range(number)]


def characters(texts: Sequence[str]) -> int:
    """Of all of them; 1 at least."""
    return max(1, sum(map(len, texts)))


def _unheard(event: object) -> None:
    del event
