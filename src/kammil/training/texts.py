"""Prepare the texts of a run: read, normalise, drop near-duplicates of excluded texts, and split."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from kammil.data import sources
from kammil.data.files import STDIN
from kammil.data.near_duplicates import groups, resembling
from kammil.data.splits import Leakage, alike_held_out, leaks, split
from kammil.data.tables import TextColumn
from kammil.errors import DataError, OptionError
from kammil.progress import note, phase, tracked
from kammil.text import printable
from kammil.training.recipe import Recipe

HELD_OUT = 0.1
"""Share of the texts to validate with without a validation file."""
MAX_HELD_OUT = 5_000
"""Maximum number of texts to validate with: the interval of their bits is 0.02 to either side
(docs/log.md#does-a-counter-of-a-million-texts-fit-into-five-minutes)."""
MANY, _COUNTED, _BLENDED = 2_000_000, 13_000_000, 4_000_000
"""Characters from which on the time to prepare them is told; characters a minute, without and with a blend."""


@dataclass(frozen=True)
class Dataset:
    """The normalised texts of a run, and where they came from."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    """Name of the file, the data set, or the kind of object."""
    sha256: str
    """Hash of the training file, or of the texts without a file."""
    validation_source: str
    leaks: Leakage
    excluded: int = 0
    repeated: int = 0
    arguments: tuple[str, ...] | None = None
    """Command-line arguments that read the same texts; None for objects of a program."""
    validation_split_off: bool = True
    weights: tuple[float, ...] | None = None
    """Expected draws of each training text in an epoch; None: one each."""
    validation_in_full: int | None = None
    """Number of texts of a validation file from which `MAX_HELD_OUT` were drawn."""


Source = sources.Texts


def check(recipe: Recipe, source: Source, validation: Source | None = None) -> None:
    """Raise `OptionError` for an option of files without a file."""
    further = (*recipe.exclude, *(() if validation is None else (validation,)))
    rows = (any(map(sources.is_named, (source, *further))), "choose the rows before you give them.")
    texts = (sources.is_named(source), "write the texts to one, with their sources.")
    needs = {"where": rows, "delimiter": rows, "sheet": rows, "sender": rows, "source_column": texts, "weights": texts}
    for option, (met, way_out) in needs.items():
        value = getattr(recipe, option)
        if value not in (None, {}) and not met:
            raise OptionError(f"{option} is {value!r}, but it is for files; {way_out}")


def prepare(recipe: Recipe, source: Source, validation: Source | None = None) -> Dataset:
    """Read, normalise and split the texts; `DataError` if none are left for a part."""
    loaded = load_normalised(recipe, source, source_column=recipe.source_column)
    texts, name, arguments = list(loaded.texts), loaded.name, _arguments(source, loaded)
    weight_of = _weights(recipe, loaded)
    held_out, held_out_name, validation_in_full = None, "", None
    if validation is not None:
        loaded_validation = load_normalised(recipe, validation)
        number, held_out_name = len(loaded_validation.texts), loaded_validation.name
        validation_in_full = number if number > MAX_HELD_OUT else None
        held_out = draw(loaded_validation.texts, MAX_HELD_OUT, recipe.training.seed)
        more = _arguments(validation, loaded_validation)
        arguments = None if arguments is None or more is None else (*arguments, "--validation", *more)
    if (characters := sum(map(len, texts))) > MANY:
        about = max(1, round(characters / (_BLENDED if recipe.model == "blend" else _COUNTED)))
        note(
            f"{characters / 1e6:.1f} million characters: to prepare and count them takes about {about} "
            f"minute{'' if about == 1 else 's'}, which --minutes does not shorten"
        )
    read = len(texts)
    for source_to_exclude in recipe.exclude:
        similar = resembling(texts, load_normalised(recipe, source_to_exclude).texts)
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
            parts = split(texts, validation=held_out_share(len(texts)), seed=recipe.training.seed)
        except DataError:
            alike = f"the {len(texts):,} texts of {name} are near-duplicates of one another"
            reason = alike if len(texts) > 1 else f"{name} holds one text"
            raise DataError(
                f"{reason}, so none is left to validate with; add texts that differ, or name others to validate with."
            ) from None
        train, held_out = [texts[i] for i in parts.train], [texts[i] for i in parts.validation]
        if repeats := len(texts) - len(train) - len(held_out):
            note(f"left out: {alike_held_out(repeats)} to validate with")
        held_out_name = f"{len(held_out)} texts of the same file, near-duplicates kept together"
    else:
        train = texts
    return Dataset(
        tuple(train),
        tuple(held_out),
        name,
        loaded.sha256,
        held_out_name,
        # parts of a split share no near-duplicate, and looking again would take as long
        leaks(train, held_out) if validation is not None else Leakage(0, 0, len(held_out), (), (), ()),
        excluded,
        repeated,
        arguments,
        validation is None,
        None if weight_of is None else tuple(weight_of[text] for text in train),
        validation_in_full,
    )


def held_out_share(number: int) -> float:
    """Return the share of texts to validate with."""
    return min(HELD_OUT, MAX_HELD_OUT / max(1, number))


def draw(texts: Sequence[str], number: int, seed: int) -> list[str]:
    """Draw a number of texts by the seed, in their order."""
    if number >= len(texts):
        return list(texts)
    chosen: list[int] = np.random.default_rng(seed).permutation(len(texts))[:number].tolist()
    return [texts[i] for i in sorted(chosen)]


def _weights(recipe: Recipe, loaded: TextColumn) -> dict[str, float] | None:
    """Return the weight of each text by its first source; None where all are 1."""
    found = set(loaded.sources or ())
    if unknown := sorted(recipe.weights.keys() - found):
        listed = ", ".join(sorted(found)[:20]) or "none"
        raise DataError(f"weights names the source {unknown[0]!r}; the sources of {loaded.name} are {listed}")
    if all(weight == 1 for weight in recipe.weights.values()):
        return None
    weight_of: dict[str, float] = {}
    for text, source in zip(loaded.texts, loaded.sources or (), strict=True):
        weight_of.setdefault(text, recipe.weights.get(source, 1.0))
    return weight_of


def load_normalised(recipe: Recipe, source: Source, *, source_column: str | None = None) -> TextColumn:
    """Read and normalise texts; blank ones are left out."""
    with phase(f"reading {name_of(source)}") if sources.is_named(source) else nullcontext():
        read = sources.rows(
            source,
            column=recipe.column,
            where=recipe.where,
            encoding=recipe.encoding,
            delimiter=recipe.delimiter,
            sheet=recipe.sheet,
            sender=recipe.sender,
            source_column=source_column,
        )
    name = name_of(source) if sources.is_named(source) else read.name
    if read.chat is not None:  # files of chats are named after people
        name = f"a {read.chat} chat"
    rules = recipe.text_rules
    rows = [rules.normalise(text.strip()).strip() for text in tracked(read.texts, "normalising")]
    texts = tuple(filter(None, rows))
    if not texts:
        raise DataError(f"{name} holds no text after normalisation; name a file that has some.")
    if not sources.is_named(source) and (warning := sources.left_out(rows)):
        warnings.warn(warning, stacklevel=6)  # the line that called `train`
    origins = None if read.sources is None else tuple(itertools.compress(read.sources, rows))
    return replace(read, texts=texts, name=name, sources=origins)


def _arguments(source: Source, read: TextColumn) -> tuple[str, ...] | None:
    """Return the command-line arguments that read the same texts; None for objects of a program."""
    if not sources.is_named(source):
        return None
    listed = [source] if isinstance(source, str | PathLike) else source
    return ("CHAT",) if read.chat else tuple("-" if str(path) == STDIN else name_of(path) for path in listed)


def name_of(source: sources.Names) -> str:
    """Return the name of a file without its folders, or of data sets."""
    return printable(sources.description(source))
