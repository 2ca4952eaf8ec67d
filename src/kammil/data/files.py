"""Bytes of files, folders and standard input to text: gzip and Zstandard undone."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, TypedDict

from kammil.data.encoding import codec_of
from kammil.errors import DataError, MissingExtraError

STDIN = "-"
"""Name of standard input; a file of that name is `./-`."""
BINARY = (".parquet", ".xlsx")
ENDINGS = (".txt", ".tsv", ".csv", ".json", ".jsonl", ".ndjson", *BINARY)
"""Endings of files that are read, in upper or lower case."""
COMPRESSED = (".gz", ".zst")
"""Endings that may follow one of `ENDINGS`."""
MAX_UNPACKED = 2 << 30
"""Maximum number of bytes that a compressed file may hold (2 GiB): a small one of gzip could fill the memory."""

_SIGNATURES = {
    b"PAR1": ("a Parquet file", ".parquet"),
    b"PK\x03\x04": ("a ZIP archive or an Office document", ".xlsx"),
    b"\x1f\x8b": ("a gzip archive", ".gz"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", ".zst"),
    b"\x89PNG": ("a PNG image", ""),
    b"%PDF": ("a PDF document", ""),
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_CHUNK = 1 << 12  # one byte of Zstandard unpacks to some 32,000 at most, so that a chunk makes 128 MiB at most


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading: which part of a file, and how."""

    column: str | None = None
    """The exact name of a column. A number counts the columns of a .tsv, .csv or .xlsx from 1, unless a column has that
    number for a name; the first row is data then, unless it is plainly a header (`tables.is_header`). Dots lead into
    JSON objects and lists (`message.text`), unless a column has that name. None: "text", else the only column of text,
    unless the first row of a .tsv or .csv looks like a text itself."""
    where: str | None = None
    """A condition in SQL on the cells of a row, such as "Country = 'lebanon'". A column of nothing but numbers compares
    with numbers and any other with strings. Without a header, columns are called "1", "2", ..., in double quotes."""
    encoding: str = "utf-8"
    """Encoding of a text file. A byte-order mark is skipped; one of UTF-16 wins over UTF-8. Parquet has its own."""
    delimiter: str | None = None
    """The character between cells, or "tab". None: a tab in a .tsv; in a .csv the one of comma, semicolon, tab and bar
    that divides the first row and most others alike."""
    source_column: str | None = None
    """The name of the column that says where each text comes from. None: "source", if there is one."""
    sender: str | None = None
    """Sender whose messages of a chat are read; None: all."""

    @property
    def table(self) -> bool:
        """Whether an option is for tables alone."""
        return any(option is not None for option in (self.column, self.where, self.delimiter, self.source_column))


class ReadKeywords(TypedDict, total=False):
    """The fields of `ReadOptions` by keyword."""

    column: str | None
    where: str | None
    encoding: str
    delimiter: str | None
    source_column: str | None
    sender: str | None


@dataclass(frozen=True)
class File:
    """The content of a file or of standard input."""

    name: Path
    """The file; `stdin` for standard input."""
    ending: str
    """The one of `ENDINGS` that says what it holds, in lower case."""
    sha256: str
    """SHA-256 of the bytes as they are stored, 64 hexadecimal digits."""
    data: bytes
    """The unpacked bytes."""
    codec: str = ""
    """The name of the codec that decodes them; empty for `BINARY` files."""

    def open(self, newline: str = "\n") -> TextIO:
        """Return the text as a stream, so that it is never in memory as one string; `newline` as for `open`."""
        return io.TextIOWrapper(io.BytesIO(self.data), self.codec, newline=newline)

    @cached_property
    def value(self) -> object:
        """The value of JSON."""
        text = self.open("").read()
        try:
            return load_json(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.name} is not JSON ({error}); one object a line is called .jsonl") from None


def load_json(text: str) -> object:
    """Return the value of JSON; half of a surrogate pair becomes U+FFFD."""
    value: object = json.loads(text)
    if "\\ud" in text or "\\uD" in text:  # only an escape can spell half a pair
        return json.loads(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(value, ensure_ascii=False)))
    return value


def read_file(path: Path, options: ReadOptions) -> File:
    """Return what a file holds, or standard input where `path` is `-`; `DataError` for one that cannot be read.

    Without an ending (standard input, `texts.gz`) its first bytes say what it is: Parquet, a workbook, JSON, else CSV
    if an option is for tables, else lines of text.
    """
    if str(path) == STDIN:
        name, ending, stored = Path("stdin"), "", sys.stdin.buffer.read(MAX_UNPACKED + 1)
        compression = _kind(stored)[1] if _kind(stored)[1] in COMPRESSED else ""
        if len(stored) > MAX_UNPACKED:
            raise DataError(f"stdin holds more than {MAX_UNPACKED >> 30} GiB; write it to several files and name those")
    else:
        name, stored, (ending, compression) = path, _stored(path), _endings(path)
    if not stored:
        raise DataError(f"{name} is empty (0 bytes); write at least one text into it")
    data = _unpack(name, stored, compression) if compression else stored
    if not data:
        raise DataError(f"{name} holds nothing (0 bytes unpacked); write at least one text into it")
    kind, kind_ending = _kind(data)
    if ending not in ENDINGS:
        ending = _recognise(data, table=options.table)
    if ending in BINARY and kind_ending != ending:
        expected = "a Parquet file" if ending == ".parquet" else "an Excel workbook (.xlsx)"
        raise DataError(f"{name} is {kind or f'not {expected}'}, whatever its ending says; give it its own ending")
    if kind and kind_ending != ending:
        raise DataError(
            f"{name} is {kind}, whatever its ending says; save it as text, unpack it, or give it its own ending"
        )
    sha256 = hashlib.sha256(stored).hexdigest()
    return File(name, ending, sha256, data, "" if ending in BINARY else codec_of(name, data, options.encoding))


def _kind(data: bytes) -> tuple[str, str]:
    """Return what the first bytes say that a file is, and its ending; empty strings for any text."""
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), ("", ""))


def list_files(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders that can be read, sorted by name, without hidden ones.

    Links to folders are not followed. Raises `DataError` where there are none.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place) / name
            for name in sorted(files)
            if not name.startswith(".") and _endings(Path(name))[0] in ENDINGS
        ]
    if not found:
        raise DataError(f"the folder {folder} holds no file that ends in {', '.join(ENDINGS)}; name another")
    return found


def _endings(path: Path) -> tuple[str, str]:
    before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)][-2:]
    return (before, last) if last in COMPRESSED else (last, "")


def _stored(path: Path) -> bytes:
    try:
        if not path.exists():
            raise DataError(f"{path} does not exist; check the name and the folder.")
        ending, compression = _endings(path)
        if not compression and ending not in ENDINGS:
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
    if (ending := _kind(data)[1]) in BINARY:
        return ending
    head = data[: 1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb'\{\s*"|\[\s*[{"]', head):
        first, newline, _ = head.partition(b"\n")
        try:
            return ".jsonl" if newline and isinstance(json.loads(first), dict) else ".json"
        except (ValueError, RecursionError):
            return ".json"
    return ".csv" if table else ".txt"
