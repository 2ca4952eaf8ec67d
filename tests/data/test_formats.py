"""Files of every format give the rows that they hold, and one that would fill the memory is refused."""

from __future__ import annotations

import csv
import io
import json
import re
import tracemalloc
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.reading import any_text, sentence, shared_folder, word, write

from kammil.data import formats
from kammil.data.sources import rows as read_rows
from kammil.data.sources import texts as read

# ---- cells with a character between them

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


# ---- JSON


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    content = '{"text": "a\\ud800b"}\n{"text": "\\ud83d\\ude00 \\\\ud800"}\n'
    assert read(write(tmp_path, "a.jsonl", content)) == ["a\N{REPLACEMENT CHARACTER}b", "😀 \\ud800"]


@pytest.mark.parametrize(
    "other", ["NaN", "-Infinity", "1e999", "9" * 400, "-" + "9" * 5000, "true", '[[["y"]]]', '{"text": {"a": []}}']
)
def test_values_beside_a_text_do_no_harm(tmp_path: Path, other: str) -> None:
    lines = [f'{{"text": "a b", "n": {other}}}', '{"text": "c", "n": "x"}', '{"text": "d", "n": {"m": 1}}']
    for name, content in (("a.jsonl", "\n".join(lines)), ("a.json", f"[{','.join(lines)}]")):
        assert read(write(tmp_path, name, content)) == ["a b", "c", "d"]


def test_the_last_of_two_equal_keys_counts(tmp_path: Path) -> None:
    for name, content in (("a.jsonl", '{"text": "a", "text": "b"}\n'), ("a.json", '[{"text": "a", "text": "b"}]')):
        assert read(write(tmp_path, name, content)) == ["b"]


@pytest.mark.parametrize("start", ['{"a":', "["])
def test_deep_values_take_no_memory(tmp_path: Path, start: str) -> None:
    deep = start * 900 + '"x"' + {"{": "}", "[": "]"}[start[0]] * 900
    path = write(tmp_path, "a.jsonl", f'{{"text": "a", "b": {deep}}}')
    tracemalloc.start()
    assert read(path) == read(path, where="b IS NOT NULL") == ["a"]
    for column in ("b", "b.a", "c"):
        assert sentence(path, column=column)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


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


def test_a_key_of_its_own_in_every_row_takes_no_time(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", "".join(f'{{"k{i}": "a"}}\n' for i in range(20_000)))
    assert "20,000 columns; choose one" in sentence(path)
    assert read(path, column="k7") == ["a"]


# ---- Parquet


def test_a_column_that_nobody_asks_for_is_not_read(tmp_path: Path) -> None:
    path, texts = tmp_path / "a.parquet", [f"كلمة {i}" for i in range(5000)]
    pl.DataFrame({"text": texts, "other": "unasked", "n": range(5000)}).write_parquet(path, compression="uncompressed")
    content = path.read_bytes()
    begin, end = content.rindex(texts[-1].encode(), 0, content.index(b"unasked")) + 40, content.index(b"unasked")
    path.write_bytes(content[:begin] + b"\xff" * (end - begin) + content[end:])
    assert read(path) == texts
    assert read(path, where="n >= 4000") == texts[4000:]
    assert "is not a sound .parquet file" in sentence(path, where="other = 'unasked'")


# ---- workbooks


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
    assert read(path, column="2") == ["كيفك", "a,\nb", "kept"]
    assert read_rows(path, column="2").headers == ("a.xlsx (n, text)",)
    assert "no column 'Text' (did you mean 'text'?)" in sentence(path, column="Text")


def test_a_sheet_is_chosen_and_others_are_named(tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    path = tmp_path / "a.xlsx"
    book = xlsxwriter.Workbook(str(path))
    for name, rows in (("About", [["n"], [1]]), ("رسائل & 2", [["id", "Tweet"], [1, "شو"]]), ("1", [["Tweet"], ["a"]])):
        sheet = book.add_worksheet(name)
        for row, cells in enumerate(rows):
            sheet.write_row(row, 0, cells)
    book.add_worksheet("Empty")
    book.close()
    assert read(path, sheet="رسائل & 2") == read(path, sheet="2") == ["شو"]
    assert read(path, sheet="1") == read(path, sheet="3", column="Tweet") == ["a"]  # a name before a number
    for said in (sentence(path), sentence(path, column="Tweet")):
        assert "--sheet" in said and "'رسائل & 2'" in said and "'About'" not in said
    assert "its columns are Tweet; --sheet" in sentence(path, sheet="1", column="zz")
    assert "no row in the sheet 'Empty'" in sentence(path, sheet="Empty")
    for wrong in ("abuot", "0", "5", ""):
        assert f"has no sheet {wrong!r}" in sentence(path, sheet=wrong)
    assert "--sheet '2' is for .xlsx" in sentence(write(tmp_path, "a.txt", "a\n"), sheet="2")


def test_cells_of_a_workbook_are_texts_as_in_the_csv_of_it(tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    book = xlsxwriter.Workbook(str(tmp_path / "a.xlsx"))
    sheet = book.add_worksheet()
    for row, cell in enumerate(["text", "شو", 5, 2.5, True, "07"]):
        sheet.write(row, 0, cell)
    sheet.write_formula(6, 0, "=NA()", value="#N/A")  # no text
    book.close()
    assert read(tmp_path / "a.xlsx") == read(write(tmp_path, "a.csv", "text\nشو\n5\n2.5\ntrue\n07\n"))


def test_a_zip_archive_is_no_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.txt", "a")
    assert "is not a sound workbook" in sentence(tmp_path / "a.xlsx")


def workbook_part(size: int, stated: int) -> bytes:
    """Return a workbook, one part of which has `size` bytes where its archive states another number."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "")
        archive.writestr("xl/sheet", bytes(size))
    data = bytearray(out.getvalue())
    in_directory, before_content = data.rfind(b"xl/sheet") - 46 + 24, data.find(b"xl/sheet") - 30 + 22
    for at in (in_directory, before_content):
        data[at : at + 4] = stated.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("stated", [3 << 20, 1])
def test_a_workbook_that_unpacks_to_too_much_is_refused_whatever_its_archive_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: int
) -> None:
    monkeypatch.setattr(formats, "MAX_WORKBOOK", 2 << 20)
    (tmp_path / "a.xlsx").write_bytes(workbook_part(3 << 20, stated))
    assert "unpacks to more than 2 MiB" in sentence(tmp_path / "a.xlsx")


def workbook(sheet: str, strings: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr(
            "xl/worksheets/any.bin", f"<x:worksheet xmlns:x='x'><x:sheetData>{sheet}</x:sheetData></x:worksheet>"
        )
        archive.writestr("xl/sharedStrings.xml", f"<sst>{strings}</sst>")
    return out.getvalue()


CELLS = "".join(f"<x:row><x:c t='s'><x:v>{i % 2}</x:v></x:c></x:row>" for i in range(20_000))


@pytest.mark.parametrize(
    ("sheet", "strings", "message"),
    [
        ("<x:c r='A1'/><x:c r='XFD1048576'/>", "", "far below or beside"),
        ("<x:c r='ZZ200000'/>", "", "far below or beside"),
        ("<x:c r='z1048576'/>", "", "far below or beside"),
        ("<x:row><x:c/></x:row>" * 3000 + "<x:c r='BXX3000'/>", "", "far below or beside"),  # 1 of 2,000 is filled
        ("<x:row r='1048576'><x:c r='A1048576'/><x:c/><x:c/><x:c/><x:c/></x:row>", "", "far below or beside"),
        (CELLS, f"<si><t>a</t></si><si><r><t>{'a' * 60_000}</t></r></si>", "repeats texts"),
        ("&none;<x:c r='A1'/><x:c r='XFD1048576'/>", "", "is not a sound workbook"),
        (" " * (2 << 20) + "&none;<x:c r='A1'/><x:c r='XFD1048576'/>", "", "is not a sound workbook"),
        (CELLS, f"&none;<si><t>{'a' * 60_000}</t></si>", "is not a sound workbook"),
    ],
)
def test_a_small_workbook_that_takes_gigabytes_is_refused(
    tmp_path: Path, sheet: str, strings: str, message: str
) -> None:
    data = workbook(sheet, strings)
    assert len(data) < 70_000
    assert message in sentence(write(tmp_path, "a.xlsx", data))


def test_an_honest_sheet_may_have_empty_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    book = xlsxwriter.Workbook(str(tmp_path / "a.xlsx"))
    sheet = book.add_worksheet()
    for row, column, cell in ((0, 0, "text"), (0, 1, "n"), (1, 0, "a"), (2000, 0, "b"), (1, 200, "x")):
        sheet.write(row, column, cell)
    book.close()
    assert read(tmp_path / "a.xlsx") == ["a", "b"]
    book = xlsxwriter.Workbook(str(tmp_path / "b.xlsx"))
    sheet = book.add_worksheet()
    for row in range(40):  # a third is filled
        sheet.write(row, 0, "text" if row == 0 else "a")
    sheet.write(0, 2, "n")
    book.close()
    monkeypatch.setattr(formats, "MAX_EMPTY", 100)
    assert read(tmp_path / "b.xlsx") == ["a"] * 39
