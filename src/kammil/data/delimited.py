"""Cells with a character between them: rows of one width, and the table that they and their header make."""

from __future__ import annotations

import csv
import itertools
import re
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TextIO

from kammil.data.columns import Table
from kammil.data.contents import MAX_UNPACKED, Content
from kammil.data.encoding import decode
from kammil.data.headers import is_header
from kammil.data.read_options import ReadOptions
from kammil.errors import DataError

DELIMITED = (".csv", ".tsv", ".txt")
_DELIMITERS = ",;\t|"
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
_SNIFFED_ROWS = 100
"""Maximum number of rows that are looked at to guess a delimiter or whether there is a header."""
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MAX_DIGITS = 18
"""Maximum number of digits of a number that is kept whole; more are rounded."""
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))")
_LIMIT = threading.Lock()


def read(content: Content, options: ReadOptions) -> Table:
    """Return the table of a file.

    Tabs outside a .csv come in two dialects: with CSV quoting, and without any. The first one in which all rows are
    equally wide is chosen, quoting before none. pandas, which always assumes quoting, loses 1,889 of ATSAD's 58,751
    tweets.
    """
    path = content.name
    delimiter, skipped = _delimiter(content, options)
    tabs = delimiter == "\t" and content.ending != ".csv"
    dialects = ((True, False), (False, False), (True, True), (False, True)) if tabs else ((True, True),)
    problem = ""
    for quoting, ragged in dialects:
        lines = decode(path, content.data, options.encoding, "")
        for _ in range(skipped):
            lines.readline()
        with _long_cells():
            rows, problem = _rows(lines, options.column, delimiter, quoting=quoting, ragged=ragged)
        if not problem and not rows:
            raise DataError(f"{path} has only blank lines; write column names first, then one row a line")
        if not problem:
            return as_table(content, rows, options.column)
    raise DataError(f"{path}, {problem}")


def _delimiter(content: Content, options: ReadOptions) -> tuple[str, int]:
    """Return the delimiter of a table, and the number of lines before it: a line such as `sep=;` is Excel's."""
    given = None if options.delimiter is None else _NAMED_DELIMITERS.get(options.delimiter, options.delimiter)
    if given is not None and (len(given) != 1 or given in '"\r\n'):
        raise DataError(f"--delimiter {given!r} is not one character; give one such as ';', or the word tab")
    first = decode(content.name, content.data, options.encoding, "").readline().rstrip("\r\n")
    marked = first[4] if len(first) == 5 and first.startswith("sep=") else None
    if given is not None:
        return given, int(marked is not None)
    if marked is not None:
        return marked, 1
    if content.ending != ".csv":
        return "\t", 0
    return _sniff_delimiter(content, options.encoding), 0


def _sniff_delimiter(content: Content, encoding: str) -> str:
    """Return the delimiter that divides the first row, and at least half of the first ones into as many cells.

    Of several, it is the one that divides most rows, then the first of `_DELIMITERS`; a comma where there is none.
    """
    found: list[tuple[float, int]] = []
    for rank, delimiter in enumerate(_DELIMITERS):
        reader = csv.reader(decode(content.name, content.data, encoding, ""), delimiter=delimiter)
        try:
            with _long_cells():
                rows = list(itertools.islice(filter(None, reader), _SNIFFED_ROWS))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / max(1, len(rows))
        if width > 1 and alike >= 0.5:
            found.append((alike, -rank))
    return _DELIMITERS[-max(found)[1]] if found else ","


@contextmanager
def _long_cells() -> Generator[None]:
    """Let `csv` read cells of any length: its limit is the whole program's, and put back."""
    with _LIMIT:
        before = csv.field_size_limit(MAX_UNPACKED - 1)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _rows(
    lines: TextIO, column: str | None, delimiter: str, *, quoting: bool, ragged: bool
) -> tuple[list[list[str]], str]:
    """Return all rows that are not blank, and what is wrong with the first bad one, or "". `ragged` allows short
    rows."""
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quotes, strict=True)
    rows: list[list[str]] = []
    width = 0
    try:
        for row in filter(None, reader):
            if not rows:
                width = len(row)
                by_number = _number(column, row) is not None
                if not by_number and width == 1 and (separator := re.search("[\t;,|]", row[0])):
                    return (
                        [],
                        f"line 1: one column, but {separator[0]!r} in its name; separate cells with {delimiter!r}",
                    )
            if len(row) > width or (len(row) < width and not ragged):
                return [], (
                    f"line {reader.line_num}: a row of {len(row)} cells, where the first row has {width}; "
                    f"put double quotes around a cell that has {delimiter!r} in it"
                )
            rows.append(row)
    except csv.Error as error:
        return [], f"line {reader.line_num}: not well-formed CSV ({error}); double a quote that belongs to a cell"
    return rows, ""


def as_table(content: Content, rows: list[list[str]], column: str | None) -> Table:
    """Return the table of rows of strings, the first of which may be a header.

    If `column` is a number and the first row is no header (`headers.is_header`), that row is data and the columns are
    called "1", "2", ...; a header that has that number for a name is one. A second column of a name is called by it and
    its number.
    """
    first = rows[0]
    number = _number(column, first)
    titled = number is None or is_header(rows[:_SNIFFED_ROWS], number - 1)
    names = {str(i + 1): i for i in range(len(first))}
    if titled:
        names = {name: i for i, name in reversed(list(enumerate(first)))}
        names |= {f"{name} ({i + 1})": i for i, name in enumerate(first) if names[name] != i}
        names = dict(sorted(names.items(), key=lambda item: item[1]))
        rows = rows[1:]

    def cells(name: str) -> Iterable[object]:
        i = names[name]
        return _as_numbers([row[i] if i < len(row) else "" for row in rows])

    header = tuple(first) if titled and number is not None else ()
    return Table(
        str(content.name), list(names), cells, lambda i: f"row {i + 1} of {content.name}", numbered=True, header=header
    )


def _number(column: str | None, first: Sequence[str]) -> int | None:
    """Return the number of a column that is given by number; None where it is a name in the first row."""
    if column is None or column in first or not re.fullmatch("[0-9]{1,9}", column):
        return None
    return int(column)


def _as_numbers(cells: list[str]) -> Iterable[object]:
    """Convert cells to numbers if every one that is not blank is one, so that `score > 5` compares numbers; blank ones
    become None."""
    filled = [cell for cell in cells if cell]
    if not filled or not all(map(_NUMBER.fullmatch, filled)):
        return (cell or None for cell in cells)
    whole = all(len(cell) <= _MAX_DIGITS and _WHOLE.fullmatch(cell) for cell in filled)
    return ((int(cell) if whole else float(cell)) if cell else None for cell in cells)
