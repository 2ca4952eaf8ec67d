"""How each row of a comparison is made: a family's model, trained and measured, or one of what models must beat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from kammil import __version__
from kammil import model_folder as folders
from kammil.completion.completer import Completer, load
from kammil.errors import FolderError
from kammil.evaluation import baselines, compressors
from kammil.evaluation.bootstrap import Array
from kammil.evaluation.ranking import Row
from kammil.evaluation.scorecard import bits_only, ceiling, completion_seconds, scorecard, targets
from kammil.text import RAW
from kammil.training.comparison.split import ComparisonSplit, Files
from kammil.training.events import Event
from kammil.training.recipe import Recipe
from kammil.training.train import train
from kammil.vocabulary import CharacterVocabulary

Made = tuple[Row, Mapping[str, Array]]
"""A row, and what each test text adds to the sums of its measures."""


_DONE: dict[str, object] = {"column": None, "where": None, "encoding": "utf-8", "exclude": (), "unique": False}
"""What a recipe says of reading and clearing the texts, which was done once for all rows."""


def train_entrant(
    path: Path, recipe: Recipe, parts: ComparisonSplit, files: Files, *, replace: bool, listen: Callable[[Event], None]
) -> Callable[[], Made]:
    """How a family's row is made: train its model, or go on with it, and measure the folder.

    It learns from the files of the split, which will be there when this is called: so its card says how to make it.
    """
    own = recipe.model_dump(exclude={"training", "settings", *_DONE})
    options = own | recipe.training.model_dump() | recipe.settings

    def make() -> Made:
        if not _finished(path, recipe, parts, files):
            train(
                files.train,
                validation=files.validation,
                out=path,
                resume=not replace,
                replace=replace,
                listen=listen,
                **options,
            )
        model = load(path)
        return _family_row(path, model, recipe, parts), scorecard(model, parts.test, parts.typed)

    return make


def _finished(path: Path, recipe: Recipe, parts: ComparisonSplit, files: Files) -> bool:
    """Whether the folder holds the very model that this recipe makes: trained, but not yet measured."""
    try:
        training = folders.read(path).description.training
        theirs, data = training["recipe"], training["data"]
    except (FolderError, KeyError):
        return False
    ours = recipe.model_copy(update=_DONE).model_dump(mode="json")
    # Those of an earlier version learnt from the texts as they were in memory.
    sums = [hashlib.sha256(made).hexdigest() for made in (files.train.read_bytes(), json.dumps(parts.train).encode())]
    return theirs == ours and training["kammil"] == __version__ and data["sha256"] in sums


def _family_row(path: Path, model: Completer, recipe: Recipe, parts: ComparisonSplit) -> Row:
    """What there is to say of a model beside its figures."""
    assert model.model is not None
    metrics, settings = model.model.metrics, model.model.description.settings
    chosen = {k: v for k, v in settings.items() if recipe.settings.get(k) is None and v is not None}
    points = [(*epoch.get("early", ()), (epoch["elapsed"], epoch["validation_bits"])) for epoch in metrics["history"]]
    curve = [(float(seconds), float(bits)) for epoch in points for seconds, bits in epoch]
    if not curve:  # it counts: one point, of what epochs are judged by
        measure = "bits_per_character_with_end" if recipe.training.objective == "text" else "target_bits_per_character"
        curve = [(float(metrics["training_seconds"]), float(metrics["validation"]["model"][measure]["value"]))]
    return Row(
        path.name,
        family=True,
        note=", ".join(f"{name} {value}" for name, value in chosen.items()),
        parameters=int(metrics["parameters"]),
        folder_bytes=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
        training_seconds=float(metrics["training_seconds"]),
        completion_seconds=completion_seconds(model, parts.test),
        curve=tuple(curve),
    )


def rivals(parts: ComparisonSplit) -> dict[str, Callable[[], Made]]:
    """How each row to compare with is made."""
    vocabulary = CharacterVocabulary.from_texts(parts.train, least=parts.least)
    spans = targets(parts.test)

    def uniform() -> Made:
        bits = [baselines.uniform(vocabulary, text) for text in parts.test]
        target = np.array([b[span].sum() for b, span in zip(bits, spans, strict=True)])
        return Row("uniform", family=False), bits_only(parts.test, target, np.array([b.sum() for b in bits]))

    def unigram() -> Made:
        counted = baselines.count([vocabulary.encode(text) for text in parts.train], vocabulary.size)
        runner = baselines.load_baselines(counted, vocabulary.size)["unigram"]
        model = Completer(runner, vocabulary, RAW)
        return Row("unigram", family=False, parameters=vocabulary.size), scorecard(model, parts.test, parts.typed)

    def lzma() -> Made:
        bits = compressors.lzma_bits(parts.train, parts.test)
        whole = np.array([[bits, sum(len(text) + 1 for text in parts.test)]], np.float64)
        return Row("LZMA", family=False), {"bits_per_character_with_end": whole}

    def ppmd() -> Made:
        weighed = compressors.ppmd(parts.train, parts.validation, parts.test, spans)
        columns = bits_only(parts.test, weighed.target_bits, weighed.bits_with_end)
        return Row("PPMd", family=False, note=f"order {weighed.order} bytes"), columns

    def every_word_known() -> Made:
        return Row("ceiling", family=False), ceiling(parts.typed)

    return {"uniform": uniform, "unigram": unigram, "LZMA": lzma, "PPMd": ppmd, "ceiling": every_word_known}
