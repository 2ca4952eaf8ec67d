"""Read texts that a program hands over: lists, Series, arrays, generators, and columns of frames or data sets.

Frames are recognised by duck typing: they name their columns and return one by its name. So those of pandas, polars,
pyarrow and Hugging Face's `datasets` are read, and none of these packages is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from kammil.data.tables import Table, TextColumn, choose, read_cells
from kammil.errors import DataError
from kammil.text import counted

_MAX_NAMED = 5
"""Maximum number of rows or keys named in a sentence."""


def from_python(source: Iterable[object], *, column: str | None = None) -> TextColumn:
    """Read the texts of a list, Series or generator, or a column of a frame or of rows that are mappings.

    `message.text` leads into the values of a column; None takes "text", else the only column of text. Missing values
    (None, NaN, NA) and white space are rows without a text; raises `DataError` where no row has one.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        raise DataError("the texts are bytes; decode them first, such as source.decode('utf-8').splitlines().")
    if isinstance(source, set | frozenset):
        raise DataError("the texts are a set, which has no order, so no run could be repeated; give a sorted list.")
    if isinstance(source, Mapping):
        parts = ", ".join(repr(name) for name in list(cast(Mapping[object, object], source))[:_MAX_NAMED]) or "none"
        raise DataError(
            f"the texts are a {_type_name(source)} with the keys {parts}; give what stands under one of them."
        )
    if hasattr(source, "collect") and not hasattr(source, "__iter__"):
        raise DataError(f"the {_type_name(source)} is not computed yet; give what its collect() returns.")
    table, values = _table(source), None
    if table is None:
        values = _values(source)
        table = _table_of_mappings(values)
    if table is None:
        column, place = None, "the source"
        texts = read_cells(values or (), _place)
    else:
        table, column = choose(table, column)
        place = f"column {column!r}"
        texts = read_cells(table.cells(column), _place, column)
    if not any(texts):
        every = "" if len(texts) == 1 else ", all"
        rows = f"{counted(len(texts), 'row')}{every} without one" if texts else "no row at all"
        raise DataError(f"{place} holds no text ({rows}); give texts, or name another column.")
    rows = counted(len(texts), "text") if column is None else f"column {column} of {counted(len(texts), 'row')}"
    return TextColumn(texts, rows, column, hashlib.sha256(json.dumps(texts).encode()).hexdigest())


def left_out(texts: Sequence[str]) -> str | None:
    """Say in one sentence how many rows hold no text, and which; None where all hold one."""
    blank = [i for i, text in enumerate(texts) if not text]
    if not blank:
        return None
    which = ", ".join(map(str, blank[:_MAX_NAMED])) + (", ..." if len(blank) > _MAX_NAMED else "")
    rows = counted(len(blank), "row without a text is", "rows without a text are")
    return f"{rows} left out of {len(texts):,}: {which} (counted from 0)."


def _place(row: int) -> str:
    return f"row {row} (counted from 0)"


def _table(source: Any) -> Table | None:
    """Return a frame as a table; None for anything else."""
    for attribute in ("column_names", "columns"):  # datasets, pyarrow; pandas, polars
        names: object = getattr(source, attribute, None)
        if isinstance(names, Iterable) and not isinstance(names, str) and hasattr(source, "__getitem__"):
            break
    else:
        return None
    name, listed = f"the {_type_name(source)}", list(cast(Iterable[object], names))
    keys = {str(key): key for key in listed}
    if len(keys) < len(listed):
        twice = next(name for name in keys if sum(str(key) == name for key in listed) > 1)
        raise DataError(f"several columns of {name} are called {twice!r}; rename them.")
    return Table(name, list(keys), lambda name: _cells(source[keys[name]]), _place, "column=")


def _table_of_mappings(rows: list[object]) -> Table | None:
    """Return rows that are mappings as a table, where any other row is a cell of every column; None where none is."""
    maps = [cast(Mapping[object, object], row) for row in rows if isinstance(row, Mapping)]
    names = list(dict.fromkeys(str(name) for row in maps for name in row))
    if not maps:
        return None

    def cells(name: str) -> Iterator[object]:
        return (cast(Mapping[object, object], row).get(name) if isinstance(row, Mapping) else row for row in rows)

    return Table("the source", names, cells, _place, "column=")


def _cells(column: object) -> Iterable[object]:
    """Return the cells of a column as Python's objects: columns of pyarrow, pandas and polars convert themselves, and a
    streamed one is read as far as its cells are looked at."""
    for method in ("to_pylist", "to_list"):
        if callable(convert := getattr(column, method, None)):
            return cast(list[object], convert())
    return cast(Iterable[object], column)


def _values(source: object) -> list[object]:
    cells = _cells(source)
    try:
        values = iter(cells)
    except TypeError:
        raise DataError(
            f"texts cannot be read from a {_type_name(source)}; give a file's name, a list of strings, or a frame."
        ) from None
    return list(values)


def _type_name(source: object) -> str:
    return type(source).__name__
