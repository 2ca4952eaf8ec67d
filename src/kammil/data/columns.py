"""One column of texts of a table, whoever holds it: a file, a frame, or rows that are mappings."""

from __future__ import annotations

import itertools
import numbers
import reprlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from kammil.data.contents import MAX_UNPACKED
from kammil.errors import DataError, nearest
from kammil.text import shortened

_MISSING = ("NAType", "NaTType")
"""Types of missing values in pandas; comparing those gives neither true nor false."""
_LISTED = 20
"""Maximum number of columns named in a sentence."""
_MAX_GUESSED = 500
"""Maximum number of columns of which the one of texts is found out: every one may be read to its end for that."""
_GLANCE = 100
"""Maximum number of rows, columns and paths looked at for a hint, and of levels below a column."""


@dataclass(frozen=True)
class TextColumn:
    """The texts of the selected rows of a file, in file order."""

    texts: tuple[str, ...]
    """The text of each row, stripped of white space at both ends; "" for a blank or missing cell."""
    path: Path
    column: str | None
    """The column that was read; None for a .txt file."""
    sha256: str
    """SHA-256 of the file, 64 hexadecimal digits."""
    sources: tuple[str, ...] | None = None
    """The name of the source of each text; None where the file names none."""
    chat: str | None = None
    """The program whose chat was read, such as WhatsApp; None for what is no chat."""
    chats: tuple[str, ...] = ()
    """A sentence on each chat, with the names of people: for a terminal, never for a file."""
    headers: tuple[str, ...] = ()
    """For each table whose column was given by number but whose first row is a header, and so was left out: the name of
    the file and the cells of that row, such as `a.csv (id, Tweet)`."""

    @property
    def blank(self) -> int:
        """Number of blank texts."""
        return self.texts.count("")


@dataclass(frozen=True)
class Table:
    """Named columns, all of the same number of cells."""

    name: str
    """What sentences call it, such as a file's name."""
    names: Sequence[str]
    """The names of the columns, each once."""
    cells: Callable[[str], Iterable[object]]
    """Returns the cells of a column of that name."""
    place: Callable[[int], str]
    """Returns where the row of an index stands, such as "line 3"."""
    option: str = "--column "
    """What a name follows where one is to be given."""
    numbered: bool = False
    """Whether a column may be given by its number, and the first row be data."""
    header: tuple[str, ...] = ()
    """The cells of the first row, if the column was given by number and that row is no data; else empty."""

    @property
    def listed(self) -> str:
        """The names of the first columns."""
        return ", ".join(map(shortened, self.names[:_LISTED])) or "none"


def with_path(table: Table, column: str | None) -> Table:
    """Add the column of a path such as `message.text`, if there is one: a row for each item of a list on its way."""
    name, keys = _split(column, table.names)
    if not keys:
        return table
    found = [(row, leaf) for row, value in enumerate(table.cells(name)) for leaf in _leaves(value, keys)]
    rows, leaves = [row for row, _ in found], [leaf for _, leaf in found]
    if all(leaf is None for leaf in leaves):
        return table

    def cells(other: str) -> Iterable[object]:
        if other == column:
            return leaves
        values = list(table.cells(other))
        return [values[row] for row in rows]

    def place(row: int) -> str:
        return table.place(rows[row])

    return replace(table, names=[*table.names, cast(str, column)], cells=cells, place=place)


def choose(table: Table, column: str | None) -> str:
    """Return the column that is named, else "text", else the only column of text; `DataError` where there is none."""
    named = "text" if column is None and "text" in table.names else column
    if named is not None and named not in table.names:
        hint = nearest(named, [*table.names, *_paths(table)])
        raise DataError(f"{table.name} has no column {named!r}{hint}; its columns are {table.listed}")
    if named is None and len(table.names) > _MAX_GUESSED:
        raise DataError(f"{table.name} has {len(table.names):,} columns; choose one with {table.option}NAME")
    firsts = {name: _first(table.cells(name)) for name in (table.names if named is None else [named])}
    textual = [name for name, first in firsts.items() if isinstance(first, str)]
    textual = textual or [name for name, first in firsts.items() if first is None]
    if not textual:
        inside = next((path for path in _paths(table) if named is None or path.startswith(f"{named}.")), None)
        hint = "" if inside is None else f"; there is text inside one, such as {table.option}{inside}"
        if named is None:
            raise DataError(f"{table.name} has no column of text; its columns are {table.listed}{hint}")
        shown = reprlib.repr(firsts[named])
        raise DataError(f"column {named!r} of {table.name} holds {shown}, not text; choose from {table.listed}{hint}")
    if len(textual) > 1:
        listed = ", ".join(map(shortened, textual[:_LISTED]))
        number = f" (or a number such as {table.option}2 if the first row is data)" if table.numbered else ""
        raise DataError(
            f"{table.name} has {len(textual)} columns of text and none is called 'text'; "
            f"choose one, such as {table.option}{textual[0]!r}: {listed}{number}"
        )
    return textual[0]


def texts(cells: Iterable[object], place: Callable[[int], str], column: str = "") -> tuple[str, ...]:
    """Return cells as stripped strings, "" for a missing one.

    Raises `DataError` for a cell that is no text, and for more than `MAX_UNPACKED` characters: Parquet stores equal
    cells once, and a list repeats its row.
    """
    found: list[str] = []
    length = 0
    for cell in cells:
        text = cell if isinstance(cell, str) else "" if is_missing(cell) else None
        if text is None:
            shown, of = " ".join(reprlib.repr(cell).split()), column and f", column {column!r},"
            raise DataError(f"{place(len(found))}{of} is {shown}, no text; give strings alone, or another column")
        length += len(text)
        if length > MAX_UNPACKED:
            raise DataError(f"column {column!r} holds more than {MAX_UNPACKED >> 20} MiB of text; divide it")
        found.append(text.strip())
    return tuple(found)


def is_missing(value: object) -> bool:
    """Return whether a value is None, NaN, or pandas' NA or NaT."""
    not_a_number = isinstance(value, numbers.Real) and value != value  # noqa: PLR0124
    return value is None or not_a_number or type(value).__name__ in _MISSING


def _first(cells: Iterable[object]) -> object:
    return next((cell for cell in cells if not is_missing(cell)), None)


def _split(column: str | None, names: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Split a path such as `message.text` into the name of a column and the keys inside its values."""
    parts = [] if column is None else column.split(".")
    for n in range(len(parts), 0, -1):
        if (name := ".".join(parts[:n])) in names:
            return name, tuple(parts[n:])
    return "", ()


def _leaves(value: object, keys: Sequence[str]) -> Iterator[object]:
    """Yield what stands under some keys, for each item of the lists on the way; None where a key is missing."""
    waiting = [(value, 0)]
    while waiting:
        value, level = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, level) for item in reversed(cast(list[object], value) or [None])]
        elif level == len(keys):
            yield value
        else:
            inside = cast(Mapping[str, object], value).get(keys[level]) if isinstance(value, Mapping) else None
            waiting.append((inside, level + 1))


def _paths(table: Table) -> Iterator[str]:
    """Yield the paths of texts inside the first cells of columns."""
    waiting = deque(
        (name, value, 0) for name in table.names[:_GLANCE] for value in itertools.islice(table.cells(name), _GLANCE)
    )
    seen: set[str] = set()
    while waiting and len(seen) < _GLANCE:
        path, value, level = waiting.popleft()
        if isinstance(value, list):
            waiting.extend((path, item, level + 1) for item in cast(list[object], value)[:_GLANCE] if level < _GLANCE)
        elif isinstance(value, Mapping):
            items = itertools.islice(cast(Mapping[str, object], value).items(), _GLANCE)
            waiting.extend((f"{path}.{key}", inside, level + 1) for key, inside in items if level < _GLANCE)
        elif isinstance(value, str) and level and path not in seen and path not in table.names:
            seen.add(path)
            yield path
