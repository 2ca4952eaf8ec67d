"""One training run, from a request to a finished model folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil import distributed, storage
from kammil import model_folder as folders
from kammil.data import bloom
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import baselines, counter_check
from kammil.evaluation.model_card import LEARNT_BY_BASE
from kammil.language_model import Artifacts, LanguageModel, Settings
from kammil.models.family import Learner, MergingLearner, NetworkTask, TrainingTexts, family, load_model
from kammil.progress import CounterAhead, EpochEnded, Event, Listener, Notice, TrainingEnded, ignore, listening, note
from kammil.storage import RUN, clear_training_folder, interrupted, training_folder
from kammil.training.publish import TrainResult, describe, publish, total_seconds, training_metrics
from kammil.training.record import RunRequest, difference, fingerprint, sha256
from kammil.training.time_budget import TimeBudget
from kammil.training.tracking import EventLog, RateLimited, parts, tracked
from kammil.vocabulary import CharacterVocabulary

if TYPE_CHECKING:
    from torch import nn

N = TypeVar("N", bound="nn.Module")

_COMPARED = 300
"""Maximum number of texts on which to compare a model with its base: a second or two."""
_RARE = 200


class Run:
    """One run: train, export, evaluate, write."""

    def __init__(self, request: RunRequest) -> None:
        self.request, self.recipe, self.data, base = request, request.recipe, request.data, request.base
        options = self.recipe.training
        self.budget = request.budget or TimeBudget(options.minutes, options.clock)
        self.training_folder = training_folder(request.out)
        self.used: Mapping[str, str] | None = None
        self.histories: list[tuple[EpochEnded, ...]] = []
        self.ended: TrainingEnded | None = None
        self.counter: counter_check.Counter | None = None
        if base is not None:
            bloom.BloomFilter(base.seen)  # `FolderError` for a damaged one, before the time is spent
        vocabulary = _vocabulary(request)
        self.texts = TrainingTexts(
            self.data.train,
            vocabulary.encode_all(self.data.train),
            vocabulary.encode_all(self.data.validation),
            vocabulary,
            base,
            request.base_texts,
            None if self.data.weights is None else np.array(self.data.weights),
        )
        self.log = EventLog(self.training_folder / folders.EVENTS)
        self.listeners: Sequence[Listener] = ()

    def train(self) -> TrainResult:
        """Train and write the folder."""
        request, is_first = self.request, distributed.is_first()
        with tracked(request.out, request.track if is_first else ()) as trackers:
            self.listeners = (RateLimited([self.log, *trackers]), request.listen) if is_first else ()
            family(self.recipe.model).check_base(self.recipe.settings)
            learner = family(self.recipe.model).learner()
            if is_first:
                if interrupted(out := request.out) and not request.resume and not request.replace:
                    raise OptionError(
                        f"an interrupted run waits for {out}; go on with --resume, or begin anew with --replace."
                    )
                with distributed.alone():
                    self._count(learner)
            settings, artifacts = learner.fit(self.recipe.settings, self.texts, self._descend)
            return distributed.made_by_first(TrainResult, lambda: self._finish(settings, artifacts))

    def _tell(self, event: Event) -> None:
        ended = parts(event)[1]  # of the member that came farthest
        if isinstance(ended, TrainingEnded) and (self.ended is None or ended.passes > self.ended.passes):
            self.ended = ended
        for listen in self.listeners:
            listen(event)

    def _count(self, learner: Learner[Settings]) -> None:
        """Count first, so that the time left for training is known."""
        texts, base = self.texts, self.request.base
        note(
            f"{len(self.data.train):,} texts to learn from, {len(self.data.validation):,} to validate with, "
            f"{texts.vocabulary.size:,} symbols"
        )
        known = base.seen if base is not None and not texts.base_texts else None
        self.seen = bloom.build([*texts.texts, *texts.base_texts], known=known)
        self.baselines = baselines.count(texts.train, texts.vocabulary.size)
        worth = counter_check.worth_counting(sum(map(len, texts.train)), self.recipe.training.minutes)
        if isinstance(learner, MergingLearner) and base is None and worth:
            self.counter = counter_check.count(texts.vocabulary, texts.train, self.data.validation)

    def _finish(self, settings: Settings, artifacts: Artifacts) -> TrainResult:
        """Measure and write the trained model, or the counter that is ahead of it."""
        base, name, ending = self.request.base, self.recipe.model, self.ended.sentence if self.ended else ""
        on_processor = self.used is None or self.used["device"] == "cpu"  # a processor waits for other devices
        if on_processor and distributed.size() == 1 and (sentence := self.budget.shortfall()) is not None:
            self._tell(Notice(sentence))
        runner = load_model(name, settings.model_dump(), artifacts)
        if (counter := self.counter) is not None:
            costs = counter_check.costs(runner, self.texts.vocabulary, self.data.validation)
            bits = counter_check.bits(costs)
            swapped = self.request.any_family and not counter_check.shown_ahead(costs, counter.costs)
            if swapped:
                name, settings, artifacts = counter_check.FAMILY, counter.settings, counter.artifacts
            if swapped or counter.bits < bits:
                ahead = CounterAhead(bits, counter.bits, len(self.texts.train), published=swapped)
                self._tell(ahead)
                ending = ahead.sentence
        learnt = self._learnt_by_base()
        if base is not None and not self.texts.base_texts and learnt is not None:
            self._compare_with_base(runner, base, learnt)
        metrics = training_metrics(
            [[asdict(epoch) for epoch in epochs] for epochs in self.histories],
            max((epochs[-1].elapsed for epochs in self.histories if epochs), default=self.budget.elapsed),
            total_seconds(base) if base is not None else 0.0,
            ending=ending,
            licence_of_base=_licence(base) if base is not None else None,
            **{LEARNT_BY_BASE: None if learnt is None else int(learnt.sum())},
        )
        of_base = base.description.training["data"] if base is not None else None
        description = describe(self.request, name, settings, self.used, of_base)
        model = folders.ModelFiles(description, self.texts.vocabulary, artifacts, self.seen, self.baselines, metrics)
        result = publish(model, self.request, self.log.content())
        clear_training_folder(self.request.out)
        if (sentence := self.budget.overrun()) is not None:
            note(sentence)
        return result

    def _learnt_by_base(self) -> NDArray[np.bool_] | None:
        """Return which validation texts (N,) the base has learnt; None where that is unknown."""
        named = self.recipe.settings.get("base")  # the base of a fine-tuned model
        if self.request.base is not None:
            seen = self.request.base.seen
        elif named is not None and (Path(named) / folders.MODEL).exists():
            seen = folders.seen(Path(named))
        else:
            return None
        return bloom.learnt_texts(seen, self.data.validation)

    def _compare_with_base(self, model: LanguageModel, base: folders.ModelFiles, learnt: NDArray[np.bool_]) -> None:
        """Warn if the base alone predicts better the validation texts that it has not learnt."""
        texts = [self.data.validation[i] for i in np.flatnonzero(~learnt)[:_COMPARED]]
        if not texts:
            self._tell(
                Notice(
                    "the model that this one starts from has learnt all validation texts, so the two cannot be "
                    "compared; name new texts with --validation"
                )
            )
            return
        parent = load_model(base.description.family, base.description.settings, base.artifacts)
        theirs, ours = (
            round(counter_check.bits(counter_check.costs(of, vocabulary, texts)), 3)
            for of, vocabulary in ((parent, base.vocabulary), (model, self.texts.vocabulary))
        )
        if theirs < ours:
            which = "the validation texts" + (" that it has not learnt" if learnt.any() else "")
            figures = f"{theirs:.3f} bits a character against {ours:.3f}"
            self._tell(Notice(f"the model that this one starts from predicts {which} better by itself, {figures}"))

    def _descend(self, task: NetworkTask[N]) -> list[N]:
        try:
            from kammil.training import initial_weights, loop, optim
            from kammil.training.checkpoint import Checkpoint
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"training needs {error.name}", "train") from error
        options, out = self.recipe.training, self.request.out
        task = loop.with_texts(task, self.texts)
        states = [Checkpoint(self.training_folder, member) for member in range(task.count)]
        self.used = optim.used(options)
        try:
            if distributed.is_first():
                self._open_training_folder(self.used)
            networks = initial_weights.new_networks(task, self.texts, states, options)
            reserve = self._seconds_to_finish(task, networks) if distributed.is_first() else 0.0
            self.histories = loop.fit_networks(
                networks, task, options, states, on_event=self._tell, budget=self.budget, reserve=reserve
            )
        finally:
            if distributed.is_first() and not interrupted(out):  # no checkpoint to resume
                clear_training_folder(out)
        return [network.eval() for network in networks]

    def _seconds_to_finish(self, task: NetworkTask[N], networks: Sequence[N]) -> float:
        """Estimate the seconds of figures and report; 0 without a limit."""
        if self.budget.seconds is None or task.assemble is None:
            return 0.0
        with listening(ignore), distributed.alone():
            vocabulary, began = self.texts.vocabulary, self.budget.elapsed
            settings, artifacts = task.assemble([network.eval() for network in networks])
            model = load_model(self.recipe.model, settings.model_dump(), artifacts)
            to_open = self.budget.elapsed - began
            others = baselines.load_baselines(self.baselines, vocabulary.size).values()
            figures = self.budget.figures_seconds([model, *others], vocabulary, self.data.validation)
        return self.request.report_seconds + to_open + figures

    def _open_training_folder(self, used: Mapping[str, str]) -> None:
        file, out = self.training_folder / RUN, self.request.out
        texts = {"texts": self.data.sha256, "validation texts": sha256(self.data.validation)}
        current = {**fingerprint(self.recipe, texts), **used}
        if self.request.resume and interrupted(out):
            try:
                stored: dict[str, Any] = dict(json.loads(file.read_text("utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise OptionError(f"{file} cannot be read ({error}); give --replace to begin anew.") from error
            changed = difference(stored, current)
            if not changed:
                return
            if not self.request.replace:
                raise OptionError(
                    f"the interrupted run for {out} has another {changed}; give the same, or --replace to begin anew."
                )
        clear_training_folder(out)
        storage.write_atomic(file, json.dumps(current).encode())


def _licence(base: folders.ModelFiles) -> str | None:
    named = (base.metrics.get(name) for name in ("licence", "licence_of_base"))
    return "; ".join(licence for licence in named if isinstance(licence, str)) or None


def _vocabulary(request: RunRequest) -> CharacterVocabulary:
    """Return the characters of the texts and of the base; those of a base folder alone, where its vocabulary must stay
    and lacks fewer than one in `_RARE` characters of the texts."""
    recipe, texts, base = request.recipe, request.data.train, request.base
    own = CharacterVocabulary.from_texts(texts, least=recipe.least)
    if base is None:
        return own
    theirs = base.vocabulary
    learner = family(recipe.model).learner()
    keeps = isinstance(learner, MergingLearner) and learner.from_base(recipe.settings, base.description) is not None
    if not request.base_texts and keeps:
        counts, known = Counter[str](), set(theirs.characters)
        for text in texts:
            counts.update(text)
        if sum(n for character, n in counts.items() if character not in known) * _RARE < counts.total():
            return theirs
    return CharacterVocabulary([*own.characters, *theirs.characters])
