"""Named columns of a file or a program's rows, and that of texts."""

from __future__ import annotations

import itertools
import numbers
import re
import reprlib
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import regex

from kammil.data.conditions import listed_columns, select
from kammil.data.files import MAX_UNPACKED, File, ReadOptions, too_much_text
from kammil.errors import DataError, nearest
from kammil.text import fold, role, shortened, visible, words

SOURCE_COLUMN = "source"
_SHOWN_HEADER = 60


@dataclass(frozen=True)
class TextColumn:
    """The texts of the selected rows."""

    texts: tuple[str, ...]
    """Stripped; "" for a missing cell."""
    name: str
    """File without folders, data set, or kind of object."""
    column: str | None
    sha256: str
    """Sum of the file or the texts."""
    sources: tuple[str, ...] | None = None
    chat: str | None = None
    chats: tuple[str, ...] = ()
    """Sentences with people's names: for a terminal, never for a file."""
    headers: tuple[str, ...] = ()
    """Left out, such as `a.csv (id, Tweet)`."""
    folders: tuple[str, ...] = ()
    """How many files of which, such as `2 files of texts and its subfolders`."""


@dataclass(frozen=True)
class Table:
    """Named columns of equal length."""

    name: str
    names: Sequence[str]
    cells: Callable[[str], Iterable[object]]
    place: Callable[[int], str]
    """A row in words, such as "line 3"."""
    option: str = "--column "
    """Text before a name in advice."""
    numbered: bool = False
    """Whether columns have numbers, and the first row may be data."""
    header: tuple[str, ...] = ()
    """The first row where a column has a number and the row is no data."""
    elsewhere: str = ""
    """Other places of the file, behind advice."""


def read_texts(table: Table, options: ReadOptions, file: File) -> TextColumn:
    """Return the texts of the selected rows and their sources."""
    name = file.name.name
    column, source_column = options.column, options.source_column
    if table.header:
        column, source_column = (_numbered(name, table.names) for name in (column, source_column))
    table, column = choose(table, column)
    cells = list(table.cells(column))
    if table.numbered and options.column is None and looks_like_a_text(column, [str(c or "") for c in cells]):
        raise DataError(
            f"the first row of {table.name} looks like a text, not like names of columns: "
            f"'{visible(shortened(column))}'; give --column {table.names.index(column) + 1} if it is one, or --column "
            f"and that name if it is none{table.elsewhere}"
        )
    if source_column is None and SOURCE_COLUMN in table.names and column != SOURCE_COLUMN:
        source_column = SOURCE_COLUMN
    if source_column is not None and source_column not in table.names:
        hint = nearest(source_column, table.names)
        raise DataError(f"{table.name} has no column {source_column!r} of sources{hint}")
    sources = () if source_column is None else table.cells(source_column)
    rows = range(len(cells))
    if options.where is not None:
        met = select(options.where, table.name, table.names, table.cells)
        rows, cells = list(itertools.compress(rows, met)), list(itertools.compress(cells, met))
        sources = itertools.compress(sources, met)
    texts = read_cells(cells, lambda row: table.place(rows[row]), column)
    named = (None if is_missing(cell) else str(cell) for cell in sources)
    origins = None if source_column is None else read_cells(named, table.place, source_column)
    headers = (f"{name} ({visible(shortened(', '.join(table.header), _SHOWN_HEADER))})",) if table.header else ()
    return TextColumn(texts, name, column, file.sha256, origins, headers=headers)


def _numbered(column: str | None, names: Sequence[str]) -> str | None:
    if column is None or column in names or not column.isdecimal() or not 1 <= int(column) <= len(names):
        return column
    return names[int(column) - 1]


# ---- rows to tables

SNIFFED_ROWS = 100
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MAX_DIGITS = 18
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))")


def cell_table(file: File, rows: list[list[str]], column: str | None) -> Table:
    """Return rows of strings as a table. Names are "1", "2", ... if the column is a number and the first row no header;
    a repeated name gets its number."""
    first = rows[0]
    number = column_number(column, first)
    titled = number is None or is_header(rows[:SNIFFED_ROWS], number - 1)
    places: dict[str, int] = {}
    for i, title in enumerate(first):
        places[str(i + 1) if not titled else title if title not in places else f"{title} ({i + 1})"] = i
    rows = rows[1:] if titled else rows

    def cells(name: str) -> Iterable[object]:
        i = places[name]
        return _as_numbers([row[i] if i < len(row) else "" for row in rows])

    header = tuple(first) if titled and number is not None else ()
    return Table(str(file.name), list(places), cells, place_of(file), numbered=True, header=header)


def object_table(name: str, rows: Sequence[object], place: Callable[[int], str], option: str = "--column ") -> Table:
    """Return mappings as a table, any other row as a cell of every column."""
    maps = (cast(Mapping[object, object], row) for row in rows if isinstance(row, Mapping))
    names = list(dict.fromkeys(str(name) for row in maps for name in row))

    def cells(name: str) -> Iterator[object]:
        return (cast(Mapping[object, object], row).get(name) if isinstance(row, Mapping) else row for row in rows)

    return Table(name, names, cells, place, option)


def place_of(file: File) -> Callable[[int], str]:
    """Return the words for a row of a file."""
    return lambda i: f"row {i + 1} of {file.name}"


def column_number(column: str | None, first: Sequence[str]) -> int | None:
    """Return the number of a column; None for a name in the first row."""
    if column is None or column in first or not re.fullmatch("[0-9]{1,9}", column):
        return None
    return int(column)


def _as_numbers(cells: list[str]) -> Iterable[object]:
    """Convert cells that are all numbers or blank, so that `score > 5` compares numbers."""
    filled = [cell for cell in cells if cell]
    if not filled or not all(map(_NUMBER.fullmatch, filled)):
        return (cell or None for cell in cells)
    whole = all(len(cell) <= _MAX_DIGITS and _WHOLE.fullmatch(cell) for cell in filled)
    return ((int(cell) if whole else float(cell)) if cell else None for cell in cells)


# ---- the column of texts

_MISSING = ("NAType", "NaTType")
"""Pandas' types that compare neither true nor false."""
TEXT = ("text", "النص", "نص")
"""Names of a column of texts that need not be named."""
_LISTED = 20
_MAX_GUESSED = 500
"""Columns, each perhaps read to its end."""
_GLANCE = 100
"""Rows, columns, paths and levels searched for a hint."""


def choose(table: Table, column: str | None) -> tuple[Table, str]:
    """Return the named column, else one of `TEXT`, else the only column of text; `DataError` if there is none.

    A path such as `message.text` becomes a column of the table, with a row for each item of a list on its way.
    """
    table = _with_path(table, column)
    named = next((name for name in TEXT if name in table.names), None) if column is None else column
    if named is not None and named not in table.names:
        hint = nearest(named, [*table.names, *_paths(table)])
        listed = listed_columns(table.names)
        raise DataError(f"{table.name} has no column {named!r}{hint}; its columns are {listed}{table.elsewhere}")
    if named is None and len(table.names) > _MAX_GUESSED:
        raise DataError(f"{table.name} has {len(table.names):,} columns; choose one with {table.option}NAME")
    firsts = {
        name: next((cell for cell in table.cells(name) if not is_missing(cell)), None)
        for name in (table.names if named is None else [named])
    }
    textual = [name for name, first in firsts.items() if isinstance(first, str)]
    textual = textual or [name for name, first in firsts.items() if first is None]
    if not textual:
        inside = next((path for path in _paths(table) if named is None or path.startswith(f"{named}.")), None)
        hint = "" if inside is None else f"; there is text inside one, such as {table.option}{inside}"
        listed = listed_columns(table.names)
        if named is None:
            raise DataError(f"{table.name} has no column of text; its columns are {listed}{hint}{table.elsewhere}")
        shown = reprlib.repr(firsts[named])
        raise DataError(f"column {named!r} of {table.name} holds {shown}, not text; choose from {listed}{hint}")
    if len(textual) > 1:
        number = f" (or a number such as {table.option}2 if the first row is data)" if table.numbered else ""
        longest = max(textual, key=lambda name: len(str(firsts[name] or "")))  # a sender's name is shorter
        raise DataError(
            f"{table.name} has {len(textual)} columns of text and none is called 'text'; choose one, such as "
            f"{table.option}{longest!r}: {', '.join(map(shortened, textual[:_LISTED]))}{number}{table.elsewhere}"
        )
    return table, textual[0]


def read_cells(cells: Iterable[object], place: Callable[[int], str], column: str = "") -> tuple[str, ...]:
    """Return cells as stripped strings, "" for a missing one; `DataError` for a cell that is no text, or too many
    characters: Parquet stores equal cells once."""
    found: list[str] = []
    length = 0
    for cell in cells:
        text = cell if isinstance(cell, str) else "" if is_missing(cell) else None
        if text is None:
            shown, of = " ".join(reprlib.repr(cell).split()), column and f", column {column!r},"
            raise DataError(f"{place(len(found))}{of} is {shown}, no text; give strings alone, or another column")
        length += len(text)
        if length > MAX_UNPACKED:
            raise too_much_text(column)
        found.append(text.strip())
    return tuple(found)


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, or pandas' NA or NaT."""
    not_a_number = isinstance(value, numbers.Real) and value != value  # noqa: PLR0124
    return value is None or not_a_number or type(value).__name__ in _MISSING


def _with_path(table: Table, column: str | None) -> Table:
    parts = [] if column is None else column.split(".")
    splits = ((".".join(parts[:n]), parts[n:]) for n in range(len(parts), 0, -1))
    name, keys = next((split for split in splits if split[0] in table.names), ("", []))
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


def _leaves(value: object, keys: Sequence[str]) -> Iterator[object]:
    """Yield the values on a path of keys, for each item of lists; None for a missing key."""
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


# ---- whether the first row is a header

_SENTENCE = regex.compile(r"[.!?…؟。！？،,;؛](?:\s|\Z)|[@#]\w")
_LINK_OR_EMOJI = regex.compile(r"https?://|\p{Extended_Pictographic}")
_CHARACTERS_PER_WORD = 2  # in scripts that put no spaces between words
_MIN_NUMBERS = 2  # one below a name may be chance
_NUMBER_OR_DATE = regex.compile(r"(?=.*\p{Nd})[\p{Nd}\p{P}\p{Sc}\s+TZ]+", regex.DOTALL)  # or a time, a price
_NAME = regex.compile(r"\p{L}[^\p{Nd}]*")
_NO_NUMBER = ("na", "nan", "none", "null", "missing", "unknown", "لايوجد", "غيرمعروف", "مجهول", "غيرمتوفر", "لاشيء")

_NAMES = """
text texts body bodies content contents message messages msg tweet tweets post posts comment comments sentence sentences
review reviews caption captions reply replies utterance utterances
نص النص نصوص النصوص رسالة الرسالة رسائل الرسائل تغريدة التغريدة تغريدات التغريدات منشور المنشور منشورات المنشورات
تعليق التعليق تعليقات التعليقات جملة الجملة جمل الجمل محتوى المحتوى متن المتن پیام
texte textes contenu commentaire texto textos mensaje mensajes mensagem testo messaggio metin mesaj nachricht
текст тексты сообщение сообщения κείμενο μήνυμα טקסט הודעה הודעות 文本 内容 正文 消息 本文 テキスト 텍스트 내용
"""
TEXT_NAMES = frozenset(map(fold, _NAMES.split()))
"""Usual names of a column of texts, folded."""
_QUALIFIERS = frozenset(("full", "raw", "clean", "cleaned", "original", "the", "of", "ar", "en"))  # as in `full_text`
_PARTS = regex.compile(r"[\s_\-.:/]+|(?<=\p{Ll})(?=\p{Lu})")  # tweet_text, TweetText


def looks_like_a_text(name: str, cells: Sequence[str]) -> bool:
    """Guess whether the name of a column is rather its first text: repeated below, with a link or emoji, or long."""
    cells = [cell for cell in cells if cell]
    if name in cells or _LINK_OR_EMOJI.search(name):
        return True
    found = words(name)
    unspaced = sum(role(name[begin]) == "unspaced" for begin, _ in found)
    count = len(found) - unspaced + unspaced // _CHARACTERS_PER_WORD
    if count >= 6 or (count >= 2 and _SENTENCE.search(name)):
        return True
    lengths = [len(cell) for cell in cells]
    first_quartile = statistics.quantiles(lengths, n=4)[0] if len(lengths) > 1 else sum(lengths)
    return count >= 3 and len(name) >= first_quartile


def is_header(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Guess whether the first row is a header, given the column of texts, from 0: it has one of `TEXT_NAMES` there, or
    a name above numbers or dates, and neither blanks nor texts."""
    if not rows or not 0 <= column < len(rows[0]) or not all(cell.strip() for cell in rows[0]):
        return False
    first, *below = rows
    if looks_like_a_text(first[column], _column(below, column)):
        return False
    return _names_texts(first[column]) or any(
        _names_numbers(name, _column(below, other)) for other, name in enumerate(first) if other != column
    )


def _column(rows: Sequence[Sequence[str]], column: int) -> list[str]:
    return [row[column] for row in rows if column < len(row) and row[column].strip()]


def _names_texts(name: str) -> bool:
    parts = {fold(part) for part in _PARTS.split(name)} - {""}
    return bool(parts & TEXT_NAMES) and parts <= TEXT_NAMES | _QUALIFIERS


def _names_numbers(name: str, cells: Sequence[str]) -> bool:
    if fold(name) in _NO_NUMBER or not _NAME.fullmatch(name.strip()) or len(cells) < _MIN_NUMBERS:
        return False
    return all(_NUMBER_OR_DATE.fullmatch(cell) for cell in cells)
