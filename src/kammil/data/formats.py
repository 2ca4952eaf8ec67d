"""Files to rows: delimited cells, JSON, Parquet and Excel workbooks.

The standard library reads cells: it names the line that breaks the rules, and polars refused 14 % of 9,869 well-formed
small tables with stray quotes.
"""

from __future__ import annotations

import csv
import io
import itertools
import lzma
import re
import sys
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, Any, cast
from xml.parsers import expat

from kammil.data.files import MAX_CELLS, MAX_UNPACKED, File, ReadOptions, load_json, too_much_text
from kammil.data.tables import SNIFFED_ROWS, Table, cell_table, column_number, object_table, place_of
from kammil.errors import DataError, MissingExtraError, nearest
from kammil.text import shortened, visible

DELIMITED = (".csv", ".tsv", ".txt")


def read_table(file: File, options: ReadOptions) -> Table:
    """Return the columns of a file."""
    if options.delimiter is not None and file.ending not in DELIMITED:
        raise DataError(
            f"--delimiter {options.delimiter!r} is for {', '.join(DELIMITED)}, not for {file.name}; leave it out"
        )
    if file.ending == ".xlsx":
        rows, others = _workbook(file, options.sheet)
        return replace(cell_table(file, rows, options.column), elsewhere=others)
    if file.ending in DELIMITED:
        return cell_table(file, _delimited(file, options), options.column)
    return _parquet(file) if file.ending == ".parquet" else _json(file, options.column)


# ---- delimited cells

_DELIMITERS = ",;\t|"
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
_LIMIT = threading.Lock()


def _delimited(file: File, options: ReadOptions) -> list[list[str]]:
    """Return the rows of the first dialect that fits: tabs may come without quoting, which pandas assumes, losing 1,889
    of ATSAD's 58,751 tweets."""
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
                    return rows
            except csv.Error as error:
                problem = DataError(f"{file.name}, {error}")
    raise problem


def _sniffed(lines: Callable[[], Iterable[str]]) -> str:
    """Return the delimiter that divides the first row and half of the next alike, else a comma."""
    found: list[tuple[float, int]] = []
    for rank, delimiter in enumerate(_DELIMITERS):
        try:
            rows = list(itertools.islice(filter(None, csv.reader(lines(), delimiter=delimiter)), SNIFFED_ROWS))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / max(1, len(rows))
        if width > 1 and alike >= 0.5:
            found.append((alike, -rank))
    return _DELIMITERS[-max(found)[1]] if found else ","


@contextmanager
def _long_cells() -> Generator[None]:
    """Lift the limit of `csv`, which is global."""
    with _LIMIT:
        before = csv.field_size_limit(MAX_UNPACKED - 1)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _rows(lines: Iterable[str], column: str | None, delimiter: str, *, quoting: bool, ragged: bool) -> list[list[str]]:
    """Return the rows that are not blank; `csv.Error` names the first bad line."""
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quotes, strict=True)
    rows: list[list[str]] = []
    width, problem = 0, ""
    try:
        for row in filter(None, reader):
            if not rows:
                width, separator = len(row), re.search("[\t;,|]", row[0])
                if width == 1 and separator and column_number(column, row) is None:
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


# ---- JSON and Parquet

_SLICE, _SLICE_BYTES = 1 << 17, 8 << 20
"""Maximum number of rows read at once, and about that of bytes."""


def _parquet(file: File) -> Table:
    """Return columns that are read when asked for, slice by slice: equal cells stand in the file once."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"reading {file.name} needs polars", "tables") from None

    @contextmanager
    def sound() -> Generator[None]:
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DataError(
                f"{file.name} is not a sound .parquet file ({_first_paragraph(error)}); repair it"
            ) from None

    with sound():
        lazy = pl.scan_parquet(io.BytesIO(file.data))
        names, rows = lazy.collect_schema().names(), int(lazy.select(pl.len()).collect().item())
    if rows > MAX_CELLS:
        raise DataError(f"{file.name} has {rows:,} rows, and {MAX_CELLS:,} are the maximum that is read; divide it")

    def cells(name: str) -> Iterator[object]:
        begin, number, size = 0, 1, 0
        while begin < rows:
            with sound():
                part = lazy.select(name).slice(begin, number).collect().to_series()
            held = part.estimated_size()
            if (size := size + held) > MAX_UNPACKED:
                raise too_much_text(name)
            try:
                values = part.to_list()
            except pl.exceptions.PanicException:
                raise MemoryError from None
            yield from values
            begin += number
            number = min(2 * number, _SLICE) if held < _SLICE_BYTES else max(number // 2, 1)

    return Table(str(file.name), names, cells, place_of(file))


def _json(file: File, column: str | None) -> Table:
    if file.ending == ".json":
        return object_table(str(file.name), _objects(file, column), place_of(file))

    def lines() -> Iterator[tuple[int, str]]:
        return ((number, line) for number, line in enumerate(file.open(), start=1) if line.strip())

    def place(i: int) -> str:
        return f"line {next(itertools.islice(lines(), i, None))[0]} of {file.name}"

    if rows := [_object(file, *line) for line in lines()]:
        return object_table(str(file.name), rows, place)
    raise DataError(f'{file.name} has only blank lines; write an object such as {{"text": "..."}} on each')


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
    """Return the objects of a list, or of the only list of an object; a string is a column "text"."""
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


# ---- Excel workbooks

MAX_WORKBOOK = 512 << 20
"""Unpacked bytes; XML takes several times as much in memory."""
MAX_EMPTY = 1 << 22
"""Cells of a sheet's rectangle, unless a quarter is filled: empty ones take memory."""
_MAX_SHEETS = 20  # named in a sentence


def _workbook(file: File, given: str | None) -> tuple[list[list[str]], str]:
    """Return the cells of a sheet as strings, as in a .csv saved of it, formulas as their saved values, and a hint that
    names the other sheets."""
    name, data = file.name, file.data
    sheets = _check(name, data)
    sheet = (
        given
        if given in sheets
        else {str(i): each for i, each in enumerate(sheets, 1)}.get("1" if given is None else given)
    )
    if given is not None and sheet is None:
        raise DataError(f"{name} has no sheet {given!r}{nearest(given, sheets)}; its sheets are {_listed(sheets)}")
    others = [each for each in sheets if each != sheet]
    hint = f"; --sheet reads another sheet, such as {_listed(others)}" if others else ""
    try:
        import fastexcel  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import polars as pl
    except ImportError as error:
        raise MissingExtraError(f"reading {name} needs {error.name}", "tables") from None
    options = {"header_row": None, "dtypes": "string"}
    try:
        frame = pl.read_excel(
            io.BytesIO(data), sheet_name=sheet, read_options=options, has_header=False, raise_if_empty=False
        )
    except Exception as error:  # fastexcel has no base class of errors
        raise DataError(f"{name} is not a sound workbook ({_first_paragraph(error)}); save it as .csv") from None
    if frame.is_empty():
        where = "the first sheet" if sheet is None else f"the sheet {sheet!r}"
        raise DataError(f"{name}, no row in {where}; write column names first, then one row a line{hint}")
    return [[cell or "" for cell in row] for row in frame.iter_rows()], hint


def _listed(sheets: Sequence[str]) -> str:
    return ", ".join(repr(shortened(visible(sheet))) for sheet in sheets[:_MAX_SHEETS])


def _first_paragraph(error: BaseException) -> str:
    return " ".join(str(error).split("\n\n")[0].split())[:200]


class _Size:
    """Memory of a workbook: sheets as rectangles, shared strings repeated in cells."""

    def __init__(self) -> None:
        self.unpacked, self.sparse, self.sound = 0, False, True
        self.strings: list[int] = []  # lengths of the shared ones
        self.uses: Counter[int] = Counter()
        self.sheets: list[str] = []

    def measure(self, name: str, stream: IO[bytes]) -> None:
        """Only XML is a sheet, even if a reader is more lenient."""
        self._row = self._column = self._rows = self._columns = self._cells = 0
        self._element = self._index = ""
        self._shared = False
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.CharacterDataHandler = self._start, self._characters
        is_xml, is_read, rest = True, name.lower().endswith(".xml"), b""
        while self.unpacked <= MAX_WORKBOOK and (chunk := stream.read(1 << 20)):
            self.unpacked += len(chunk)
            is_read |= b"sheetData" in rest + chunk
            rest = chunk[-10:]
            try:
                if is_xml:
                    parser.Parse(chunk)
            except expat.ExpatError:
                is_xml = False
        self._start("", {})
        self.sparse |= self._rows * self._columns > max(MAX_EMPTY, 4 * self._cells)
        self.sound &= is_xml or not is_read

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._index:
            self.uses[int(self._index)] += 1
            self._index = ""
        self._element = name = name.rpartition(":")[2]
        if name == "c":
            self._cells += 1
            self._shared = attributes.get("t") == "s"
            place = attributes.get("r", "")
            letters = place.rstrip("0123456789")
            self._column = _sheet_column(letters) if letters else self._column + 1
            self._row = int(place[len(letters) :] or self._row)
            self._rows, self._columns = max(self._rows, self._row), max(self._columns, self._column)
        elif name == "row":
            self._row, self._column = int(attributes.get("r", self._row + 1)), 0
        elif name == "si":
            self.strings.append(0)
        elif name == "sheet" and "sheetId" in attributes:
            self.sheets.append(attributes.get("name", ""))

    def _characters(self, text: str) -> None:
        if self._element == "v" and self._shared:
            self._index += text.strip()
        elif self._element == "t" and self.strings:
            self.strings[-1] += len(text)


@cache
def _sheet_column(letters: str) -> int:
    if len(letters) > 3:
        raise ValueError(letters)
    return sum((ord(letter) - 64) * 26**place for place, letter in enumerate(reversed(letters.upper())))


def _check(name: Path, data: bytes) -> list[str]:
    """Measure the unpacked parts, since an archive may state wrong sizes, and return the names of the sheets."""
    size = _Size()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())  # a reader would try other kinds of workbook
            size.sound = "xl/workbook.xml" in names and names.isdisjoint(("xl/workbook.bin", "content.xml"))
            for part in archive.infolist():
                part.file_size = sys.maxsize  # zipfile reads no more than is stated
                with archive.open(part) as stream:
                    size.measure(part.filename, stream)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError):
        size.sound = False
    text = sum(n * size.strings[i] for i, n in size.uses.items() if 0 <= i < len(size.strings))
    maximum = f"{MAX_WORKBOOK >> 20} MiB"
    for holds, problem in (
        (size.unpacked > MAX_WORKBOOK, f"unpacks to more than {maximum}, which is the most that is read"),
        (text > MAX_WORKBOOK, f"repeats texts to more than {maximum}"),
        (size.sparse, "has a cell far below or beside all others; delete that cell"),
        (not size.sound, "is not a sound workbook; open it with a program for tables and save it again"),
    ):
        if holds:
            raise DataError(f"{name} {problem}, or save it as .csv")
    return size.sheets
