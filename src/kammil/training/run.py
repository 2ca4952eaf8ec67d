"""One run: from texts to a folder that learnt them. What goes before it is the business of `train`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kammil import files
from kammil import model_folder as folders
from kammil.data import bloom
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import baselines
from kammil.evaluation.counter_check import FAMILY, better_counter
from kammil.locks import RUN, clear_training_folder, interrupted, run_lock, training_folder
from kammil.models.family import NetworkTask, TrainingTexts
from kammil.models.registry import family, load_model
from kammil.training.clock import Clock
from kammil.training.events import CounterAhead, EpochEnded, Event, ignore
from kammil.training.publish import TrainedModel, TrainResult, publish, seconds_in_all
from kammil.training.recipe import Recipe
from kammil.training.texts import Dataset
from kammil.vocabulary import CharacterVocabulary

if TYPE_CHECKING:
    from torch import nn

N = TypeVar("N", bound="nn.Module")


@dataclass(frozen=True)
class ParentModel:
    """What a model goes on from."""

    model: folders.ModelFiles
    texts: tuple[str, ...]
    """That it was trained on, where it was trained by this recipe."""


class Run:
    """One run: learn, export, evaluate, write. What an interruption must not lose waits beside the final folder, whose
    maker holds its lock."""

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        out: Path,
        base: ParentModel | None,
        *,
        clock: Clock | None = None,
        reserve: float = 0.0,
    ) -> None:
        """Encode the texts; nothing is written yet. Learning ends `reserve` seconds before the clock's time is up."""
        self.clock = clock or Clock(recipe.training.minutes)
        self.reserve = reserve
        self.rehearsing = False
        self.recipe, self.data, self.out, self.base = recipe, data, out, base
        self.training_folder = training_folder(out)
        self.used: Mapping[str, str] | None = None
        self.histories: list[tuple[EpochEnded, ...]] = []
        self.learnt_at: float | None = None
        own = CharacterVocabulary.from_texts(data.train, least=recipe.least).characters
        theirs = base.model.vocabulary.characters if base is not None else ()
        vocabulary = CharacterVocabulary([*own, *theirs])
        train, validation = ([vocabulary.encode(text) for text in part] for part in (data.train, data.validation))
        self.texts = TrainingTexts(
            data.train,
            train,
            validation,
            vocabulary,
            base.model if base is not None else None,
            base.texts if base is not None else (),
        )

    def rehearse(self) -> tuple[float, float]:
        """Do all but learn; the times at which learning would have ended, and at which there was a model to judge."""
        self.rehearsing = True
        with run_lock(self.out):
            self.make(resume=False, replace=False, listen=ignore)
        assert self.learnt_at is not None
        return self.learnt_at, self.made_at

    def make(
        self, *, resume: bool, replace: bool, listen: Callable[[Event], None], anything: bool = False
    ) -> TrainResult:
        """Train and write the folder; of `anything` that is asked for, a counter may be it, where it is ahead."""
        name, texts, base = self.recipe.model, self.texts, self.base
        learner = family(name).learner()
        descend = partial(self._descend, resume=resume, replace=replace, listen=listen)
        settings, artifacts = learner.fit(self.recipe.settings, texts, descend)
        self.learnt_at = self.learnt_at or time.monotonic()
        if learner.beats_counters and base is None:
            runner = load_model(name, settings.model_dump(), artifacts)
            rival = better_counter(runner, texts.vocabulary, texts.train, self.data.validation)
            if rival is not None:
                listen(CounterAhead(rival.model_bits, rival.bits, published=anything))
            if rival is not None and anything:
                name, settings, artifacts = FAMILY, rival.settings, rival.artifacts
        made = TrainedModel(
            name,
            settings,
            texts.vocabulary,
            artifacts,
            bloom.build([*texts.texts, *texts.base_texts]),
            baselines.count(texts.train, texts.vocabulary.size),
            self.used,
        )
        self.made_at = time.monotonic()
        histories = self.histories
        trained = publish(
            made,
            self.recipe,
            self.data,
            base.model.description.training["data"] if base is not None else None,
            self.out,
            history=histories[0] if len(histories) == 1 else (),
            seconds=max((epochs[-1].elapsed for epochs in histories if epochs), default=self.clock.elapsed),
            earlier=seconds_in_all(base.model) if base is not None else 0.0,
            members=[[asdict(event) for event in epochs] for epochs in histories] if len(histories) > 1 else (),
            replace=replace,
        )
        clear_training_folder(self.out)
        return trained

    def _descend(
        self, task: NetworkTask[N], *, resume: bool, replace: bool, listen: Callable[[Event], None]
    ) -> list[N]:
        """Gradient descent, resumable; see `GradientDescent`."""
        try:
            from kammil.training import descent, optim
            from kammil.training.checkpoint import Checkpoint
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"training needs {error.name}; run: pip install 'kammil[train]'") from error
        options = self.recipe.training
        data = descent.training_data(task, self.texts)
        states = [Checkpoint(self.training_folder, member) for member in range(task.count)]
        self.used = optim.used(options)
        try:
            self._open_waiting(self.used, going_on=interrupted(self.out), resume=resume, replace=replace)
            networks = descent.new_networks(task, self.texts, data, states, options, opening=not self.rehearsing)
            if not self.rehearsing:
                self.histories = descent.fit_networks(
                    networks, data, options, states, listen=listen, clock=self.clock, reserve=self.reserve
                )
        finally:
            if not interrupted(self.out):  # nothing to go on from
                clear_training_folder(self.out)
        self.learnt_at = time.monotonic()
        return [network.eval() for network in networks]

    def _open_waiting(self, used: Mapping[str, str], *, going_on: bool, resume: bool, replace: bool) -> None:
        """Make the waiting folder, or check that the one with a state to go on from belongs to this very run."""
        file = self.training_folder / RUN
        ours = self.recipe.model_dump(mode="json")
        ours |= ours.pop("training") | ours.pop("settings") | used
        ours["drawn"] = None if self.data.drawn is None else list(self.data.drawn)
        ours["SHA-256 of the texts"] = self.data.sha256
        ours["SHA-256 of the validation texts"] = hashlib.sha256(json.dumps(self.data.validation).encode()).hexdigest()
        if going_on and not resume and not replace:
            raise OptionError(
                f"an interrupted run waits for {self.out}; go on with --resume, or begin anew with --replace."
            )
        if going_on and resume:
            try:
                theirs: dict[str, Any] = dict(json.loads(file.read_text("utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise OptionError(f"{file} cannot be read ({error}); give --replace to begin anew.") from error
            other = [name for name in ours if ours[name] != theirs.get(name)]
            if other:
                raise OptionError(
                    f"the interrupted run for {self.out} has another {other[0]} "
                    f"({theirs.get(other[0])!r} then, {ours[other[0]]!r} now); "
                    "give the same, or --replace to begin anew."
                )
            return
        clear_training_folder(self.out)
        files.write_atomic(file, json.dumps(ours).encode())
