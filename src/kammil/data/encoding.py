"""Decode files: check the kind of a file, guess its encoding, and name the byte that does not fit."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from pathlib import Path
from typing import TextIO

from kammil.errors import DataError

ENDINGS = (".txt", ".tsv", ".csv", ".jsonl", ".ndjson", ".parquet")
"""Endings of files that are read, in upper or lower case."""

_SIGNATURES = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
}
_SAMPLE = 1 << 16  # bytes looked at to guess an encoding: some ten thousand letters are plenty


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; raises `DataError` where its ending and content do not agree, or it has none."""
    ending = path.suffix.lower()
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; name one file in it")
        if not path.exists():
            raise DataError(f"{path} does not exist; check the name and the folder")
        if ending not in ENDINGS:
            raise DataError(f"{path} has the ending {ending!r}; the endings read are {', '.join(ENDINGS)}")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    if not data:
        raise DataError(f"{path} is empty (0 bytes); write at least one text into it")
    kind = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)
    if kind != ("a Parquet file" if ending == ".parquet" else None):
        kind = kind or "not a Parquet file"
        raise DataError(f"{path} is {kind}, whatever its ending says; unpack it or give it its own ending")
    return data


def decode(path: Path, data: bytes, encoding: str, newline: str) -> TextIO:
    """Return the text as a stream, decoded piece by piece, so that it is never in memory as one string.

    Raises `DataError` for an unknown encoding, for binary content, and for UTF-8 where another encoding is given.
    """
    try:
        name = codecs.lookup(encoding).name.removesuffix("-sig")
        codec = "utf-8-sig" if name == "utf-8" else name
        stream = io.TextIOWrapper(io.BytesIO(data), codec, newline=newline)
    except LookupError:
        raise DataError(f"{encoding!r} is not a text encoding; try utf-8, utf-16 or windows-1256") from None
    if name.startswith(("utf-16", "utf-32")):
        return stream
    if (at := data.find(0)) >= 0:
        guess = _guess_utf16_or_32(data)
        advice = f"try --encoding {guess}" if guess else "it is binary, not text"
        raise DataError(f"{path} has a NUL byte at position {at} (line {_line_number(data, at)}); {advice}")
    if name != "utf-8" and not data.isascii() and _first_undecodable(data, "utf-8") is None:
        raise DataError(f"{path} is UTF-8, not {encoding}; leave --encoding out")
    return stream


def _line_number(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _first_undecodable(data: bytes, encoding: str) -> int | None:
    """Return the position of the first byte that the encoding does not allow, counted from 0."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    except UnicodeError:  # codecs of Python's own, such as punycode, name no position
        return 0
    return None


def undecodable(path: Path, data: bytes, encoding: str) -> str:
    """Return a sentence on the first byte that the encoding does not allow, with the likely encoding."""
    at = _first_undecodable(data, encoding) or 0
    sample = data[max(0, at - _SAMPLE) : at + _SAMPLE]
    text = sample.decode(errors="replace")
    if _first_undecodable(data, "utf-8") is None:
        advice = "it is UTF-8, so leave --encoding out"
    elif text.count("\N{REPLACEMENT CHARACTER}") * 10 < sum(character > "\x7f" for character in text):
        advice = "all around it is UTF-8, so repair that line"
    elif guess := _guess_utf16_or_32(data) or _guess_single_byte(sample):
        advice = f"try --encoding {guess}"
    else:
        advice = "save it as UTF-8 or name its encoding with --encoding"
    name = "UTF-8" if codecs.lookup(encoding).name == "utf-8" else encoding
    return f"{path} is not {name}: byte 0x{data[at]:02X} at position {at} (line {_line_number(data, at)}); {advice}"


def _guess_utf16_or_32(data: bytes) -> str | None:
    """Guess UTF-16 or UTF-32 from a byte-order mark or the positions of NUL bytes; None for neither."""
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    if marked := next((name for mark, name in marks.items() if data.startswith(mark)), None):
        return marked
    # One half of the byte pairs holds the NULs of spaces, digits and line ends; the other half none.
    even, odd = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = data[:_SAMPLE].decode(name, errors="replace")
    readable = sum(character.isprintable() or character.isspace() for character in text)
    return name if min(even, odd) * 20 < max(even, odd) and readable > 0.95 * len(text) else None


def _guess_single_byte(sample: bytes) -> str | None:
    """Guess an encoding with one byte a character; None where no guess is likely."""
    runs: list[bytes] = re.findall(rb"[\x80-\xff]+", sample)
    high = b"".join(runs)
    # Arabic words are runs of high bytes; an accented letter or a curly quote stands alone among ASCII.
    arabic = len(high) >= 2 * len(runs)
    script = "ARABIC" if arabic else "LATIN"
    best, best_share = None, 0.6  # of the high bytes must be letters of the script, or common signs
    for name in ("windows-1256", "iso-8859-6") if arabic else ("windows-1252", "latin-1"):
        if _first_undecodable(high, name) is None:
            text = high.decode(name)
            letters = sum(c.isalpha() and unicodedata.name(c).startswith(script) for c in text)
            share = (letters + sum(c in "‘’“”–—…•€« »" for c in text)) / max(1, len(text))
            if share > best_share:
                best, best_share = name, share
    return best
