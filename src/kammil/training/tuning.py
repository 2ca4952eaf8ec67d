"""Search for the settings of a family that cost the fewest bits on validation texts.

A study is a folder: `study.db`, an SQLite file of Optuna's, and `best.toml`, which `kammil train --config` takes. A
trial is one training run with settings drawn from the family's search space. The first trial has the family's
defaults, so that the best is never behind them; the next ten are drawn at random; those after them by a
tree-structured Parzen estimator (Bergstra et al. 2011), which prefers what good trials had in common. Where an epoch
but the first ends behind the median of earlier trials at that epoch, the trial is pruned.

Everything is kept after every trial, so the same command goes on where it stopped. Several programs may work on one
study. What is drawn depends on the seed, on how many trials were begun, and on how those before ended, so that one
program alone finds the same however often it was stopped, if its trials are bounded by epochs. (Minutes follow the
clock.)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kammil import files
from kammil.data.contents import STDIN
from kammil.data.sources import SEPARATOR
from kammil.errors import DataError, FolderError, KammilError, MissingExtraError, OptionError
from kammil.files import reason
from kammil.training.events import EpochEnded, Event, Listener, MemberEvent, TrainingEnded, ignore
from kammil.training.recipe import Recipe, toml
from kammil.training.search_space import SPACES, Space, contains, distribution
from kammil.training.texts import Source, check, load_normalised
from kammil.training.train import train

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

STUDY, BEST = "study.db", "best.toml"
"""Files of a study's folder."""
_LOCK = "lock"
_NAME, _RUN, _ERROR, _REPLACES = "kammil", "run", "error", "replaces"
"""Name of the study in its file, its attribute that describes it, and attributes of trials: why one failed, and which
one of the same settings was stopped."""
_RANDOM_TRIALS, _JUDGES = 10, 5
"""Trials that are drawn at random, and complete trials that a median needs."""


@dataclass(frozen=True)
class Tuned:
    """What a study has found so far."""

    best: Path
    """A TOML file of the best settings, with all that was given."""
    options: Mapping[str, Any]
    """Those settings, by option."""
    bits: float
    """Bits per character and end of text on the validation texts, of the model as it runs; with the objective
    `completion`, those of the target."""
    trial: int
    """Number of the best trial, from 0."""
    complete: int
    pruned: int
    failed: int
    """Numbers of trials by how they ended."""
    defaults: Mapping[str, Any]
    """Defaults of the options that were searched for, without those that cannot be drawn."""
    default_bits: float | None
    """Bits of the trial with the family's defaults; None where it failed, or where a default cannot be drawn."""


@dataclass(frozen=True)
class TrialEnded:
    """One trial of a study has ended."""

    number: int
    """Number of the trial, from 0."""
    settings: Mapping[str, Any]
    """Values that were drawn, by option."""
    bits: float | None
    """As in `Tuned`; of a pruned trial, those of its last epoch; None for a trial that failed."""
    state: str
    """`complete`, `pruned` or `failed`."""
    best: bool = False
    """Whether no other trial has fewer bits so far."""
    error: str = ""
    """Why it failed."""


def tune(
    source: Source,
    *,
    out: str | Path,
    trials: int,
    validation: Source | None = None,
    listen: Listener = ignore,
    on_begin: Callable[[int], None] | None = None,
    on_trial: Callable[[TrialEnded], None] | None = None,
    **options: Any,
) -> Tuned:
    """Train with other settings again and again, until the study has so many trials; return the best so far.

    Args:
        source, validation: as of `train`. Without `validation` a leak-free tenth of `source` is held out, the same for
            all trials. No test part is ever read.
        out: folder of the study; one of the same texts and options is gone on with.
        trials: trials of the study, complete or pruned, those of other programs and earlier calls among them.
        listen: called with the events of every training.
        on_begin: called before every trial of this program, with its number, from 0.
        on_trial: called after it.
        options: as of `train`; `seed` also decides what is drawn, `minutes` is the time of one trial.

    A trial that fails, for example because its loss becomes infinite, counts for nothing, and the next one begins; but
    the very first one must succeed. Raises `KammilError` with one sentence for wrong input.
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
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    run = _Study(Path(out), recipe, {**options, "model": family}, space)
    with run.opened(source, validation):
        while (trial := run.ask(trials)) is not None:
            if on_begin is not None:
                on_begin(trial.number)
            ended = run.train(trial, source, validation, listen)
            if on_trial is not None:
                on_trial(ended)
        return run.result()


def _refuse(source: Source | None) -> None:
    """Raise `OptionError` for a test part, on which nothing may be chosen, and for what can be read only once."""
    if source == STDIN:
        raise OptionError("the texts are read for every trial, and standard input only once; write them to a file.")
    if isinstance(source, str) and not Path(source).exists():
        for name in map(str.strip, source.split(SEPARATOR)):
            if name.endswith("/test"):
                raise OptionError(f"{name} is a test part, and no setting may be chosen on one; name another.")


class _StoppedError(BaseException):
    """Stops a trial after Ctrl-C. The training loop takes `KeyboardInterrupt` itself for "keep the best so far"."""


class _Study:
    """A study in which this program takes part: it asks for trials, trains them, and records how they end."""

    study: Study

    def __init__(self, folder: Path, recipe: Recipe, options: Mapping[str, Any], space: Space) -> None:
        self.folder, self.recipe, self.options, self.space = folder, recipe, options, space

    @contextmanager
    def opened(self, source: Source, validation: Source | None) -> Generator[None]:
        """Open or create the study; `FolderError` for a folder of something else, `OptionError` for another study."""
        import optuna
        from sqlalchemy import URL
        from sqlalchemy.exc import SQLAlchemyError

        texts = [load_normalised(self.recipe, each).sha256 for each in (source, validation) if each is not None]
        described = {name: str(values) for name, values in self.space.items()}
        current: dict[str, Any] = {"texts": texts, "search space": described}
        current |= {name: value for name, value in self.options.items() if value is not None}
        current = json.loads(json.dumps(current, default=str))
        try:
            found = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set[str]()
            if found - {_LOCK} and STUDY not in found:  # a lock alone: another program is creating it
                raise FolderError(f"{self.folder} exists and is no study; name another one with --out.")
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                file = URL.create("sqlite", database=str(self.folder / STUDY))
                storage = optuna.storages.RDBStorage(
                    file.render_as_string(), engine_kwargs={"connect_args": {"timeout": 60}}
                )
                pruner = optuna.pruners.MedianPruner(n_startup_trials=_JUDGES, n_warmup_steps=2)
                self.study = optuna.create_study(
                    storage=storage, study_name=_NAME, direction="minimize", pruner=pruner, load_if_exists=True
                )
                stored: dict[str, Any] | None = self.study.user_attrs.get(_RUN)
                if stored is None:
                    self.study.set_user_attr(_RUN, current)
                else:
                    _refuse_another(self.folder, stored, current)
        except (OSError, ValueError) as error:
            raise FolderError(f"cannot write {self.folder}: {reason(error)}; name another place with --out.") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
            raise FolderError(
                f"{self.folder / STUDY} is damaged or foreign; name another folder with --out."
            ) from error
        try:
            yield
        finally:
            storage.engine.dispose()

    def ask(self, trials: int) -> Trial | None:
        """Return the next trial, or None if so many are done or under way. The lock in its folder is held while this
        program works on it, so that others can tell it from one whose program was killed."""
        import optuna
        from optuna.trial import TrialState

        with self._lock():
            self._put_back_dead_trials()
            known = self.study.get_trials(deepcopy=False)
            counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
            if sum(trial.state in counted for trial in known) >= trials:
                return None
            if not any(trial.state in (*counted, TrialState.WAITING) for trial in known):
                self.study.enqueue_trial(self._defaults())
            begun = [trial for trial in known if trial.state != TrialState.WAITING]
            first_time = sum(_REPLACES not in trial.user_attrs for trial in begun)
            seed = np.random.SeedSequence([self.recipe.training.seed, first_time]).generate_state(1)[0]
            self.study.sampler = optuna.samplers.TPESampler(
                seed=int(seed), n_startup_trials=_RANDOM_TRIALS, constant_liar=True
            )
            trial = self.study.ask({name: distribution(values) for name, values in self.space.items()})
            place = self._place(trial.number)
            place.mkdir(exist_ok=True)
            self._alive = _file_lock(place / _LOCK)
            self._alive.acquire()
            return trial

    def train(self, trial: Trial, source: Source, validation: Source | None, listen: Listener) -> TrialEnded:
        """Train with the settings of a trial, and tell the study how that ended."""
        from optuna import TrialPruned
        from optuna.trial import TrialState

        settings, place, last = dict(trial.params), self._place(trial.number), float("nan")

        def on_event(event: Event) -> None:
            nonlocal last
            listen(event)
            if isinstance(event, MemberEvent):  # of members that learn side by side the first is watched
                event = event.event if event.member == 1 else event
            if isinstance(event, TrainingEnded) and event.reason == "interrupt":  # not a whole training
                raise _StoppedError
            if isinstance(event, EpochEnded):
                last = event.validation_bits
                trial.report(last, event.epoch)
                if trial.should_prune():
                    raise TrialPruned

        state, bits, problem = None, None, ""  # no state: it was stopped
        try:
            given = {**self.options, **settings}
            trained = train(source, validation=validation, out=place / "model", report=False, listen=on_event, **given)
            figures = trained.evaluation.model
            whole = self.recipe.training.objective == "text"
            interval = figures.bits_per_character_with_end if whole else figures.target_bits_per_character
            if interval is None:
                raise DataError("no validation text has a target; name longer texts to validate with.")
            state, bits = TrialState.COMPLETE, interval.value
        except TrialPruned:
            state, bits = TrialState.PRUNED, last
        except KammilError as error:
            state, problem = TrialState.FAIL, str(error)
            trial.set_user_attr(_ERROR, problem)
            if not self._finished():
                raise
        except _StoppedError:
            raise KeyboardInterrupt from None
        finally:
            with self._lock():
                if state is None:
                    self._put_back(trial)
                else:
                    self.study.tell(trial, bits if state == TrialState.COMPLETE else None, state)
                self._alive.release()
                shutil.rmtree(place, ignore_errors=True)
                if self._finished():
                    self._write_best()
        assert state is not None, "what is stopped is raised"
        best = state == TrialState.COMPLETE and self.study.best_trial.number == trial.number
        names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
        return TrialEnded(trial.number, settings, bits, names[state], best, problem)

    def result(self) -> Tuned:
        """Return the best so far; `OptionError` while no trial of any program is complete."""
        from optuna.trial import TrialState

        if not self._finished():
            raise OptionError(
                f"no trial of {self.folder} is complete yet; wait for the other program, or ask for more."
            )
        states = [trial.state for trial in self.study.get_trials(deepcopy=False)]
        complete, pruned, failed = map(states.count, (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        best = self.study.best_trial
        defaults = self._defaults()
        whole = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return Tuned(
            self.folder / BEST,
            self._options(best),
            self.study.best_value,
            best.number,
            complete,
            pruned,
            failed,
            defaults,
            next((trial.value for trial in whole if trial.params == defaults), None),
        )

    def _options(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return what was given and what was drawn; of what was not drawn again the defaults hold."""
        return {**{name: value for name, value in self.options.items() if value is not None}, **trial.params}

    def _write_best(self) -> None:
        """Write the TOML file of the best trial."""
        best = self.study.best_trial
        heading = f"# {self.study.best_value:.3f} bits per character on the validation texts, trial {best.number}\n"
        files.write_atomic(self.folder / BEST, (heading + _config(self._options(best))).encode("utf-8", "replace"))

    def _finished(self) -> bool:
        """Whether any trial is complete."""
        from optuna.trial import TrialState

        return any(trial.state == TrialState.COMPLETE for trial in self.study.get_trials(deepcopy=False))

    def _put_back_dead_trials(self) -> None:
        """Queue the settings of trials whose program was killed once more: nobody holds their lock."""
        from filelock import Timeout
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            place = self._place(trial.number)
            place.mkdir(exist_ok=True)
            lock = _file_lock(place / _LOCK)
            try:
                lock.acquire()
            except Timeout:
                continue
            lock.release()
            shutil.rmtree(place, ignore_errors=True)
            self._put_back(trial)

    def _put_back(self, trial: Trial | FrozenTrial) -> None:
        """Fail a trial that did not end by itself, and queue its settings."""
        from optuna.trial import TrialState

        self.study.tell(trial.number, state=TrialState.FAIL)
        self.study.enqueue_trial(trial.params, user_attrs={_REPLACES: trial.number})

    def _defaults(self) -> dict[str, Any]:
        """Return the defaults of the options that are searched for, where they are in the space."""
        known = {**self.recipe.training.model_dump(), **self.recipe.settings}
        return {name: known[name] for name, values in self.space.items() if contains(values, known[name])}

    def _place(self, number: int) -> Path:
        return self.folder / f"trial-{number}"

    def _lock(self) -> Any:
        """Return the lock under which trials begin and end, for a `with`; whoever holds it does so for milliseconds."""
        return _file_lock(self.folder / _LOCK, timeout=60)


def _file_lock(path: Path, timeout: float = 0) -> Any:
    from filelock import FileLock

    return FileLock(path, timeout=timeout)


def _config(options: Mapping[str, Any]) -> str:
    """Return options as a file for `kammil train --config`, one a line."""
    return "".join(f"{name} = {toml(value)}\n" for name, value in options.items())


def _refuse_another(folder: Path, stored: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raise `OptionError` for a study of other texts or options."""
    for name in sorted(stored.keys() | current.keys()):
        if stored.get(name) != current.get(name):
            values = "" if name in ("texts", "search space") else f" ({stored.get(name)!r}, not {current.get(name)!r})"
            raise OptionError(f"the study in {folder} has another {name}{values}; give the same, or another --out.")
