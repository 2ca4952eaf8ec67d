"""The request of a training, and its record, which is compared before a model is reused or resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from kammil import model_folder as folders
from kammil.errors import KammilError
from kammil.evaluation import model_card
from kammil.progress import Listener, ignore
from kammil.training.recipe import Recipe, options_toml
from kammil.training.texts import Dataset, name_of
from kammil.training.time_budget import TimeBudget

ROW = "row.safetensors"
"""File of a model's figures in a comparison (`suite`)."""
_SHOWN = 200
_PATHS = ("base", "source", "validation", "exclude")
"""Options that name files, or the folder of a model."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """All that a run is asked for."""

    recipe: Recipe
    data: Dataset
    out: Path
    """The model folder, whose lock the caller holds."""
    base: folders.ModelFiles | None = None
    """A model whose weights the run starts from."""
    base_texts: tuple[str, ...] = ()
    """Its training texts; empty for a given folder."""
    resume: bool = False
    replace: bool = False
    listen: Listener = ignore
    track: Sequence[str] = ()
    report_seconds: float = 0.0
    any_family: bool = False
    """Whether nobody chose the family, so that a counter may take its place."""
    budget: TimeBudget | None = None
    """The time of the whole command; None starts the minutes with the run."""


def fingerprint(recipe: Recipe, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what a result depends on: options, and hashes of its base and texts."""
    options = recipe.model_dump(mode="json")
    options |= options.pop("training") | options.pop("settings")
    options |= {f"SHA-256 of the {name} folder": value for name, value in folder_hashes(recipe).items()}
    return options | {f"SHA-256 of the {name}": value for name, value in texts.items()}


def difference(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Return the first entry that differs, such as "epochs (3 then, 4 now)", or ""."""
    for name, value in current.items():
        if stored.get(name) != value:
            values = f" ({stored.get(name)!r} then, {value!r} now)"
            return name + (values if len(values) <= _SHOWN else "")
    return ""


def sha256(texts: Sequence[str]) -> str:
    """Hash texts."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def training_record(recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe a training for `model.json`; `base` describes the texts of its base."""
    hashes = folder_hashes(recipe)
    return {
        "recipe": recorded(recipe),
        "kammil": version("kammil"),
        "data": data_summary(data, base),
        **({model_card.SHA256: hashes} if hashes else {}),
    }


def is_up_to_date(folder: Path, recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> bool:
    """Return whether a folder holds a finished model of this recipe and these texts."""
    try:
        found = folders.read(folder).description.training
        # a younger option has its default there
        stored = found | {"recipe": recorded(Recipe.model_validate(found["recipe"]))}
    except (KammilError, ValidationError, KeyError):
        return False
    stored.pop("used", None)  # device and precision are no part of the recipe
    current = json.loads(json.dumps(training_record(recipe, data, base)))
    if model_card.SHA256 not in stored:  # older folders do not record it
        current.pop(model_card.SHA256, None)
    return stored == current


def data_summary(data: Dataset, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe the texts of a model for its folder; `base` describes those of its base."""
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
    """Return the options of a recipe for a folder that may be published."""
    return without_folders(recipe.model_dump(mode="json"))


def recipe_toml(recipe: Recipe) -> str:
    """Format a recipe for `kammil train --config`, without folders of files."""
    defaults = Recipe().model_dump(exclude={"model"})
    options = {name: value for name, value in recipe.model_dump().items() if defaults.get(name) != value}
    options |= recipe.training.model_dump() | recipe.settings
    left_out = {"training", "settings"} | {name for name in ("device", "precision") if options[name] == "auto"}
    return options_toml(without_folders({name: value for name, value in options.items() if name not in left_out}))


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that name files without their folders."""

    def shown(value: object, option: str) -> object:
        if isinstance(value, Mapping):
            return without_folders(cast(Mapping[str, object], value))
        if isinstance(value, list | tuple):
            return [shown(each, option) for each in cast(Sequence[object], value)]
        if not isinstance(value, str) or option not in _PATHS:
            return value
        return Path(value).name if Path(value).is_absolute() else name_of(value)

    return {name: shown(value, name) for name, value in options.items()}


def folder_hashes(recipe: Recipe) -> dict[str, str]:
    """Return {"base": SHA-256 of the arrays and JSON files, without figures, of the folder that a recipe starts from};
    empty for a model on the Hub."""
    base = recipe.settings.get("base", recipe.base)
    folder = folders.locate(Path(base)) if isinstance(base, str) else None
    if folder is None or not folder.is_dir():
        return {}
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")):
        if path.name not in (folders.METRICS, ROW) and path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return {"base": total.hexdigest()}
