"""Choose how many texts fit into the minutes of a run, by timing a run on a small sample of them.

Preparing (near-duplicates, counts), finishing (compression, baselines) and evaluating take time in proportion to the
characters, so a sample tells how long all texts will take on this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kammil.errors import KammilError
from kammil.progress import listening, note, phase
from kammil.training.clock import Clock
from kammil.training.events import ignore
from kammil.training.recipe import Recipe
from kammil.training.run import Run
from kammil.training.sizing import Sizes
from kammil.training.texts import Dataset, draw, held_out_share, prepare

_MIN_SLOPE = 0.25
"""Seconds per character are at least this share of all seconds / all characters: clocks are rough."""
_MIN_TEXTS = 20
"""Texts that are always kept: fewer cannot be split."""
SHARE = 0.5
"""Largest share of the time for everything but training; where it is too little for all texts, fewer are used."""
_SAMPLE_TEXTS, _SAMPLE_VALIDATION, _SAMPLE_LENGTH = 400, 40, 300
"""Training texts of the sample, its validation texts, and their most characters: a second or two of work."""


@dataclass(frozen=True)
class Pace:
    """Seconds per character of each part of a run."""

    prepare: float
    """Seconds per character of the training texts, before training."""
    finish: float
    """Seconds per character of the training texts, after training."""
    evaluate: float
    """Seconds per character of the validation texts, after training."""
    fixed: float = 0.0
    """Seconds after training that do not depend on the texts."""

    def reserve(self, data: Dataset) -> float:
        """Return the seconds from the end of training to a finished folder."""
        return self.fixed + self.finish * characters(data.train) + self.evaluate * characters(data.validation)


def measure(recipe: Recipe, texts: Sequence[str], validation: Sequence[str], place: Path | None = None) -> Pace | None:
    """Measure the pace of a recipe on a sample of the texts; None where they are too few.

    `place` is a folder for what the runs write, in which nothing stays; None takes the system's for temporary files.
    """
    many, many_validation = _sample(texts, _SAMPLE_TEXTS), _sample(validation, _SAMPLE_VALIDATION)
    few, few_validation = many[:16], many_validation[:4]
    plain = recipe.model_copy(
        update={"base": None, "members": (), "exclude": (), "raw": True, "rules": {}, "weights": {}}
    )
    try:
        with phase("timing a small part"), listening(ignore):
            _time_run(plain, few, few_validation, place)  # a warm-up: the first run of a process takes longer
            short = _time_run(plain, few, few_validation, place)
            long = _time_run(plain, many, many_validation, place)
    except KammilError:
        return None
    sizes = [(characters(few), characters(many))] * 2 + [(characters(few_validation), characters(many_validation))]
    paces = [_slope(*size, *times) for size, *times in zip(sizes, short, long, strict=True)]
    fixed = sum(max(0.0, t - pace * n) for (n, _), t, pace in zip(sizes[1:], short[1:], paces[1:], strict=True))
    return Pace(*paces, fixed=fixed)


def _slope(few: int, many: int, short: float, long: float) -> float:
    """Return seconds per character from the times of few and of many characters."""
    return max((long - short) / max(1, many - few), _MIN_SLOPE * long / many)


def _time_run(
    recipe: Recipe, texts: Sequence[str], validation: Sequence[str], within: Path | None
) -> tuple[float, float, float]:
    """Return the seconds to prepare, to finish and to evaluate, of a run without training."""
    with tempfile.TemporaryDirectory(dir=within) as place:
        clock = Clock(None, recipe.training.clock)
        began = clock.now()
        run = Run(recipe, prepare(recipe, texts, validation), Path(place) / "dry-run", None)
        prepared, finished = run.dry_run()
        return prepared - began, finished - prepared, clock.now() - finished


class TextFit:
    """Draws as many texts as fit into the time of a run, whose size is chosen by all of them."""

    def __init__(
        self,
        recipe: Recipe,
        clock: Clock,
        drawn: Sequence[int] | None = None,
        *,
        sizes: Sizes | None = None,
        place: Path | None = None,
    ) -> None:
        """Bind recipe and clock; `drawn`: numbers of training and validation texts of an interrupted run; `sizes`:
        chooses options of the recipe; `place`: as in `measure`."""
        self._place, self._sizes = place, sizes
        self.pace: Pace | None = None
        self.chosen: dict[str, int] = {}
        """Options that `sizes` chose."""
        self._recipe, self._clock, self._drawn = recipe, clock, drawn
        self._seconds = float("inf")

    def texts(self, texts: list[str], validation: list[str] | None) -> list[str]:
        """Measure the pace, then return all texts or as many as there is time for, drawn by the seed.

        `validation` holds the texts of a validation file; None where a part of `texts` will validate.
        """
        if self._clock.seconds is None:
            return texts
        if self._sizes is not None:
            self.chosen = self._sizes.choose(characters(texts))
            self._recipe = self._recipe.changed(self.chosen)
        self.pace = measure(self._recipe, texts, validation or texts, self._place)
        if self.pace is None or self._drawn is not None:
            return texts if self._drawn is None else self._draw(texts, self._drawn[0], "texts")
        self._seconds = SHARE * self._clock.left
        evaluating = self.pace.evaluate * (
            held_out_share(len(texts)) * characters(texts) if validation is None else characters(validation)
        )
        seconds = (self.pace.prepare + self.pace.finish) * characters(texts)
        available = self._seconds - min(evaluating, self._seconds / 2)
        return self._draw(texts, max(_MIN_TEXTS, int(len(texts) * min(1.0, available / seconds))), "texts")

    def validation(self, validation: list[str]) -> list[str]:
        """Return all validation texts or as many as there is time for, drawn by the seed."""
        if self._drawn is not None:
            return self._draw(validation, self._drawn[1], "validation texts")
        if self.pace is None:
            return validation
        share = min(1.0, self._seconds / 2 / (self.pace.evaluate * characters(validation)))
        return self._draw(validation, max(_MIN_TEXTS, int(len(validation) * share)), "validation texts")

    def _draw(self, texts: list[str], number: int, what: str) -> list[str]:
        if number >= len(texts):
            return texts
        note(
            f"{self._recipe.training.minutes:g} minutes are too few for {len(texts):,} {what}: "
            f"{number:,} of them, drawn by the seed, are used; more minutes use more"
        )
        return draw(texts, number, self._recipe.training.seed)


def _sample(texts: Sequence[str], size: int) -> list[str]:
    """Take texts at even distances, cut to `_SAMPLE_LENGTH` characters."""
    number = min(size, len(texts))
    return [texts[i * len(texts) // number][:_SAMPLE_LENGTH] for i in range(number)]


def characters(texts: Sequence[str]) -> int:
    """Count the characters of all texts; at least 1."""
    return max(1, sum(map(len, texts)))
