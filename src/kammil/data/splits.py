"""Leak-free splits, and the leaks of other splits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kammil import storage
from kammil.data import near_duplicates
from kammil.data.near_duplicates import exact_key
from kammil.errors import DataError, OptionError
from kammil.text import counted, listed

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Split:
    """Indices of texts, ascending. Repeats of held-out texts are in no part."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Leakage:
    """Held-out texts that a model may have memorised."""

    exact: int
    """Equal but for links, handles, case, points and punctuation."""
    near: int
    """Near-duplicates, the exact ones included."""
    total: int
    exact_rows: tuple[int, ...]
    """Indices among the held-out texts, ascending."""
    near_rows: tuple[int, ...]
    near_sources: tuple[int, ...]
    """Index of one training text that each of `near_rows` resembles."""


def split(texts: Sequence[str], *, validation: float = 0.1, test: float = 0.0, seed: int = 0) -> Split:
    """Divide texts so that near-duplicates are never in two parts.

    Shares of all texts are met within half the smallest group left in training; each part has a minimum of one group.
    Validation and test keep the first text of a group, so that none counts twice in a figure. Raises `OptionError` for
    shares that leave nothing to train on, `DataError` for too few groups.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise OptionError(
            f"shares of {validation} for validation and {test} for test leave nothing to train on; "
            "give shares of 0 or more that sum to less than 1."
        )
    if seed < 0:
        raise OptionError(f"seed is {seed}, but it must be a whole number of 0 or more.")
    group = near_duplicates.groups(texts)
    size = np.bincount(group)
    parts = ["train", *["validation"] * (validation > 0), *["test"] * (test > 0)]
    if size.size < len(parts):
        raise DataError(
            f"{counted(len(texts), 'text')} in {counted(size.size, 'group')} of near-duplicates: too few to fill "
            f"{listed(parts)}; add texts that differ or ask for fewer parts."
        )
    left = np.random.default_rng(seed).permutation(size.size)
    drawn: list[tuple[int, ...]] = []
    _, first = np.unique(group, return_index=True)
    for share, parts_left in ((test, 1 + (validation > 0)), (validation, 1)):
        chosen = np.zeros(left.size, np.bool_)
        if share > 0:
            chosen[_fill(size[left], round(share * len(texts)), left.size - parts_left)] = True
        drawn.append(tuple(np.sort(first[left[chosen]]).tolist()))
        left = left[~chosen]
    train = tuple(np.flatnonzero(np.isin(group, left)).tolist())
    return Split(train=train, validation=drawn[1], test=drawn[0])


def alike_held_out(number: int) -> str:
    """Say how many texts are in no part of a split."""
    return f"{counted(number, 'that repeats or resembles', 'that repeat or resemble')} a text held out"


def write(parts: Mapping[str, Sequence[str]], folder: Path) -> list[Path]:
    """Write the files of parts into a new folder, whole or not at all."""

    def check() -> None:
        if folder.exists():
            raise DataError(f"{folder} is there already; name a new folder with --out")

    contents = file_contents(parts)
    with storage.new_folder(folder, check) as draft:
        for name, content in contents.items():
            storage.write_atomic(draft / name, content)
    return [folder / name for name in contents]


def file_contents(parts: Mapping[str, Sequence[str]]) -> dict[str, bytes]:
    """Return the content of a file for each part, by its name: a text a line, or .jsonl for texts of several lines."""
    plain = not any("\n" in text or "\r" in text for texts in parts.values() for text in texts)
    contents: dict[str, bytes] = {}
    for name, texts in parts.items():
        lines = texts if plain else [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
        content = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", "".join(f"{line}\n" for line in lines))
        contents[f"{name}{'.txt' if plain else '.jsonl'}"] = content.encode()
    return contents


def leaks(train_texts: Sequence[str], held_out_texts: Sequence[str]) -> Leakage:
    """Count the held-out texts that training texts repeat, exactly and nearly."""
    source = near_duplicates.nearest_duplicates(held_out_texts, train_texts)
    near_rows = np.flatnonzero(source >= 0).tolist()
    train_keys = {exact_key(text) for text in train_texts}
    exact = [row for row in near_rows if exact_key(held_out_texts[row]) in train_keys]
    return Leakage(
        exact=len(exact),
        near=len(near_rows),
        total=len(held_out_texts),
        exact_rows=tuple(exact),
        near_rows=tuple(near_rows),
        near_sources=tuple(source[near_rows].tolist()),
    )


def _fill(sizes: NDArray[np.int64], quota: int, max_chosen: int) -> list[int]:
    """Return positions of one to `max_chosen` sizes, in order while they fit, that sum to nearly `quota`.

    The smallest other size is added if that comes nearer. Large sizes come last: one phrase in 2,000 tweets would spend
    them on one line of the figure.
    """
    chosen: list[int] = []
    left = quota
    for position in np.argsort(sizes > quota / 10, kind="stable").tolist():
        size = int(sizes[position])
        if left == 0 or len(chosen) == max_chosen:
            break
        if size <= left:
            chosen.append(position)
            left -= size
    rest = np.delete(np.arange(sizes.size), chosen)
    if len(chosen) < max_chosen:
        smallest = int(rest[np.argmin(sizes[rest])])
        if not chosen or sizes[smallest] - left < left:
            chosen.append(smallest)
    return chosen
