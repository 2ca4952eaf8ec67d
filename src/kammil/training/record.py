"""The record of a result: its options and texts, stored beside it, compared before it is reused or resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from kammil import model_folder as folders
from kammil.errors import KammilError
from kammil.evaluation import model_card
from kammil.training.recipe import Recipe, options_toml
from kammil.training.texts import Dataset, name_of

ROW = "row.safetensors"
"""File of a model's figures in a comparison, in its folder (`suite`)."""
_SHOWN = 200
"""Maximum number of characters of two values that are shown."""
_PATHS = ("base", "source", "validation", "exclude")
"""Options that name files, or the folder of a model."""


def fingerprint(recipe: Recipe, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return everything that a result depends on: options, the folder it starts from, and hashes of its texts."""
    options = recipe.model_dump(mode="json")
    options |= options.pop("training") | options.pop("settings")
    options |= {f"SHA-256 of the {name} folder": value for name, value in folder_hashes(recipe).items()}
    return options | {f"SHA-256 of the {name}": value for name, value in texts.items()}


def difference(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Return the first entry of `current` that is stored otherwise, as in "epochs (3 then, 4 now)"; empty if none."""
    for name, value in current.items():
        if stored.get(name) != value:
            values = f" ({stored.get(name)!r} then, {value!r} now)"
            return name + (values if len(values) <= _SHOWN else "")
    return ""


def sha256(texts: Sequence[str]) -> str:
    """Return the hash of texts."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def training_record(recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe a training for `model.json`; `base` is the description of its base's texts."""
    hashes = folder_hashes(recipe)
    return {
        "recipe": recorded(recipe),
        "kammil": version("kammil"),
        "data": data_summary(data, base),
        **({model_card.SHA256: hashes} if hashes else {}),
    }


def is_up_to_date(folder: Path, recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> bool:
    """Whether a folder holds a finished model of this recipe and these texts."""
    try:
        found = folders.read(folder).description.training
        # An option that is younger than the folder has its default there.
        stored = found | {"recipe": recorded(Recipe.model_validate(found["recipe"]))}
    except (KammilError, ValidationError, KeyError):
        return False
    stored.pop("used", None)  # the device and precision that were used are no part of the recipe
    current = json.loads(json.dumps(training_record(recipe, data, base)))
    if model_card.SHA256 not in stored:  # older folders do not record it
        current.pop(model_card.SHA256, None)
    return stored == current


def data_summary(data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe the texts of a model for its folder; `base` is the same description of its base's texts."""
    return {
        "source": data.source,
        "sha256": data.sha256,
        "texts": len(data.train),
        "characters": sum(map(len, data.train)),
        "excluded": data.excluded,
        "repeated": data.repeated,
        "base": base,
        "validation": data.validation_source,
        "validation_texts": len(data.validation),
        "validation_leaks": asdict(data.leaks) | {"exact_rows": [], "near_rows": [], "near_sources": []},
        **({"validation_in_full": data.validation_in_full} if data.validation_in_full else {}),
    }


def recorded(recipe: Recipe) -> dict[str, Any]:
    """Return the options of a recipe for a folder that may be published: files by their names alone."""
    return without_folders(recipe.model_dump(mode="json"))


def recipe_toml(recipe: Recipe) -> str:
    """Return a recipe as a file for `kammil train --config`, an option a line, files named without their folders."""
    defaults = Recipe().model_dump(exclude={"model"})
    options = {name: value for name, value in recipe.model_dump().items() if defaults.get(name) != value}
    options |= recipe.training.model_dump() | recipe.settings
    left_out = {"training", "settings"} | {name for name in ("device", "precision") if options[name] == "auto"}
    return options_toml(without_folders({name: value for name, value in options.items() if name not in left_out}))


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain options with files named without the folders that hold them."""
    return {name: _without_folders(value, name) for name, value in options.items()}


def _without_folders(value: object, option: str) -> object:
    if isinstance(value, Mapping):
        return without_folders(cast(Mapping[str, object], value))
    if isinstance(value, list | tuple):
        return [_without_folders(each, option) for each in cast(Sequence[object], value)]
    if not isinstance(value, str) or option not in _PATHS:
        return value
    return Path(value).name if Path(value).is_absolute() else name_of(value)


def folder_hashes(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of the model folder that a recipe starts from, by option; a model on the Hub has none."""
    base = recipe.settings.get("base", recipe.base)
    folder = folders.locate(Path(base)) if isinstance(base, str) else None
    return {"base": _checksum(folder)} if folder is not None and folder.is_dir() else {}


def _checksum(folder: Path) -> str:
    """Return the SHA-256 of what a model is made of: the arrays and JSON files of its folder, without its figures."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")):
        if path.name not in (folders.METRICS, ROW) and path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
