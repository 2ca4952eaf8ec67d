"""Model folders: self-describing, versioned, without pickle, written atomically, safe to open; else `FolderError`."""

from __future__ import annotations

import json
import os
import reprlib
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from kammil import storage
from kammil.errors import FolderError, first_error, nearest
from kammil.language_model import DOCUMENTS, Artifacts
from kammil.storage import reason, write_atomic
from kammil.text import shortened, visible
from kammil.vocabulary import CharacterVocabulary

Arrays = Mapping[str, NDArray[np.generic]]

FORMAT = 1
"""Format number, increased when an older Kammil would misread newer folders."""

MODEL = "model.json"  # a `ModelConfig`
VOCABULARY = "vocabulary.json"
WEIGHTS = "weights.safetensors"  # with `DOCUMENTS` beside it in a fine-tuned pretrained model
SEEN = "seen.safetensors"  # Bloom filter of the runs of letters in the training texts
BASELINES = "baselines.safetensors"  # character counts and a short n-gram model, shown beside every figure
METRICS = "metrics.json"  # figures and training history
STOCK_PHRASES = "stock_phrases"  # true among the metrics of a model that learnt the messages of recipes/messages
EVENTS = "events.jsonl"  # of the training, one a line
CARD = "README.md"
BLOCK = "block.txt"  # words, if its owner lists any, that the model must not write
PRETRAINED = "levantine"
_BUNDLED = Path(__file__).parent / "pretrained" / PRETRAINED
RENAMED = {"levantine-open": PRETRAINED}
"""Names of before, which go with the next version."""
ENTRY_POINTS = "kammil.models"
"""Entry points of other packages: the name of a model, and the importable folder, without code, that holds it."""
_MAX_FILE_BYTES = 2 << 30
"""Maximum size of a file, since a hostile folder must not fill the memory."""
_MAX_TEXT_BYTES = 64 << 20
"""Maximum size of a text file: parsed JSON takes twenty times the memory; all of Unicode is 20 MB."""
_EXPERT = ("pretrained", "pretrained_texts", "pretrained_window")
_DROPPED = {
    ("settings",): _EXPERT,
    ("training", "recipe", "settings"): _EXPERT,
    ("training", "recipe", "training"): ("floor", "shard"),
}
"""Place in `model.json` -> options that Kammil 0.1.0 alone has."""


class ModelConfig(BaseModel):
    """The content of `model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    family: str
    settings: dict[str, Any] = {}
    """Validated by the family."""
    rules: dict[str, bool] = {}
    training: dict[str, Any] = {}
    """Options, seed, data and their SHA-256, versions."""


@dataclass(frozen=True)
class ModelFiles:
    """The content of a model folder."""

    description: ModelConfig
    vocabulary: CharacterVocabulary
    artifacts: Artifacts
    seen: Arrays
    baselines: Arrays
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    card: str = ""


def target_bits(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the bits that a target character of the validation texts costs the `model` and each baseline; those that
    were not measured are left out."""
    with reading_records("the folder"):
        validation: dict[str, Any] = metrics.get("validation") or {}
        rows: dict[str, Any] = {"model": validation.get("model"), **(validation.get("baselines") or {})}
        figures = {name: (row or {}).get("target_bits_per_character") for name, row in rows.items()}
        return {name: float(figure["value"]) for name, figure in figures.items() if figure}


def check_free(path: Path, *, replace: bool = False) -> None:
    """Raise `FolderError` unless `path` is free, an empty folder, or a model folder to `replace`."""
    if not os.path.isfile(path) and not storage.entries(path):  # noqa: PTH113  # false for a name too long
        return
    try:  # other programs have a model.json too, and --replace deletes the whole folder
        is_model = {"format", "family"} <= _json(path, MODEL).keys()
    except FolderError:
        is_model = False
    if not is_model:
        raise FolderError(f"{path} exists and is no model folder; name another one with --out.")
    if not replace:
        raise FolderError(f"{path} holds a model already; give --replace to replace it, or another --out.")


def write(folder: Path, model: ModelFiles) -> None:
    """Write all files but metrics and card into an existing folder."""
    write_atomic(folder / MODEL, model.description.model_dump_json(indent=2).encode())
    write_atomic(folder / VOCABULARY, model.vocabulary.to_json().encode())
    write_arrays(folder / WEIGHTS, model.artifacts.weights)
    for name in model.artifacts.documents.keys() & set(DOCUMENTS):
        write_atomic(folder / name, model.artifacts.documents[name].encode())
    write_arrays(folder / SEEN, model.seen)
    write_arrays(folder / BASELINES, model.baselines)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics.json`."""
    write_atomic(folder / METRICS, json.dumps(metrics, ensure_ascii=False, indent=2, allow_nan=False).encode())


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays as safetensors, contiguous, since it would store others in their memory order."""
    write_atomic(path, save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def locate(name: Path) -> Path:
    """Return the folder of the model `name` that is bundled or else installed, or `name` where such a folder exists.

    Raises `FolderError` where several packages bring a model of this name.
    """
    if len(name.parts) != 1 or name.exists():
        return name
    if (new := RENAMED.get(str(name))) is not None:
        warnings.warn(f"{name} is {new} now, and the old name goes with the next version.", FutureWarning, stacklevel=1)
    if (new or str(name)) == PRETRAINED:
        return _BUNDLED  # without a look at all packages, which takes a command 8 ms
    found = installed().get(new or str(name), {})
    if len(found) > 1:
        raise FolderError(f"{' and '.join(sorted(found))} both bring a model {name}; uninstall one, or name a folder.")
    return next(iter(found.values()), name)


@lru_cache(1)
def installed() -> Mapping[str, Mapping[str, Path]]:
    """Return the folders of bundled and installed models: by name, then by the package that brings them."""
    from importlib.metadata import distributions
    from importlib.util import find_spec

    found = {PRETRAINED: {"kammil": _BUNDLED}}
    for package in distributions():
        try:
            for point in package.entry_points.select(group=ENTRY_POINTS):
                module = (
                    "" if "." in point.value else point.value
                )  # to find a module of a package would run the package
                spec = find_spec(module) if module else None
                for place in spec.submodule_search_locations or () if spec is not None else ():
                    found.setdefault(point.name, {}).setdefault(package.name, Path(place))
        except Exception as error:  # its files may hold anything
            name = visible(shortened(Path(str(getattr(package, "_path", package))).name))
            why = visible(shortened(" ".join(str(error).split())))
            warnings.warn(f"what {name} says of its models cannot be read ({why}); uninstall it.", stacklevel=1)
    return found


def summary(folder: Path) -> tuple[ModelConfig, Mapping[str, Any]]:
    """Return configuration and metrics of a model."""
    folder, description = _read_config(folder)
    return description, _json(folder, METRICS) if (folder / METRICS).exists() else {}


def section(card: str, title: str) -> str:
    """Return the text below a heading of a model card; empty if there is none."""
    _, found, after = f"\n{card}".partition(f"\n## {title}\n")
    return after.partition("\n## ")[0].strip() if found else ""


def about(folder: Path) -> dict[str, Any]:
    """Return what a page says of a model: its family, parameters, licence, figures, characters and known faults."""
    folder = locate(folder)
    description, metrics = summary(folder)
    page = _text(folder, CARD) if (folder / CARD).exists() else ""
    characters = CharacterVocabulary.from_json(_text(folder, VOCABULARY)).characters
    model = metrics.get("validation", {}).get("model", {})
    return {
        "family": description.family,
        "parameters": metrics.get("parameters"),
        "licence": metrics.get("licence") or metrics.get("licence_of_base"),
        "figures": {
            figure.removeprefix("target_"): model.get(figure, {}).get("value")
            for figure in ("bits_per_character", "top1", "target_top3")
        },
        "characters": "".join(characters).encode(errors="ignore").decode(),  # without halves of surrogate pairs
        "faults": " ".join(section(page, "Known faults").split()) or None,
    }


def seen(folder: Path) -> Arrays:
    """Return the arrays of the Bloom filter, for `data.bloom`."""
    return _arrays(locate(folder), SEEN)


def read(folder: Path) -> ModelFiles:
    """Read a folder; raises `FolderError` unless it holds a whole model of a known format."""
    folder, description = _read_config(folder)
    vocabulary = CharacterVocabulary.from_json(_text(folder, VOCABULARY))
    documents = {name: _text(folder, name) for name in DOCUMENTS if (folder / name).exists()}
    return ModelFiles(
        description,
        vocabulary,
        Artifacts(_arrays(folder, WEIGHTS), documents),
        _arrays(folder, SEEN),
        _arrays(folder, BASELINES),
        _json(folder, METRICS) if (folder / METRICS).exists() else {},
        _text(folder, CARD) if (folder / CARD).exists() else "",
    )


@contextmanager
def reading_records(name: object) -> Generator[None]:
    """Raise `FolderError` for errors in the block, which reads a record of training."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FolderError(f"what {name} records of its training is not ours; copy the folder again.") from error


def _read_config(folder: Path) -> tuple[Path, ModelConfig]:
    try:
        folder = locate(folder)
        exists = folder.is_dir()
    except OSError as error:
        raise FolderError(f"{folder} cannot be opened: {reason(error)}; name another model folder.") from error
    if folder.is_file():
        raise FolderError(f"{folder} is a file, not a model folder; train a model on it with: kammil train {folder}")
    if not exists and not storage.recover(folder):
        named = sorted(installed())
        raise FolderError(
            f"there is no model folder at {folder}{nearest(str(folder), named)}; models here by name: "
            f"{', '.join(named)}, and of packages such as kammil-levantine-all once they are installed; train another "
            f"with: kammil train FILE --out {folder}"
        )
    raw = _json(folder, MODEL)
    format = raw.get("format")
    if format != FORMAT:
        raise FolderError(
            f"{folder} has format {reprlib.repr(format)} and this Kammil reads format {FORMAT}; "
            "train it anew or update Kammil."
        )
    if isinstance(raw.get("settings"), dict) and raw["settings"].get(_EXPERT[0]) is not None:
        raise FolderError(
            f"{folder} is a blend with a pretrained model in it, and Kammil 0.1.0 was the last version to open one; "
            "train it anew without, or install that version."
        )
    for place, names in _DROPPED.items():
        options: Any = raw
        for key in place:
            options = cast(dict[str, Any], options).get(key) if isinstance(options, dict) else None
        for name in names if isinstance(options, dict) else ():
            cast(dict[str, Any], options).pop(name, None)
    try:
        description = ModelConfig.model_validate(raw)
    except ValidationError as error:
        where, _, why = first_error(error)
        raise FolderError(f"{folder / MODEL} is not valid at {where!r} ({why}); copy the folder again.") from error
    return folder, description


def _bytes(folder: Path, name: str, most: int = _MAX_FILE_BYTES) -> bytes:
    """Read a regular file inside the folder."""
    path = folder / name
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()) or not path.is_file():
            raise FolderError(f"{path} is a link out of the folder or no file; copy the model folder again.")
        if path.stat().st_size > most:
            limit = f"{most >> 30} GiB" if most >> 30 else f"{most >> 20} MiB"
            raise FolderError(f"{path} has more than {limit}, which no model of ours has; do not trust it.")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise FolderError(
            f"{folder} is no whole model folder: {name} cannot be read ({reason(error)}); copy it again, or train a "
            "model with: kammil train FILE --out FOLDER"
        ) from error


def _text(folder: Path, name: str) -> str:
    try:
        return _bytes(folder, name, _MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise FolderError(f"{folder / name} is not UTF-8; copy the model folder again.") from error


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        data: Any = json.loads(_text(folder, name))
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{folder / name} is not JSON ({error}); copy the model folder again.") from error
    if not isinstance(data, dict):
        raise FolderError(f"{folder / name} holds no JSON object; copy the model folder again.")
    return cast(dict[str, Any], data)


def _arrays(folder: Path, name: str) -> dict[str, NDArray[np.generic]]:
    try:
        return cast(dict[str, NDArray[np.generic]], load_arrays(_bytes(folder, name)))
    except (SafetensorError, ValueError, KeyError) as error:
        raise FolderError(f"{folder / name} is truncated or foreign ({error}); copy the folder again.") from error
