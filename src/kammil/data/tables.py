"""Tables of files and of programs: named columns, and the one that holds the texts.

The standard library reads text cells and JSON: it follows the rules to the letter and can name the line that breaks
them. polars, which reads Parquet and workbooks, refused 14 % of 9,869 well-formed small tables with stray quotes.
"""

from __future__ import annotations

import csv
import io
import itertools
import numbers
import re
import reprlib
import statistics
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import regex

from kammil.data.conditions import listed_columns, select
from kammil.data.files import MAX_UNPACKED, File, ReadOptions, load_json
from kammil.data.workbooks import first_paragraph, read_workbook
from kammil.errors import DataError, MissingExtraError, nearest
from kammil.text import fold, role, shortened, visible, words

DELIMITED = (".csv", ".tsv", ".txt")
SOURCE_COLUMN = "source"
"""Name of the column of sources where a table has it and no other is named."""
MAX_ROWS = 1 << 27
"""Maximum number of rows of a Parquet file: a row takes 16 bytes a column in memory, but next to none in the file."""
_SLICE = 10_000
"""Number of rows of a Parquet file that become Python's objects at a time."""
_SHOWN_HEADER = 60
"""Maximum number of graphemes of a header that are quoted."""

# ---- what is read


@dataclass(frozen=True)
class TextColumn:
    """The texts of the selected rows, in their order."""

    texts: tuple[str, ...]
    """The text of each row, stripped of white space at both ends; "" for a blank or missing cell."""
    name: str
    """Name of the file without its folders, of a data set, or of the kind of object that a program handed over."""
    column: str | None
    """The column that was read; None for lines and lists."""
    sha256: str
    """SHA-256 of the file or, where there is none, of the texts; 64 hexadecimal digits."""
    sources: tuple[str, ...] | None = None
    """The name of the source of each text; None where none is named."""
    chat: str | None = None
    """The program whose chat was read, such as WhatsApp; None for what is no chat."""
    chats: tuple[str, ...] = ()
    """A sentence on each chat, with the names of people: for a terminal, never for a file."""
    headers: tuple[str, ...] = ()
    """For each table whose column was given by number but whose first row is a header, and so was left out: the name of
    the file and the cells of that row, such as `a.csv (id, Tweet)`."""


@dataclass(frozen=True)
class Table:
    """Named columns, all of the same number of cells."""

    name: str
    """Name in sentences, such as a file's."""
    names: Sequence[str]
    """The names of the columns, each once."""
    cells: Callable[[str], Iterable[object]]
    """Returns the cells of a column of that name."""
    place: Callable[[int], str]
    """Returns where the row of an index stands, such as "line 3"."""
    option: str = "--column "
    """Text before a name in advice."""
    numbered: bool = False
    """Whether a column may be given by its number, and the first row be data."""
    header: tuple[str, ...] = ()
    """The cells of the first row, if the column was given by number and that row is no data; else empty."""


def read_table(file: File, options: ReadOptions) -> TextColumn:
    """Return the texts of the selected rows of a file, and their sources."""
    path, column, source_column = file.name, options.column, options.source_column
    if options.delimiter is not None and file.ending not in DELIMITED:
        raise DataError(
            f"--delimiter {options.delimiter!r} is for {', '.join(DELIMITED)}, not for {path}; leave it out"
        )
    if file.ending == ".parquet":
        table = _parquet(file)
    elif file.ending == ".xlsx":
        table = as_table(path, read_workbook(path, file.data), column)
    else:
        table = _delimited(file, options) if file.ending in DELIMITED else _json(file, column)
    if table.header:
        column, source_column = (_named(name, table.names) for name in (column, source_column))
    table, column = choose(table, column)
    cells = list(table.cells(column))
    if table.numbered and options.column is None and looks_like_a_text(column, [str(c or "") for c in cells]):
        raise DataError(
            f"the first row of {path} looks like a text, not like names of columns: '{visible(shortened(column))}'; "
            f"give --column {table.names.index(column) + 1} if it is one, or --column and that name if it is none"
        )
    if source_column is None and SOURCE_COLUMN in table.names and column != SOURCE_COLUMN:
        source_column = SOURCE_COLUMN
    if source_column is not None and source_column not in table.names:
        raise DataError(f"{path} has no column {source_column!r} of sources{nearest(source_column, table.names)}")
    rows = range(len(cells))
    origins = None if source_column is None else table.cells(source_column)
    if options.where is not None:
        met = select(options.where, table.name, table.names, table.cells)
        rows, cells = list(itertools.compress(rows, met)), list(itertools.compress(cells, met))
        origins = origins and itertools.compress(origins, met)
    found = read_cells(cells, lambda i: table.place(rows[i]), column)
    if origins is not None:
        named = (None if is_missing(cell) else str(cell) for cell in origins)
        origins = read_cells(named, table.place, source_column or "")
    headers = (f"{path.name} ({visible(shortened(', '.join(table.header), _SHOWN_HEADER))})",) if table.header else ()
    return TextColumn(found, path.name, column, file.sha256, origins, headers=headers)


def _named(column: str | None, names: Sequence[str]) -> str | None:
    if column is None or column in names or not column.isdecimal() or not 1 <= int(column) <= len(names):
        return column
    return names[int(column) - 1]


# ---- the column of texts

_MISSING = ("NAType", "NaTType")
"""Types of missing values in pandas; comparing those gives neither true nor false."""
_LISTED = 20
"""Maximum number of columns of text named in a sentence."""
_MAX_GUESSED = 500
"""Maximum number of columns of which the one of texts is found out: every one may be read to its end for that."""
_GLANCE = 100
"""Maximum number of rows, columns and paths looked at for a hint, and of levels below a column."""


def choose(table: Table, column: str | None) -> tuple[Table, str]:
    """Return the column that is named, else "text", else the only column of text; `DataError` where there is none.

    The column of a path such as `message.text` is added to the table: a row for each item of a list on its way.
    """
    table = _with_path(table, column)
    named = "text" if column is None and "text" in table.names else column
    if named is not None and named not in table.names:
        hint = nearest(named, [*table.names, *_paths(table)])
        raise DataError(f"{table.name} has no column {named!r}{hint}; its columns are {listed_columns(table.names)}")
    if named is None and len(table.names) > _MAX_GUESSED:
        raise DataError(f"{table.name} has {len(table.names):,} columns; choose one with {table.option}NAME")
    firsts = {name: _first(table.cells(name)) for name in (table.names if named is None else [named])}
    textual = [name for name, first in firsts.items() if isinstance(first, str)]
    textual = textual or [name for name, first in firsts.items() if first is None]
    if not textual:
        inside = next((path for path in _paths(table) if named is None or path.startswith(f"{named}.")), None)
        hint = "" if inside is None else f"; there is text inside one, such as {table.option}{inside}"
        if named is None:
            raise DataError(f"{table.name} has no column of text; its columns are {listed_columns(table.names)}{hint}")
        shown = reprlib.repr(firsts[named])
        raise DataError(
            f"column {named!r} of {table.name} holds {shown}, not text; choose from {listed_columns(table.names)}{hint}"
        )
    if len(textual) > 1:
        number = f" (or a number such as {table.option}2 if the first row is data)" if table.numbered else ""
        raise DataError(
            f"{table.name} has {len(textual)} columns of text and none is called 'text'; choose one, such as "
            f"{table.option}{textual[0]!r}: {', '.join(map(shortened, textual[:_LISTED]))}{number}"
        )
    return table, textual[0]


def read_cells(cells: Iterable[object], place: Callable[[int], str], column: str = "") -> tuple[str, ...]:
    """Return cells as stripped strings, "" for a missing one; `DataError` for a cell that is no text.

    Characters are bounded too, since Parquet stores equal cells once, and a list repeats its row.
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


def _with_path(table: Table, column: str | None) -> Table:
    """Add the column of a path, if there is one."""
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


# ---- cells with a character between them

_DELIMITERS = ",;\t|"
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
_SNIFFED_ROWS = 100
"""Maximum number of rows that are looked at to guess a delimiter or whether there is a header."""
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MAX_DIGITS = 18
"""Maximum number of digits of a number that is kept whole; more are rounded."""
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))")
_LIMIT = threading.Lock()


def _delimited(file: File, options: ReadOptions) -> Table:
    """Return the table of a .csv, .tsv or .txt.

    Tabs outside a .csv come with CSV quoting or without; the first dialect in which all rows are equally wide is
    chosen. pandas, which always assumes quoting, loses 1,889 of ATSAD's 58,751 tweets.
    """
    delimiter = None if options.delimiter is None else _NAMED_DELIMITERS.get(options.delimiter, options.delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise DataError(f"--delimiter {delimiter!r} is not one character; give one such as ';', or the word tab")
    first = file.open("").readline().rstrip("\r\n")
    skipped = int(len(first) == 5 and first.startswith("sep="))  # Excel's line before a table

    def lines() -> Iterator[str]:
        return itertools.islice(file.open(""), skipped, None)

    with _long_cells():
        delimiter = delimiter or (first[4] if skipped else "\t" if file.ending != ".csv" else _sniffed(lines))
        tabs = delimiter == "\t" and file.ending != ".csv"
        dialects = ((True, False), (False, False), (True, True), (False, True)) if tabs else ((True, True),)
        problem = DataError(f"{file.name} has only blank lines; write column names first, then one row a line")
        for quoting, ragged in dialects:
            try:
                if rows := _rows(lines(), options.column, delimiter, quoting=quoting, ragged=ragged):
                    return as_table(file.name, rows, options.column)
            except csv.Error as error:
                problem = DataError(f"{file.name}, {error}")
    raise problem


def _sniffed(lines: Callable[[], Iterable[str]]) -> str:
    """Return the delimiter that divides the first row, and most of the first ones into as many cells; else a comma."""
    found: list[tuple[float, int]] = []
    for rank, delimiter in enumerate(_DELIMITERS):
        try:
            rows = list(itertools.islice(filter(None, csv.reader(lines(), delimiter=delimiter)), _SNIFFED_ROWS))
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


def _rows(lines: Iterable[str], column: str | None, delimiter: str, *, quoting: bool, ragged: bool) -> list[list[str]]:
    """Return all rows that are not blank; `csv.Error` names the first bad line. `ragged` allows short rows."""
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quotes, strict=True)
    rows: list[list[str]] = []
    width, problem = 0, ""
    try:
        for row in filter(None, reader):
            if not rows:
                width, separator = len(row), re.search("[\t;,|]", row[0])
                if width == 1 and separator and _number(column, row) is None:
                    problem = f"one column, but {separator[0]!r} in its name; separate cells with {delimiter!r}"
                    break
            if len(row) > width or (len(row) < width and not ragged):
                problem = f"a row of {len(row)} cells, where the first row has {width}; "
                problem += f"put double quotes around a cell that has {delimiter!r} in it"
                break
            rows.append(row)
    except csv.Error as error:
        problem = f"not well-formed CSV ({error}); double a quote that belongs to a cell"
    if problem:
        raise csv.Error(f"line {reader.line_num}: {problem}")
    return rows


def as_table(name: Path, rows: list[list[str]], column: str | None) -> Table:
    """Return the table of rows of strings.

    If `column` is a number and the first row is no header (`is_header`), that row is data and the columns are called
    "1", "2", ... A second column of a name is called by it and its number.
    """
    first = rows[0]
    number = _number(column, first)
    titled = number is None or is_header(rows[:_SNIFFED_ROWS], number - 1)
    places: dict[str, int] = {}
    for i, title in enumerate(first):
        places[str(i + 1) if not titled else title if title not in places else f"{title} ({i + 1})"] = i
    rows = rows[1:] if titled else rows

    def cells(name: str) -> Iterable[object]:
        i = places[name]
        return _as_numbers([row[i] if i < len(row) else "" for row in rows])

    header = tuple(first) if titled and number is not None else ()
    return Table(str(name), list(places), cells, lambda i: f"row {i + 1} of {name}", numbered=True, header=header)


def _number(column: str | None, first: Sequence[str]) -> int | None:
    """Return the number of a column that is given by number; None where it is a name in the first row."""
    if column is None or column in first or not re.fullmatch("[0-9]{1,9}", column):
        return None
    return int(column)


def _as_numbers(cells: list[str]) -> Iterable[object]:
    """Convert cells to numbers if all that are not blank are numbers, so that `score > 5` compares these."""
    filled = [cell for cell in cells if cell]
    if not filled or not all(map(_NUMBER.fullmatch, filled)):
        return (cell or None for cell in cells)
    whole = all(len(cell) <= _MAX_DIGITS and _WHOLE.fullmatch(cell) for cell in filled)
    return ((int(cell) if whole else float(cell)) if cell else None for cell in cells)


# ---- whether the first row is a header

_SENTENCE = regex.compile(r"[.!?…؟。！？،,;؛](?:\s|\Z)|[@#]\w")
_LINK_OR_EMOJI = regex.compile(r"https?://|\p{Extended_Pictographic}")
_CHARACTERS_PER_WORD = 2  # in scripts that put no spaces between words
_MIN_NUMBERS = 2
"""Minimum number of cells with numbers below a name: a single one may be chance."""
_NUMBER_OR_DATE = regex.compile(r"(?=.*\p{Nd})[\p{Nd}\p{P}\p{Sc}\s+TZ]+", regex.DOTALL)  # or a time, a price
_NAME = regex.compile(r"\p{L}[^\p{Nd}]*")
_NO_NUMBER = ("na", "nan", "none", "null", "missing", "unknown", "لايوجد", "غيرمعروف", "مجهول", "غيرمتوفر", "لاشيء")
"""Cells in place of a number, folded."""

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
    """Guess whether the name of a column is rather its first text; `cells` are the cells below it.

    A text is repeated by a cell, holds a link or an emoji, has two words and the marks of a sentence, a hashtag or a
    handle, three words and is no shorter than a quarter of the cells, or six.
    """
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
    """Guess whether the first of some rows names the columns of a table whose texts are in `column`, counted from 0.

    No cell of it is blank or looks like a text, and `column` has a usual name (`TEXT_NAMES`: text, `full_text`, نص), or
    another column has nothing but numbers or dates, two at least, below a name.
    """
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


# ---- Parquet and JSON


def _parquet(file: File) -> Table:
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"reading {file.name} needs polars", "tables") from None
    try:
        lazy = pl.scan_parquet(io.BytesIO(file.data))
        names, rows = lazy.collect_schema().names(), int(lazy.select(pl.len()).collect().item())
        if rows > MAX_ROWS:
            raise DataError(f"{file.name} has {rows:,} rows, and {MAX_ROWS:,} are the maximum that is read; divide it")
        frame = lazy.collect()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file.name} is not a sound .parquet file ({first_paragraph(error)}); repair it") from None

    def cells(name: str) -> Iterator[object]:
        return itertools.chain.from_iterable(
            part.to_series().to_list() for part in frame.select(name).iter_slices(_SLICE)
        )

    return Table(str(file.name), names, cells, lambda i: f"row {i + 1} of {file.name}")


def _json(file: File, column: str | None) -> Table:
    def lines() -> Iterator[tuple[int, str]]:
        return ((number, line) for number, line in enumerate(file.open(), start=1) if line.strip())

    def place(i: int) -> str:
        if file.ending == ".json":
            return f"row {i + 1} of {file.name}"
        return f"line {next(itertools.islice(lines(), i, None))[0]} of {file.name}"

    rows = _objects(file, column) if file.ending == ".json" else [_object(file, *line) for line in lines()]
    if not rows:
        raise DataError(f'{file.name} has only blank lines; write an object such as {{"text": "..."}} on each')
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    return Table(str(file.name), names, lambda name: (row.get(name) for row in rows), place)


def _object(file: File, number: int, line: str) -> dict[str, Any]:
    try:
        value = load_json(line)
    except (ValueError, RecursionError) as error:
        problem = str(error).split(": line")[0]
        raise DataError(f"{file.name}, line {number}: not JSON ({problem}); write one object a line") from None
    if not isinstance(value, dict):
        raise DataError(f'{file.name}, line {number}: not an object; write one such as {{"text": "..."}}')
    return cast(dict[str, Any], value)


def _objects(file: File, column: str | None) -> list[dict[str, Any]]:
    """Return the objects of a JSON value: those of a list, or of the only list of objects that an object holds.

    A list of strings has one column, "text". A `column` that begins with a key of the object takes the object itself.
    """
    value = file.value
    if isinstance(value, dict):
        top = cast(dict[str, object], value)
        lists = [name for name, items in top.items() if _are(dict, items)]
        if column is None and len(lists) > 1:
            named = ", ".join(map(shortened, lists))
            raise DataError(
                f"{file.name} holds {len(lists)} lists of objects: {named}; choose one with --column LIST.FIELD"
            )
        whole = len(lists) != 1 or (column is not None and column.split(".")[0] in top)
        value = [top] if whole else top[lists[0]]
    if _are(str, value):
        return [{"text": item} for item in cast(list[str], value)]
    if not _are(dict, value):
        raise DataError(f'{file.name} is no list of objects; write one such as [{{"text": "..."}}]')
    return cast(list[dict[str, Any]], value)


def _are(kind: type, value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in cast(list[object], value))
