"""One training run: from prepared texts to a finished model folder. `train` prepares the texts and the base."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kammil import files, process_group
from kammil import model_folder as folders
from kammil.data import bloom
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import baselines
from kammil.evaluation.counter_check import FAMILY, better_counter, bits
from kammil.language_model import Artifacts, LanguageModel, Settings
from kammil.locks import RUN, clear_training_folder, interrupted, run_lock, training_folder
from kammil.models.family import NetworkTask, TrainingTexts
from kammil.models.registry import family, load_model
from kammil.progress import Notice
from kammil.training.clock import Clock
from kammil.training.events import CounterAhead, EpochEnded, Event, ignore
from kammil.training.publish import TrainedModel, TrainResult, folder_hashes, publish, total_seconds
from kammil.training.recipe import Recipe
from kammil.training.texts import Dataset
from kammil.training.tracking import EventLog, Thinned, tracked
from kammil.vocabulary import CharacterVocabulary

if TYPE_CHECKING:
    from torch import nn

N = TypeVar("N", bound="nn.Module")

_COMPARED = 300
"""Most validation texts on which a model is compared with its base: a second or two."""
_RARE = 200
"""A base whose vocabulary is kept knows all but fewer than one in so many characters of the texts."""


@dataclass(frozen=True)
class ParentModel:
    """A model whose weights a run starts from."""

    model: folders.ModelFiles
    texts: tuple[str, ...]
    """Its training texts; empty where it was not trained by this recipe."""


class Run:
    """One run: train, export, evaluate, write. Its checkpoints are kept beside the final folder, whose lock the caller
    holds."""

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        out: Path,
        base: ParentModel | None,
        *,
        clock: Clock | None = None,
        reserve: float = 0.0,
        track: Sequence[str] = (),
    ) -> None:
        """Encode the texts; nothing is written yet. Training ends `reserve` seconds before the clock's time is up.

        `track` names trackers that show the run.
        """
        self.track = track
        self.clock = clock or Clock(recipe.training.minutes, recipe.training.clock)
        self.reserve = reserve
        self.is_dry_run = False
        self.recipe, self.data, self.out, self.base = recipe, data, out, base
        self.training_folder = training_folder(out)
        self.used: Mapping[str, str] | None = None
        self.histories: list[tuple[EpochEnded, ...]] = []
        self.training_ended: float | None = None
        if base is not None:
            bloom.BloomFilter(base.model.seen)  # `FolderError` for a damaged one, before the time is spent
        vocabulary = _vocabulary(recipe, data.train, base)
        train, validation = map(vocabulary.encode_all, (data.train, data.validation))
        self.texts = TrainingTexts(
            data.train,
            train,
            validation,
            vocabulary,
            base.model if base is not None else None,
            base.texts if base is not None else (),
            None if data.weights is None else np.array(data.weights),
        )

    def dry_run(self) -> tuple[float, float]:
        """Run without gradient descent; return the times at which it would have ended and the model was ready."""
        self.is_dry_run = True
        with run_lock(self.out):
            self.train(resume=False, replace=False, on_event=ignore)
        assert self.training_ended is not None
        return self.training_ended, self.model_ready

    def train(
        self,
        *,
        resume: bool,
        replace: bool,
        on_event: Callable[[Event], None],
        allow_counter: bool = False,
        report_seconds: float = 0.0,
    ) -> TrainResult:
        """Train and write the folder; with `allow_counter`, an n-gram model is written instead where it is ahead.

        `report_seconds` is about how long the report may take; none is written at 0.
        """
        log = EventLog(self.training_folder / folders.EVENTS)
        is_first = process_group.is_first()
        with tracked(self.out, self.track if is_first else ()) as trackers:
            listeners = [Thinned([log, *trackers])] if is_first and not self.is_dry_run else []

            def tell(event: Event) -> None:
                for listen in (*listeners, on_event):
                    listen(event)

            return self._train(
                resume=resume,
                replace=replace,
                on_event=tell if is_first else ignore,
                allow_counter=allow_counter,
                report_seconds=report_seconds,
                log=log,
            )

    def _train(
        self,
        *,
        resume: bool,
        replace: bool,
        on_event: Callable[[Event], None],
        allow_counter: bool,
        report_seconds: float,
        log: EventLog,
    ) -> TrainResult:
        name, texts = self.recipe.model, self.texts
        family(name).check_base(self.recipe.settings)
        learner = family(name).learner()
        descend = partial(self._descend, resume=resume, replace=replace, on_event=on_event)
        settings, artifacts = learner.fit(self.recipe.settings, texts, descend)
        self.training_ended = self.training_ended or self.clock.now()

        def finish() -> TrainResult:
            return self._finish(
                name,
                settings,
                artifacts,
                replace=replace,
                on_event=on_event,
                allow_counter=allow_counter,
                report_seconds=report_seconds,
                log=log,
            )

        return process_group.made_by_first(TrainResult, finish)

    def _finish(
        self,
        name: str,
        settings: Settings,
        artifacts: Artifacts,
        *,
        replace: bool,
        on_event: Callable[[Event], None],
        allow_counter: bool,
        report_seconds: float,
        log: EventLog,
    ) -> TrainResult:
        """Write the folder of the trained model, and measure it; see `train`."""
        texts, base = self.texts, self.base
        on_processor = self.used is None or self.used["device"] == "cpu"  # which waits for any other device
        if on_processor and process_group.size() == 1 and (sentence := self.clock.shortfall()) is not None:
            on_event(Notice(sentence))
        learner = family(name).learner()
        if learner.beats_counters and base is None:
            runner = load_model(name, settings.model_dump(), artifacts)
            counter = better_counter(runner, texts.vocabulary, texts.train, self.data.validation)
            if counter is not None:
                on_event(CounterAhead(counter.model_bits, counter.bits, published=allow_counter))
            if counter is not None and allow_counter:
                name, settings, artifacts = FAMILY, counter.settings, counter.artifacts
        if base is not None and not base.texts:
            self._compare_with_base(load_model(name, settings.model_dump(), artifacts), base.model, on_event)
        model = TrainedModel(
            name,
            settings,
            texts.vocabulary,
            artifacts,
            bloom.build(
                [*texts.texts, *texts.base_texts],
                known=base.model.seen if base is not None and not base.texts else None,
            ),
            baselines.count(texts.train, texts.vocabulary.size),
            self.used,
        )
        self.model_ready = self.clock.now()
        histories = self.histories
        result = publish(
            model,
            self.recipe,
            self.data,
            base.model.description.training["data"] if base is not None else None,
            self.out,
            history=histories[0] if len(histories) == 1 else (),
            seconds=max((epochs[-1].elapsed for epochs in histories if epochs), default=self.clock.elapsed),
            earlier=total_seconds(base.model) if base is not None else 0.0,
            licence_of_base=_licence(base.model) if base is not None else None,
            members=[[asdict(event) for event in epochs] for epochs in histories] if len(histories) > 1 else (),
            events=log.content(),
            replace=replace,
            report_seconds=report_seconds,
        )
        clear_training_folder(self.out)
        return result

    def _compare_with_base(
        self, model: LanguageModel, base: folders.ModelFiles, on_event: Callable[[Event], None]
    ) -> None:
        """Tell if the base by itself predicts the validation texts better, as far as is shown, and has learnt none."""
        texts = self.data.validation[:_COMPARED]
        if bloom.ExactTexts(base.seen).contains(texts).any():
            return
        description = base.description
        parent = load_model(description.family, description.settings, base.artifacts)
        theirs = round(bits(parent, base.vocabulary, texts), 3)
        ours = round(bits(model, self.texts.vocabulary, texts), 3)
        if theirs < ours:
            on_event(
                Notice(
                    f"the model that this one starts from predicts the validation texts better by itself, "
                    f"{theirs:.3f} bits a character against {ours:.3f}"
                )
            )

    def _descend(
        self, task: NetworkTask[N], *, resume: bool, replace: bool, on_event: Callable[[Event], None]
    ) -> list[N]:
        """Train networks by gradient descent, resumably; see `GradientDescent`."""
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
            if process_group.rank() == 0:
                self._open_training_folder(self.used, resumable=interrupted(self.out), resume=resume, replace=replace)
            networks = descent.new_networks(task, self.texts, data, states, options, warm_up_gates=not self.is_dry_run)
            if not self.is_dry_run:
                self.histories = descent.fit_networks(
                    networks, data, options, states, on_event=on_event, clock=self.clock, reserve=self.reserve
                )
        finally:
            if process_group.rank() == 0 and not interrupted(self.out):  # no checkpoint to resume
                clear_training_folder(self.out)
        self.training_ended = self.clock.now()
        return [network.eval() for network in networks]

    def _open_training_folder(self, used: Mapping[str, str], *, resumable: bool, resume: bool, replace: bool) -> None:
        """Create the training folder, or check that the one with a checkpoint to resume belongs to the same run."""
        file = self.training_folder / RUN
        current = self.recipe.model_dump(mode="json")
        current |= current.pop("training") | current.pop("settings") | used
        current["drawn"] = None if self.data.drawn is None else list(self.data.drawn)
        current["SHA-256 of the texts"] = self.data.sha256
        current |= {f"SHA-256 of the {name} folder": value for name, value in folder_hashes(self.recipe).items()}
        validation = json.dumps(self.data.validation).encode()
        current["SHA-256 of the validation texts"] = hashlib.sha256(validation).hexdigest()
        if resumable and not resume and not replace:
            raise OptionError(
                f"an interrupted run waits for {self.out}; go on with --resume, or begin anew with --replace."
            )
        if resumable and resume:
            try:
                stored: dict[str, Any] = dict(json.loads(file.read_text("utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise OptionError(f"{file} cannot be read ({error}); give --replace to begin anew.") from error
            changed = [name for name in current if current[name] != stored.get(name)]
            if changed:
                raise OptionError(
                    f"the interrupted run for {self.out} has another {changed[0]} "
                    f"({stored.get(changed[0])!r} then, {current[changed[0]]!r} now); "
                    "give the same, or --replace to begin anew."
                )
            return
        clear_training_folder(self.out)
        files.write_atomic(file, json.dumps(current).encode())


def _licence(base: folders.ModelFiles) -> str | None:
    """Return what a base says about its terms, and about those of its own base."""
    named = (base.metrics.get(name) for name in ("licence", "licence_of_base"))
    return "; ".join(licence for licence in named if isinstance(licence, str)) or None


def _vocabulary(recipe: Recipe, texts: Sequence[str], base: ParentModel | None) -> CharacterVocabulary:
    """Return the vocabulary of a run: the characters of its texts, and those of its base.

    Of a base folder whose vocabulary must stay as it is, it is that one, unless it lacks one character of the texts in
    200, or more, as that of another script does.
    """
    own = CharacterVocabulary.from_texts(texts, least=recipe.least)
    if base is None:
        return own
    theirs = base.model.vocabulary
    if not base.texts and family(recipe.model).learner().needs_vocabulary(recipe.settings, base.model.description):
        counts, known = Counter[str](), set(theirs.characters)
        for text in texts:
            counts.update(text)
        if sum(n for character, n in counts.items() if character not in known) * _RARE < counts.total():
            return theirs
    return CharacterVocabulary([*own.characters, *theirs.characters])
