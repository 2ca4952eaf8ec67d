"""Files and standard input to text: decompression, encodings."""

from __future__ import annotations

import codecs
import hashlib
import importlib
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, TypedDict

from kammil.errors import DataError, MissingExtraError, nearest

STDIN = "-"
"""Standard input; a file of that name is `./-`."""
BINARY = (".parquet", ".xlsx")
ENDINGS = (".txt", ".tsv", ".csv", ".json", ".jsonl", ".ndjson", *BINARY)
COMPRESSED = (".gz", ".zst")
MAX_UNPACKED = 2 << 30
"""Bytes: a small archive could fill the memory."""
MAX_CELLS = 1 << 25
"""Those of the columns that a condition names: a cell takes a hundred bytes in memory, but next to none in Parquet."""

_SIGNATURES = {
    b"PAR1": ("a Parquet file", ".parquet"),
    b"PK\x03\x04": ("a ZIP archive or an Office document", ".xlsx"),
    b"\x1f\x8b": ("a gzip archive", ".gz"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", ".zst"),
    b"\x89PNG": ("a PNG image", ""),
    b"%PDF": ("a PDF document", ""),
}
_SURROGATE = re.compile("[\ud800-\udfff]")


def _whole(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # thousands of digits
        return float(digits)


_JSON = json.JSONDecoder(parse_int=_whole)
_CHUNK = 1 << 12  # one byte of Zstandard may unpack to 32,000


class NoRowsError(DataError):
    """No row or message is selected."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a part of a file."""

    column: str | None = None
    """A name, a path into JSON such as `message.text`, or a number, from 1, in a .tsv, .csv or .xlsx, whose first row
    is then data, unless plainly a header. None: "text", else the only column of text."""
    where: str | None = None
    """SQL, such as "Country = 'lebanon'". Columns of nothing but numbers compare with numbers, others with strings.
    Without a header, columns are called "1", "2", ..., in double quotes."""
    encoding: str = "utf-8"
    """A byte-order mark is skipped; UTF-16's wins over UTF-8."""
    delimiter: str | None = None
    """A character, or "tab". None: a tab in a .tsv, guessed in a .csv."""
    source_column: str | None = None
    sender: str | None = None
    """Sender whose messages of a chat are read; None: all."""
    sheet: str | None = None
    """Name or number, from 1, of the sheet of a workbook; None: the first."""

    @property
    def table(self) -> bool:
        """Whether an option is for tables alone."""
        return any(option is not None for option in (self.column, self.where, self.delimiter, self.source_column))


class ReadKeywords(TypedDict, total=False):
    """The fields of `ReadOptions`."""

    column: str | None
    where: str | None
    encoding: str
    delimiter: str | None
    source_column: str | None
    sender: str | None
    sheet: str | None


@dataclass(frozen=True)
class File:
    """The content of a file or of standard input."""

    name: Path
    ending: str
    """One of `ENDINGS`."""
    sha256: str
    """Sum of the stored bytes."""
    data: bytes
    """Unpacked."""
    codec: str = ""
    """Empty for `BINARY` files."""

    def open(self, newline: str = "\n") -> TextIO:
        """Return a stream: the text is never one string in memory."""
        return io.TextIOWrapper(io.BytesIO(self.data), self.codec, newline=newline)

    @cached_property
    def value(self) -> object:
        """The value of JSON."""
        text = self.open("").read()
        try:
            return load_json(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.name} is not JSON ({error}); one object a line is called .jsonl") from None


def too_much_text(column: str) -> DataError:
    """Return the error for a column of more than `MAX_UNPACKED`."""
    return DataError(f"column {column!r} holds more than {MAX_UNPACKED >> 20} MiB of text; divide it")


def load_json(text: str) -> object:
    """Return the value of JSON; half of a surrogate pair becomes U+FFFD."""
    value: object = _JSON.decode(text)
    if "\\ud" in text or "\\uD" in text:  # only an escape can spell half a pair
        return _JSON.decode(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(value, ensure_ascii=False)))
    return value


def read_file(path: Path, options: ReadOptions) -> File:
    """Return the content of a file, or of standard input for `-`; `DataError` if it cannot be read.

    Without an ending, the first bytes tell the format, and options for tables mean CSV.
    """
    if str(path) == STDIN:
        name, ending, stored = Path("stdin"), "", sys.stdin.buffer.read(MAX_UNPACKED + 1)
        compression = _kind(stored)[1]
        if len(stored) > MAX_UNPACKED:
            raise DataError(f"stdin holds more than {MAX_UNPACKED >> 30} GiB; write it to several files and name those")
    else:
        name, stored, (ending, compression) = path, _stored(path), _endings(path)
    if not stored:
        raise DataError(f"{name} is empty (0 bytes); write at least one text into it")
    data = _unpack(name, stored, compression) if compression in COMPRESSED else stored
    if not data:
        raise DataError(f"{name} holds nothing (0 bytes unpacked); write at least one text into it")
    kind, kind_ending = _kind(data)
    if ending not in ENDINGS:
        ending = _recognise(data, table=options.table)
    if kind_ending != ending and (kind or ending in BINARY):
        expected = "a Parquet file" if ending == ".parquet" else "an Excel workbook (.xlsx)"
        raise DataError(
            f"{name} is {kind or f'not {expected}'}, whatever its ending says; save it as text, unpack it, or give it "
            "its own ending"
        )
    codec = "" if ending in BINARY else _codec(name, data, options.encoding)
    return File(name, ending, hashlib.sha256(stored).hexdigest(), data, codec)


def list_files(folder: Path) -> list[Path]:
    """Return the readable files of a folder and its subfolders by name, but no hidden ones or linked folders."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = (Path(place, name) for name in sorted(files) if not name.startswith("."))
        found += [path for path in shown if _endings(path)[0] in ENDINGS]
    if not found:
        raise DataError(f"the folder {folder} holds no file that ends in {', '.join(ENDINGS)}; name another")
    return found


def _kind(data: bytes) -> tuple[str, str]:
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), ("", ""))


def _endings(path: Path) -> tuple[str, str]:
    before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)][-2:]
    return (before, last) if last in COMPRESSED else (last, "")


def _recognise(data: bytes, *, table: bool) -> str:
    if (ending := _kind(data)[1]) in BINARY:
        return ending
    head = data[: 1 << 16].removeprefix(codecs.BOM_UTF8).lstrip()
    if re.match(rb'\{\s*"|\[\s*[{"]', head):
        first, newline, _ = head.partition(b"\n")
        try:
            return ".jsonl" if newline and isinstance(_JSON.decode(first.decode()), dict) else ".json"
        except (ValueError, RecursionError):
            return ".json"
    return ".csv" if table else ".txt"


def _stored(path: Path) -> bytes:
    try:
        if not path.exists():
            names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else ()
            raise DataError(f"{path} does not exist{nearest(path.name, names)}; check the name and the folder.")
        ending, compression = _endings(path)
        if not compression and ending not in ENDINGS:
            known = ", ".join((*ENDINGS, *COMPRESSED))
            raise DataError(f"{path} has the ending {ending!r}; the endings read are {known}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _unpack(name: Path, stored: bytes, compression: str) -> bytes:
    kind, new_frame, failure = "gzip", lambda: zlib.decompressobj(31), zlib.error
    if compression == ".zst":
        try:
            zstandard: Any = importlib.import_module("zstandard")
        except ImportError:
            raise MissingExtraError(f"reading {name} needs zstandard", "zstd") from None
        kind, failure = "Zstandard", zstandard.ZstdError
        new_frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
    unpacked = bytearray()
    try:
        for piece in _frames(stored, new_frame):
            unpacked += piece
            if len(unpacked) > MAX_UNPACKED:
                raise DataError(
                    f"{name} unpacks to more than {MAX_UNPACKED >> 30} GiB, which is the most that is read; split it "
                    "into several files"
                )
    except (EOFError, failure) as error:
        problem = " ".join(str(error).split())
        raise DataError(f"{name} is not a sound {kind} archive ({problem}); get it again or unpack it") from None
    return bytes(unpacked)


def _frames(stored: bytes, new_frame: Callable[[], Any]) -> Iterator[bytes]:
    """Yield all frames, skipping zeros behind them; `EOFError` if one is cut."""
    frame = new_frame()
    for start in range(0, len(stored), _CHUNK):
        piece = stored[start : start + _CHUNK]
        while piece := piece.lstrip(b"\0") if frame.eof else piece:
            frame = new_frame() if frame.eof else frame
            yield frame.decompress(piece)
            piece = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("it ends before its end-of-frame marker")


# ---- encodings

_SAMPLE = 1 << 16  # bytes
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHER_SCRIPTS = [
    *("cp1251", "koi8_r", "cp866", "iso8859_5", "cp1253", "cp1255", "cp1256", "iso8859_6"),
    *("cp874", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
"""Among all 90 of charset-normalizer, Russian in KOI8-R would be Japanese."""
_WESTERN = "àâäáãåçèéêëìíîïñòóôõöøùúûüÿæß"
_LATIN = {
    "windows-1252": _WESTERN + "œ",
    "latin-1": _WESTERN,
    "windows-1254": "âçğıîöşûü",
    "windows-1250": "ąćęłńóśźżáäčďéěíňöřšťúůüýžőűăâîşţđß",
}
"""Letters in use; charset-normalizer takes French for Polish."""


def _codec(path: Path, data: bytes, encoding: str) -> str:
    """Return a codec that skips a byte-order mark; `DataError` for binary content, and UTF-8 named otherwise."""
    try:
        name = codecs.lookup(encoding).name.removesuffix("-sig")
        if name == "utf-8":
            name = marked_encoding(data) or "utf-8-sig"
        io.TextIOWrapper(io.BytesIO(), name)  # refuses codecs that are no text encodings
    except LookupError:
        raise DataError(f"{encoding!r} is not a text encoding; try utf-8, utf-16 or windows-1256") from None
    if not name.startswith(("utf-16", "utf-32")):
        if (at := data.find(0)) >= 0:
            guess = _guess_utf16_or_32(data)
            advice = f"try --encoding {guess}" if guess else "it is binary, not text"
            raise DataError(f"{path} has a NUL byte at {_place(data, at)}; {advice}")
        if name != "utf-8-sig" and not data.isascii() and _first_undecodable(data, "utf-8") is None:
            raise DataError(f"{path} is UTF-8, not {encoding}; leave --encoding out")
    return name


def marked_encoding(data: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 of a byte-order mark, else None."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)


def undecodable(path: Path, data: bytes, encoding: str) -> str:
    """Return a sentence on the first bad byte, with the likely encoding."""
    at = _first_undecodable(data, encoding) or 0
    sample = data[max(0, at - _SAMPLE) : at + _SAMPLE]
    text = sample.decode(errors="replace")
    if _first_undecodable(data, "utf-8") is None:
        advice = "it is UTF-8, so leave --encoding out"
    elif text.count("\N{REPLACEMENT CHARACTER}") * 10 < sum(character > "\x7f" for character in text):
        advice = "all around it is UTF-8, so repair that line"
    elif guess := _guess_utf16_or_32(data) or _guess_legacy(sample):
        advice = f"try --encoding {guess}"
    else:
        advice = "save it as UTF-8 or name its encoding with --encoding"
    name = "UTF-8" if codecs.lookup(encoding).name == "utf-8" else encoding
    return f"{path} is not {name}: byte 0x{data[at]:02X} at {_place(data, at)}; {advice}"


def _place(data: bytes, at: int) -> str:
    line = data.count(b"\n", 0, at) + 1
    return f"position {at} (line {line})"


def _first_undecodable(data: bytes, encoding: str) -> int | None:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    except UnicodeError:  # codecs such as punycode name no position
        return 0
    return None


def _guess_utf16_or_32(data: bytes) -> str | None:
    if marked := marked_encoding(data):
        return marked
    # ASCII has its NULs in one half of the byte pairs
    even, odd = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = data[:_SAMPLE].decode(name, errors="replace")
    readable = sum(character.isprintable() or character.isspace() for character in text)
    return name if min(even, odd) * 20 < max(even, odd) and readable > 0.95 * len(text) else None


def _guess_legacy(sample: bytes) -> str | None:
    runs: list[bytes] = re.findall(rb"[\x80-\xff]+", sample)
    high = b"".join(runs)
    # other scripts are runs of high bytes; accented letters stand alone
    if len(high) < 2 * len(runs):
        likely, best_share = None, 0.6
        for name, letters in _LATIN.items():
            text = high.decode(name, errors="replace").lower()
            share = sum(c in letters or c in "‘’“”–—…•€« »" for c in text) / max(1, len(text))
            if "\N{REPLACEMENT CHARACTER}" not in text and share > best_share:
                likely, best_share = name, share
        return likely
    from charset_normalizer import from_bytes

    # the default, 0.2, refuses short lines with much punctuation
    found = from_bytes(sample, cp_isolation=_OTHER_SCRIPTS, threshold=0.3, enable_fallback=False).best()
    if found is None:
        return None
    return re.sub("^cp125", "windows-125", found.encoding).replace("iso8859", "iso-8859").replace("_", "-")
