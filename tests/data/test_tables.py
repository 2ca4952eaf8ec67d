"""The column of texts of a table is found, whatever program wrote it."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.reading import any_text, sentence, shared_folder, word, write

from kammil.data import columns, contents, tables
from kammil.data.readers import read, read_rows
from kammil.errors import DataError


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


def test_categories_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a", None, "b"]}, schema={"text": pl.Categorical}).write_parquet(path)
    assert read_rows(path).texts == ("a", "", "b")


def test_the_column_is_text_or_the_only_one_that_holds_text(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", "n,text,b\n1,a,x\n")) == ["a"]
    assert read_rows(write(tmp_path, "b.csv", "n,Tweet\n1,a\n2,3\n")).column == "Tweet"
    assert read_rows(write(tmp_path, "c.jsonl", '{"n": 1, "body": "a"}\n')).column == "body"
    message = sentence(write(tmp_path, "d.csv", "a,b\nx,y\n"))
    assert "2 columns of text" in message
    assert "--column 'a': a, b" in message and "--column 2" in message
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
    assert read_rows(path, column="2").headers == ()
    assert read(path, column="2", where="\"1\" = 'neg' AND \"2\" LIKE 'و%'") == ["واحد"]
    for column in ("0", "3"):
        assert sentence(path, column=column).endswith(f"no column {column!r}; its columns are 1, 2")
    assert read(write(tmp_path, "b.csv", "1,2\na,b\n"), column="2") == ["b"]  # a header that has the name wins
    assert "no column '2'" in sentence(write(tmp_path, "c.jsonl", '{"a": "x", "b": "y"}\n'), column="2")


def test_a_header_above_a_numbered_column_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,Tweet,source\n1,كيفك,x\n2,منيح,y\n")
    by_number, by_name = read_rows(path, column="2"), read_rows(path, column="Tweet")
    assert by_number.headers == ("a.csv (id, Tweet, source)",) and by_name.headers == ()
    assert (by_number.texts, by_number.column, by_number.sources) == (by_name.texts, "Tweet", ("x", "y"))
    assert read(path, column="2", where="id > 1 AND source = 'y'") == ["منيح"]
    assert sentence(path, column="4").endswith("no column '4'; its columns are 1, 2, 3")
    twice = write(tmp_path, "b.csv", "text,text\nأ,ب\n")
    assert read(twice, column="2") == ["ب"] and read(twice, column="1") == ["أ"]


def test_the_column_of_sources_may_be_numbered_too(tmp_path: Path) -> None:
    rows = "id,Tweet,from\n1,a b,x\n2,c d,y\n"
    for name in ("3", "from"):
        assert read_rows(write(tmp_path, "a.csv", rows), column="2", source_column=name).sources == ("x", "y")
    below = write(tmp_path, "b.csv", "1,a b,x\n2,c d,y\n")  # no header
    assert read_rows(below, column="2", source_column="3").sources == ("x", "y")
    for wrong in ("0", "4", "٣٣", "form"):
        with pytest.raises(DataError, match=f"no column '{wrong}' of sources"):
            read_rows(write(tmp_path, "a.csv", rows), column="2", source_column=wrong)


@shared_folder
@given(
    texts=st.lists(st.text(st.sampled_from('شو حل abc.!\n",'), max_size=12), min_size=1, max_size=6),
    header=st.sampled_from([None, ("n", "Tweet"), ("رقم", "كلام"), ("kind", "message"), ("kind", "نص التغريدة")]),
    numbers=st.booleans(),
)
def test_a_numbered_column_loses_its_header_and_nothing_else(
    tmp_path: Path, texts: list[str], header: tuple[str, str] | None, numbers: bool
) -> None:
    texts = [word, *texts]
    labels = [str(i) if numbers else f"label {i}" for i in range(len(texts))]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([*([] if header is None else [header]), *zip(labels, texts, strict=True)])
    rows = read_rows(write(tmp_path, "a.csv", out.getvalue()), column="2")
    known = header is not None and (header[1] != "كلام" or numbers)
    expected = texts if header is None or known else [header[1], *texts]
    assert list(rows.texts) == [text.strip() for text in expected]
    assert bool(rows.headers) == known


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
    monkeypatch.setattr(contents, "MAX_WORKBOOK", 2 << 20)
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


def test_an_honest_sheet_may_have_empty_cells(tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    book = xlsxwriter.Workbook(str(tmp_path / "a.xlsx"))
    sheet = book.add_worksheet()
    for row, column, cell in ((0, 0, "text"), (0, 1, "n"), (1, 0, "a"), (2000, 0, "b"), (1, 200, "x")):
        sheet.write(row, column, cell)
    book.close()
    assert read(tmp_path / "a.xlsx") == ["a", "b"]


def test_a_table_whose_cells_take_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = pl.DataFrame({"text": ["a" * 1000] * 5000})
    cells.write_parquet(tmp_path / "a.parquet")  # each different cell is stored once
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    assert len(read_rows(tmp_path / "a.parquet").texts) == 5000
    monkeypatch.setattr(columns, "MAX_UNPACKED", 4 << 20)
    assert "holds more than 4 MiB of text" in sentence(tmp_path / "a.parquet")
    monkeypatch.setattr(tables, "MAX_ROWS", 4999)
    assert "has 5,000 rows, and 4,999" in sentence(tmp_path / "a.parquet")


def test_a_field_of_lines_of_json_and_of_parquet(tmp_path: Path) -> None:
    rows = [{"id": 1, "message": {"text": "a"}}, {"id": 2, "message": None}, {"id": 3, "message": {"text": "c"}}]
    path = write(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    for file in (path, tmp_path / "a.parquet"):
        assert read_rows(file, column="message.text").texts == ("a", "", "c")
        assert read(file, column="message.text", where="id > 1") == ["c"]
        assert "no column 'message.body'" in sentence(file, column="message.body")
        assert "(did you mean 'message.text'?)" in sentence(file, column="Message.text")
