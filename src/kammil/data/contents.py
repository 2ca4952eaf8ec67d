"""Read the bytes of files and of standard input, gzip and Zstandard undone, and list the files of folders."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import lzma
import os
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from kammil.errors import DataError, MissingExtraError

STDIN = "-"
"""Name of standard input; a file of that name is `./-`."""
ENDINGS = (".txt", ".tsv", ".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx")
"""Endings of files that are read, in upper or lower case."""
COMPRESSED = (".gz", ".zst")
"""Endings that may follow one of `ENDINGS`."""
MAX_UNPACKED = 2 << 30
"""Most bytes that a compressed file may hold (2 GiB): gzip makes a thousandth of such a text at best, so that a small
file could fill the memory."""
MAX_WORKBOOK = 512 << 20
"""Most bytes that the parts of a workbook may unpack to (512 MiB); its XML takes several times as much in memory."""
MAX_EMPTY = 1 << 22
"""Maximum number of cells up to the last one of a sheet, or four times as many as there are: empty ones take memory."""

_SIGNATURES = {
    b"PAR1": ("a Parquet file", ".parquet"),
    b"PK\x03\x04": ("a ZIP archive or an Office document", ".xlsx"),
    b"\x1f\x8b": ("a gzip archive", ".gz"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", ".zst"),
    b"\x89PNG": ("a PNG image", ""),
    b"%PDF": ("a PDF document", ""),
}
_CHUNK = 1 << 12  # one byte of Zstandard unpacks to some 32,000 at most, so that a chunk makes 128 MiB at most


@dataclass(frozen=True)
class Content:
    """The bytes of a file or of standard input."""

    name: Path
    """The file; `stdin` for standard input."""
    ending: str
    """The one of `ENDINGS` that says what the bytes are, in lower case."""
    data: bytes
    """The bytes, unpacked."""
    sha256: str
    """SHA-256 of the bytes as they are stored, 64 hexadecimal digits."""


def read_content(path: Path, *, table: bool = False) -> Content:
    """Return the bytes of a file, or of standard input where `path` is `-`.

    What has no ending (standard input, `texts.gz`) is recognised by its first bytes: Parquet, a workbook, JSON, and
    else CSV if `table` says that a column is asked for, or lines of text.

    Raises:
        DataError: The file cannot be read, is empty, or is not what its ending says.
        MissingExtraError: The file is compressed with Zstandard, and its library is missing.
    """
    if str(path) == STDIN:
        name, stored, endings = Path("stdin"), sys.stdin.buffer.read(MAX_UNPACKED + 1), []
        if len(stored) > MAX_UNPACKED:
            raise DataError(f"stdin holds more than {MAX_UNPACKED >> 30} GiB; write it to several files and name those")
    else:
        name, endings = path, [suffix.lower() for suffix in path.suffixes[-2:]]
        stored = _read_file(path, endings[-1] if endings else "")
    if not stored:
        raise DataError(f"{name} is empty (0 bytes); write at least one text into it")
    compression = endings.pop() if endings and endings[-1] in COMPRESSED else ""
    if not endings and not compression:
        compression = next(
            (c for start, (_, c) in _SIGNATURES.items() if c in COMPRESSED and stored.startswith(start)), ""
        )
    data = _unpack(name, stored, compression) if compression else stored
    if not data:
        raise DataError(f"{name} holds nothing (0 bytes unpacked); write at least one text into it")
    ending = endings[-1] if endings and endings[-1] in ENDINGS else _recognise(data, table=table)
    kind, expected = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), ("", ""))
    if ending in (".parquet", ".xlsx") and expected != ending:
        expected_kind = "a Parquet file" if ending == ".parquet" else "an Excel workbook (.xlsx)"
        raise DataError(f"{name} is {kind or f'not {expected_kind}'}, whatever its ending says; give it its own ending")
    if kind and expected != ending:
        raise DataError(
            f"{name} is {kind}, whatever its ending says; save it as text, unpack it, or give it its own ending"
        )
    if ending == ".xlsx":
        _check_workbook(name, data)
    return Content(name, ending, data, hashlib.sha256(stored).hexdigest())


def list_files(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders that can be read, sorted by name; hidden ones are left out.

    Links to folders are not followed. Raises `DataError` where there are none.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place) / name
            for name in sorted(files)
            if not name.startswith(".") and _text_ending(Path(name)) in ENDINGS
        ]
    if not found:
        raise DataError(f"the folder {folder} holds no file that ends in {', '.join(ENDINGS)}; name another")
    return found


def _text_ending(path: Path) -> str:
    """Return the ending of a file in lower case, that of the compression left out."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read_file(path: Path, ending: str) -> bytes:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; name one file in it")
        if not path.exists():
            raise DataError(f"{path} does not exist; check the name and the folder.")
        if ending not in (*ENDINGS, *COMPRESSED):
            raise DataError(
                f"{path} has the ending {ending!r}; the endings read are {', '.join((*ENDINGS, *COMPRESSED))}"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _unpack(name: Path, stored: bytes, compression: str) -> bytes:
    """Undo a compression; `DataError` for more than `MAX_UNPACKED` bytes, and for a damaged archive."""
    unpacked = bytearray()
    kind = "gzip" if compression == ".gz" else "Zstandard"
    zstandard = None if compression == ".gz" else _zstandard(name)
    errors = (OSError, EOFError, zlib.error) if zstandard is None else (EOFError, zstandard.ZstdError)
    try:
        for chunk in _gunzip(stored) if zstandard is None else _unzstd(stored, zstandard):
            unpacked += chunk
            if len(unpacked) > MAX_UNPACKED:
                raise DataError(
                    f"{name} unpacks to more than {MAX_UNPACKED >> 30} GiB, which is the most that is read; "
                    "split it into several files"
                )
    except errors as error:
        problem = " ".join(str(error).split())
        raise DataError(f"{name} is not a sound {kind} archive ({problem}); get it again or unpack it") from None
    return bytes(unpacked)


def _gunzip(stored: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(stored)) as archive:
        while chunk := archive.read(1 << 20):
            yield chunk


def _unzstd(stored: bytes, zstandard: Any) -> Iterator[bytes]:
    """Yield the content of all frames; `EOFError` where the last one is cut."""
    # Not its stream_reader, which takes the end of the bytes for the end of a frame.
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame = decompressor.decompressobj()
    for start in range(0, len(stored), _CHUNK):
        piece = stored[start : start + _CHUNK]
        while piece:
            if frame.eof:
                frame = decompressor.decompressobj()
            yield frame.decompress(piece)
            piece = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("it ends before its end-of-frame marker")


def _zstandard(name: Path) -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise MissingExtraError(f"reading {name} needs zstandard", "zstd") from None


def _recognise(data: bytes, *, table: bool) -> str:
    """Return the one of `ENDINGS` that the first bytes speak for."""
    for start, (_, ending) in _SIGNATURES.items():
        if ending in ENDINGS and data.startswith(start):
            return ending
    head = data[: 1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb'\{\s*"|\[\s*[{"]', head):
        first, newline, _ = head.partition(b"\n")
        try:
            return ".jsonl" if newline and isinstance(json.loads(first), dict) else ".json"
        except (ValueError, RecursionError):
            return ".json"
    return ".csv" if table else ".txt"


class _Workbook:
    """What the XML of a workbook becomes in memory: a rectangle up to the last cell of a sheet, and a shared string
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
        """Measure a part. What a parser of XML refuses is no sheet, even if a reader is more lenient."""
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
    """Return the number of a column such as "AB", counted from 1; `ValueError` for none of a workbook."""
    if len(letters) > 3:
        raise ValueError(letters)
    return sum((ord(letter) - 64) * 26**place for place, letter in enumerate(reversed(letters.upper())))


def _check_workbook(name: Path, data: bytes) -> None:
    """Raise `DataError` for a workbook that takes too much memory, or is none.

    Every part is unpacked to be measured, since the size that the archive states for it may be wrong.
    """
    workbook = _Workbook()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())  # a reader would try other kinds of workbook, which are not measured
            workbook.sound = "xl/workbook.xml" in names and names.isdisjoint(("xl/workbook.bin", "content.xml"))
            for part in archive.infolist():
                part.file_size = sys.maxsize  # zipfile reads no more than is stated
                with archive.open(part) as stream:
                    workbook.measure(part.filename, stream)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError):
        workbook.sound = False
    size = f"{MAX_WORKBOOK >> 20} MiB"
    for holds, problem in (
        (workbook.unpacked > MAX_WORKBOOK, f"unpacks to more than {size}, which is the most that is read"),
        (workbook.text > MAX_WORKBOOK, f"repeats texts to more than {size}"),
        (workbook.sparse, "has a cell far below or beside all others; delete that cell"),
        (not workbook.sound, "is not a sound workbook; open it with a program for tables and save it again"),
    ):
        if holds:
            raise DataError(f"{name} {problem}, or save it as .csv")
