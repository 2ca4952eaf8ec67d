"""Files in any encoding: the byte that does not fit is named, with the encoding that fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data.reading import ARABIC, sentence, write

from kammil.data.sources import texts as read

FRENCH = "Ça va très bien, l'été à la plage où l'on fête Noël\n"


@pytest.mark.parametrize("encoding", ["windows-1256", "iso-8859-6", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", [".txt", ".csv", ".json", ".jsonl"])
def test_arabic_in_another_encoding_is_named_and_then_read(tmp_path: Path, encoding: str, ending: str) -> None:
    lines = ARABIC.splitlines()
    content = {
        ".txt": ARABIC,
        ".csv": "text\n" + ARABIC,
        ".json": json.dumps(lines, ensure_ascii=False, indent=0),
        ".jsonl": "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in lines),
    }[ending]
    path = write(tmp_path, f"a{ending}", content.encode(encoding))
    assert sentence(path).endswith(f"try --encoding {encoding}")
    assert read(path, encoding=encoding) == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARABIC.encode("windows-1256"), "not UTF-8: byte 0xD4 at position 0 (line 1); try --encoding windows-1256"),
        (b"one\ntwo\n" + FRENCH.encode("cp1252"), "byte 0xC7 at position 8 (line 3); try --encoding windows-1252"),
        ("It’s “fine” – really… isn’t it".encode("cp1252"), "try --encoding windows-1252"),
        (b"\x81 caf\xe9 \xe9t\xe9\n", "byte 0x81 at position 0 (line 1); try --encoding latin-1"),
        ("Привет, как дела сегодня\n".encode("cp1251"), "try --encoding windows-1251"),
        ("Всё хорошо, спасибо. Мы вчера ходили в парк и долго гуляли\n".encode("koi8-r"), "try --encoding koi8-r"),
        (ARABIC.encode()[:-4] + b"\xd8", "(line 2); all around it is UTF-8, so repair that line"),
        (
            f"a\n{ARABIC}".encode() + b"\xff\n" + ARABIC.encode(),
            "(line 4); all around it is UTF-8, so repair that line",
        ),
        (b"\x00\x01\x02binary\xff\x00\x07\x00\x01", "NUL byte at position 0 (line 1); it is binary, not text"),
        (bytes(range(1, 256)) + b"\x00\x00" * 40 + bytes(range(256)), "it is binary, not text"),
    ],
)
def test_undecodable_bytes_are_named_with_the_way_out(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in sentence(write(tmp_path, "a.txt", content))


def test_an_encoding_that_is_asked_for_wrongly(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", ARABIC)
    for encoding in ("windows-1256", "latin-1", "cp037"):
        assert "is UTF-8, not" in sentence(path, encoding=encoding)
    for encoding in ("nonsense", "rot13", ""):
        assert "is not a text encoding" in sentence(path, encoding=encoding)
    assert "it is UTF-8, so leave --encoding out" in sentence(path, encoding="utf-32")
    assert "save it as UTF-8 or name its encoding with --encoding" in sentence(
        write(tmp_path, "c.txt", b"\xa4 \xa4 \xa4 \xa4")
    )
    assert "it is UTF-8, so leave --encoding out" in sentence(write(tmp_path, "b.txt", "abc"), encoding="undefined")
    assert read(tmp_path / "b.txt", encoding="latin-1") == ["abc"]
    assert read(path, encoding="UTF8") == read(path, encoding="utf-8-sig") == ARABIC.splitlines()


@pytest.mark.parametrize("ending", [".txt", ".csv", ".jsonl"])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, ending: str) -> None:
    content = {".txt": "a\n", ".csv": "text,n\na,1\n", ".jsonl": '{"text": "a"}\n'}[ending]
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert read(write(tmp_path, f"a{ending}", content.encode(encoding))) == ["a"]
