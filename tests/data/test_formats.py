"""The first sheet of a workbook is read, and one that would fill the memory is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.data.reading import sentence, write

from kammil.data import formats
from kammil.data.sources import rows as read_rows
from kammil.data.sources import texts as read


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
