"""Texts that a program hands over: lists, Series, arrays, generators, and frames or data sets with a column of them.

Nothing is imported for it. A frame is known by what it can do: name its columns, and give one by its name. So pandas,
polars, pyarrow and Hugging Face's `datasets` are all read, whichever of them is there.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, cast

from kammil.data.readers import nearest
from kammil.errors import DataError
from kammil.text import shortened

Texts = str | PathLike[str] | Iterable[object]
"""A file's or data set's name; or the texts themselves, or a frame that holds them in a column."""

_MISSING = ("NAType", "NaTType")
"""What pandas calls the types of its missing values; comparing those gives neither true nor false."""
_NAMED = 5
"""Rows named in a sentence."""


@dataclass(frozen=True)
class TextsInMemory:
    """What was handed over."""

    texts: tuple[str, ...]
    """One for each row, stripped of white space at both ends; "" where a row holds none."""
    name: str
    """What a model's card calls them."""


def is_named(source: Texts) -> bool:
    """Whether a source is the name of a file or data set."""
    return isinstance(source, str | PathLike)


def from_python(source: Iterable[object], *, column: str | None = None) -> TextsInMemory:
    """Read texts that were handed over; `DataError` with one sentence for anything that holds none.

    A frame has a `column`: None takes "text", else the only one that holds text. So have rows that are mappings, such
    as a streamed data set gives. Missing values (None, NaN, NA) and white space are rows without a text.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        raise DataError("the texts are bytes; decode them first, such as source.decode('utf-8').splitlines().")
    if isinstance(source, set | frozenset):
        raise DataError("the texts are a set, which has no order, so no run could be repeated; give a sorted list.")
    if isinstance(source, Mapping):
        parts = ", ".join(repr(name) for name in list(cast(Mapping[object, object], source))[:_NAMED]) or "none"
        raise DataError(f"the texts are a {_kind(source)} with the keys {parts}; give what stands under one of them.")
    if hasattr(source, "collect") and not hasattr(source, "__iter__"):
        raise DataError(f"the {_kind(source)} is not computed yet; give what its collect() returns.")
    columns = _columns(source)
    if columns is not None:
        column = _chosen(source, columns, column)
        rows = _values(cast(Any, source)[columns[column]])
    else:
        rows = _values(source)
        if any(isinstance(row, Mapping) for row in rows):
            column, rows = _of_mappings(rows, column)
        else:
            column = None
    place = "the source" if column is None else f"column {column!r}"
    texts = tuple(_text(row, i, place, choose=column is not None) for i, row in enumerate(rows))
    if not any(texts):
        counted = f"{len(texts):,} row{'' if len(texts) == 1 else 's, all'} without one" if texts else "no row at all"
        raise DataError(f"{place} holds no text ({counted}); give texts, or name another column.")
    return TextsInMemory(texts, f"{len(texts)} texts" if column is None else f"column {column} of {len(texts)} rows")


def left_out(texts: Sequence[str]) -> str | None:
    """How many rows hold no text, and which, in one sentence; None where all do."""
    blank = [i for i, text in enumerate(texts) if not text]
    if not blank:
        return None
    which = ", ".join(map(str, blank[:_NAMED])) + (", ..." if len(blank) > _NAMED else "")
    rows = "row without a text is" if len(blank) == 1 else "rows without a text are"
    return f"{len(blank):,} {rows} left out of {len(texts):,}: {which} (counted from 0)."


def _columns(source: object) -> dict[str, object] | None:
    """The columns of a frame: each name as a string, and as the frame has it; None for anything that is no frame."""
    for attribute in ("column_names", "columns"):  # datasets, pyarrow; pandas, polars
        names: object = getattr(source, attribute, None)
        if isinstance(names, Iterable) and not isinstance(names, str) and hasattr(source, "__getitem__"):
            listed = list(cast(Iterable[object], names))
            columns = {str(name): name for name in listed}
            if len(columns) < len(listed):
                twice = next(name for name in columns if sum(str(other) == name for other in listed) > 1)
                raise DataError(f"several columns of the {_kind(source)} are called {twice!r}; rename them.")
            return columns
    return None


def _chosen(source: object, columns: Mapping[str, object], column: str | None) -> str:
    """The name of the column of texts."""
    _known(columns, column)
    if column is not None or "text" in columns:
        return column or "text"
    textual = [name for name, own in columns.items() if _is_text(cast(Any, source)[own])]
    return _only(textual, columns, f"the {_kind(source)}")


def _of_mappings(rows: list[object], column: str | None) -> tuple[str, list[object]]:
    """The column of texts of rows that are mappings, and what each row has there."""
    maps = [cast(Mapping[object, object], row) for row in rows if isinstance(row, Mapping)]
    names = list(dict.fromkeys(str(name) for row in maps for name in row))
    _known(names, column)
    if column is None:
        textual = [n for n in names if any(isinstance(row.get(n), str) for row in maps)]
        column = "text" if "text" in names else _only(textual, names, "the rows")
    return column, [cast(Mapping[object, object], row).get(column) if isinstance(row, Mapping) else row for row in rows]


def _known(names: Collection[str], column: str | None) -> None:
    if column is not None and column not in names:
        raise DataError(f"there is no column {column!r}{nearest(column, names)}; the columns are {_listed(names)}.")


def _only(textual: list[str], names: Collection[str], what: str) -> str:
    """The one column that holds text."""
    if not textual:
        raise DataError(f"{what} has no column of text; the columns are {_listed(names)}.")
    if len(textual) > 1:
        raise DataError(
            f"{what} has {len(textual)} columns of text and none is called 'text'; "
            f"choose one, such as column={textual[0]!r}: {_listed(textual)}."
        )
    return textual[0]


def _listed(names: Collection[str]) -> str:
    return ", ".join(shortened(name) for name in list(names)[:20]) or "none"


def _values(column: object) -> list[object]:
    """All values: those of pyarrow, pandas and polars know how to become Python's."""
    for method in ("to_pylist", "to_list"):
        if callable(make := getattr(column, method, None)):
            return cast(list[object], make())
    try:
        values = iter(cast(Iterable[object], column))
    except TypeError:
        raise DataError(
            f"texts cannot be read from a {_kind(column)}; give a file's name, a list of strings, or a frame."
        ) from None
    return list(values)


def _is_text(column: object) -> bool:
    """Whether the first value that is there is a string."""
    return isinstance(next((value for value in _values(column) if not _is_missing(value)), None), str)


def _text(value: object, position: int, place: str, *, choose: bool) -> str:
    """The text of one row, "" where there is none."""
    if isinstance(value, str):
        return value.strip()
    if _is_missing(value):
        return ""
    shown = shortened(repr(value))
    way = "choose a column of text, or turn it into strings" if choose else "give strings alone"
    raise DataError(f"row {position} of {place} (counted from 0) is {' '.join(shown.split())}, no text; {way}.")


def _is_missing(value: object) -> bool:
    not_a_number = isinstance(value, numbers.Real) and math.isnan(value)
    return value is None or not_a_number or type(value).__name__ in _MISSING


def _kind(source: object) -> str:
    """A type as its library calls it."""
    return type(source).__name__
