"""Prepare the texts of a run: read, normalise, drop texts that resemble excluded ones, and split."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np

from kammil.data import in_memory, sources
from kammil.data.exclusion import resembling
from kammil.data.near_duplicates import groups
from kammil.data.splits import Leakage, leaks, split
from kammil.errors import DataError, OptionError
from kammil.progress import phase, tracked
from kammil.training.recipe import Recipe

HELD_OUT = 0.1
"""Share of the texts to validate with where no validation file is named."""


@dataclass(frozen=True)
class Dataset:
    """The normalised texts of a run, and where they came from."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    """Name of the file or data set, or of the kind of object that a program handed over."""
    sha256: str
    """Hash of the training file's bytes, or of the texts where there is no file."""
    validation_source: str
    leaks: Leakage
    """Validation texts that repeat or resemble training texts."""
    excluded: int = 0
    """Number of texts left out because they resemble those that the recipe excludes."""
    repeated: int = 0
    """Number of texts left out because they resemble an earlier one."""
    arguments: tuple[str, ...] | None = None
    """Command-line arguments that read the same texts; None for texts that a program handed over."""
    validation_split_off: bool = True
    """Whether the validation texts were split off from the same source."""
    drawn: tuple[int, int] | None = None
    """Numbers of texts and validation texts that were drawn where the minutes were too few for all; else None."""


Source = in_memory.Texts


def check(recipe: Recipe, source: Source, validation: Source | None = None) -> None:
    """Raise `OptionError` for a condition `where` without a file to apply it to."""
    further = (*recipe.exclude, *(() if validation is None else (validation,)))
    if recipe.where is not None and not any(map(in_memory.is_named, (source, *further))):
        raise OptionError(f"where is {recipe.where!r}, but it is for files; choose the rows before you give them.")


class TextBudget(Protocol):
    """Chooses as many texts as a run has time for."""

    def texts(self, texts: list[str], validation: list[str] | None) -> list[str]:
        """Return some of the texts; `validation` holds those of a validation file, if there is one."""
        ...

    def validation(self, validation: list[str]) -> list[str]:
        """Return some of the validation texts."""
        ...


def prepare(
    recipe: Recipe, source: Source, validation: Source | None = None, *, budget: TextBudget | None = None
) -> Dataset:
    """Read, normalise and split the texts; `DataError` if none are left to train on or to validate with.

    `budget` draws some of the texts where the time is too short for all.
    """
    texts, name, sha256 = load_normalised(recipe, source)
    held_out, held_out_name = None, ""
    if validation is not None:
        held_out, held_out_name, _ = load_normalised(recipe, validation)
    before = len(texts)
    if budget is not None:
        texts = budget.texts(texts, held_out)
    undrawn = before - len(texts)
    read = len(texts)
    for source_to_exclude in recipe.exclude:
        similar = resembling(texts, load_normalised(recipe, source_to_exclude)[0])
        texts = [text for text, drop in zip(texts, similar, strict=True) if not drop]
    excluded = read - len(texts)
    if recipe.unique:
        _, first = np.unique(groups(texts), return_index=True)
        texts = [texts[i] for i in sorted(first)]
    repeated = read - excluded - len(texts)
    if not texts:
        raise DataError(f"all {read} texts of {name} resemble texts that exclude names; name other ones.")
    if held_out is None:
        try:
            parts = split(texts, validation=HELD_OUT, seed=recipe.training.seed)
        except DataError:
            alike = f"the {len(texts):,} texts of {name} are near-duplicates of one another"
            reason = alike if len(texts) > 1 else f"{name} holds one text"
            raise DataError(
                f"{reason}, so none is left to validate with; add texts that differ, or name others to validate with."
            ) from None
        train, held_out = [texts[i] for i in parts.train], [texts[i] for i in parts.validation]
        held_out_name = f"{len(held_out)} texts of the same file, near-duplicates kept together"
    else:
        train = texts
    in_full = len(held_out)
    if budget is not None:
        held_out = budget.validation(held_out)
    named = in_memory.is_named(source) and (validation is None or in_memory.is_named(validation))
    return Dataset(
        tuple(train),
        tuple(held_out),
        name,
        sha256,
        held_out_name,
        leaks(train, held_out),
        excluded,
        repeated,
        ((name,) if validation is None else (name, "--validation", held_out_name)) if named else None,
        validation is None,
        (read, len(held_out)) if undrawn or in_full > len(held_out) else None,
    )


def load_normalised(recipe: Recipe, source: Source) -> tuple[list[str], str, str]:
    """Read and normalise texts; return them, the name of their source, and its SHA-256."""
    if isinstance(source, str | PathLike):
        place = source if isinstance(source, str) else Path(source)
        with phase(f"reading {name_of(place)}"):
            read = sources.rows(place, column=recipe.column, where=recipe.where, encoding=recipe.encoding)
        raw, name, sha256 = list(read.texts), name_of(place), read.sha256
    else:
        loaded = in_memory.from_python(source, column=recipe.column)
        raw, name = list(loaded.texts), loaded.name
        sha256 = hashlib.sha256(json.dumps(raw).encode()).hexdigest()
    rules = recipe.text_rules
    rows = [rules.normalise(text.strip()).strip() for text in tracked(raw, "normalising")]
    texts = [text for text in rows if text]
    if not texts:
        raise DataError(f"{name} holds no text after normalisation; name a file that has some.")
    if not in_memory.is_named(source) and (warning := in_memory.left_out(rows)):
        warnings.warn(warning, stacklevel=4)  # the line that called `train`
    return texts, name, sha256


def name_of(source: str | Path) -> str:
    """Return the name of a file without its folders; of data sets, the text that names them."""
    return printable(Path(source).name if Path(source).exists() else str(source))


def printable(name: str) -> str:
    """Return a file name with bytes that are not UTF-8 replaced."""
    return name.encode("utf-8", "replace").decode()
