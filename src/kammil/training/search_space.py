"""The settings that a search may choose from, for each family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class Range:
    """A range of numbers to choose from."""

    low: float
    """Smallest number that may be chosen."""
    high: float
    """Largest number that may be chosen."""
    step: float | None = None
    """Distance of the numbers; None: any real number, and equal factors are equally likely."""

    def suggest(self, trial: Trial, name: str) -> float:
        """Let a trial of Optuna's draw a number."""
        if self.step is None:
            return trial.suggest_float(name, self.low, self.high, log=True)
        if all(isinstance(number, int) for number in (self.low, self.high, self.step)):
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step))
        return trial.suggest_float(name, self.low, self.high, step=self.step)


Space = Mapping[str, Range | tuple[float, ...]]
"""For each option what may be chosen: numbers of a range, or one of a few."""

_ALL: Space = {"batch_size": (4, 8, 16, 32), "weight_decay": Range(1e-3, 0.3)}
_DESCENT: Space = {**_ALL, "learning_rate": Range(1e-3, 1.6e-2), "dropout": Range(0.0, 0.6, 0.05)}
_GRU: Space = {**_DESCENT, "embedding": (32, 64, 128, 256), "hidden": Range(128, 768, 64)}
SPACES: Mapping[str, Space] = {
    "ngram": {"order": Range(2, 12, 1)},
    "gru": _GRU,
    "words": {**_GRU, "word_texts": Range(2, 8, 1)},
    "subwords": {**_GRU, "subwords": (250, 500, 1000, 2000, 4000)},
    "attention": {**_GRU, "attention": (32, 64, 128)},
    "transformer": {
        **_DESCENT,
        "learning_rate": Range(5e-4, 8e-3),
        "width": (64, 128, 192, 256),
        "layers": Range(1, 6, 1),
        "heads": (2, 4, 8),
    },
    "pretrained": {**_ALL, "learning_rate": Range(1e-5, 2e-3)},
    "blend": {**_GRU, "gate": (32, 64, 96, 128, 192)},
}
"""The search space of each family. An option that is given is not searched for."""


def suggest(trial: Trial, space: Space) -> dict[str, float]:
    """Let a trial of Optuna's draw a value for each option."""
    return {
        name: values.suggest(trial, name) if isinstance(values, Range) else trial.suggest_categorical(name, values)
        for name, values in space.items()
    }


def contains(values: Range | tuple[float, ...], value: float | None) -> bool:
    """Whether a value can be chosen."""
    if value is None or not isinstance(values, Range):
        return value in (values if isinstance(values, tuple) else ())
    steps = 0.0 if values.step is None else (value - values.low) / values.step
    return values.low <= value <= values.high and abs(steps - round(steps)) < 1e-9
