"""Make the rows of a comparison: a family's model, trained and measured, or a baseline."""

from __future__ import annotations

import hashlib
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
from kammil.progress import Listener
from kammil.text import RAW
from kammil.training.comparison.split import ComparisonSplit, Files
from kammil.training.publish import recorded
from kammil.training.recipe import Recipe
from kammil.training.train import train
from kammil.vocabulary import UNK, CharacterVocabulary

MeasuredRow = tuple[Row, Mapping[str, Array]]
"""A row, and for each measure what each test text adds to its sums."""


_READ_ONCE: dict[str, object] = {
    **dict.fromkeys(("column", "where", "delimiter", "sender")),
    **{"encoding": "utf-8", "exclude": (), "unique": False},
}
"""Defaults of the options for reading texts, which are read and cleared of near-duplicates once for all rows."""


def family_row(
    path: Path, recipe: Recipe, parts: ComparisonSplit, files: Files, *, replace: bool, on_event: Listener
) -> Callable[[], MeasuredRow]:
    """Return the function that makes a family's row: it trains the model, or resumes it, and measures its folder.

    Training reads the files of the split, so that the model's card names a command that repeats it.
    """
    options = recipe.model_dump(exclude={"training", "settings", *_READ_ONCE})
    options |= recipe.training.model_dump() | recipe.settings

    def make() -> MeasuredRow:
        if not _finished(path, recipe, files):
            train(
                files.train,
                validation=files.validation,
                out=path,
                resume=not replace,
                replace=replace,
                report=False,
                listen=on_event,
                **options,
            )
        model = load(path)
        return _family_row(path, model, recipe, parts), scorecard(model, parts.test, parts.typed)

    return make


def _finished(path: Path, recipe: Recipe, files: Files) -> bool:
    """Whether the folder holds a finished model of this recipe and these texts, trained but not yet measured."""
    try:
        training = folders.read(path).description.training
        found, data = training["recipe"], training["data"]
    except (FolderError, KeyError):
        return False
    wanted = recorded(recipe.model_copy(update=_READ_ONCE))
    sha256 = hashlib.sha256(files.train.read_bytes()).hexdigest()
    return found == wanted and training["kammil"] == __version__ and data["sha256"] == sha256


def _family_row(path: Path, model: Completer, recipe: Recipe, parts: ComparisonSplit) -> Row:
    """Describe a trained model: its sizes, times, chosen settings and training curve."""
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


def baseline_rows(parts: ComparisonSplit) -> dict[str, Callable[[], MeasuredRow]]:
    """Return the functions that make the rows of baselines, compressors and the ceiling of typing."""
    vocabulary = CharacterVocabulary.from_texts(parts.train, least=parts.least)
    spans = targets(parts.test)

    def uniform() -> MeasuredRow:
        bits = [baselines.uniform(vocabulary, text) for text in parts.test]
        target = np.array([b[span].sum() for b, span in zip(bits, spans, strict=True)])
        columns = bits_only(parts.test, target, np.array([b.sum() for b in bits]))
        known = np.array([(vocabulary.encode(t[s]) != UNK).sum() for t, s in zip(parts.test, spans, strict=True)])
        for k in (1, 3):  # of V characters, each k are the most probable with the same right
            guessed = known * min(k, vocabulary.size) / vocabulary.size
            columns[f"target_top{k}"] = np.stack([guessed, columns["target_bits_per_character"][:, 1]], axis=1)
        return Row("uniform", family=False), columns

    def unigram() -> MeasuredRow:
        counted = baselines.count([vocabulary.encode(text) for text in parts.train], vocabulary.size)
        runner = baselines.load_baselines(counted, vocabulary.size)["unigram"]
        model = Completer(runner, vocabulary, RAW)
        return Row("unigram", family=False, parameters=vocabulary.size), scorecard(model, parts.test, parts.typed)

    def lzma() -> MeasuredRow:
        bits = compressors.lzma_bits(parts.train, parts.test)
        sums = np.array([[bits, sum(len(text) + 1 for text in parts.test)]], np.float64)
        return Row("LZMA", family=False), {"bits_per_character_with_end": sums}

    def ppmd() -> MeasuredRow:
        result = compressors.ppmd(parts.train, parts.validation, parts.test, spans)
        columns = bits_only(parts.test, result.target_bits, result.bits_with_end)
        return Row("PPMd", family=False, note=f"order {result.order} bytes"), columns

    def typing_ceiling() -> MeasuredRow:
        return Row("ceiling", family=False), ceiling(parts.typed)

    return {"uniform": uniform, "unigram": unigram, "LZMA": lzma, "PPMd": ppmd, "ceiling": typing_ceiling}
