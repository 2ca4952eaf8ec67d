"""The texts of a run, as the model sees them: read, normalised, cleared of what must not be learnt, and split."""

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
"""Share of the texts that validates, where no validation file is named."""


@dataclass(frozen=True)
class Dataset:
    """The texts of a run, as the model sees them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    """Name of the file, or what else the texts came from."""
    sha256: str
    """Of the training file's bytes, or of the texts."""
    validation_source: str
    leaks: Leakage
    """How many validation texts are near-duplicates of training texts."""
    excluded: int = 0
    """Texts left out because they resemble those that the recipe excludes."""
    repeated: int = 0
    """Texts left out because they resemble an earlier one."""
    arguments: tuple[str, ...] | None = None
    """What a command line reads the same texts by; None for texts that a program handed over."""
    cut: bool = True
    """Whether the validation texts are a part of the same source."""
    drawn: tuple[int, int] | None = None
    """How many texts, and validation texts, were drawn where the minutes were too few for all."""


Source = in_memory.Texts


def check(recipe: Recipe, source: Source, validation: Source | None = None) -> None:
    """`OptionError` for an option of reading that nothing here can use."""
    others = (*recipe.exclude, *(() if validation is None else (validation,)))
    if recipe.where is not None and not any(map(in_memory.is_named, (source, *others))):
        raise OptionError(f"where is {recipe.where!r}, but it is for files; choose the rows before you give them.")


class TextBudget(Protocol):
    """Chooses as many texts as there is time for."""

    def texts(self, texts: list[str], validation: list[str] | None) -> list[str]:
        """Of all texts, where those of a validation file are given or not."""
        ...

    def judges(self, validation: list[str]) -> list[str]:
        """Of the validation texts."""
        ...


def prepare(
    recipe: Recipe, source: Source, validation: Source | None = None, *, fitting: TextBudget | None = None
) -> Dataset:
    """Read, normalise and split; `DataError` where nothing is left to learn from or to validate with."""
    texts, name, sha256 = load_normalised(recipe, source)
    judges, judges_name = None, ""
    if validation is not None:
        judges, judges_name, _ = load_normalised(recipe, validation)
    known = len(texts)
    if fitting is not None:
        texts = fitting.texts(texts, judges)
    left_out = known - len(texts)
    read = len(texts)
    for other in recipe.exclude:
        known = resembling(texts, load_normalised(recipe, other)[0])
        texts = [text for text, out in zip(texts, known, strict=True) if not out]
    excluded = read - len(texts)
    if recipe.unique:
        _, first = np.unique(groups(texts), return_index=True)
        texts = [texts[i] for i in sorted(first)]
    repeated = read - excluded - len(texts)
    if not texts:
        raise DataError(f"all {read} texts of {name} resemble texts that exclude names; name other ones.")
    if judges is None:
        try:
            parts = split(texts, validation=HELD_OUT, seed=recipe.training.seed)
        except DataError:
            alike = f"the {len(texts):,} texts of {name} are near-duplicates of one another"
            what = alike if len(texts) > 1 else f"{name} holds one text"
            raise DataError(
                f"{what}, so none is left to validate with; add texts that differ, or name others to validate with."
            ) from None
        train, held_out = [texts[i] for i in parts.train], [texts[i] for i in parts.validation]
        held_out_name = f"{len(held_out)} texts of the same file, near-duplicates kept together"
    else:
        train, held_out, held_out_name = texts, judges, judges_name
    known = len(held_out)
    if fitting is not None:
        held_out = fitting.judges(held_out)
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
        ((name,) if validation is None else (name, "--validation", judges_name)) if named else None,
        validation is None,
        (read, len(held_out)) if left_out or known > len(held_out) else None,
    )


def load_normalised(recipe: Recipe, source: Source) -> tuple[list[str], str, str]:
    """Texts as the model sees them, a name, and the SHA-256 of what they came from."""
    if isinstance(source, str | PathLike):
        place = source if isinstance(source, str) else Path(source)
        with phase(f"reading {name_of(place)}"):
            read = sources.rows(place, column=recipe.column, where=recipe.where, encoding=recipe.encoding)
        raw, name, sha256 = list(read.texts), name_of(place), read.sha256
    else:
        handed = in_memory.from_python(source, column=recipe.column)
        raw, name = list(handed.texts), handed.name
        sha256 = hashlib.sha256(json.dumps(raw).encode()).hexdigest()
    rules = recipe.text_rules
    rows = [rules.normalise(text.strip()).strip() for text in tracked(raw, "normalising")]
    texts = [text for text in rows if text]
    if not texts:
        raise DataError(f"{name} holds no text after normalisation; name a file that has some.")
    if not in_memory.is_named(source) and (said := in_memory.left_out(rows)):
        warnings.warn(said, stacklevel=4)  # the line that called `train`
    return texts, name, sha256


def name_of(source: str | Path) -> str:
    """A file's name; of anything else (a data set, a part, several of them) all that was given."""
    return printable(Path(source).name if Path(source).exists() else str(source))


def printable(name: str) -> str:
    """A file name as it can be written: names may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "replace").decode()
