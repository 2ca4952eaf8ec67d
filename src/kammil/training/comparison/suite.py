"""Models and baselines on one split, measured on the same test texts: a folder of model folders.

The row of a model lies in its folder: its figures as sums over texts, and what they were made from. So a second call
makes only the rows that are missing, and refuses to mix rows of other texts or options.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from kammil import distributed, storage
from kammil.completion.completer import Completer, load
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.evaluation import baselines
from kammil.evaluation.bootstrap import Array
from kammil.evaluation.metrics import target_span
from kammil.evaluation.ranking import Row, bits_only, ceiling, completion_seconds, scorecard
from kammil.progress import Listener, listening, note
from kammil.storage import run_lock
from kammil.text import RAW
from kammil.training.comparison.split import ComparisonSplit, Files
from kammil.training.recipe import Recipe
from kammil.training.record import ROW, difference, fingerprint
from kammil.training.request import RunRequest
from kammil.training.texts import Dataset, prepare
from kammil.training.train import train_or_reuse
from kammil.vocabulary import UNK, CharacterVocabulary

Maker = Callable[[], tuple[Row, Mapping[str, Array]]]
"""Makes a row, and for each measure what each test text adds to its sums."""

_SUITE, _FORMAT = "suite.json", 5
_OLD_ROWS, _OLD_SUMS, _OLD_FORMAT = "rows.json", "rows.safetensors", 4
"""All rows of a folder together, as Kammil 0.1.0 wrote them."""
_READ_ONCE: dict[str, object] = {
    **dict.fromkeys(("column", "where", "delimiter", "sender")),
    **{"encoding": "utf-8", "exclude": (), "unique": False},
}
"""Defaults of the options for reading texts, which are read and cleared of near-duplicates once for all rows."""


class Suite:
    """The finished rows of a folder, and what each text added to their sums."""

    def __init__(self, path: Path, *, what: str, listen: Listener) -> None:
        """Name the folder, what it holds, for errors, and who hears the events; `open` reads it."""
        self.path, self._what, self.listen = path, what, listen
        self.rows: dict[str, Row] = {}
        self.columns: dict[str, Mapping[str, Array]] = {}
        self._keys: dict[str, Mapping[str, Any]] = {}

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock of the folder, and let all events be heard."""
        if distributed.is_launched():
            raise OptionError(f"a {self._what} runs in one process; start it without a launcher.")
        with run_lock(self.path), listening(self.listen):
            yield

    def open(self, keys: Mapping[str, Mapping[str, Any]], *, replace: bool) -> None:
        """Read the finished rows; `OptionError` for a row that was made from other things than its key says.

        With `replace` such rows are dropped instead, to be made again. `FolderError` for a folder of something else.
        """
        try:
            stored = self._stored()
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise FolderError(
                f"the rows in {self.path} cannot be read ({error}); remove the folder or name another with --out."
            ) from error
        for name, (key, row, columns) in stored.items():
            changed = difference(key, keys.get(name, {}))
            if not changed:
                self.rows[name], self.columns[name] = row, columns
            elif not replace:
                raise OptionError(
                    f"the row {name} in {self.path} has another {changed}; give --replace to make it anew, or another "
                    "--out."
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"cannot write {self.path}: {error.strerror}; name another place with --out.") from error
        storage.write_atomic(self.path / _SUITE, json.dumps({"format": _FORMAT}).encode())
        self._keys.update(keys)

    def complete(self, makers: Mapping[str, Maker], *, optional: bool = False) -> dict[str, str]:
        """Make the rows that are missing; return why some are left out, which is an error unless `optional`."""
        left_out: dict[str, str] = {}
        for name, make in makers.items():
            if name in self.rows:
                note(f"{name}: done before")
                continue
            note(f"{name}: at work")
            try:
                row, columns = make()
            except MissingExtraError as error:
                if not optional:
                    raise
                left_out[name] = error.what
                note(f"{name}: left out: {error}")
                continue
            described = json.dumps({"row": asdict(row), "key": self._keys[name]})
            contiguous = {measure: np.ascontiguousarray(sums) for measure, sums in columns.items()}
            (self.path / name).mkdir(exist_ok=True)
            storage.write_atomic(self.path / name / ROW, save_arrays(contiguous, {"row": described}))
            self.rows[name], self.columns[name] = row, columns
        return left_out

    def _stored(self) -> dict[str, tuple[Mapping[str, Any], Row, Mapping[str, Array]]]:
        """Return the rows on disk with their keys and sums, by name."""
        found: dict[str, tuple[Mapping[str, Any], Row, Mapping[str, Array]]] = {}
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return found
        if (self.path / _OLD_ROWS).is_file():
            state = cast(dict[str, Any], json.loads((self.path / _OLD_ROWS).read_text("utf-8")))
            if state["format"] in (1, 2, 3):
                raise FolderError(
                    f"the rows in {self.path} have format {state['format']}, and Kammil 0.1.0 was the last version to "
                    "read it; name another folder with --out."
                )
            if state["format"] != _OLD_FORMAT:
                raise ValueError(f"format {state['format']!r}")
            sums = cast(dict[str, Array], load_arrays((self.path / _OLD_SUMS).read_bytes()))
            for name, entry in cast(dict[str, dict[str, Any]], state["rows"]).items():
                found[name] = entry["key"], _row(entry["row"]), {m: sums[f"{name}/{m}"] for m in entry["measures"]}
        elif not (self.path / _SUITE).is_file():
            raise FolderError(f"{self.path} exists and is no {self._what}; name another folder with --out.")
        elif (state := json.loads((self.path / _SUITE).read_text("utf-8")))["format"] != _FORMAT:
            raise ValueError(f"format {state['format']!r}")
        for path in sorted(self.path.glob(f"*/{ROW}")):
            with safe_open(path, "np") as file:
                described: dict[str, Any] = json.loads(file.metadata()["row"])
                columns = {measure: file.get_tensor(measure) for measure in file.keys()}  # noqa: SIM118
            found[path.parent.name] = described["key"], _row(described["row"]), columns
        return found


def _row(fields: dict[str, Any]) -> Row:
    curve = tuple((float(seconds), float(bits)) for seconds, bits in fields.pop("curve"))
    return Row(**fields, curve=curve)


def row_key(parts: ComparisonSplit, recipe: Recipe | None = None) -> dict[str, Any]:
    """Return what the figures of a row depend on: version, texts and options."""
    return parts.key() | (fingerprint(recipe, {}) if recipe is not None else {})


def model_rows(
    suite: Suite, recipes: Mapping[str, tuple[Recipe, ComparisonSplit, Files]], *, replace: bool
) -> dict[str, Maker]:
    """Return the functions that make the rows of models: each trains the model, or resumes it, and measures its folder.

    Training reads the files of the split, so that the card of a model names a command that repeats it.
    """

    first = next(iter(recipes.values()))[0].model_copy(update=_READ_ONCE)

    @cache
    def data(texts: Files) -> Dataset:
        return prepare(first, texts.train, texts.validation)

    def make(name: str) -> tuple[Row, Mapping[str, Array]]:
        (recipe, parts, texts), out = recipes[name], suite.path / name
        recipe = recipe.model_copy(update=_READ_ONCE)
        request = RunRequest(
            recipe=recipe, data=data(texts), out=out, resume=True, replace=replace, listen=suite.listen
        )
        train_or_reuse(request)
        model = load(out)
        return _model_row(out, model, recipe, parts), scorecard(model, parts.test, parts.typed)

    return {name: lambda name=name: make(name) for name in recipes}


def _model_row(path: Path, model: Completer, recipe: Recipe, parts: ComparisonSplit) -> Row:
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


def baseline_rows(parts: ComparisonSplit) -> dict[str, Maker]:
    """Return the functions that make the rows of baselines, compressors and the ceiling of typing."""
    vocabulary = CharacterVocabulary.from_texts(parts.train, least=parts.least)
    spans = [target_span(text) for text in parts.test]

    def uniform() -> tuple[Row, Mapping[str, Array]]:
        bits = [baselines.uniform(vocabulary, text) for text in parts.test]
        target = np.array([b[span].sum() for b, span in zip(bits, spans, strict=True)])
        columns = bits_only(parts.test, target, np.array([b.sum() for b in bits]))
        known = np.array([(vocabulary.encode(t[s]) != UNK).sum() for t, s in zip(parts.test, spans, strict=True)])
        for k in (1, 3):  # of V characters, each k are the most probable with the same right
            guessed = known * min(k, vocabulary.size) / vocabulary.size
            columns[f"target_top{k}"] = np.stack([guessed, columns["target_bits_per_character"][:, 1]], axis=1)
        return Row("uniform", family=False), columns

    def unigram() -> tuple[Row, Mapping[str, Array]]:
        counted = baselines.count([vocabulary.encode(text) for text in parts.train], vocabulary.size)
        runner = baselines.load_baselines(counted, vocabulary.size)["unigram"]
        model = Completer(runner, vocabulary, RAW)
        return Row("unigram", family=False, parameters=vocabulary.size), scorecard(model, parts.test, parts.typed)

    def lzma() -> tuple[Row, Mapping[str, Array]]:
        bits = baselines.lzma_bits(parts.train, parts.test)
        sums = np.array([[bits, sum(len(text) + 1 for text in parts.test)]], np.float64)
        return Row("LZMA", family=False), {"bits_per_character_with_end": sums}

    def ppmd() -> tuple[Row, Mapping[str, Array]]:
        result = baselines.ppmd(parts.train, parts.validation, parts.test, spans)
        columns = bits_only(parts.test, result.target_bits, result.bits_with_end)
        return Row("PPMd", family=False, note=f"order {result.order} bytes"), columns

    def typing_ceiling() -> tuple[Row, Mapping[str, Array]]:
        return Row("ceiling", family=False), ceiling(parts.typed)

    return {"uniform": uniform, "unigram": unigram, "LZMA": lzma, "PPMd": ppmd, "ceiling": typing_ceiling}
