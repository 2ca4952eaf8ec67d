"""A model is one self-describing directory: versioned, no pickle, written atomically, safe to open.

| file | holds |
|---|---|
| `model.json` | format number, family, settings, text rules, how it was trained |
| `vocabulary.json` | the characters |
| `weights.safetensors` | the arrays |
| `seen.safetensors` | which runs of letters stand in the training texts, as a Bloom filter |
| `baselines.safetensors` | character counts and a short n-gram counter, to show beside every figure |
| `metrics.json` | figures, and the training history |
| `README.md` | the model card |
"""

from __future__ import annotations

import json
import reprlib
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from kammil import folder_swap, locks
from kammil.errors import FolderError
from kammil.files import explained, write_atomic
from kammil.language_model import Artifacts
from kammil.vocabulary import CharacterVocabulary

Arrays = Mapping[str, NDArray[np.generic]]

FORMAT = 1
"""Raised when a folder written by a newer Kammil could be misread by this one."""

MODEL, VOCABULARY, WEIGHTS = "model.json", "vocabulary.json", "weights.safetensors"
SEEN, BASELINES = "seen.safetensors", "baselines.safetensors"
METRICS, CARD = "metrics.json", "README.md"
PRETRAINED = ("levantine",)
"""Models that come with the package, by name; the first one is taken where none is named."""
_LARGEST = 2 << 30
"""Bytes of the largest file that is opened: hostile folders must not fill the memory."""


class ModelConfig(BaseModel):
    """The content of `model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    family: str
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Of the family; validated by it."""
    rules: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Text rules, by name."""
    training: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What was resolved: options, seed, data and its SHA-256, versions."""


@dataclass(frozen=True)
class ModelFiles:
    """Everything in a folder."""

    description: ModelConfig
    vocabulary: CharacterVocabulary
    artifacts: Artifacts
    seen: Arrays
    baselines: Arrays
    metrics: Mapping[str, Any]
    card: str


@contextmanager
def new(path: Path, *, replace: bool = False) -> Generator[Path]:
    """A folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    Raises `FolderError` at once if `path` exists (and `replace` is false), or is not a model folder, or cannot be
    written; and after a full disk, with nothing left behind. A link to a model folder stays a link.
    """
    check_free(path, replace=replace)
    try:
        place = path.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".draft", dir=place.parent))
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot write {path}: {explained(error)}; name another place with --out.") from error
    try:
        yield draft
        draft.chmod(0o755)
        check_free(path, replace=replace)  # again: somebody else may have written there in the meantime
        folder_swap.place(draft, place)
    except OSError as error:
        raise FolderError(f"cannot write {path}: {explained(error)}; free some space or name another place.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_free(path: Path, *, replace: bool = False) -> None:
    """`FolderError` if `path` is taken: by a model unless `replace`, by anything else always."""
    try:
        if not path.exists() and not path.is_symlink():
            return
        empty = path.is_dir() and not any(path.iterdir())
    except OSError as error:
        raise FolderError(f"cannot write {path}: {explained(error)}; name another place with --out.") from error
    if empty:
        return
    try:  # other programs have a model.json too, and --replace deletes the whole folder
        ours = {"format", "family"} <= _json(path, MODEL).keys()
    except FolderError:
        ours = False
    if not ours:
        raise FolderError(f"{path} exists and is no model folder; name another one with --out.")
    if not replace:
        raise FolderError(f"{path} holds a model already; give --replace to replace it, or another --out.")


def write(
    folder: Path,
    description: ModelConfig,
    vocabulary: CharacterVocabulary,
    artifacts: Artifacts,
    *,
    seen: Arrays,
    baselines: Arrays,
) -> None:
    """Write all but the figures and the card into an existing folder."""
    write_atomic(folder / MODEL, description.model_dump_json(indent=2).encode())
    write_atomic(folder / VOCABULARY, vocabulary.to_json().encode())
    put_arrays(folder / WEIGHTS, artifacts.weights)
    put_arrays(folder / SEEN, seen)
    put_arrays(folder / BASELINES, baselines)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics.json`."""
    write_atomic(folder / METRICS, json.dumps(metrics, ensure_ascii=False, indent=2, allow_nan=False).encode())


def put_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays as safetensors. Rows first: it takes the bytes as they lie in memory, whatever the order there."""
    write_atomic(path, save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def locate(name: Path) -> Path:
    """The folder of a bundled model of that name, unless there is a folder of that name."""
    bundled = Path(__file__).parent / "pretrained" / name
    return bundled if str(name) in PRETRAINED and not name.exists() and bundled.is_dir() else name


def summary(folder: Path) -> tuple[ModelConfig, Mapping[str, Any]]:
    """What a model is, and its figures, without its arrays; `FolderError` as for `read`."""
    folder, description = _described(folder)
    return description, _json(folder, METRICS) if (folder / METRICS).exists() else {}


def read(folder: Path) -> ModelFiles:
    """Read and validate a folder; `FolderError` for anything that is not a whole model folder of a known format."""
    folder, description = _described(folder)
    vocabulary = CharacterVocabulary.from_json(_text(folder, VOCABULARY))
    return ModelFiles(
        description,
        vocabulary,
        Artifacts(_arrays(folder, WEIGHTS)),
        _arrays(folder, SEEN),
        _arrays(folder, BASELINES),
        _json(folder, METRICS) if (folder / METRICS).exists() else {},
        _text(folder, CARD) if (folder / CARD).exists() else "",
    )


def _described(folder: Path) -> tuple[Path, ModelConfig]:
    """Where a model is, and what it is."""
    try:
        folder = locate(folder)
        there = folder.is_dir()
    except OSError as error:
        raise FolderError(f"{folder} cannot be opened: {explained(error)}; name another model folder.") from error
    if folder.is_file():
        raise FolderError(f"{folder} is a file, not a model folder; train a model on it with: kammil train {folder}")
    if not there and not locks.mend(folder):
        raise FolderError(f"there is no model folder at {folder}; train one with: kammil train FILE --out {folder}")
    raw = _json(folder, MODEL)
    found = raw.get("format")
    if found != FORMAT:
        raise FolderError(
            f"{folder} has format {reprlib.repr(found)} and this Kammil reads format {FORMAT}; "
            "train it anew or update Kammil."
        )
    try:
        description = ModelConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FolderError(
            f"{folder / MODEL} is not valid at {where!r} ({first['msg']}); copy the folder again."
        ) from error
    return folder, description


def _bytes(folder: Path, name: str) -> bytes:
    """A regular file inside the folder, no link out of it, of a bearable size."""
    path = folder / name
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()) or not path.is_file():
            raise FolderError(f"{path} is a link out of the folder or no file; copy the model folder again.")
        if path.stat().st_size > _LARGEST:
            raise FolderError(
                f"{path} has more than {_LARGEST >> 30} GiB, which no model of ours has; do not trust it."
            )
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise FolderError(f"{folder} is no whole model folder: {name} cannot be read ({explained(error)}).") from error


def _text(folder: Path, name: str) -> str:
    try:
        return _bytes(folder, name).decode()
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
