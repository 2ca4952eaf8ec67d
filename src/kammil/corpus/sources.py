"""What a user may name where texts are wanted: a file, a data set of the catalog, or the embedded corpus."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kammil.corpus import catalog, reading
from kammil.corpus.reading import Rows

SAMPLE = "sample"
"""Name of the embedded corpus."""


def rows(source: str | Path, *, column: str | None = None, where: str | None = None, encoding: str = "utf-8") -> Rows:
    """All selected rows of a file; or of a data set such as `arsentd-lev`, downloaded if it is not there.

    `sample` is the embedded corpus. A file of that name wins over a data set. Raises as
    `reading.read_rows` and `catalog.fetch` do.
    """
    name = str(source)
    if name == SAMPLE and not Path(source).exists():
        return reading.sample_rows()
    if Path(source).exists() or name not in catalog.CATALOG:
        return reading.read_rows(source, column=column, where=where, encoding=encoding)
    column = column or catalog.CATALOG[name].column
    texts: list[str] = []
    nothing: reading.NoRowsError | None = None
    sums: list[str] = []
    for path in catalog.fetch(name):
        try:
            read = reading.read_rows(path, column=column, where=where)
        except reading.NoRowsError as error:
            nothing = error
            continue
        texts += read.texts
        sums.append(read.sha256)
    if nothing is not None and not texts:
        raise nothing
    return Rows(tuple(texts), Path(name), column, hashlib.sha256(" ".join(sums).encode()).hexdigest())


def texts(
    source: str | Path, *, column: str | None = None, where: str | None = None, encoding: str = "utf-8"
) -> list[str]:
    """The texts of a file or data set, stripped, blank rows left out."""
    read = rows(source, column=column, where=where, encoding=encoding)
    return [text for text in (row.strip() for row in read.texts) if text]
