"""Compressed files, standard input and folders: they give what the plain file gives."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.reading import ARABIC, sentence, write

from kammil.data import files
from kammil.data.files import ReadOptions, list_files, read_file
from kammil.data.sources import rows as read_rows
from kammil.data.sources import texts as read
from kammil.errors import DataError, MissingExtraError

shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
TABLE = "n,text\n1,كيفك\n2,منيح\n"


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def compressed(data: bytes, ending: str) -> bytes:
    if ending == ".gz":
        return gzip.compress(data)
    library: Any = pytest.importorskip("zstandard")
    return library.ZstdCompressor().compress(data)


@shared_folder
@given(
    parts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3000), min_size=1, max_size=3
    )
)
@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_compressed_file_holds_what_the_plain_one_holds(tmp_path: Path, ending: str, parts: list[str]) -> None:
    parts[0] = "x" + parts[0]
    path = tmp_path / f"a.TXT{ending}"
    path.write_bytes(b"".join(compressed(part.encode(), ending) for part in parts))
    file = read_file(path, ReadOptions())
    assert (file.open("").read(), file.ending) == ("".join(parts), ".txt")


def test_zeros_behind_an_archive_are_padding(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a\n") + bytes(5000) + gzip.compress(b"b\n") + bytes(9))
    assert read_rows(tmp_path / "a.txt.gz").texts == ("a", "b")


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_compressed_table_is_a_table(tmp_path: Path, ending: str) -> None:
    for name in ("a.csv", "b"):  # without an ending, a column says that it is a table
        path = tmp_path / f"{name}{ending}"
        path.write_bytes(compressed(TABLE.encode(), ending))
        assert read_rows(path, column="text").texts == ("كيفك", "منيح")


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_more_than_the_most_that_is_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = tmp_path / f"a.txt{ending}"
    monkeypatch.setattr(files, "MAX_UNPACKED", 5 << 20)
    path.write_bytes(compressed(bytes(6 << 20), ending))
    with pytest.raises(DataError, match="unpacks to more than 0 GiB, which is the most"):
        read_file(path, ReadOptions())


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_damaged_archive_is_said(tmp_path: Path, ending: str) -> None:
    whole = compressed(os.urandom(5000), ending)
    for damaged in (whole[:-9], whole[:100], b"plain text\n"):
        path = tmp_path / f"a.txt{ending}"
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"is not a sound (gzip|Zstandard) archive .*; get it again or unpack it"):
            read_file(path, ReadOptions())


def test_zstandard_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(MissingExtraError, match=r"needs zstandard; run: pip install .*\[zstd\]"):
        read_file(tmp_path / "a.txt.zst", ReadOptions())


@pytest.mark.parametrize(
    ("data", "column", "ending"),
    [
        (b"a\nb\n", None, ".txt"),
        (TABLE.encode(), "text", ".csv"),
        (b'{"text": "a"}\n{"text": "b"}\n', None, ".jsonl"),
        (b'{"text":\n"a"}\n', None, ".json"),
        (b'\xef\xbb\xbf [ {"text": "a"} ]', None, ".json"),
        (b"{smile}\n", None, ".txt"),
        (b"[31/12/2023, 23:59:59] A: b\n", None, ".txt"),
        (b"PAR1...PAR1", None, ".parquet"),
        (gzip.compress(b'{"text": "a"}\n', mtime=0), None, ".jsonl"),
    ],
)
def test_standard_input_is_recognised_by_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, data: bytes, column: str | None, ending: str
) -> None:
    pipe(monkeypatch, data)
    file = read_file(Path("-"), ReadOptions(column=column))
    assert (file.ending, file.name) == (ending, Path("stdin"))


def test_texts_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, TABLE.encode())
    assert read_rows("-", column="text").texts == ("كيفك", "منيح")
    pipe(monkeypatch, b"")
    with pytest.raises(DataError, match=r"^stdin is empty"):
        read_rows("-")


def test_a_folder_lists_what_can_be_read(tmp_path: Path) -> None:
    for name in ("b.txt", "a.csv.gz", "sub/c.JSONL", ".hidden.txt", ".git/d.txt", "e.png", "f.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list_files(tmp_path) == [tmp_path / "a.csv.gz", tmp_path / "b.txt", tmp_path / "sub" / "c.JSONL"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"the folder .*empty holds no file that ends in \.txt"):
        list_files(tmp_path / "empty")


# ---- encodings

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
