from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kammil.data import near_duplicates, readers
from kammil.data.readers import read, read_rows
from kammil.errors import DataError, MissingExtraError

DATA = os.environ.get("KAMMIL_DATA_DIR")
needs_data = pytest.mark.skipif(DATA is None, reason="KAMMIL_DATA_DIR does not name the folder of corpora")
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

ARABIC = "شو حلو الشعور لما تلاقي حدا بيفهمك\nكيفك اليوم يا زلمة، شو في ما في؟\n"
FRENCH = "Ça va très bien, l'été à la plage où l'on fête Noël\n"

any_text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
line = any_text.filter(lambda text: "\n" not in text)
plain_cell = any_text.filter(lambda text: not re.search("[\t\n\r]", text))
word = "كلمة"  # in every table, so that its column never holds nothing but numbers or blanks


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sentence(path: Path, **options: str) -> str:
    with pytest.raises(DataError) as caught:
        read_rows(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) > 20
    return message


# ---- text files


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


def test_a_text_file_needs_no_polars_and_a_table_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)  # what an absent package looks like to `import`
    assert read(write(tmp_path, "a.txt", "a\nb\n")) == ["a", "b"]
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'kammil[train]'")):
        read(write(tmp_path, "a.csv", "text\na\n"))


def test_a_text_file_has_no_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "a\n")
    assert "no columns" in sentence(path, column="text")
    assert "no columns" in sentence(path, where="TRUE")


# ---- encodings


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


# ---- tables


@shared_folder
@given(cells=st.lists(any_text, max_size=8), delimiter=st.sampled_from([",", "\t"]), quote_all=st.booleans())
def test_what_csv_writes_is_what_is_read(tmp_path: Path, cells: list[str], delimiter: str, quote_all: bool) -> None:
    cells = [word, *cells]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
    writer.writerows([("id", "text"), *enumerate(cells)])
    path = write(tmp_path, "a.csv" if delimiter == "," else "a.tsv", out.getvalue())
    assert list(read_rows(path).texts) == [cell.strip() for cell in cells]


@shared_folder
@given(rows=st.lists(st.tuples(plain_cell, plain_cell)))
def test_a_tsv_whose_quotes_are_no_csv_quotes_is_read_plainly(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    rows = [("neg", '"قال" وراح'), *rows]
    path = write(tmp_path, "a.tsv", "".join(f"{label}\t{text}\n" for label, text in rows))
    assert list(read_rows(path, column="2").texts) == [text.strip() for _, text in rows]


@shared_folder
@given(values=st.lists(st.none() | any_text, max_size=8))
@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".ndjson"])
def test_typed_tables_give_every_row(tmp_path: Path, ending: str, values: list[str | None]) -> None:
    values = [word, *values]
    frame = pl.DataFrame({"n": range(len(values)), "text": values})
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path)
    rows = read_rows(path)
    assert list(rows.texts) == [(value or "").strip() for value in values]
    assert rows.column == "text"


def test_the_dialect_of_a_tsv_in_which_all_rows_are_equally_wide_wins(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.tsv", 'x\ty\n"a\tb\nc\td"\n'), column="2") == ["y", "b", 'd"']
    assert read(write(tmp_path, "b.tsv", 'x\ty\na\t"b\nc"\n'), column="2") == ["y", "b\nc"]


def test_quoted_newlines_blank_lines_and_short_rows(tmp_path: Path) -> None:
    content = 'id\ttext\tn\n1\t"a ""b""\nc"\t1\n\n2\n3\td\t2\n'
    assert read_rows(write(tmp_path, "a.tsv", content)).texts == ('a "b"\nc', "", "d")


def test_categories_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a", None, "b"]}, schema={"text": pl.Categorical}).write_parquet(path)
    assert read_rows(path).texts == ("a", "", "b")


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    content = '{"text": "a\\ud800b"}\n{"text": "\\ud83d\\ude00 \\\\ud800"}\n'
    assert read(write(tmp_path, "a.jsonl", content)) == ["a\N{REPLACEMENT CHARACTER}b", "😀 \\ud800"]


# ---- choosing a column


def test_the_column_is_text_or_the_only_one_that_holds_text(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", "n,text,b\n1,a,x\n")) == ["a"]
    assert read_rows(write(tmp_path, "b.csv", "n,Tweet\n1,a\n2,3\n")).column == "Tweet"
    assert read_rows(write(tmp_path, "c.jsonl", '{"n": 1, "body": "a"}\n')).column == "body"
    message = sentence(write(tmp_path, "d.csv", "a,b\nx,y\n"))
    assert "2 columns of text" in message
    assert "--column: a, b" in message
    assert "no column of text; its columns are n" in sentence(write(tmp_path, "e.csv", "n\n1\n"))


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_a_first_row_that_looks_like_a_text_is_not_taken_for_a_header_silently(tmp_path: Path, ending: str) -> None:
    lines = ["شو حلو الشعور لما تنجح", "كيفك اليوم يا زلمة", "ما في شي"]
    path = write(tmp_path, f"a{ending}", "\n".join(lines))
    message = sentence(path)
    assert (
        "the first row of" in message
        and "looks like a text, not like names of columns: 'شو حلو الشعور لما تنجح'" in message
    )
    assert "give --column 1 if it is one" in message
    assert read(path, column="1") == lines
    assert read(path, column=lines[0]) == lines[1:]
    long = write(tmp_path, f"b{ending}", " ".join(["👨‍👩‍👧"] * 60) + "\nx y\n")
    assert " ".join(["👨‍👩‍👧"] * 20) + "…'" in sentence(long)


def test_a_number_counts_columns_and_makes_the_first_row_data(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "neg\tواحد\nneg\tاثنين\n")
    assert read(path, column="2") == ["واحد", "اثنين"]
    assert read(path, column="2", where="\"1\" = 'neg' AND \"2\" LIKE 'و%'") == ["واحد"]
    for column in ("0", "3"):
        assert sentence(path, column=column).endswith(f"no column {column!r}; its columns are 1, 2")
    assert read(write(tmp_path, "b.csv", "1,2\na,b\n"), column="2") == ["b"]  # a header that has the name wins
    assert "no column '2'" in sentence(write(tmp_path, "c.jsonl", '{"a": "x", "b": "y"}\n'), column="2")


def test_a_missing_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "Tweet,Country\na,b\n")
    assert "no column 'tweet' (did you mean 'Tweet'?); its columns are Tweet, Country" in sentence(path, column="tweet")
    assert "no column 'zzz'; its columns" in sentence(path, column="zzz")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,n\na,1\nb,2.5\n"),
        ("a.jsonl", '{"text": "a", "n": 1}\n'),
        ("b.jsonl", '{"text": "a", "n": {"m": "x"}}\n'),
    ],
)
def test_a_column_without_text_is_refused(tmp_path: Path, name: str, content: str) -> None:
    message = sentence(write(tmp_path, name, content), column="n")
    assert re.search("column 'n' of .* holds .*, not text; choose from text, n", message)


# ---- conditions

TABLE = "text,n,from,flag\na,1,x,TRUE\nb,2,y,FALSE\nc,10,,TRUE\n"


@pytest.mark.parametrize(
    ("where", "texts"),
    [
        ("n > 1", ["b", "c"]),
        ("n BETWEEN 1 AND 2 AND text <> 'a'", ["b"]),
        ("flag = 'TRUE'", ["a", "c"]),  # as it stands in the file
        ('"from" = \'x\' OR "from" IS NULL', ["a", "c"]),
        ("text IN ('a', 'select', 'it''s -- /* from')", ["a"]),
        ("UPPER(text) LIKE 'C%'", ["c"]),
        ("n = MAX(n)", ["c"]),
        ("TRUE", ["a", "b", "c"]),
    ],
)
def test_a_condition_selects_rows(tmp_path: Path, where: str, texts: list[str]) -> None:
    assert read(write(tmp_path, "a.csv", TABLE), where=where) == texts


@shared_folder
@given(numbers=st.lists(st.integers(-5, 5), min_size=1), bound=st.integers(-5, 5))
def test_a_condition_agrees_with_python(tmp_path: Path, numbers: list[int], bound: int) -> None:
    frame = pl.DataFrame({"text": [f"t{i}" for i in range(len(numbers))], "n": numbers})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    expected = [f"t{i}" for i, number in enumerate(numbers) if number >= bound]
    for name in ("a.csv", "a.parquet"):
        if expected:
            assert read(tmp_path / name, where=f"n >= {bound}") == expected
        else:
            with pytest.raises(readers.NoRowsError, match=f"none of the {len(numbers)} rows"):
                read(tmp_path / name, where=f"n >= {bound}")


@pytest.mark.parametrize(
    "where",
    [
        "text IN (SELECT text FROM read_csv('{other}'))",
        "EXISTS (sElEcT * FROM read_csv('{other}'))",
        "text IN (FROM read_csv('{other}'))",
        "text IN (TABLE other)",
        "text IN (VALUES ('a'))",
        "text = $$a$$ OR text IN (SELECT 1)",
        "text = E'\\' = ' OR text IN (SELECT text FROM read_csv('{other}')) OR 'x' = '",
        "text = U&'a'",
        "text = `a`",
        "text = 'a' -- SELECT",
        "text = 'a' /* */",
        "text = 'a'; DROP TABLE x",
        "from = 'x'",
    ],
)
def test_nothing_but_a_condition_on_the_columns_is_let_in(tmp_path: Path, where: str) -> None:
    other = write(tmp_path, "other.csv", "text\na\n")
    message = sentence(write(tmp_path, "a.csv", TABLE), where=where.format(other=other))
    assert "without sub-queries" in message


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Text = 'a'", "names the column 'Text', which"),
        ("Text = 'a'", "(did you mean 'text'?); its columns are text, n, from, flag"),
        ("text = read_csv('a.csv')", "unsupported function 'read_csv'"),
        ("n", "gives Int64, not true or false"),
        ("text", "gives String, not true or false"),
        ("1", "not true or false"),
        ('"^.*$" = 1', "not true or false"),
        ("n = 'x'", "cannot compare string with numeric"),
        ("text = 'a", "Unterminated string literal"),
        ("text ~ '('", "regex parse error"),
        ("CAST(text AS INT) = 1", "failed"),
        ("", "is not a condition"),
        ("*", "is not a condition"),
        ("text = 'zzz'", "selects none of the 3 rows"),
    ],
)
def test_a_wrong_condition_is_one_sentence(tmp_path: Path, where: str, message: str) -> None:
    assert message in sentence(write(tmp_path, "a.csv", TABLE), where=where)


# ---- files that cannot be read


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
        ("a.jsonl", b'{"text": null}\n', "holds no text (1 rows"),
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
        ("a.jsonl", b'{"text": "a", "n": true}\n{"text": "b", "n": 1.5}\n', "is not a sound .jsonl file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert message in sentence(write(tmp_path, name, content))


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    assert "does not exist" in sentence(tmp_path / "missing.txt")
    assert "is a folder" in sentence(tmp_path)
    assert "cannot be read" in sentence(tmp_path / f"{'a' * 300}.txt")  # longer than a file system allows


# ---- what is shipped and what is out there


def test_the_embedded_corpus() -> None:
    texts = readers.sample()
    assert all(10 <= len(text) <= 200 and text == " ".join(text.split()) for text in texts)
    assert len(set(near_duplicates.groups(texts).tolist())) == len(texts) == 1200  # as LICENSE-sample.txt says


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


def test_a_table_may_name_the_source_of_each_text(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_text("source\ttext\tfrom\na\tشو\t1\nb\tطيب\t2\na\tلا\t\n", "utf-8")
    assert read_rows(file).sources == ("a", "b", "a")
    assert read_rows(file, source_column="from", where="source = 'a'").sources == ("1", "")
    assert read_rows(file, column="source").sources is None
    with pytest.raises(DataError, match=re.escape("no column 'form' of sources (did you mean 'from'?)")):
        read_rows(file, source_column="form")
    (tmp_path / "t.txt").write_text("شو\n", "utf-8")
    assert read_rows(tmp_path / "t.txt").sources is None
    with pytest.raises(DataError, match="has no columns; source_column needs"):
        read_rows(tmp_path / "t.txt", source_column="from")


# ---- delimiters and Excel's own formats


@shared_folder
@given(cells=st.lists(any_text, max_size=8), delimiter=st.sampled_from([";", "\t", "|", ","]), marked=st.booleans())
def test_the_delimiter_of_a_csv_is_found_out(tmp_path: Path, cells: list[str], delimiter: str, marked: bool) -> None:
    out = io.StringIO(newline="")
    cells = [word, *cells]
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *enumerate(cells)])
    path = write(tmp_path, "a.csv", (f"sep={delimiter}\r\n" if marked else "") + out.getvalue())
    expected = [cell.strip() for cell in cells]
    assert list(read_rows(path).texts) == expected
    assert list(read_rows(path, delimiter=delimiter).texts) == expected


def test_the_delimiter_that_divides_most_rows_alike_wins(tmp_path: Path) -> None:
    rows = ["text;day, hour", "شو، يعني;1, 2", "a, b, c;3, 4", "d;5"]
    assert read(write(tmp_path, "a.csv", "\n".join(rows))) == ["شو، يعني", "a, b, c", "d"]
    assert read(write(tmp_path, "b.csv", "text,n\na;b,1\nc,2\n")) == ["a;b", "c"]


def test_a_delimiter_that_is_given_wins(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.txt", "id~text\n1~a\n"), delimiter="~") == ["a"]
    assert read(write(tmp_path, "b.csv", "id\ttext\n1\ta,b\n"), delimiter="tab") == ["a,b"]
    for wrong in ("", ";;", '"', "\n"):
        assert "is not one character" in sentence(tmp_path / "b.csv", delimiter=wrong)
    message = sentence(write(tmp_path, "c.jsonl", '{"text": "a"}\n'), delimiter=";")
    assert "--delimiter ';' is for .csv, .tsv, .txt" in message


def test_what_excel_calls_unicode_text_is_a_table(tmp_path: Path) -> None:
    content = 'id\ttext\r\n1\t"قال ""شو""\tوراح"\r\n2\tكيفك، منيح؟\r\n'
    assert read(write(tmp_path, "a.txt", content.encode("utf-16"))) == ['قال "شو"\tوراح', "كيفك، منيح؟"]
    assert read(write(tmp_path, "b.txt", ARABIC.encode("utf-16"))) == ARABIC.splitlines()


def test_the_first_sheet_of_a_workbook_is_a_table(tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    path = tmp_path / "a.xlsx"
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    rows = [["n", "text"], [1, "كيفك"], [2.5, "a,\nb"], [3, None], [4, "=1+1"]]
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if cell == "=1+1":
                sheet.write_formula(row, column, cell, value="kept")
            elif cell is not None:
                sheet.write(row, column, cell)
    book.close()
    assert read_rows(path).texts == ("كيفك", "a,\nb", "", "kept")
    assert read(path, where="n > 1 AND n < 3") == ["a,\nb"]
    assert read(path, column="2") == ["text", "كيفك", "a,\nb", "kept"]
    assert "no column 'Text' (did you mean 'text'?)" in sentence(path, column="Text")


def test_a_zip_archive_is_no_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.txt", "a")
    assert "is not a sound workbook" in sentence(tmp_path / "a.xlsx")


# ---- JSON and fields inside it


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ([{"text": "a"}, {"text": "b"}], None),
        (["a", "b"], None),
        ({"version": 1, "rows": [{"text": "a"}, {"text": "b"}]}, None),
        ({"version": 1, "rows": [{"text": "a"}, {"text": "b"}]}, "rows.text"),
        ([{"message": {"text": "a"}}, {"message": {"text": "b"}}], "message.text"),
        ([{"talk": [{"role": "u", "text": "a"}, {"role": "v", "text": "b"}]}], "talk.text"),
        ([{"talk": [["a"], ["b"]], "n": 1}], None),
        ([{"m.x": {"text": "a"}}, {"m.x": {"text": "b"}}], "m.x.text"),
    ],
)
def test_texts_inside_json(tmp_path: Path, value: object, column: str | None) -> None:
    path = write(tmp_path, "a.json", json.dumps(value))
    if value == [{"talk": [["a"], ["b"]], "n": 1}]:
        assert "no column of text" in sentence(path)
    else:
        assert read(path, column=column) == ["a", "b"]


def test_a_field_of_lines_of_json_and_of_parquet(tmp_path: Path) -> None:
    rows = [{"id": 1, "message": {"text": "a"}}, {"id": 2, "message": None}, {"id": 3, "message": {"text": "c"}}]
    path = write(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    for file in (path, tmp_path / "a.parquet"):
        assert read_rows(file, column="message.text").texts == ("a", "", "c")
        assert read(file, column="message.text", where="id > 1") == ["c"]
        assert "no column 'message.body'" in sentence(file, column="message.body")
        assert "(did you mean 'message.text'?)" in sentence(file, column="Message.text")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "is no list of objects; write one such as"),
        ("[]", "is no list of objects"),
        ('{"a": ', "is not JSON (Expecting value"),
        ("[" * 100_000, "is not JSON"),
        (
            '{"a": [{"x": "y"}], "b": [{"x": "z"}]}',
            "holds 2 lists of objects: a, b; choose one with --column LIST.FIELD",
        ),
        ('[{"n": 1, "m": [{"o": {"p": "a"}}]}]', "text inside one, such as --column m.o.p"),
    ],
)
def test_json_that_holds_no_rows_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    assert message in sentence(write(tmp_path, "a.json", content))
