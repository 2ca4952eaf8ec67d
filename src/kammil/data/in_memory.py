"""Read texts that a program hands over: lists, Series, arrays, generators, and columns of frames or data sets.

Frames are recognised by duck typing: they name their columns and return one by its name. So those of pandas, polars,
pyarrow and Hugging Face's `datasets` are read, and none of these packages is imported.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from kammil.errors import DataError, nearest
from kammil.text import shortened

if TYPE_CHECKING:
    from typing_extensions import TypeIs  # pydantic brings it

Texts = str | PathLike[str] | Sequence[PathLike[str]] | Iterable[object]
"""A name of a file, folder or data set, or a list of paths; or the texts themselves, or a frame that holds them in a
column."""

_MISSING = ("NAType", "NaTType")
"""Types of missing values in pandas; comparing those gives neither true nor false."""
_MAX_NAMED = 5
"""Most rows or keys named in a sentence."""


@dataclass(frozen=True)
class TextsInMemory:
    """The texts that a program handed over."""

    texts: tuple[str, ...]
    """The text of each row, stripped of white space at both ends; "" where a row holds none."""
    name: str
    """Description of the source, for the model card."""


def is_named(source: Texts) -> TypeIs[str | PathLike[str] | Sequence[PathLike[str]]]:
    """Return whether a source is the name of a file, folder or data set, or a list of paths."""
    if isinstance(source, list | tuple):
        paths = cast(Sequence[object], source)
        return bool(paths) and all(isinstance(path, PathLike) for path in paths)
    return isinstance(source, str | PathLike)


def from_python(source: Iterable[object], *, column: str | None = None) -> TextsInMemory:
    """Read the texts of a source; raises `DataError` for a source that holds none.

    `column` chooses one of a frame, or of rows that are mappings, such as a streamed data set yields; `message.text`
    leads into its values; None takes "text", else the only column of text. Missing values (None, NaN, NA) and white
    space are rows without a text.
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
    columns = _columns(source)
    if columns is not None:
        column = _choose_column(source, columns, column)
        name, path = _split_path(column, columns)
        rows = [_inside(value, path) for value in _values(cast(Any, source)[columns[name]])]
    else:
        rows = _values(source)
        if any(isinstance(row, Mapping) for row in rows):
            column, rows = _read_mappings(rows, column)
        else:
            column = None
    place = "the source" if column is None else f"column {column!r}"
    texts = tuple(_text(row, i, place, choose=column is not None) for i, row in enumerate(rows))
    if not any(texts):
        counted = f"{len(texts):,} row{'' if len(texts) == 1 else 's, all'} without one" if texts else "no row at all"
        raise DataError(f"{place} holds no text ({counted}); give texts, or name another column.")
    return TextsInMemory(texts, f"{len(texts)} texts" if column is None else f"column {column} of {len(texts)} rows")


def left_out(texts: Sequence[str]) -> str | None:
    """Say in one sentence how many rows hold no text, and which; None where all hold one."""
    blank = [i for i, text in enumerate(texts) if not text]
    if not blank:
        return None
    which = ", ".join(map(str, blank[:_MAX_NAMED])) + (", ..." if len(blank) > _MAX_NAMED else "")
    rows = "row without a text is" if len(blank) == 1 else "rows without a text are"
    return f"{len(blank):,} {rows} left out of {len(texts):,}: {which} (counted from 0)."


def _columns(source: object) -> dict[str, object] | None:
    """Return the columns of a frame, name as a string -> name as the frame has it; None for anything else."""
    for attribute in ("column_names", "columns"):  # datasets, pyarrow; pandas, polars
        names: object = getattr(source, attribute, None)
        if isinstance(names, Iterable) and not isinstance(names, str) and hasattr(source, "__getitem__"):
            listed = list(cast(Iterable[object], names))
            columns = {str(name): name for name in listed}
            if len(columns) < len(listed):
                twice = next(name for name in columns if sum(str(key) == name for key in listed) > 1)
                raise DataError(f"several columns of the {_type_name(source)} are called {twice!r}; rename them.")
            return columns
    return None


def _choose_column(source: object, columns: Mapping[str, object], column: str | None) -> str:
    _check_column(columns, column)
    if column is not None or "text" in columns:
        return column or "text"
    textual = [name for name, key in columns.items() if _is_text(cast(Any, source)[key])]
    return _only_column(textual, columns, f"the {_type_name(source)}")


def _read_mappings(rows: list[object], column: str | None) -> tuple[str, list[object]]:
    """Return the name of the column of texts of rows that are mappings, and its value in each row."""
    maps = [cast(Mapping[object, object], row) for row in rows if isinstance(row, Mapping)]
    names = list(dict.fromkeys(str(name) for row in maps for name in row))
    _check_column(names, column)
    if column is None:
        textual = [n for n in names if any(isinstance(row.get(n), str) for row in maps)]
        column = "text" if "text" in names else _only_column(textual, names, "the rows")
    name, path = _split_path(column, names)
    return column, [_inside(row, (name, *path)) if isinstance(row, Mapping) else row for row in rows]


def _split_path(column: str, names: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Split a path such as `message.text` into the name of a column and the keys inside its values."""
    parts = column.split(".")
    for n in range(len(parts), 0, -1):
        if (name := ".".join(parts[:n])) in names:
            return name, tuple(parts[n:])
    return column, ()


def _inside(value: object, path: Sequence[str]) -> object:
    """Return what stands under the keys of a path; None where a key is missing."""
    for key in path:
        value = cast(Mapping[object, object], value).get(key) if isinstance(value, Mapping) else None
    return value


def _check_column(names: Collection[str], column: str | None) -> None:
    if column is not None and _split_path(column, names)[0] not in names:
        raise DataError(f"there is no column {column!r}{nearest(column, names)}; the columns are {_join_names(names)}.")


def _only_column(textual: list[str], names: Collection[str], source: str) -> str:
    """Return the only column of text; raises `DataError` where there are none or several."""
    if not textual:
        raise DataError(f"{source} has no column of text; the columns are {_join_names(names)}.")
    if len(textual) > 1:
        raise DataError(
            f"{source} has {len(textual)} columns of text and none is called 'text'; "
            f"choose one, such as column={textual[0]!r}: {_join_names(textual)}."
        )
    return textual[0]


def _join_names(names: Collection[str]) -> str:
    return ", ".join(shortened(name) for name in list(names)[:20]) or "none"


def _values(column: object) -> list[object]:
    """Return all values as Python objects; columns of pyarrow, pandas and polars convert themselves."""
    for method in ("to_pylist", "to_list"):
        if callable(convert := getattr(column, method, None)):
            return cast(list[object], convert())
    try:
        values = iter(cast(Iterable[object], column))
    except TypeError:
        raise DataError(
            f"texts cannot be read from a {_type_name(column)}; give a file's name, a list of strings, or a frame."
        ) from None
    return list(values)


def _is_text(column: object) -> bool:
    """Return whether the first value that is not missing is a string; of a streamed column, only its first ones are
    read."""
    values = _values(column) if hasattr(column, "to_list") or hasattr(column, "to_pylist") else iter(cast(Any, column))
    return isinstance(next((value for value in values if not _is_missing(value)), None), str)


def _text(value: object, position: int, place: str, *, choose: bool) -> str:
    """Return the text of one row, "" where it is missing."""
    if isinstance(value, str):
        return value.strip()
    if _is_missing(value):
        return ""
    shown = shortened(repr(value))
    advice = "choose a column of text, or turn it into strings" if choose else "give strings alone"
    raise DataError(f"row {position} of {place} (counted from 0) is {' '.join(shown.split())}, no text; {advice}.")


def _is_missing(value: object) -> bool:
    not_a_number = isinstance(value, numbers.Real) and math.isnan(value)
    return value is None or not_a_number or type(value).__name__ in _MISSING


def _type_name(source: object) -> str:
    return type(source).__name__
