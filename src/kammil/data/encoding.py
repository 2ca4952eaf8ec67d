"""Encodings of files; where bytes do not fit, the first one is named, and the likely encoding."""

from __future__ import annotations

import codecs
import io
import re
from pathlib import Path

from kammil.errors import DataError

_SAMPLE = 1 << 16  # bytes looked at to guess an encoding: some ten thousand letters are plenty

_OTHER_SCRIPTS = (
    *("cp1251", "koi8_r", "cp866", "iso8859_5", "cp1253", "cp1255", "cp1256", "iso8859_6"),
    *("cp874", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""Encodings of scripts other than Latin that files of today are in, by charset-normalizer's names. Among all of its 90,
a line of Russian in KOI8-R would be Japanese."""
_WESTERN = "àâäáãåçèéêëìíîïñòóôõöøùúûüÿæßÀÂÄÁÃÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÆ"
_CENTRAL = "ąćęłńóśźżáäčďéěíňöřšťúůüýžőűăâîşţđßĄĆĘŁŃÓŚŹŻÁÄČĎÉĚÍŇÖŘŠŤÚŮÜÝŽŐŰĂÂÎŞŢĐ"
_LATIN = {
    "windows-1252": _WESTERN + "œŒ",
    "latin-1": _WESTERN,
    "windows-1254": "âçğıîöşûüÂÇĞİÎÖŞÛÜ",
    "windows-1250": _CENTRAL,
    "iso-8859-2": _CENTRAL,
}
"""Encodings of Latin letters, and the letters beyond ASCII that people write in them. charset-normalizer, which looks
at blocks of Unicode alone, takes French for Polish."""


def codec_of(path: Path, data: bytes, encoding: str) -> str:
    """Return the name of the codec of an encoding, which skips a byte-order mark; one of UTF-16 or UTF-32 wins.

    Raises `DataError` for an unknown encoding, binary content, and UTF-8 called something else.
    """
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
            raise DataError(f"{path} has a NUL byte at position {at} (line {_line_number(data, at)}); {advice}")
        if name != "utf-8-sig" and not data.isascii() and _first_undecodable(data, "utf-8") is None:
            raise DataError(f"{path} is UTF-8, not {encoding}; leave --encoding out")
    return name


def marked_encoding(data: bytes) -> str | None:
    """Return UTF-16 or UTF-32 where a byte-order mark names it, else None."""
    marks = {
        codecs.BOM_UTF32_LE: "utf-32",
        codecs.BOM_UTF32_BE: "utf-32",
        codecs.BOM_UTF16_LE: "utf-16",
        codecs.BOM_UTF16_BE: "utf-16",
    }
    return next((name for mark, name in marks.items() if data.startswith(mark)), None)


def _line_number(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _first_undecodable(data: bytes, encoding: str) -> int | None:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    except UnicodeError:  # codecs of Python's own, such as punycode, name no position
        return 0
    return None


def undecodable(path: Path, data: bytes, encoding: str) -> str:
    """Return a sentence on the first byte that an encoding does not allow, with the likely encoding."""
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
    return f"{path} is not {name}: byte 0x{data[at]:02X} at position {at} (line {_line_number(data, at)}); {advice}"


def _guess_utf16_or_32(data: bytes) -> str | None:
    """Guess UTF-16 or UTF-32 from a byte-order mark or the positions of NUL bytes; None for neither."""
    if marked := marked_encoding(data):
        return marked
    # One half of the byte pairs holds the NULs of spaces, digits and line ends; the other half none.
    even, odd = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = data[:_SAMPLE].decode(name, errors="replace")
    readable = sum(character.isprintable() or character.isspace() for character in text)
    return name if min(even, odd) * 20 < max(even, odd) and readable > 0.95 * len(text) else None


def _guess_legacy(sample: bytes) -> str | None:
    """Guess an encoding from before Unicode; None where no guess is likely."""
    runs: list[bytes] = re.findall(rb"[\x80-\xff]+", sample)
    high = b"".join(runs)
    # Words of other scripts are runs of high bytes; an accented letter or a curly quote stands alone among ASCII.
    if len(high) < 2 * len(runs):
        return _guess_latin(high)
    from charset_normalizer import from_bytes

    # Its usual threshold, 0.2, refuses short lines with much punctuation; nothing but chaos is beyond 0.3.
    found = from_bytes(sample, cp_isolation=list(_OTHER_SCRIPTS), threshold=0.3, enable_fallback=False).best()
    return None if found is None else _common_name(found.encoding)


def _common_name(encoding: str) -> str:
    return re.sub("^cp125", "windows-125", encoding).replace("iso8859", "iso-8859").replace("_", "-")


def _guess_latin(high: bytes) -> str | None:
    """Guess an encoding of Latin letters from the bytes beyond ASCII; of equally good ones, the commonest."""
    best, best_share = None, 0.6  # of the high bytes must be letters that people write, or common signs
    for name, letters in _LATIN.items():
        if _first_undecodable(high, name) is None:
            text = high.decode(name)
            share = sum(c in letters or c in "‘’“”–—…•€« »" for c in text) / max(1, len(text))
            if share > best_share:
                best, best_share = name, share
    return best
