"""Verify a model's folder: compute its figures again, and say which differ.

Times and history cannot be computed again, and the card repeats `metrics.json`: all are listed as unverified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

from kammil import model_folder as folders
from kammil.completion.completer import load
from kammil.data import datasets, sources
from kammil.data.files import list_files
from kammil.engine.weights import count_parameters
from kammil.errors import DataError, FolderError
from kammil.evaluation.evaluate import LOOPS, evaluate
from kammil.evaluation.text_overlap import NO_RUN
from kammil.progress import phase
from kammil.training.recipe import Recipe
from kammil.training.record import data_summary
from kammil.training.texts import MAX_HELD_OUT, Dataset, Source, draw, load_normalised, prepare

TOLERANCE = 5e-4
"""Maximum difference of equal figures, relative above 1, since another processor rounds sums differently; numbers of
texts and of characters must be equal."""
_VERIFIED = ("validation", "parameters")
"""Entries of `metrics.json` that are computed again."""


@dataclass(frozen=True)
class Check:
    """A figure of the folder."""

    name: str
    """Its place, such as `metrics.json: validation.model.target_top1.value`."""
    recorded: Any
    found: Any
    agrees: bool


@dataclass(frozen=True)
class Verification:
    """Figures of a folder, recorded and computed again."""

    checks: tuple[Check, ...]
    not_verified: tuple[str, ...]

    @property
    def differing(self) -> tuple[Check, ...]:
        """Return the figures that differ."""
        return tuple(check for check in self.checks if not check.agrees)

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        checks = [asdict(check) for check in self.checks]
        return {"agrees": not self.differing, "checks": checks, "not_verified": list(self.not_verified)}


def verify(folder: str | Path, data: Source | None = None, *, validation: Source | None = None) -> Verification:
    """Compute all figures of a model folder again.

    Args:
        folder: the model folder, or a bundled model.
        data: the training texts, as for `train`. None: the file that the folder names, in the current folder, or a
            data set that was downloaded before.
        validation: the validation texts, where they were not split off from `data`. Without `data`, only the figures of
            the model are computed again.

    Raises `FolderError` for a folder without a record of its training, `DataError` for unreadable texts.
    """
    path = Path(folder)
    model = folders.read(path)
    try:
        record: dict[str, Any] = dict(model.description.training["data"])
        recipe = Recipe.model_validate(model.description.training["recipe"])
        recorded: dict[str, Any] = dict(model.metrics["validation"])
        split_off = "of the same file" in str(record["validation"])
    except (KeyError, TypeError, ValueError) as error:
        raise FolderError(f"{folder} keeps no record of its training, so there is nothing to verify.") from error
    if "drawn" in record:
        raise FolderError(f"{folder} was trained on texts that its minutes chose, before 0.2; train it again.")
    missing: list[str] = [f"metrics.json: {name}" for name in model.metrics if name not in _VERIFIED]
    checks: list[Check] = []
    if validation is not None and data is None:
        texts: Sequence[str] = load_normalised(recipe, validation).texts
        if "validation_in_full" in record:
            texts = draw(texts, MAX_HELD_OUT, recipe.training.seed)
        number = {"validation_texts": record.get("validation_texts")}
        checks += _compare("model.json: training.data", number, {"validation_texts": len(texts)})
        missing.append("the training texts: name them to verify their hash and number")
    else:
        prepared = _prepare(path, recipe, record, data, validation, split_off=split_off)
        texts = prepared.validation
        described = json.loads(json.dumps(data_summary(prepared)))
        # The texts may lie under another name now.
        named = {name: value for name, value in record.items() if name not in ("base", "source", "validation")}
        checks += _compare("model.json: training.data", named, described)
    if record.get("base") is not None:
        missing.append("model.json: training.data.base, the texts of the model it goes on from")
    with phase("evaluating", LOOPS):
        evaluation = evaluate(load(path), list(texts))
    checks += _compare("metrics.json: validation", recorded, json.loads(json.dumps(evaluation.to_dict())))
    if "parameters" in model.metrics:
        number = count_parameters(model.artifacts.weights)
        checks += _compare("metrics.json: parameters", model.metrics["parameters"], number)
    if not all(each.bleu and each.bleu.value for each in (evaluation.model, *evaluation.baselines.values())):
        missing.append(f"metrics.json: BLEU where sacrebleu is missing, or {NO_RUN} is shared")
    if model.card:
        missing.append("README.md, the card: its figures are those of metrics.json")
    return Verification(tuple(checks), tuple(missing))


def _prepare(
    folder: Path,
    recipe: Recipe,
    record: Mapping[str, Any],
    data: Source | None,
    validation: Source | None,
    *,
    split_off: bool,
) -> Dataset:
    try:
        source: Source = _recorded(str(record.get("source")), None) if data is None else data
        held_out = validation if validation is not None or split_off else _recorded(str(record["validation"]), data)
        recipe = recipe.model_copy(update={"exclude": tuple(_recorded(name, data) for name in recipe.exclude)})
        return prepare(recipe, source, held_out)
    except DataError as error:
        if data is not None and (split_off or validation is not None):
            raise
        where = f"kammil verify {folder} FILE" + ("" if split_off else " --validation FILE")
        raise DataError(f"the texts of {folder} cannot be read again: {error} Name them: {where}") from error


def _recorded(name: str, data: Source | None) -> str:
    """Resolve a name that a folder records: a file beside the texts that the user named, else here, or data sets.

    A stranger's folder must open nothing else: no links to other places, no pipes, no devices, no addresses.
    """
    given = [data] if isinstance(data, str | PathLike) else data if data and sources.is_named(data) else ["."]
    for place in {Path(str(path)).parent for path in given}:
        path = place / name
        if name not in ("", "..") and Path(name).name == name and path.exists():
            found = list_files(path) if path.is_dir() else [path]
            if all(file.is_file() and file.resolve().is_relative_to(place.resolve()) for file in found):
                return str(path)
    needed = None if Path(name).exists() else sources.data_sets(name)
    if needed is None:
        raise DataError(
            f"the folder names {name!r}, and no such file lies {'here' if data is None else 'beside them'}."
        )
    if missing := [one for one in dict.fromkeys(needed) if {*datasets.status(one).values()} != {"present"}]:
        raise DataError(f"{name} is not on this machine; get it with: kammil data get {' '.join(missing)}.")
    return name


def _compare(where: str, recorded: Any, found: Any) -> list[Check]:
    """Compare two trees of builtins leaf by leaf; entries of the second alone are younger than the folder."""
    if isinstance(recorded, dict):
        tree = cast(dict[str, Any], recorded)
        other = cast(dict[str, Any], found) if isinstance(found, dict) else {}
        separator = ": " if where.endswith(".json") else "."
        return [
            check
            for key, value in tree.items()
            if key != "bleu" or value is None or (other.get(key) or {}).get("value")  # 0.1.0 recorded other zeros
            for check in _compare(f"{where}{separator}{key}", value, other.get(key))
        ]
    if isinstance(recorded, list):
        rows = cast(list[Any], recorded)
        others = cast(list[Any], found) if isinstance(found, list) else []
        if len(rows) != len(others):
            return [Check(f"{where}: number", len(rows), len(others), agrees=False)]
        return [check for i, row in enumerate(rows) for check in _compare(f"{where}[{i}]", row, others[i])]
    if isinstance(recorded, float) and isinstance(found, int | float):
        agrees = abs(recorded - found) <= TOLERANCE * max(1.0, abs(recorded))
    else:
        agrees = recorded == found
    return [Check(where, recorded, found, agrees)]
