"""Every text of a file is read, and a file that cannot be read is one sentence."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.reading import ARABIC, any_text, sentence, shared_folder, word, write

from kammil.data import near_duplicates, readers
from kammil.data.readers import read, read_rows
from kammil.errors import MissingExtraError

DATA = os.environ.get("KAMMIL_DATA_DIR")
needs_data = pytest.mark.skipif(DATA is None, reason="KAMMIL_DATA_DIR does not name the folder of corpora")
FRENCH = "Ça va très bien, l'été à la plage où l'on fête Noël\n"
line = any_text.filter(lambda text: "\n" not in text)


@shared_folder
@given(lines=st.lists(line, min_size=1), crlf=st.booleans(), final=st.booleans())
def test_every_line_of_a_text_file_is_one_row(tmp_path: Path, lines: list[str], crlf: bool, final: bool) -> None:
    end = "\r\n" if crlf else "\n"
    lines = [word, *lines, word]
    rows = read_rows(write(tmp_path, "a.txt", end.join(lines) + (end if final else "")))
    assert list(rows.texts) == [text.strip() for text in lines]
    assert rows.blank == sum(not text.strip() for text in lines)
    assert read(rows.path) == [text.strip() for text in lines if text.strip()]
    assert rows.sha256 == hashlib.sha256(rows.path.read_bytes()).hexdigest()
    assert rows.column is None


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "A.TXT", "a\x85b\u2028c\x0bd\x1ce\rf\r\n\r\ng")
    assert read_rows(path).texts == ("a\x85b\u2028c\x0bd\x1ce\rf", "", "g")


def test_polars_reads_parquet_and_workbooks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)  # what an absent package looks like to `import`
    for name, content in (
        ("a.txt", "a\nb\n"),
        ("a.csv", "n,text\n1,a\n2,b\n"),
        ("a.tsv", "n\ttext\n1\ta\n2\tb\n"),
        ("a.jsonl", '{"n": 1, "text": "a"}\n{"n": 2, "text": "b"}\n'),
        ("a.json", '[{"n": 1, "text": "a"}, {"n": 2, "text": "b"}]'),
    ):
        assert read(write(tmp_path, name, content)) == ["a", "b"]
        if name != "a.txt":
            assert read(tmp_path / name, where="n > 1") == ["b"]
    with pytest.raises(MissingExtraError, match=re.escape("[tables]'")):
        read(write(tmp_path, "a.parquet", b"PAR1abcdPAR1"))


def test_a_text_file_has_no_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "a\n")
    assert "no columns" in sentence(path, column="text")
    assert "no columns" in sentence(path, where="TRUE")


@pytest.mark.parametrize("encoding", ["windows-1256", "iso-8859-6", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", [".txt", ".csv", ".jsonl"])
def test_arabic_in_another_encoding_is_named_and_then_read(tmp_path: Path, encoding: str, ending: str) -> None:
    lines = ARABIC.splitlines()
    content = {
        ".txt": ARABIC,
        ".csv": "text\n" + ARABIC,
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is empty (0 bytes)"),
        ("a.txt", b"\n \r\n\t\n", "holds no text (3 rows, all blank)"),
        ("a.txt", b"\xef\xbb\xbf", "holds no text"),
        ("a.csv", b"\n\n", "has only blank lines"),
        ("a.jsonl", b"\n\n", "has only blank lines"),
        ("a.csv", b"text,n\n", "holds no text (0 rows"),
        ("a.csv", b"text,n\n ,1\n", "column 'text' of"),
        ("a.jsonl", b'{"text": null}\n', "holds no text (1 row,"),
        ("a.jsonl", b"{}\n", "no column of text"),
        (
            "a.docx",
            b"PK\x03\x04",
            "has the ending '.docx'; the endings read are .txt, .tsv, .csv, .json, .jsonl, .ndjson",
        ),
        ("a", b"x", "has the ending ''"),
        ("a.csv", b"PK\x03\x04abc", "is a ZIP archive or an Office document"),
        ("a.txt", b"\x1f\x8b\x08", "is a gzip archive"),
        ("a.tsv", b"PAR1abc", "is a Parquet file"),
        ("a.parquet", b"text\na\n", "is not a Parquet file"),
        ("a.parquet", b"\x1f\x8b\x08", "is a gzip archive"),
        ("a.parquet", b"PAR1abcdPAR1", "is not a sound .parquet file"),
        ("a.csv", b'text,n\n"a"b,1\n', "line 2: not well-formed CSV"),
        ("a.csv", b'text,n\na,1\n"b,1\n', "line 3: not well-formed CSV"),
        ("a.csv", b"text,n\na,1\na,b,1\n", "line 3: a row of 3 cells, where the first row has 2"),
        ("a.tsv", b"text\tn\na\tb\t1\n", "line 2: a row of 3 cells, where the first row has 2"),
        ("a.csv", b"text;n\na\nb\n", "line 1: one column, but ';' in its name; separate cells with ','"),
        ("a.jsonl", b'{"text": "a"}\n{"text":\n', "line 2: not JSON (Expecting value)"),
        ("a.jsonl", b"[" * 100_000, "line 1: not JSON"),
        ("a.jsonl", b'["a"]\n', "line 1: not an object"),
        ("a.jsonl", b'\n{"text": "a"}\n\n{"text": 5}\n', "line 4 of"),
        ("a.jsonl", b'{"text": "a"}\n{"text": ["b"]}\n', "column 'text', is ['b'], no text"),
        ("a.json", b'[{"text": "a"}, {"text": {"b": "x"}}]', "row 2 of"),
        ("a.json", b'["a", 5]', "is no list of objects"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert message in sentence(write(tmp_path, name, content))


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    assert "does not exist" in sentence(tmp_path / "missing.txt")
    assert "is a folder" in sentence(tmp_path)
    assert "cannot be read" in sentence(tmp_path / f"{'a' * 300}.txt")  # longer than a file system allows


def test_the_embedded_corpus() -> None:
    texts = readers.sample()
    assert all(10 <= len(text) <= 200 and text == " ".join(text.split()) for text in texts)
    assert len(set(near_duplicates.groups(texts).tolist())) == len(texts) == 1400  # as LICENSE-sample.txt says


@needs_data
def test_the_levantine_tweets() -> None:
    path = Path(DATA or "") / "ArSenTD-LEV.tsv"
    rows = read_rows(path, column="Tweet")
    assert (len(rows.texts), rows.blank) == (4000, 0)
    assert rows.texts[0].startswith('"أنا أؤمن بأن الانسان')  # the doubled quotes of the file belong to the text
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows.texts) == [record["Tweet"].strip() for record in records]
    lebanese = [record["Tweet"].strip() for record in records if record["Country"] == "lebanon"]
    assert read(path, column="Tweet", where="Country = 'lebanon'") == lebanese
    assert len(lebanese) == 1000


def test_what_excel_calls_unicode_text_is_a_table(tmp_path: Path) -> None:
    content = 'id\ttext\r\n1\t"قال ""شو""\tوراح"\r\n2\tكيفك، منيح؟\r\n'
    assert read(write(tmp_path, "a.txt", content.encode("utf-16"))) == ['قال "شو"\tوراح', "كيفك، منيح؟"]
    assert read(write(tmp_path, "b.txt", ARABIC.encode("utf-16"))) == ARABIC.splitlines()
