"""Any table of cells is read as it was meant: by its delimiter, its quotes, the width of its rows."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.data.reading import any_text, sentence, shared_folder, word, write

from kammil.data.readers import read, read_rows

plain_cell = any_text.filter(lambda text: not re.search("[\t\n\r]", text))


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
    rows = [("-1", '"قال" وراح'), *rows]  # a name above numbers only would be taken for a header, and rightly
    path = write(tmp_path, "a.tsv", "".join(f"{label}\t{text}\n" for label, text in rows))
    assert list(read_rows(path, column="2").texts) == [text.strip() for _, text in rows]


def test_the_dialect_of_a_tsv_in_which_all_rows_are_equally_wide_wins(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.tsv", 'x\ty\n"a\tb\nc\td"\n'), column="2") == ["y", "b", 'd"']
    assert read(write(tmp_path, "b.tsv", 'x\ty\na\t"b\nc"\n'), column="2") == ["y", "b\nc"]


def test_quoted_newlines_blank_lines_and_short_rows(tmp_path: Path) -> None:
    content = 'id\ttext\tn\n1\t"a ""b""\nc"\t1\n\n2\n3\td\t2\n'
    assert read_rows(write(tmp_path, "a.tsv", content)).texts == ('a "b"\nc', "", "d")


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


def test_a_long_cell_is_read_and_the_limit_of_the_program_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = "كلمة " * 100_000
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        assert read(write(tmp_path, name, f"id{delimiter}text\n1{delimiter}{text}\n")) == [text.strip()]
    assert csv.field_size_limit() == before


def test_an_empty_column_beside_the_texts_is_none_of_texts(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, "a.csv", "Tweet,empty\na,\nb,\n")).column == "Tweet"
