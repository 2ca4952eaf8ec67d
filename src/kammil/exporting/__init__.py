"""Export models to formats that other programs run: `kammil.export("my-model", format="onnx")`.

An exported model is checked and predicts the same as its folder; one that the format cannot hold exactly is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from kammil import model_folder as folders
from kammil import storage
from kammil.completion import load
from kammil.errors import FolderError, OptionError
from kammil.exporting import huggingface, onnx, web, words
from kammil.exporting.onnx import EXAMPLE
from kammil.storage import run_lock

Part = Literal["all", "network"]


@dataclass(frozen=True)
class Export:
    """Paths that an export wrote."""

    file: Path
    """A file, or the folder of a checkpoint, a site or word lists."""
    example: Path | None
    """A short program that completes text with the model; None for a folder."""
    warning: str | None = None


FORMATS = {"onnx": ".onnx", "hf": "-hf", "web": "-web", "words": "-words"}


def export(
    folder: str | Path,
    format: str = "onnx",
    out: str | Path | None = None,
    *,
    part: Part = "all",
    replace: bool = False,
    num_words: int | None = None,
    locale: str | None = None,
) -> Export:
    """Write the model of a folder in another format, whole or not at all.

    Args:
        folder: a model folder, or a bundled model.
        format: `onnx`: a file for ONNX Runtime with the character table inside, and beside it a program of the same
            name that ends in `.py`. `hf`: a folder that Hugging Face's transformers loads as a Llama. `web`: a folder
            of static files, with a page, by which a browser runs a blend. `words`: a folder of word lists for spelling
            checkers and keyboards; minutes for 100,000.
        out: the file or folder; FOLDER's name with the format's ending, here, if none is named.
        part: `network`: of a blend, its networks without the counts.
        replace: whether files of these names, or an earlier export, may be replaced.
        num_words, locale: of `words`, the maximum number of words, 100,000 by default, and the code of their language.

    Raises `OptionError` for a model that the format cannot hold, `FolderError` for what cannot be read or written,
    `MissingExtraError` without the package that the format needs.
    """
    if format not in FORMATS:
        raise OptionError(f"format is {format!r}, but it must be one of {', '.join(FORMATS)}.")
    if part not in ("all", "network"):
        raise OptionError(f"part is {part!r}, but it must be all or network.")
    if format in ("web", "words") and part != "all":
        raise OptionError(f"part is {part!r}, but the format {format} is of the whole model; leave it out.")
    if format != "words" and (num_words, locale) != (None, None):
        raise OptionError(f"the format {format} holds no word lists; leave out the number of words and the locale.")
    ending = FORMATS[format]
    target = Path(out) if out is not None else Path(Path(folder).resolve().name + ending)
    if ending.startswith("-") and not target.name:
        raise OptionError(f"out is {str(target)!r}, but it must name a new folder, such as my-model{ending}.")
    if format == "hf":
        return _write_folder(target, *huggingface.write(folders.read(Path(folder)), part, target.name), replace=replace)
    if format == "web":
        return _write_folder(target, web.write(Path(folder)), None, replace=replace)
    if format == "words":
        model = load(folder)
        _check_free(target, replace=replace, names=words.NAMES)  # before minutes of work
        return _write_folder(target, *words.write(model, num_words, locale), replace=replace)
    if target.suffix != ending:
        raise OptionError(f"out is {target}, but a file of the format {format} must end in {ending}.")
    program = target.with_suffix(".py")
    for path in (target, program):
        if path.exists() and not replace:
            raise FolderError(f"{path} exists already; give --replace to replace it, or another --out.")
    content, warning = onnx.write(folders.read(Path(folder)), part)
    storage.write_atomic(target, content)
    storage.write_atomic(program, EXAMPLE.encode())
    return Export(target, program, warning)


def _write_folder(out: Path, contents: Mapping[str, bytes], warning: str | None, *, replace: bool) -> Export:
    check = partial(_check_free, out, replace=replace, names={Path(name).parts[0] for name in contents})
    check()
    with run_lock(out), storage.new_folder(out, check) as draft:
        for name, content in contents.items():
            (draft / name).parent.mkdir(exist_ok=True)
            storage.write_atomic(draft / name, content)
    return Export(out, None, warning)


def _check_free(path: Path, *, replace: bool, names: Collection[str]) -> None:
    """Raise `FolderError` unless `path` is free, an empty folder, or an earlier export to `replace`."""
    found = storage.entries(path)
    if foreign := next((name for name in found if name not in names), None):
        raise FolderError(f"{path} holds {foreign}, which is no file of an export; name another folder with --out.")
    if found and not replace:
        raise FolderError(f"{path} exists already; give --replace to replace it, or another --out.")
