"""Rows of Excel workbooks, measured first: a small file may take gigabytes of memory."""

from __future__ import annotations

import io
import lzma
import sys
import zipfile
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import IO
from xml.parsers import expat

from kammil.errors import DataError, MissingExtraError

MAX_UNPACKED = 512 << 20
"""Maximum number of bytes that the parts of a workbook unpack to; its XML takes several times as much in memory."""
MAX_EMPTY = 1 << 22
"""Maximum number of cells up to the last one of a sheet, or four times as many as there are: empty ones take memory."""


def read_workbook(name: Path, data: bytes) -> list[list[str]]:
    """Return the cells of the first sheet; formulas stay uncomputed, their saved values are read."""
    _check(name, data)
    try:
        import fastexcel  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import polars as pl
    except ImportError as error:
        raise MissingExtraError(f"reading {name} needs {error.name}", "tables") from None
    options = {"header_row": None, "dtypes": "string"}
    try:
        frame = pl.read_excel(io.BytesIO(data), read_options=options, has_header=False, raise_if_empty=False)
    except Exception as error:  # those of fastexcel have no class in common
        raise DataError(f"{name} is not a sound workbook ({first_paragraph(error)}); save it as .csv") from None
    if frame.is_empty():
        raise DataError(f"{name}, no row in the first sheet; write column names first, then one row a line")
    return [[cell or "" for cell in row] for row in frame.iter_rows()]


def first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of a message of polars, on one line."""
    return " ".join(str(error).split("\n\n")[0].split())[:200]


class _Size:
    """The memory that the XML of a workbook takes: a rectangle up to the last cell of each sheet, and a shared string
    wherever a cell names it."""

    def __init__(self) -> None:
        self.unpacked, self.sparse, self.sound = 0, False, True
        self._strings: list[int] = []
        self._uses: Counter[int] = Counter()

    @property
    def text(self) -> int:
        """Number of characters of all shared strings in all cells."""
        return sum(n * self._strings[i] for i, n in self._uses.items() if 0 <= i < len(self._strings))

    def measure(self, name: str, stream: IO[bytes]) -> None:
        """Measure a part; one that a parser of XML refuses is no sheet, even if a reader is more lenient."""
        self._row = self._column = self._rows = self._columns = self._cells = 0
        self._element = self._index = ""
        self._shared = False
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.CharacterDataHandler = self._start, self._characters
        is_xml, is_read, rest = True, name.lower().endswith(".xml"), b""
        while self.unpacked <= MAX_UNPACKED and (chunk := stream.read(1 << 20)):
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
            self._uses[int(self._index)] += 1
            self._index = ""
        self._element = name = name.rpartition(":")[2]
        if name == "c":
            self._cells += 1
            self._shared = attributes.get("t") == "s"
            place = attributes.get("r", "")
            letters = place.rstrip("0123456789")
            self._column = _column_number(letters) if letters else self._column + 1
            self._row = int(place[len(letters) :] or self._row)
            self._rows, self._columns = max(self._rows, self._row), max(self._columns, self._column)
        elif name == "row":
            self._row, self._column = int(attributes.get("r", self._row + 1)), 0
        elif name == "si":
            self._strings.append(0)

    def _characters(self, text: str) -> None:
        if self._element == "v" and self._shared:
            self._index += text.strip()
        elif self._element == "t" and self._strings:
            self._strings[-1] += len(text)


@cache
def _column_number(letters: str) -> int:
    if len(letters) > 3:
        raise ValueError(letters)
    return sum((ord(letter) - 64) * 26**place for place, letter in enumerate(reversed(letters.upper())))


def _check(name: Path, data: bytes) -> None:
    """Unpack every part to measure it, since the size that the archive states may be wrong."""
    size = _Size()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())  # a reader would try other kinds of workbook, which are not measured
            size.sound = "xl/workbook.xml" in names and names.isdisjoint(("xl/workbook.bin", "content.xml"))
            for part in archive.infolist():
                part.file_size = sys.maxsize  # zipfile reads no more than is stated
                with archive.open(part) as stream:
                    size.measure(part.filename, stream)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError):
        size.sound = False
    maximum = f"{MAX_UNPACKED >> 20} MiB"
    for holds, problem in (
        (size.unpacked > MAX_UNPACKED, f"unpacks to more than {maximum}, which is the most that is read"),
        (size.text > MAX_UNPACKED, f"repeats texts to more than {maximum}"),
        (size.sparse, "has a cell far below or beside all others; delete that cell"),
        (not size.sound, "is not a sound workbook; open it with a program for tables and save it again"),
    ):
        if holds:
            raise DataError(f"{name} {problem}, or save it as .csv")
