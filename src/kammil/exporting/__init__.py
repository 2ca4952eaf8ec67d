"""A model in a format that other programs run: `kammil.export("my-model", format="onnx")`.

What is written is checked, and says the same as the model folder. A model that a format cannot hold
exactly is refused with the reason, or, where a part of it is a model by itself, that part is written when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kammil import files
from kammil import model_folder as folders
from kammil.errors import FolderError, OptionError
from kammil.exporting import onnx
from kammil.exporting.example import EXAMPLE

Part = Literal["all", "network"]


@dataclass(frozen=True)
class Export:
    """What was written."""

    file: Path
    """The model."""
    example: Path
    """A short program beside it that completes text with it."""
    warning: str | None = None
    """What is not in it, as one sentence; None where nothing is missing."""


@dataclass(frozen=True)
class Format:
    """One format."""

    ending: str
    """Of the file's name."""
    write: Callable[[folders.ModelFiles, Part], tuple[bytes, str | None]]
    """(model, part) -> the file's bytes and what is not in it; `OptionError` for a model that does not fit."""


FORMATS: dict[str, Format] = {"onnx": Format(".onnx", onnx.write)}
"""Formats by name."""


def export(
    folder: str | Path,
    format: str = "onnx",
    out: str | Path | None = None,
    *,
    part: Part = "all",
    replace: bool = False,
) -> Export:
    """Write the model of a folder as one file of another format, and a program beside it that runs it.

    Args:
        folder: a model folder, or a bundled model.
        format: `onnx`: the character table is inside, so that ONNX Runtime and the one file suffice.
        out: the file; FOLDER's name with the format's ending, here, if none is named. The program has the same name,
            and ends in `.py`.
        part: `network`: of a blend, its networks without the counts.
        replace: whether files of these names may be replaced.

    Raises `OptionError` for a model that the format cannot hold, `FolderError` for a folder that cannot be read or a
    file that cannot be written, `MissingExtraError` without the package `onnx`.
    """
    if format not in FORMATS:
        raise OptionError(f"format is {format!r}, but it must be one of {', '.join(FORMATS)}.")
    if part not in ("all", "network"):
        raise OptionError(f"part is {part!r}, but it must be all or network.")
    chosen = FORMATS[format]
    file = Path(out) if out is not None else Path(Path(folder).resolve().name + chosen.ending)
    if file.suffix != chosen.ending:
        raise OptionError(f"out is {file}, but a file of the format {format} must end in {chosen.ending}.")
    program = file.with_suffix(".py")
    for path in (file, program):
        if path.exists() and not replace:
            raise FolderError(f"{path} exists already; give --replace to replace it, or another --out.")
    model = folders.read(Path(folder))
    content, warning = chosen.write(model, part)
    files.write_atomic(file, content)
    files.write_atomic(program, EXAMPLE.encode())
    return Export(file, program, warning)
