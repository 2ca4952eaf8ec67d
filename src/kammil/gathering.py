"""The texts of a run, as the model sees them: read, normalised, cleared of what must not be learnt, and split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kammil.corpus import sources
from kammil.corpus.duplicates import groups, partners
from kammil.corpus.splitting import Leaks, leaks, split
from kammil.errors import DataError
from kammil.progress import phase, tracked
from kammil.recipe import Recipe

HELD_OUT = 0.1
"""Share of the texts that validates, where no validation file is named."""


@dataclass(frozen=True)
class Data:
    """The texts of a run, as the model sees them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    """Name of the file, or what else the texts came from."""
    sha256: str
    """Of the training file's bytes, or of the texts."""
    validation_source: str
    leaks: Leaks
    """How many validation texts are near-duplicates of training texts."""
    excluded: int = 0
    """Texts left out because they resemble those that the recipe excludes."""
    repeated: int = 0
    """Texts left out because they resemble an earlier one."""
    drawn: tuple[int, int] | None = None
    """How many texts, and validation texts, were drawn where the minutes were too few for all."""


Source = str | Path | Sequence[str]


class Fits(Protocol):
    """Chooses as many texts as there is time for."""

    def texts(self, texts: list[str], validation: list[str] | None) -> list[str]:
        """Of all texts, where those of a validation file are given or not."""
        ...

    def judges(self, validation: list[str]) -> list[str]:
        """Of the validation texts."""
        ...


def gather(recipe: Recipe, source: Source, validation: Source | None = None, *, fitting: Fits | None = None) -> Data:
    """Read, normalise and split; `DataError` where nothing is left to learn from or to validate with."""
    texts, name, sha256 = as_seen(recipe, source)
    judges, judges_name = None, ""
    if validation is not None:
        judges, judges_name, _ = as_seen(recipe, validation)
    known = len(texts)
    if fitting is not None:
        texts = fitting.texts(texts, judges)
    left_out = known - len(texts)
    read = len(texts)
    for other in recipe.exclude:
        near = partners(texts, as_seen(recipe, other)[0])
        texts = [text for text, partner in zip(texts, near, strict=True) if partner < 0]
    excluded = read - len(texts)
    if recipe.unique:
        _, first = np.unique(groups(texts), return_index=True)
        texts = [texts[i] for i in sorted(first)]
    repeated = read - excluded - len(texts)
    if not texts:
        raise DataError(f"all {read} texts of {name} resemble texts that exclude names; name other ones.")
    if judges is None:
        parts = split(texts, validation=HELD_OUT, seed=recipe.training.seed)
        train, held_out = [texts[i] for i in parts.train], [texts[i] for i in parts.validation]
        held_out_name = f"{len(held_out)} texts of the same file, near-duplicates kept together"
    else:
        train, held_out, held_out_name = texts, judges, judges_name
    known = len(held_out)
    if fitting is not None:
        held_out = fitting.judges(held_out)
    drawn = (read, len(held_out)) if left_out or known > len(held_out) else None
    leaking = leaks(train, held_out)
    return Data(tuple(train), tuple(held_out), name, sha256, held_out_name, leaking, excluded, repeated, drawn)


def as_seen(recipe: Recipe, source: Source) -> tuple[list[str], str, str]:
    """Texts as the model sees them, a name, and the SHA-256 of what they came from."""
    if isinstance(source, str | Path):
        with phase(f"reading {name_of(source)}"):
            read = sources.rows(source, column=recipe.column, where=recipe.where, encoding=recipe.encoding)
        raw, name, sha256 = list(read.texts), name_of(source), read.sha256
    else:
        raw, name = list(source), f"{len(source)} texts"
        sha256 = hashlib.sha256(json.dumps(raw).encode()).hexdigest()
    rules = recipe.text_rules
    texts = [text for text in (rules.normalise(text.strip()).rstrip() for text in tracked(raw, "normalising")) if text]
    if not texts:
        raise DataError(f"{name} holds no text after normalisation; name a file that has some.")
    return texts, name, sha256


def name_of(source: str | Path) -> str:
    """A file's name; of anything else (a data set, a part, several of them) all that was given."""
    return printable(Path(source).name if Path(source).exists() else str(source))


def printable(name: str) -> str:
    """A file name as it can be written: names may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "replace").decode()
