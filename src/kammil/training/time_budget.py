"""The minutes of a run, how many its figures will take, and the size of a model that they allow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kammil import distributed, model_folder
from kammil.errors import OptionError
from kammil.evaluation.metrics import TARGET, predict, spread
from kammil.language_model import LanguageModel
from kammil.models.family import CountingLearner, MergingLearner, family
from kammil.progress import note
from kammil.storage import RUN, training_folder
from kammil.training.recipe import Recipe, TimeKind
from kammil.vocabulary import CharacterVocabulary

_MIN_SHARE = 0.5
"""Share of wall-clock time below which processor time is reported as short."""
_TIMED, _TIMED_SHARE = (1, 4, 16, 64), 0.02
"""Numbers of texts that are timed, while each takes at most this share of the minutes."""


class TimeBudget:
    """The time of a run since its construction; without minutes there is no limit."""

    def __init__(self, minutes: float | None, kind: TimeKind = "wall") -> None:
        self._timers: dict[TimeKind, Callable[[], float]] = {"wall": time.monotonic, "processor": time.process_time}
        self._kind: TimeKind = kind
        self.seconds = None if minutes is None else 60 * minutes
        self._started = {kind: now() for kind, now in self._timers.items()}

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without `stopped`."""
        return self._elapsed(self._kind)

    @property
    def left(self) -> float:
        """Seconds until the limit, 0 after it; infinite without one."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Stand still within the block, for a base with its own limit."""
        before = {kind: now() for kind, now in self._timers.items()}
        try:
            yield
        finally:
            for kind, now in self._timers.items():
                self._started[kind] += now() - before[kind]

    def figures_seconds(
        self, models: Sequence[LanguageModel], vocabulary: CharacterVocabulary, texts: Sequence[str]
    ) -> float:
        """Estimate the seconds of `evaluate`; 0 without a limit."""
        if self.seconds is None:
            return 0.0
        seconds = 0.0
        for size in _TIMED:
            sample = spread(texts, size)
            began = self.elapsed
            for model in models:
                predict(model, vocabulary, sample, TARGET)
            took = self.elapsed - began
            seconds = took * max(len(texts) / len(sample), sum(map(len, texts)) / sum(map(len, sample)))
            if len(sample) == len(texts) or took > _TIMED_SHARE * self.seconds:
                break
        return seconds

    def overrun(self) -> str | None:
        """Return a sentence if the limit was passed by more than a tenth."""
        if self.seconds is None or self.elapsed <= 1.1 * self.seconds:
            return None
        return (
            f"this took {self.elapsed:.0f} seconds, not {self.seconds:.0f}: all texts are counted and measured, "
            "however long that takes"
        )

    def shortfall(self) -> str | None:
        """Return a sentence if the processor worked on this run less than half of the time."""
        passed, worked = self._elapsed("wall"), self._elapsed("processor")
        if self.seconds is None or self._kind == "processor" or worked >= _MIN_SHARE * passed:
            return None
        return (
            f"the processor worked on this run for {worked:.0f} of {passed:.0f} seconds, probably because other "
            "programs used it too; with --set clock=processor the minutes count only such seconds"
        )

    def _elapsed(self, kind: TimeKind) -> float:
        return self._timers[kind]() - self._started[kind]


def auto_sizes(
    recipe: Recipe, given: Mapping[str, Any], characters: int, *, resumed: Path | None = None
) -> dict[str, int]:
    """Return and announce the sizes of a model by its characters and minutes, unless one is `given`.

    There are none with a base or members, without minutes or a CPU, or in several processes. The interrupted run of the
    model `resumed` keeps its sizes.
    """
    learner, minutes = family(recipe.model).learner(), recipe.training.minutes
    if minutes is None or not isinstance(learner, MergingLearner) or distributed.size() > 1:
        return {}
    if given.get("base") or given.get("members"):
        return {}
    from kammil.training.optim import make_accelerator

    if make_accelerator(recipe.training.device).device.type != "cpu":
        return {}
    import torch

    # the CPU threads that the clock counts as one
    threads = 1 if recipe.training.clock == "processor" else recipe.training.threads or torch.get_num_threads()
    chosen = dict(learner.sizes(characters, minutes, threads))
    if any(given.get(name) for name in chosen):
        return {}
    with suppress(OSError, ValueError, TypeError):
        stored = dict(json.loads((training_folder(resumed) / RUN).read_text("utf-8"))) if resumed is not None else {}
        chosen |= {name: stored[name] for name in chosen if name in stored}
    sizes = ", ".join(f"{name} {value}" for name, value in chosen.items())
    note(f"chosen for {characters:,} characters and --minutes {minutes:g}: {sizes}")
    return chosen


def options_of_base(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, none of them `given`, that a base folder decides: shapes of its weights and, where its
    vocabulary stays, the family's defaults for such runs."""
    learner = family(recipe.model).learner()
    if recipe.base is not None and isinstance(learner, CountingLearner):
        raise OptionError(
            f"a model of the family {recipe.model} counts its texts and starts from nothing; leave base out."
        )
    if not isinstance(recipe.base, str):
        return {}
    base, _ = model_folder.summary(Path(recipe.base))
    if isinstance(family(base.family).learner(), CountingLearner):
        raise OptionError(
            f"{recipe.base} is of the family {base.family}, which has no weights to start from; name another model, "
            "as --model blend makes, or leave base out."
        )
    names = [name for name in learner.of_base if name in base.settings and given.get(name) is None]
    options = {name: base.settings[name] for name in names}
    better = learner.from_base(recipe.settings | options, base) if isinstance(learner, MergingLearner) else None
    return options | {name: value for name, value in (better or {}).items() if given.get(name) is None}
