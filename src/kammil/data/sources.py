"""Read the texts of a source by name: a file, a data set or a part of one, several, or the embedded corpus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
SEPARATOR = "+"
"""Separator of the names of several data sets or parts, which are read one after the other."""


def rows(
    source: str | Path,
    *,
    column: str | None = None,
    where: str | None = None,
    encoding: str = "utf-8",
    source_column: str | None = None,
) -> TextColumn:
    """Return all selected rows of a file; or of a data set such as `arsentd-lev`, which is downloaded if it is missing.

    `sample` is the embedded corpus; `lev30/train` is a part of the benchmark; `shami+atsad` is two data sets. A file of
    that name has precedence over a data set. The source of a text of a data set is its name; `source_column` is for
    files. Raises as `readers.read_rows` and `datasets.fetch` do.
    """
    name = str(source)
    if Path(source).exists():
        return readers.read_rows(source, column=column, where=where, encoding=encoding, source_column=source_column)
    if _is_joint_name(name):
        read = [rows(part, column=column, where=where) for part in name.split(SEPARATOR)]
        return TextColumn(
            tuple(text for part in read for text in part.texts),
            Path(name),
            column,
            _joint_sha256(p.sha256 for p in read),
            tuple(source for part in read for source in part.sources or ()),
        )
    if name == SAMPLE:
        sample = readers.sample_rows()
        return replace(sample, sources=(name,) * len(sample.texts))
    if name.startswith(f"{BENCHMARK}/"):
        return _benchmark_part(name, where)
    if name not in datasets.CATALOG:
        return readers.read_rows(source, column=column, where=where, encoding=encoding)
    return _dataset(datasets.CATALOG[name], column, where)


def texts(
    source: str | Path, *, column: str | None = None, where: str | None = None, encoding: str = "utf-8"
) -> list[str]:
    """Return the texts of a file or data set, stripped, without blank rows."""
    read = rows(source, column=column, where=where, encoding=encoding)
    return [text for text in map(str.strip, read.texts) if text]


@cache
def benchmark() -> Mapping[str, Any]:
    """Return the benchmark's split: the data set, the rule of the split, and the row numbers of each part."""
    return cast(dict[str, Any], json.loads(resources.files("kammil.data").joinpath("lev30.json").read_text("utf-8")))


def _is_joint_name(name: str) -> bool:
    names = {SAMPLE, *datasets.CATALOG, *(f"{BENCHMARK}/{part}" for part in PARTS)}
    return SEPARATOR in name and all(part in names for part in name.split(SEPARATOR))


def _dataset(dataset: datasets.Dataset, column: str | None, where: str | None) -> TextColumn:
    """Return the rows of all files of a data set, cleaned by its rules."""
    columns = dataset.column if column is None else column
    columns = columns if isinstance(columns, tuple) else (columns,)
    texts: list[str] = []
    no_rows: readers.NoRowsError | None = None
    sums: list[str] = []
    for path in datasets.fetch(dataset.name):
        try:
            read = [readers.read_rows(path, column=name, where=where) for name in columns]
        except readers.NoRowsError as error:
            no_rows = error
            continue
        texts += [text for row in zip(*(part.texts for part in read), strict=True) for text in row]
        sums.append(read[0].sha256)
    if no_rows is not None and not texts:
        raise no_rows
    if dataset.cleaning is not None:
        texts = [dataset.cleaning.clean(text) for text in texts]
    joined = ", ".join(filter(None, columns)) or None
    sources = (dataset.name,) * len(texts)
    return TextColumn(tuple(texts), Path(dataset.name), joined, _joint_sha256(sums), sources)


def _benchmark_part(name: str, where: str | None) -> TextColumn:
    """Return the rows of one part of the benchmark, in the order of the split."""
    part = name.partition("/")[2]
    if part not in PARTS:
        raise DataError(f"{name} is no part of the benchmark; its parts are {', '.join(PARTS)}.")
    if where is not None:
        raise DataError(f"{name} is a fixed list of rows, from which --where cannot choose; leave it out.")
    split = benchmark()
    read = rows(split["dataset"])
    texts = tuple(read.texts[i] for i in split[part])
    sha256 = _joint_sha256([read.sha256, name])
    return TextColumn(texts, Path(name), read.column, sha256, (name,) * len(texts))


def _joint_sha256(sums: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(sums).encode()).hexdigest()
