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
from numpy.typing import NDArray

from kammil import files, process_group
from kammil import model_folder as folders
from kammil.data import bloom
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import baselines, counter_check
from kammil.language_model import Artifacts, LanguageModel, Settings
from kammil.locks import RUN, clear_training_folder, interrupted, training_folder
from kammil.models.family import Learner, NetworkTask, TrainingTexts, family, load_model
from kammil.progress import CounterAhead, EpochEnded, Event, Notice, TrainingEnded, ignore, listening, note
from kammil.training.clock import Clock
from kammil.training.pacing import figures_seconds
from kammil.training.publish import TrainedModel, TrainResult, folder_hashes, publish, total_seconds
from kammil.training.recipe import Recipe
from kammil.training.texts import Dataset
from kammil.training.tracking import EventLog, Thinned, parts, tracked
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
        report_seconds: float = 0.0,
        allow_counter: bool = False,
        track: Sequence[str] = (),
    ) -> None:
        """Encode the texts; nothing is written yet.

        Args:
            clock: the time left of the whole command; None starts the minutes of the recipe now.
            report_seconds: about how long the report may take; none is written at 0.
            allow_counter: write an n-gram model in place of the trained one where it is ahead.
            track: names of trackers that show the run.
        """
        self.track, self.report_seconds, self.allow_counter = track, report_seconds, allow_counter
        self.clock = clock or Clock(recipe.training.minutes, recipe.training.clock)
        self.recipe, self.data, self.out, self.base = recipe, data, out, base
        self.training_folder = training_folder(out)
        self.used: Mapping[str, str] | None = None
        self.histories: list[tuple[EpochEnded, ...]] = []
        self.ended: TrainingEnded | None = None
        self.counter: counter_check.Counter | None = None
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

    def train(self, *, resume: bool, replace: bool, on_event: Callable[[Event], None]) -> TrainResult:
        """Train and write the folder."""
        log = EventLog(self.training_folder / folders.EVENTS)
        is_first = process_group.is_first()
        with tracked(self.out, self.track if is_first else ()) as trackers:
            listen_all = (Thinned([log, *trackers]), on_event) if is_first else ()

            def tell(event: Event) -> None:
                ended = parts(event)[1]  # of several members, the one that came farthest
                if isinstance(ended, TrainingEnded) and (self.ended is None or ended.passes > self.ended.passes):
                    self.ended = ended
                for listen in listen_all:
                    listen(event)

            family(self.recipe.model).check_base(self.recipe.settings)
            learner = family(self.recipe.model).learner()
            if is_first:
                if interrupted(self.out) and not resume and not replace:
                    raise OptionError(
                        f"an interrupted run waits for {self.out}; go on with --resume, or begin anew with --replace."
                    )
                with process_group.alone():
                    self._count(learner)
            descend = partial(self._descend, resume=resume, on_event=tell)
            settings, artifacts = learner.fit(self.recipe.settings, self.texts, descend)
            finish = partial(self._finish, settings, artifacts, replace=replace, on_event=tell, log=log)
            return process_group.made_by_first(TrainResult, finish)

    def _count(self, learner: Learner[Settings]) -> None:
        """Count what takes no training: it is done by the time that tells how long training may take."""
        texts, base = self.texts, self.base
        note(
            f"{len(self.data.train):,} texts to learn from, {len(self.data.validation):,} to validate with, "
            f"{texts.vocabulary.size:,} symbols"
        )
        known = base.model.seen if base is not None and not base.texts else None
        self.seen = bloom.build([*texts.texts, *texts.base_texts], known=known)
        self.baselines = baselines.count(texts.train, texts.vocabulary.size)
        worth = counter_check.worth_counting(sum(map(len, texts.train)), self.recipe.training.minutes)
        if learner.beats_counters and base is None and worth:
            self.counter = counter_check.count(texts.vocabulary, texts.train, self.data.validation)

    def _finish(
        self,
        settings: Settings,
        artifacts: Artifacts,
        *,
        replace: bool,
        on_event: Callable[[Event], None],
        log: EventLog,
    ) -> TrainResult:
        """Write the folder of the trained model, or of the counter that is ahead of it, and measure it."""
        name, texts, base, counter = self.recipe.model, self.texts, self.base, self.counter
        ending = "" if self.ended is None else self.ended.sentence
        on_processor = self.used is None or self.used["device"] == "cpu"  # which waits for any other device
        if on_processor and process_group.size() == 1 and (sentence := self.clock.shortfall()) is not None:
            on_event(Notice(sentence))
        if counter is not None:
            runner = load_model(name, settings.model_dump(), artifacts)
            costs = counter_check.costs(runner, texts.vocabulary, self.data.validation)
            bits, published = counter_check.bits(costs), False
            if self.allow_counter and not counter_check.shown_ahead(costs, counter.costs):
                name, settings, artifacts = counter_check.FAMILY, counter.settings, counter.artifacts
                published = True
            if published or counter.bits < bits:
                ahead = CounterAhead(bits, counter.bits, len(texts.train), published=published)
                on_event(ahead)
                ending = ahead.sentence
        learnt = self._learnt_by_base()
        if base is not None and not base.texts and learnt is not None:
            ours = load_model(name, settings.model_dump(), artifacts)
            self._compare_with_base(ours, base.model, learnt, on_event)
        model = TrainedModel(
            name,
            settings,
            texts.vocabulary,
            artifacts,
            self.seen,
            self.baselines,
            self.used,
        )
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
            learnt_by_base=None if learnt is None else int(learnt.sum()),
            members=[[asdict(event) for event in epochs] for epochs in histories] if len(histories) > 1 else (),
            events=log.content(),
            replace=replace,
            report_seconds=self.report_seconds,
            ending=ending,
        )
        clear_training_folder(self.out)
        if (sentence := self.clock.overrun()) is not None:
            note(sentence)
        return result

    def _learnt_by_base(self) -> NDArray[np.bool_] | None:
        """Return whether what the run starts from has learnt each validation text, (N,); None where that is unknown."""
        named = self.recipe.settings.get("base")  # of a fine-tuned model: a folder of ours, or a stranger's model
        if self.base is not None:
            seen = self.base.model.seen
        elif named is not None and (Path(named) / folders.MODEL).exists():
            seen = folders.seen(Path(named))
        else:
            return None
        return bloom.learnt_texts(seen, self.data.validation)

    def _compare_with_base(
        self,
        model: LanguageModel,
        base: folders.ModelFiles,
        learnt: NDArray[np.bool_],
        on_event: Callable[[Event], None],
    ) -> None:
        """Tell if the base by itself predicts the validation texts that it has not learnt better, as far as is
        shown."""
        texts = [self.data.validation[i] for i in np.flatnonzero(~learnt)[:_COMPARED]]
        if not texts:
            on_event(
                Notice(
                    "the model that this one starts from has learnt all validation texts, so the two cannot be "
                    "compared; name new texts with --validation"
                )
            )
            return
        description = base.description
        parent = load_model(description.family, description.settings, base.artifacts)
        theirs = round(counter_check.bits(counter_check.costs(parent, base.vocabulary, texts)), 3)
        ours = round(counter_check.bits(counter_check.costs(model, self.texts.vocabulary, texts)), 3)
        if theirs < ours:
            which = "the validation texts" + (" that it has not learnt" if learnt.any() else "")
            figures = f"{theirs:.3f} bits a character against {ours:.3f}"
            on_event(Notice(f"the model that this one starts from predicts {which} better by itself, {figures}"))

    def _descend(self, task: NetworkTask[N], *, resume: bool, on_event: Callable[[Event], None]) -> list[N]:
        """Train networks by gradient descent, resumably; see `GradientDescent`."""
        try:
            from kammil.training import descent, optim
            from kammil.training.checkpoint import Checkpoint
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"training needs {error.name}", "train") from error
        options = self.recipe.training
        data = descent.training_data(task, self.texts)
        states = [Checkpoint(self.training_folder, member) for member in range(task.count)]
        self.used = optim.used(options)
        try:
            if process_group.rank() == 0:
                self._open_training_folder(self.used, resumed=resume and interrupted(self.out))
            networks = descent.new_networks(task, self.texts, data, states, options)
            reserve = self._seconds_to_finish(task, networks) if process_group.is_first() else 0.0
            self.histories = descent.fit_networks(
                networks, data, options, states, on_event=on_event, clock=self.clock, reserve=reserve
            )
        finally:
            if process_group.rank() == 0 and not interrupted(self.out):  # no checkpoint to resume
                clear_training_folder(self.out)
        return [network.eval() for network in networks]

    def _seconds_to_finish(self, task: NetworkTask[N], networks: Sequence[N]) -> float:
        """Return about how long the figures and the report will take after training; 0 without a limit."""
        if self.clock.seconds is None or task.assemble is None:
            return 0.0
        with listening(ignore), process_group.alone():
            vocabulary, began = self.texts.vocabulary, self.clock.now()
            settings, artifacts = task.assemble([network.eval() for network in networks])
            model = load_model(self.recipe.model, settings.model_dump(), artifacts)
            to_open = self.clock.now() - began
            others = baselines.load_baselines(self.baselines, vocabulary.size).values()
            figures = figures_seconds([model, *others], vocabulary, self.data.validation, self.clock)
        return self.report_seconds + to_open + figures

    def _open_training_folder(self, used: Mapping[str, str], *, resumed: bool) -> None:
        """Create the training folder, or check that the one with a checkpoint to resume belongs to the same run."""
        file = self.training_folder / RUN
        current = self.recipe.model_dump(mode="json")
        current |= current.pop("training") | current.pop("settings") | used
        current["SHA-256 of the texts"] = self.data.sha256
        current |= {f"SHA-256 of the {name} folder": value for name, value in folder_hashes(self.recipe).items()}
        validation = json.dumps(self.data.validation).encode()
        current["SHA-256 of the validation texts"] = hashlib.sha256(validation).hexdigest()
        if resumed:
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
