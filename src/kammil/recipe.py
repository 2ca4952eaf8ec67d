"""From texts to a finished model folder: the one place that knows all rooms to its left."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kammil import __version__
from kammil import folder as folders
from kammil.card import model_card
from kammil.completion import load
from kammil.corpus import sources
from kammil.corpus.splitting import Leaks, leaks, split
from kammil.errors import DataError, KammilError, MissingExtraError, OptionError
from kammil.evaluation import baselines, novelty
from kammil.evaluation.metrics import Evaluation, evaluate
from kammil.models.base import Artifacts
from kammil.models.families import Neural, family, settings_of
from kammil.text import RAW, TextRules
from kammil.training.events import EpochEnded, Event, unheard
from kammil.training.options import TrainingOptions
from kammil.vocabulary import CharacterVocabulary, rare_characters

HELD_OUT = 0.1
"""Share of the texts that validates, where no validation file is named."""


class Recipe(BaseModel):
    """All that decides what a model becomes; what was resolved is saved in the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = None
    """Column of a table that holds the texts."""
    where: str | None = None
    """SQL condition on the rows of a table."""
    encoding: str = "utf-8"
    model: str = "gru"
    """Family."""
    raw: bool = False
    """No text rule at all."""
    rules: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Text rules to switch off (or on), by name."""
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Of the family."""
    training: TrainingOptions = TrainingOptions()
    """Of the loop; `seed` also decides the split."""

    @property
    def text_rules(self) -> TextRules:
        """The rules that apply."""
        return RAW if self.raw else TextRules.from_dict(self.rules)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Recipe:
        """A recipe from flat options, as a command line or a TOML file gives them.

        A name is an option of the recipe, of the training loop, or of the family; `OptionError` for any other, and for
        a value out of range.
        """
        named = {name: value for name, value in options.items() if value is not None}
        chosen = str(named.get("model", cls.model_fields["model"].default))
        own = cls.model_fields.keys() - {"settings", "training"}  # these two are made here, of flat names
        names = [*own, *TrainingOptions.model_fields, *family(chosen).settings.model_fields]
        settings = _take(named, family(chosen).settings.model_fields)
        training = _take(named, TrainingOptions.model_fields)
        unknown = sorted(named.keys() - own)
        if unknown:
            near = difflib.get_close_matches(unknown[0], names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the {chosen} family has no such setting."
            raise OptionError(f"there is no option {unknown[0]!r}; {hint}")
        try:
            recipe = cls.model_validate({**named, "settings": settings, "training": training})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]).removeprefix("training.")
            raise OptionError(f"{name} is {first['input']!r}, but: {first['msg'].lower()}.") from error
        strange = sorted(recipe.rules.keys() - RAW.to_dict().keys())
        if strange:
            raise OptionError(f"there is no text rule {strange[0]!r}; the rules are {', '.join(RAW.to_dict())}.")
        resolved = settings_of(family(recipe.model), settings)
        return recipe.model_copy(update={"settings": resolved.model_dump()})


def _take(values: dict[str, Any], names: Mapping[str, object]) -> dict[str, Any]:
    """Move the named values out of `values`."""
    return {name: values.pop(name) for name in list(values) if name in names}


@dataclass(frozen=True)
class Data:
    """The texts of a run, as the model sees them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    """Name of the file, or what else the texts came from."""
    sha256: str
    """Of the training file's bytes, or of the texts."""
    validation_source: str
    leaks: Leaks
    """How many validation texts are near-duplicates of training texts."""


Source = str | Path | Sequence[str]


def gather(recipe: Recipe, source: Source, validation: Source | None = None) -> Data:
    """Read, normalise and split; `DataError` where nothing is left to learn from or to validate with."""
    texts, name, sha256 = _texts(recipe, source)
    if validation is None:
        parts = split(texts, validation=HELD_OUT, seed=recipe.training.seed)
        train, held_out = [texts[i] for i in parts.train], [texts[i] for i in parts.validation]
        held_out_name = f"{len(held_out)} texts of the same file, near-duplicates kept together"
    else:
        train = texts
        held_out, held_out_name, _ = _texts(recipe, validation)
    return Data(tuple(train), tuple(held_out), name, sha256, held_out_name, leaks(train, held_out))


def _texts(recipe: Recipe, source: Source) -> tuple[list[str], str, str]:
    """Texts as the model sees them, a name, and the SHA-256 of what they came from."""
    if isinstance(source, str | Path):
        read = sources.rows(source, column=recipe.column, where=recipe.where, encoding=recipe.encoding)
        raw, name, sha256 = list(read.texts), _printable(Path(source).name), read.sha256
    else:
        raw, name = list(source), f"{len(source)} texts"
        sha256 = hashlib.sha256(json.dumps(raw).encode()).hexdigest()
    rules = recipe.text_rules
    texts = [text for text in (rules.normalise(text.strip()).rstrip() for text in raw) if text]
    if not texts:
        raise DataError(f"{name} holds no text after normalisation; name a file that has some.")
    return texts, name, sha256


def _printable(name: str) -> str:
    """A file name as it can be written: names may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    folder: Path
    evaluation: Evaluation
    """On the validation texts."""
    history: tuple[dict[str, Any], ...]
    """One mapping an epoch; empty for a family that counts."""


def train(
    source: Source,
    *,
    out: str | Path,
    validation: Source | None = None,
    resume: bool = False,
    replace: bool = False,
    listen: Callable[[Event], None] = unheard,
    **options: Any,
) -> Trained:
    """Train a model on texts, evaluate it on the validation texts, and write its folder.

    Args:
        source: a file (txt, tsv, csv, jsonl, parquet) or the texts themselves.
        out: the new model folder. It appears whole or not at all.
        validation: a second file or texts; else a leak-free tenth of the first.
        resume: go on with an interrupted run of the same recipe on the same data.
        replace: replace a model folder of that name.
        listen: called with the events of training.
        options: of `Recipe`, `TrainingOptions` and the family's settings, such as `column`, `model`, `minutes`,
            `seed`, `hidden`.

    Returns: what was measured; open the model with `kammil.load(out)`. Raises `KammilError` with one sentence for
    wrong input.
    """
    # PyTorch's threads wait for each other by spinning. Beside one other busy program that makes a step six times as
    # slow (510 ms instead of 90 on two cores); asleep they lose nothing. Read when PyTorch is loaded, so not later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    recipe = Recipe.of(options)
    target = Path(out)
    if not target.name:
        raise OptionError(f"out is {str(out)!r}, but it must name a new folder, such as my-model.")
    folders.check_free(target, replace=replace)
    data = gather(recipe, source, validation)
    return _Workshop(recipe, data, target).make(resume=resume, replace=replace, listen=listen)


class _Workshop:
    """One run: learn, export, evaluate, write. What an interruption must not lose waits beside the final folder."""

    def __init__(self, recipe: Recipe, data: Data, out: Path) -> None:
        self.recipe, self.data, self.out = recipe, data, out
        self.waiting = out.with_name(f".{out.name}.training")
        self.vocabulary = CharacterVocabulary.from_texts(data.train)
        self.train = [self.vocabulary.encode(text) for text in data.train]
        self.validation = [self.vocabulary.encode(text) for text in data.validation]

    def make(self, *, resume: bool, replace: bool, listen: Callable[[Event], None]) -> Trained:
        """Train and write the folder."""
        chosen = family(self.recipe.model)
        settings = settings_of(chosen, self.recipe.settings)
        started = time.monotonic()
        history: tuple[EpochEnded, ...] = ()
        if isinstance(chosen, Neural):
            artifacts, history = self._learn(chosen, settings, resume=resume, replace=replace, listen=listen)
        else:
            settings, artifacts = chosen.fit(self.train, self.validation, self.vocabulary.size, settings)
        seconds = history[-1].elapsed if history else time.monotonic() - started
        with folders.new(self.out, replace=replace) as draft:
            folders.write(
                draft,
                self._description(settings.model_dump()),
                self.vocabulary,
                artifacts,
                seen=novelty.build(self.data.train),
                baselines=baselines.count(self.train, self.vocabulary.size),
            )
            evaluation = self._judge(draft, artifacts, history, seconds)
        shutil.rmtree(self.waiting, ignore_errors=True)
        return Trained(self.out, evaluation, tuple(asdict(event) for event in history))

    def _learn(
        self, chosen: Neural, settings: Any, *, resume: bool, replace: bool, listen: Callable[[Event], None]
    ) -> tuple[Artifacts, tuple[EpochEnded, ...]]:
        """The one training loop, resumable."""
        try:
            import torch

            from kammil.training.checkpoint import Checkpoint
            from kammil.training.loop import Lessons, fit
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"training needs {error.name}; run: pip install 'kammil[train]'") from error
        rare = rare_characters(self.data.train)
        lessons = Lessons(
            self.train,
            self.validation,
            np.array([int(self.vocabulary.encode(c)[0]) for c in sorted(rare)], np.int64),
            self.vocabulary.unknown_bits,
        )
        checkpoint = Checkpoint(self.waiting)
        try:
            self._open_waiting(going_on=checkpoint.exists(), resume=resume, replace=replace)
            torch.manual_seed(self.recipe.training.seed)
            network = chosen.build(self.vocabulary.size, settings)
            history = fit(network, lessons, self.recipe.training, listen=listen, checkpoint=checkpoint)
        finally:
            if not checkpoint.exists():  # nothing to go on from
                shutil.rmtree(self.waiting, ignore_errors=True)
        return chosen.export(network.eval()), history

    def _open_waiting(self, *, going_on: bool, resume: bool, replace: bool) -> None:
        """Make the waiting folder, or check that the one with a state to go on from belongs to this very run."""
        file = self.waiting / "run.json"
        ours = self.recipe.model_dump(mode="json")
        ours |= ours.pop("training") | ours.pop("settings")
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
        shutil.rmtree(self.waiting, ignore_errors=True)
        try:
            self.waiting.mkdir(parents=True)
        except OSError as error:
            raise KammilError(f"cannot write {self.waiting}: {error.strerror}; name another place.") from error
        folders.put(file, json.dumps(ours).encode())

    def _description(self, settings: dict[str, Any]) -> folders.Description:
        """The content of `model.json`."""
        return folders.Description(
            format=folders.FORMAT,
            family=self.recipe.model,
            settings=settings,
            rules=self.recipe.text_rules.to_dict(),
            training={
                "recipe": self.recipe.model_dump(mode="json"),
                "kammil": __version__,
                "data": {
                    "source": self.data.source,
                    "sha256": self.data.sha256,
                    "texts": len(self.data.train),
                    "characters": sum(map(len, self.data.train)),
                    "validation": self.data.validation_source,
                    "validation_texts": len(self.data.validation),
                    "validation_leaks": asdict(self.data.leaks)
                    | {"exact_rows": (), "near_rows": (), "near_sources": ()},
                },
            },
        )

    def _judge(self, draft: Path, artifacts: Artifacts, history: Sequence[EpochEnded], seconds: float) -> Evaluation:
        """Evaluate what was written, as it will be run, and write the figures, the curves and the card."""
        evaluation = evaluate(load(draft), self.data.validation)
        folders.write_metrics(
            draft,
            {
                "validation": evaluation.to_dict(),
                "training_seconds": round(seconds, 2),
                "parameters": sum(int(a.size) for a in artifacts.weights.values()),
                "history": [asdict(event) for event in history],
            },
        )
        model = folders.read(draft)
        folders.put(draft / folders.CARD, model_card(_printable(self.out.name), model, evaluation).encode())
        return evaluation
