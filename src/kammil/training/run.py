"""One run: from texts to a folder that learnt them. What goes before it is the business of `train`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from kammil import files
from kammil import model_folder as folders
from kammil.data import bloom
from kammil.data.exclusion import resembling
from kammil.data.near_duplicates import groups
from kammil.engine.quantization import unpack
from kammil.errors import MissingExtraError, OptionError
from kammil.evaluation import baselines
from kammil.evaluation.counter_check import FAMILY, better_counter
from kammil.language_model import Artifacts
from kammil.locks import RUN, empty, run_lock, waiting
from kammil.models.registry import Blended, Counting, Neural, family, load_model, settings_of
from kammil.training.clock import Clock
from kammil.training.events import CounterAhead, EpochEnded, Event, ignore
from kammil.training.publish import TrainedModel, TrainResult, publish, seconds_in_all
from kammil.training.recipe import Recipe
from kammil.training.texts import Dataset
from kammil.vocabulary import CharacterVocabulary, rare_characters

if TYPE_CHECKING:
    from kammil.models.blend.experts import NgramExperts
    from kammil.models.blend.network import BlendNetwork
    from kammil.training.batches import Batch, ExtraInputs


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
        self.waiting = waiting(out)
        own = CharacterVocabulary.from_texts(data.train, least=recipe.least).characters
        theirs = base.model.vocabulary.characters if base is not None else ()
        self.vocabulary = CharacterVocabulary([*own, *theirs])
        self.train = [self.vocabulary.encode(text) for text in data.train]
        self.validation = [self.vocabulary.encode(text) for text in data.validation]

    def rehearse(self) -> tuple[float, float]:
        """Do all but learn; the times at which learning would have ended, and at which there was a model to judge."""
        self.rehearsing = True
        with run_lock(self.out):
            self.make(resume=False, replace=False, listen=ignore)
        return self.learnt_at, self.made_at

    def make(
        self, *, resume: bool, replace: bool, listen: Callable[[Event], None], anything: bool = False
    ) -> TrainResult:
        """Train and write the folder; of `anything` that is asked for, a counter may be it, where it is ahead."""
        chosen = family(self.recipe.model)
        settings = settings_of(chosen, self.recipe.settings)
        history: tuple[EpochEnded, ...] = ()
        used: dict[str, str] | None = None
        if not isinstance(chosen, Counting):
            artifacts, history, used = self._learn(chosen, settings, resume=resume, replace=replace, listen=listen)
        else:
            settings, artifacts = chosen.fit(self.train, self.validation, self.vocabulary.size, settings)
        self.learnt_at = time.monotonic()
        name = self.recipe.model
        if isinstance(chosen, Blended) and self.base is None:
            runner = load_model(name, settings.model_dump(), artifacts)
            rival = better_counter(runner, self.vocabulary, self.train, self.data.validation)
            if rival is not None:
                listen(CounterAhead(rival.model_bits, rival.bits, published=anything))
            if rival is not None and anything:
                name, settings, artifacts = FAMILY, rival.settings, rival.artifacts
        texts = [*self.data.train, *(self.base.texts if self.base is not None else ())]
        made = TrainedModel(
            name,
            settings,
            self.vocabulary,
            artifacts,
            bloom.build(texts),
            baselines.count(self.train, self.vocabulary.size),
            used,
        )
        self.made_at = time.monotonic()
        seconds = history[-1].elapsed if history else self.clock.elapsed
        base = self.base.model.description.training["data"] if self.base is not None else None
        earlier = seconds_in_all(self.base.model) if self.base is not None else 0.0
        trained = publish(
            made,
            self.recipe,
            self.data,
            base,
            self.out,
            history=history,
            seconds=seconds,
            earlier=earlier,
            replace=replace,
        )
        empty(self.out)
        return trained

    def _learn(
        self, chosen: Neural | Blended, settings: Any, *, resume: bool, replace: bool, listen: Callable[[Event], None]
    ) -> tuple[Artifacts, tuple[EpochEnded, ...], dict[str, str]]:
        """The one training loop, resumable."""
        try:
            import torch

            from kammil.training import gate_warmup, optim
            from kammil.training.batches import TrainingData
            from kammil.training.checkpoint import Checkpoint
            from kammil.training.loop import fit
            from kammil.training.warm_start import warm_start
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"training needs {error.name}; run: pip install 'kammil[train]'") from error
        rare = rare_characters(self.data.train)
        segment = chosen.segment if isinstance(chosen, Neural) else None
        cut = segment(self.train, self.vocabulary, settings) if segment is not None else None
        experts = self._experts(chosen, settings) if isinstance(chosen, Blended) else None
        lessons = TrainingData(
            self.train if cut is None else [cut.encode(ids) for ids in self.train],
            self.validation if cut is None else [cut.encode(ids) for ids in self.validation],
            np.array([int(self.vocabulary.encode(c)[0]) for c in sorted(rare)], np.int64),
            self.vocabulary.unknown_bits,
            None if cut is None else cut.units.widths,
            None if experts is None else _shown(experts),
        )
        checkpoint = Checkpoint(self.waiting)
        used = optim.used(self.recipe.training)
        history: tuple[EpochEnded, ...] = ()
        try:
            self._open_waiting(used, going_on=checkpoint.exists(), resume=resume, replace=replace)
            torch.manual_seed(self.recipe.training.seed)
            if isinstance(chosen, Blended):
                network = chosen.build(self.vocabulary.size, settings, experts.count if experts is not None else 0)
            else:
                network = chosen.build(self.vocabulary.size if cut is None else cut.units.size, settings)
            if self.base is not None:
                theirs = self.base.model
                weights = unpack(theirs.artifacts.weights)
                warm_start(network, self.vocabulary, weights, theirs.vocabulary)
                if isinstance(chosen, Blended) and theirs.description.family == self.recipe.model:
                    their_settings = chosen.settings.model_validate(theirs.description.settings)
                    chosen.inherit(network, settings, weights, their_settings)
            elif isinstance(chosen, Blended) and not checkpoint.exists() and not self.rehearsing:
                gate_warmup.learn(cast("BlendNetwork", network).members, lessons, self.recipe.training)
            if not self.rehearsing:
                history = fit(
                    network,
                    lessons,
                    self.recipe.training,
                    listen=listen,
                    checkpoint=checkpoint,
                    clock=self.clock,
                    reserve=self.reserve,
                )
            self.learnt_at = time.monotonic()
        finally:
            if not checkpoint.exists():  # nothing to go on from
                empty(self.out)
        artifacts = chosen.export(network.eval())
        if cut is not None:
            artifacts = Artifacts({**artifacts.weights, **cut.units.arrays()})
        if experts is not None:
            artifacts = Artifacts({**artifacts.weights, **experts.arrays()})
        return artifacts, history, used

    def _experts(self, chosen: Blended, settings: Any) -> NgramExperts:
        """The tables of counts; near-duplicates are told apart from what a text can be predicted by."""
        return chosen.experts(
            self.train,
            self.validation,
            kin=groups(self.data.train).tolist(),
            background=[self.vocabulary.encode(text) for text in self._background()],
            vocabulary=self.vocabulary,
            settings=settings,
        )

    def _background(self) -> list[str]:
        """The base's texts that are counted beside the own ones: none that resembles these.

        A text is left out of its own counts while it is learnt. A copy of it in the background would tell all, and the
        gate would believe nothing else: 0.9 bits while learning, 40 on texts that are new.
        """
        texts = self.base.texts if self.base is not None else ()
        own = set(self.data.train)
        new = [text for text in texts if text not in own]
        known = resembling(new, list(self.data.train))
        return [text for text, out in zip(new, known, strict=True) if not out]

    def _open_waiting(self, used: Mapping[str, str], *, going_on: bool, resume: bool, replace: bool) -> None:
        """Make the waiting folder, or check that the one with a state to go on from belongs to this very run."""
        file = self.waiting / RUN
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
        empty(self.out)
        files.write_atomic(file, json.dumps(ours).encode())


def _shown(experts: NgramExperts) -> ExtraInputs:
    """The evidence of a batch as arrays, in the order in which the blend takes them."""

    def show(batch: Batch, *, learning: bool) -> tuple[NDArray[np.generic], ...]:
        seen = experts.features(batch.rows, batch.inputs.shape[1], learning=learning)
        return seen.clues, seen.places, seen.ids, seen.features

    return show
