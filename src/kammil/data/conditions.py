"""Rows of a table by one SQL condition, which reaches nothing else."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from kammil.data.files import MAX_CELLS, NoRowsError
from kammil.errors import DataError, nearest
from kammil.text import counted, shortened

_TOKENS = re.compile(
    r"""\s*(?:(?P<string>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")|(?P<word>[^\W\d]\w*)"""
    r"""|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"""
    r"""|(?P<sign><=|>=|<>|!=|==|\|\||[-+*/%(),<>=])|(?P<other>\S))"""
)
_BEHIND_A_VALUE = {"NULL", "TRUE", "FALSE", "END", "ISNULL", "NOTNULL"}
_OPERATORS = {*"AND OR NOT IN IS LIKE BETWEEN ESCAPE CASE WHEN THEN ELSE CAST AS".split(), *_BEHIND_A_VALUE}  # noqa: SIM905
_TYPES = {"INTEGER", "INT", "REAL", "FLOAT", "TEXT"}
_FUNCTIONS = {*"ABS COALESCE IFNULL INSTR LENGTH LOWER LTRIM MAX MIN NULLIF ROUND RTRIM SUBSTR TRIM UPPER".split()}  # noqa: SIM905
_BETWEEN = re.compile(r"\bBETWEEN\b(.*?)\bAND\b")
_PARTS = re.compile(r"\b(?:AND|OR|CASE|WHEN|THEN|ELSE|END)\b")
_BY_ORDER = re.compile(r"(?:^|\s)[<>]=?(?:\s|$)|\bBETWEEN\b")
_NUMBER_IN = re.compile(r"(?:^|\s)[\d.]|\b(?:ABS|LENGTH|INSTR|ROUND)\b")
_TEXT_COLUMN = re.compile(r"(?<!CAST \( )(?<!LENGTH \( )(?<!INSTR \( )\bc(\d+)\b")
_MAX_LENGTH = 100_000  # characters
_MAX_STEPS = 2_000_000_000
"""Maximum number of SQLite's instructions for all rows: 200 a row for ten million rows."""
_MAX_CELL, _MAX_PATTERN = 64 << 20, 1000
"""Bytes; long patterns of wildcards take quadratic time."""
_LISTED = 20


def listed_columns(names: Sequence[str]) -> str:
    """Return the first names, for a sentence."""
    return ", ".join(map(shortened, names[:_LISTED])) or "none"


def select(where: str, table: str, names: Sequence[str], cells: Callable[[str], Iterable[object]]) -> list[bool]:
    """Return whether each row meets a condition; `NoRowsError` if none does."""
    import sqlite3

    statement, strings, used = _translate(where, table, names)
    columns: list[list[object]] = []
    for name in used or names[:1]:
        columns.append([_value(cell) for cell in cells(name)])
        if (number := len(columns) * len(columns[0])) > MAX_CELLS:
            raise DataError(
                f"--where {where!r} is about {number:,} cells, and {MAX_CELLS:,} are the maximum; divide {table}"
            )
    kinds = ["TEXT" if any(isinstance(cell, str) for cell in column) else "NUMERIC" for column in columns]
    for part in _PARTS.split(_BETWEEN.sub(r"BETWEEN\1,", statement)):
        if "?" in part or not (_BY_ORDER.search(part) and _NUMBER_IN.search(part)):
            continue
        for match in _TEXT_COLUMN.finditer(part):
            if kinds[i := int(match[1])] == "TEXT":  # where 10 would be before 9
                raise DataError(
                    f"--where {where!r} compares {used[i]!r} with a number, but not all of its cells are numbers; "
                    f"compare it with a string in quotes, or CAST({used[i]} AS REAL)"
                )
    connection = sqlite3.connect(":memory:")
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _MAX_PATTERN)
        connection.execute("PRAGMA case_sensitive_like = TRUE")
        for name, case in (("LOWER", str.lower), ("UPPER", str.upper)):  # SQLite's own know ASCII alone
            connection.create_function(name, 1, partial(_in_case, case))
        connection.execute(f"CREATE TABLE t ({', '.join(f'c{i} {kind}' for i, kind in enumerate(kinds))})")
        rows: Iterable[tuple[object, ...]] = zip(*columns, strict=True)
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(kinds))})", rows)
        connection.set_authorizer(_authorise)
        connection.set_progress_handler(lambda: 1, _MAX_STEPS)
        found = connection.execute(f"SELECT ({statement}) FROM t", strings).fetchall()
    except (sqlite3.Error, UnicodeError) as error:
        raise DataError(f"--where {where!r} is not a condition that {table} can meet: {error}") from None
    finally:
        connection.close()
    if len(found) != len(columns[0]):
        raise DataError(f"--where {where!r} is about several rows at once; give a condition that each row meets or not")
    if wrong := next((row for row in found if len(row) > 1 or row[0] not in (0, 1, None)), None):
        raise DataError(f"--where {where!r} gives {wrong[0]!r}, not true or false; compare it with a value")
    if not any(value for (value,) in found):
        raise NoRowsError(f"--where {where!r} selects no row of {table} ({counted(len(found), 'row')}); loosen it")
    return [bool(value) for (value,) in found]


def _translate(where: str, table: str, names: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Return a condition with names of ours and parameters for strings, these, and the columns named.

    A column named like an SQL word needs no quotes where a value is due.
    """
    if len(where) > _MAX_LENGTH:
        raise DataError(f"--where has {len(where):,} characters, and {_MAX_LENGTH:,} are the maximum; shorten it")
    sql: list[str] = []
    strings: list[str] = []
    columns: dict[str, str] = {}
    value_is_due = True
    for match in _TOKENS.finditer(where):
        kind, token = match.lastgroup, match[match.lastgroup or 0]
        upper = token.upper() if kind == "word" else ""
        name = token[1:-1].replace('""', '"') if kind == "quoted" else token
        if kind == "other":
            raise DataError(f"--where {where!r} has {token!r} in it; give one condition on the columns, such as n > 3")
        if kind == "string":
            strings.append(token[1:-1].replace("''", "'"))
            sql.append("?")
        elif kind in ("sign", "number"):
            sql.append("* 1.0 /" if token == "/" else token)  # whole numbers are divided as others are
        elif (
            (upper in _TYPES and sql[-1:] == ["AS"])
            or (upper in _FUNCTIONS and where[match.end() :].lstrip().startswith("("))
            or (upper in _OPERATORS and not (value_is_due and token in names))
        ):
            sql.append(upper)
        elif name in names:
            sql.append(columns.setdefault(name, f"c{len(columns)}"))
        else:
            raise DataError(
                f"--where {where!r} names {name!r}, which is no column of {table}{nearest(name, names)}; "
                f"its columns are {listed_columns(names)}, and a text stands in single quotes"
            )
        value_is_due = (kind == "sign" and token != ")") or sql[-1] in _OPERATORS - _BEHIND_A_VALUE
    return " ".join(sql), strings, list(columns)


def _authorise(action: int, *_: object) -> int:
    import sqlite3

    reading = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION)
    return sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY


def _in_case(case: Callable[[str], str], cell: object) -> str | None:
    return None if cell is None else case(str(cell))


def _value(cell: Any) -> object:
    if isinstance(cell, str | float) or (isinstance(cell, int) and abs(cell) < 1 << 63):
        return cell
    try:
        return None if cell is None else float(cell)
    except (TypeError, ValueError, OverflowError):
        return reprlib.repr(cell) if isinstance(cell, list | dict) else str(cell)
