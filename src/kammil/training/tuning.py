"""Search for the settings of a family that cost the fewest bits on validation texts.

A study is a folder of `study.db`, Optuna's SQLite file, and `best.toml`. The first trial has the defaults, ten are
random, the others are drawn by a tree-structured Parzen estimator (Bergstra et al. 2011).
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kammil.data.files import STDIN
from kammil.data.sources import SEPARATOR
from kammil.errors import DataError, FolderError, KammilError, MissingExtraError, OptionError
from kammil.progress import (
    EpochEnded,
    Event,
    Listener,
    MemberEvent,
    TrainingEnded,
    TrainingStarted,
    ignore,
    listening,
    note,
)
from kammil.storage import reason, write_atomic
from kammil.training.recipe import Recipe, options_toml
from kammil.training.record import difference
from kammil.training.texts import Source, check, load_normalised
from kammil.training.train import train

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

STUDY, BEST = "study.db", "best.toml"
_LOCK, _NAME, _DESCRIPTION, _REPEATED = "lock", "kammil", "run", "repeats"
"""A file, the name of a study, its description, and the attribute of a repeated trial."""
_RANDOM_TRIALS, _JUDGES = 10, 5
_HEARTBEAT = 20
"""Seconds between heartbeats of a trial, which is made again after twice as long without one."""


@dataclass(frozen=True)
class Range:
    """Numbers to choose from, ends included."""

    low: float
    high: float
    step: float | None = None
    """None: any real number, on a logarithmic scale."""

    def suggest(self, trial: Trial, name: str) -> float:
        """Let a trial draw a number."""
        if self.step is None:
            return trial.suggest_float(name, self.low, self.high, log=True)
        if all(isinstance(number, int) for number in (self.low, self.high, self.step)):
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step))
        return trial.suggest_float(name, self.low, self.high, step=self.step)


Space = Mapping[str, Range | tuple[float, ...]]

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
"""The search space of each family."""


def suggest(trial: Trial, space: Space) -> dict[str, float]:
    """Let a trial draw a value for each option."""
    return {
        name: values.suggest(trial, name) if isinstance(values, Range) else trial.suggest_categorical(name, values)
        for name, values in space.items()
    }


def contains(values: Range | tuple[float, ...], value: float | None) -> bool:
    """Return whether a value can be drawn."""
    if not isinstance(values, Range) or value is None:
        return isinstance(values, tuple) and value in values
    steps = 0.0 if values.step is None else (value - values.low) / values.step
    return values.low <= value <= values.high and abs(steps - round(steps)) < 1e-9


@dataclass(frozen=True)
class Tuned:
    """Results of a study."""

    best: Path
    """A TOML file of the best settings and the given options."""
    options: Mapping[str, Any]
    bits: float
    """Bits per character with end of text on validation; of the target with the objective `completion`."""
    trial: int
    complete: int
    pruned: int
    failed: int
    defaults: Mapping[str, Any]
    """Defaults of the searched options, without those that cannot be drawn."""
    default_bits: float | None
    """Bits of the trial with the defaults; None where there is none."""


def shown(value: object) -> str:
    """Format a value of an option."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def sentence(trial: FrozenTrial, error: str, *, best: bool) -> str:
    """Tell how a trial ended."""
    settings = ", ".join(f"{name} {shown(value)}" for name, value in trial.params.items())
    if trial.value is None:
        return f"trial {trial.number} failed: {error} ({settings})"
    how = ", best so far" if best else ", pruned" if trial.state.name == "PRUNED" else ""
    return f"trial {trial.number}: {trial.value:.3f} bits{how} ({settings})"


def tune(
    source: Source,
    *,
    out: str | Path,
    trials: int,
    validation: Source | None = None,
    listen: Listener = ignore,
    **options: Any,
) -> Tuned:
    """Train with other settings again and again; return the best.

    Args:
        source, validation: as of `train`, but never a test part.
        out: folder of the study, new or of the same texts and options.
        trials: number of complete and pruned trials in the end.
        options: as of `train`; `seed` also decides the drawn settings.

    A failed trial does not count, but the first must succeed.
    """
    if trials < 1:
        raise OptionError(f"trials is {trials}, but it must be at least 1.")
    recipe = Recipe.of(options)
    family = recipe.model
    if family not in SPACES or recipe.members:
        what = "a recipe with members" if recipe.members else f"the family {family}"
        raise OptionError(f"there is no search space for {what}; name one of {', '.join(SPACES)} with --model.")
    space = {name: values for name, values in SPACES[family].items() if options.get(name) is None}
    if not space:
        raise OptionError(f"all settings of the search space of {family} are given; leave out one of them.")
    check(recipe, source, validation)
    for named in (source, validation):
        _refuse(named)
    source = list(source) if isinstance(source, Iterator) else source
    validation = list(validation) if isinstance(validation, Iterator) else validation
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError("tuning needs optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    given = {name: value for name, value in options.items() if value is not None} | {"model": family}
    study = _Study(Path(out), recipe, given, space, source, validation)
    with listening(listen):
        study.open()
        while study.number("COMPLETE", "PRUNED") < trials:
            study.make_trial(listen)
        return study.result()


def _refuse(source: Source | None) -> None:
    if source == STDIN:
        raise OptionError("the texts are read for every trial, and standard input only once; write them to a file.")
    if isinstance(source, str) and not Path(source).exists():
        for name in map(str.strip, source.split(SEPARATOR)):
            if name.endswith("/test"):
                raise OptionError(f"{name} is a test part, and no setting may be chosen on one; name another.")


def _repeat(study: Study, trial: FrozenTrial) -> None:
    study.enqueue_trial(trial.params, user_attrs={_REPEATED: trial.number})


class _StoppedError(BaseException):
    """Stops a trial after Ctrl-C, since the training loop catches `KeyboardInterrupt`."""


@dataclass
class _Study:
    folder: Path
    recipe: Recipe
    options: Mapping[str, Any]
    space: Space
    source: Source
    validation: Source | None
    began: bool = False

    def __post_init__(self) -> None:
        known = {**self.recipe.training.model_dump(), **self.recipe.settings}
        self.defaults = {name: known[name] for name, values in self.space.items() if contains(values, known[name])}
        self.study: Study

    def open(self) -> None:
        """Open or create the store; refuse another study's."""
        import optuna
        from filelock import FileLock
        from sqlalchemy import URL
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.pool import NullPool

        sources = [each for each in (self.source, self.validation) if each is not None]
        texts = [load_normalised(self.recipe, each).sha256 for each in sources]
        space = {name: str(values) for name, values in self.space.items()}
        described = {"texts": texts, "search space": space, **self.options}
        current: dict[str, Any] = json.loads(json.dumps(described, default=str))
        try:
            found = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set[str]()
            if found - {_LOCK} and STUDY not in found:  # a lock alone: another program is creating it
                raise FolderError(f"{self.folder} exists and is no study; name another one with --out.")
            self.folder.mkdir(parents=True, exist_ok=True)
            # two programs cannot create the tables at once
            with FileLock(self.folder / _LOCK, timeout=60), warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                storage = optuna.storages.RDBStorage(
                    URL.create("sqlite", database=str(self.folder / STUDY)).render_as_string(),
                    engine_kwargs={"connect_args": {"timeout": 60}, "poolclass": NullPool},  # none is left open
                    heartbeat_interval=_HEARTBEAT,
                    heartbeat_stale_trial_callback=_repeat,
                )
                self.study = optuna.create_study(
                    storage=storage,
                    study_name=_NAME,
                    pruner=optuna.pruners.MedianPruner(n_startup_trials=_JUDGES, n_warmup_steps=2),
                    load_if_exists=True,
                )
                stored: dict[str, Any] = self.study.user_attrs.get(_DESCRIPTION, current)
                if changed := difference(stored, dict(sorted((dict.fromkeys(stored) | current).items()))):
                    raise OptionError(
                        f"the study in {self.folder} has another {changed}; give the same, or another --out."
                    )
                self.study.set_user_attr(_DESCRIPTION, current)
                if self.number("FAIL") == self.number():
                    self.study.enqueue_trial(self.defaults)
        except (OSError, ValueError) as error:
            raise FolderError(f"cannot write {self.folder}: {reason(error)}; name another place with --out.") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
            raise FolderError(
                f"{self.folder / STUDY} is damaged or foreign; name another folder with --out."
            ) from error

    def number(self, *states: str) -> int:
        trials = self.study.get_trials(deepcopy=False)
        return sum(trial.state.name in states for trial in trials) if states else len(trials)

    def make_trial(self, listen: Listener) -> None:
        """Draw settings by the seed and the number of trials, or repeat a stopped trial, and train with them."""
        import optuna
        from filelock import FileLock

        known = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name != "WAITING"]
        begun = sum(_REPEATED not in trial.user_attrs for trial in known)
        seed = np.random.SeedSequence([self.recipe.training.seed, begun]).generate_state(1)[0]
        self.study.sampler = optuna.samplers.TPESampler(
            seed=int(seed), n_startup_trials=_RANDOM_TRIALS, constant_liar=True
        )
        number, failure = -1, None

        def objective(trial: Trial) -> float:
            nonlocal number, failure
            number = trial.number
            drawn = suggest(trial, self.space)  # before a listener may stop it
            note(f"trial {number} begins")
            try:
                return self._train(trial, drawn, listen)
            except KammilError as error:
                failure = error
                raise

        try:
            self.study.optimize(objective, n_trials=1, catch=(KammilError,))
        except optuna.exceptions.UpdateFinishedTrialError:  # another program took it for dead
            return
        except KeyboardInterrupt:
            if number >= 0:
                _repeat(self.study, self.study.get_trials(deepcopy=False)[number])
            raise
        if failure is not None and not self.number("COMPLETE"):
            raise failure
        with FileLock(self.folder / _LOCK):  # two programs would share a draft, or write an older best last
            best = self.study.best_trial
            heading = f"# {best.value:.3f} bits per character on the validation texts, trial {best.number}\n"
            content = heading + options_toml({**self.options, **best.params})
            write_atomic(self.folder / BEST, content.encode("utf-8", "replace"))
        note(sentence(self.study.get_trials(deepcopy=False)[number], str(failure or ""), best=best.number == number))

    def _train(self, trial: Trial, drawn: Mapping[str, float], listen: Listener) -> float:
        from optuna import TrialPruned

        def on_event(event: Event) -> None:
            if not isinstance(event, TrainingStarted) or not self.began:  # the same in every trial
                listen(event)
            self.began |= isinstance(event, TrainingStarted)
            if isinstance(event, MemberEvent):  # the first of several members is watched
                event = event.event if event.member == 1 else event
            if isinstance(event, TrainingEnded) and event.reason == "interrupt":  # not a whole training
                raise _StoppedError
            if isinstance(event, EpochEnded):
                trial.report(event.validation_bits, event.epoch)
                if trial.should_prune():
                    raise TrialPruned

        place = self.folder / f"trial-{trial.number}"
        shutil.rmtree(place, ignore_errors=True)
        try:
            given: dict[str, Any] = {**self.options, **drawn}
            out = place / "model"
            trained = train(self.source, validation=self.validation, out=out, report=False, listen=on_event, **given)
        except _StoppedError:
            raise KeyboardInterrupt from None
        finally:
            shutil.rmtree(place, ignore_errors=True)
        figures = trained.evaluation.model
        whole = self.recipe.training.objective == "text"
        interval = figures.bits_per_character_with_end if whole else figures.target_bits_per_character
        if interval is None:
            raise DataError("no validation text has a target; name longer texts to validate with.")
        return interval.value

    def result(self) -> Tuned:
        best = self.study.best_trial
        whole = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        return Tuned(
            self.folder / BEST,
            {**self.options, **best.params},
            self.study.best_value,
            best.number,
            self.number("COMPLETE"),
            self.number("PRUNED"),
            self.number("FAIL"),
            self.defaults,
            next((trial.value for trial in whole if trial.params == self.defaults), None),
        )
