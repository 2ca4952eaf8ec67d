"""What is read of generated files, of texts in memory and of named data sets."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir
from pathlib import Path
from random import Random
from typing import Any

from tests.records import files
from tests.records.store import Entry, outcome

MEMORY = 300
NAMED = (
    *("sample", "arsentd-lev", "shami", "atsad", "lev30/train", "lev30/train_other", "lev30/validation", "lev30/test"),
    *("shami+atsad", "lev30/train+sample", "lev30/nothing", "sample+nothing", "+", "arsentd"),
)
"""Data sets, parts of them, and names that are none."""


def entries() -> Iterator[Entry]:
    """Read everything."""
    for number in range(files.NUMBER):
        case = files.case(number)
        yield Entry(case.id, case.shown | {"sha256": _digest(*case.files.values())}, outcome(_read, case))
    for number in range(MEMORY):
        source, column = _in_memory(number)
        shown = {"source": re.sub(" at 0x[0-9A-F]+", "", repr(source)[:300]), "column": column}
        yield Entry(f"memory-{number}", shown, outcome(_from_python, source, column))
    for name in NAMED:
        yield Entry(f"named-{name}", {"source": name}, outcome(_rows, name))


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _summary(texts: Sequence[str]) -> dict[str, Any]:
    whole = _digest(*(text.encode("utf-8", "surrogatepass") for text in texts))
    return {"texts": len(texts), "sha256": whole, "first": [text[:80] for text in texts[:3]]}


def _read(case: files.Case) -> dict[str, Any]:
    """Write the files of a case, and read them."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in case.files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        stdin = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(next(iter(case.files.values()))))
        try:
            with chdir(folder):
                return _rows(case.source, **case.options)
        finally:
            sys.stdin = stdin


def _rows(source: str, **options: str) -> dict[str, Any]:
    from kammil.data import sources

    read = sources.rows(source, **options)  # pyright: ignore[reportArgumentType]
    named = None if read.sources is None else _digest(*(name.encode() for name in read.sources))
    about = {"column": read.column, "sources": named, "chat": read.chat, "headers": len(read.headers)}
    return _summary(read.texts) | about


def _in_memory(number: int) -> tuple[Any, str | None]:
    """A list, rows that are mappings, or a frame; and the column that is asked for."""
    import pandas as pd
    import polars as pl

    random = Random(f"memory {number}")
    rows, options = files.objects(random)
    column = options.get("column")
    texts = [files.sentence(random) for _ in range(random.randrange(6))]
    drawn = random.randrange(12)
    if drawn < 4:
        return rows, column
    if drawn < 6:
        return pd.DataFrame(rows), column
    if drawn < 8:
        try:
            return pl.DataFrame(rows, strict=False), column
        except pl.exceptions.PolarsError:
            return pl.DataFrame({"text": texts}), column
    odd = random.choice((None, float("nan"), 3, b"bytes", ["inner"], {"text": "a"}))
    choices: tuple[Any, ...] = (
        texts,
        tuple(texts),
        [*texts, odd],
        pd.Series(texts, dtype=str),
        pl.Series(texts, dtype=pl.String),
        dict.fromkeys(texts, 1),
        b"bytes",
        odd,
        pl.DataFrame({"text": texts}).lazy(),
    )
    return random.choice(choices), column if random.random() < 0.2 else None


def _from_python(source: Any, column: str | None) -> dict[str, Any]:
    from kammil.data import sources

    return _summary(sources.from_python(source, column=column).texts)
