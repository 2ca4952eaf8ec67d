"""What a user may name where texts are wanted: a file, a data set or a part of one, several, or the embedded corpus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

from kammil.data import datasets, readers
from kammil.data.readers import TextColumn
from kammil.errors import DataError

SAMPLE = "sample"
"""Name of the embedded corpus."""
BENCHMARK = "lev30"
"""A fixed leak-free split of `arsentd-lev`: `lev30/train`, `lev30/train_other`, `lev30/validation`, `lev30/test`."""
PARTS = ("train", "train_other", "validation", "test")
JOINT = "+"
"""Between the names of several data sets or parts: they are read one after the other."""


def rows(
    source: str | Path, *, column: str | None = None, where: str | None = None, encoding: str = "utf-8"
) -> TextColumn:
    """All selected rows of a file; or of a data set such as `arsentd-lev`, downloaded if it is not there.

    `sample` is the embedded corpus; `lev30/train` is a part of the benchmark; `shami+atsad` is two data sets. A file of
    that name wins over a data set. Raises as `readers.read_rows` and `datasets.fetch` do.
    """
    name = str(source)
    if Path(source).exists():
        return readers.read_rows(source, column=column, where=where, encoding=encoding)
    if _several(name):
        read = [rows(part, column=column, where=where) for part in name.split(JOINT)]
        return TextColumn(
            tuple(text for part in read for text in part.texts), Path(name), column, _sum(p.sha256 for p in read)
        )
    if name == SAMPLE:
        return readers.sample_rows()
    if name.startswith(f"{BENCHMARK}/"):
        return _part(name, where)
    if name not in datasets.CATALOG:
        return readers.read_rows(source, column=column, where=where, encoding=encoding)
    column = column or datasets.CATALOG[name].column
    texts: list[str] = []
    nothing: readers.NoRowsError | None = None
    sums: list[str] = []
    for path in datasets.fetch(name):
        try:
            one = readers.read_rows(path, column=column, where=where)
        except readers.NoRowsError as error:
            nothing = error
            continue
        texts += one.texts
        sums.append(one.sha256)
    if nothing is not None and not texts:
        raise nothing
    return TextColumn(tuple(texts), Path(name), column, _sum(sums))


def texts(
    source: str | Path, *, column: str | None = None, where: str | None = None, encoding: str = "utf-8"
) -> list[str]:
    """The texts of a file or data set, stripped, blank rows left out."""
    read = rows(source, column=column, where=where, encoding=encoding)
    return [text for text in (row.strip() for row in read.texts) if text]


@cache
def benchmark() -> Mapping[str, Any]:
    """The benchmark's split: the data set, the rule by which it was made, and the row numbers of each part."""
    return cast(dict[str, Any], json.loads(resources.files("kammil.data").joinpath("lev30.json").read_text("utf-8")))


def _several(name: str) -> bool:
    """Whether a name joins names that are known one by one."""
    known = {SAMPLE, *datasets.CATALOG, *(f"{BENCHMARK}/{part}" for part in PARTS)}
    return JOINT in name and all(part in known for part in name.split(JOINT))


def _part(name: str, where: str | None) -> TextColumn:
    """The rows of one part of the benchmark, in the order in which the split lists them."""
    part = name.partition("/")[2]
    if part not in PARTS:
        raise DataError(f"{name} is no part of the benchmark; its parts are {', '.join(PARTS)}.")
    if where is not None:
        raise DataError(f"{name} is a fixed list of rows, from which --where cannot choose; leave it out.")
    split = benchmark()
    whole = rows(split["dataset"])
    return TextColumn(tuple(whole.texts[i] for i in split[part]), Path(name), whole.column, _sum([whole.sha256, name]))


def _sum(sums: Iterable[str]) -> str:
    """One SHA-256 for several."""
    return hashlib.sha256(" ".join(sums).encode()).hexdigest()
