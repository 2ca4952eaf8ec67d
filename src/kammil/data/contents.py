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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        raise DataError(f"{name} is {kind}, whatever its ending says; unpack it or give it its own ending")
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
        raise MissingExtraError(f"reading {name} needs zstandard: pip install 'kammil[zstd]'") from None


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


def _check_workbook(name: Path, data: bytes) -> None:
    """Raise `DataError` for a workbook that unpacks to more than `MAX_WORKBOOK` bytes, or is none.

    Every part is unpacked to be measured, since the size that the archive states for it may be wrong.
    """
    unpacked = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sound = "xl/workbook.xml" in archive.namelist()
            for part in archive.infolist():
                part.file_size = sys.maxsize  # zipfile reads no more than is stated
                with archive.open(part) as stream:
                    while unpacked <= MAX_WORKBOOK and (chunk := stream.read(1 << 20)):
                        unpacked += len(chunk)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError):
        sound = False
    if unpacked > MAX_WORKBOOK:
        raise DataError(
            f"{name} unpacks to more than {MAX_WORKBOOK >> 20} MiB, which is the most that is read; save it as .csv"
        )
    if not sound:
        raise DataError(
            f"{name} is not a sound workbook; open it with a program for tables and save it as .xlsx or .csv"
        )
