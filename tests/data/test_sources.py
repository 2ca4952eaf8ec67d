"""Every text of a file is read, and a file that cannot be read is one sentence."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import needs
from tests.data.reading import ARABIC, any_text, sentence, shared_folder, word, write

from kammil.data import near_duplicates, sources
from kammil.data.sources import from_python, is_named, left_out
from kammil.data.sources import rows as read_rows
from kammil.data.sources import texts as read
from kammil.data.splits import leaks
from kammil.errors import DataError, MissingExtraError

DATA = os.environ.get("KAMMIL_DATA_DIR")
needs_data = pytest.mark.skipif(DATA is None, reason=needs.CORPORA)
line = any_text.filter(lambda text: "\n" not in text)


@shared_folder
@given(lines=st.lists(line, min_size=1), crlf=st.booleans(), final=st.booleans())
def test_every_line_of_a_text_file_is_one_row(tmp_path: Path, lines: list[str], crlf: bool, final: bool) -> None:
    end = "\r\n" if crlf else "\n"
    lines = [word, *lines, word]
    path = write(tmp_path, "a.txt", end.join(lines) + (end if final else ""))
    rows = read_rows(path)
    assert list(rows.texts) == [text.strip() for text in lines]
    assert read(path) == [text.strip() for text in lines if text.strip()]
    assert rows.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
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
    write(tmp_path, "texts.jsonl", '{"text": "a"}\n')
    assert "does not exist (did you mean 'texts.jsonl'?)" in sentence(tmp_path / "texts.txt")
    assert "does not exist;" in sentence(tmp_path / "nowhere" / "missing.txt")
    folder = tmp_path / "a.txt"
    folder.mkdir()
    assert "holds no file" in sentence(folder)
    assert "cannot be read" in sentence(tmp_path / f"{'a' * 300}.txt")  # longer than a file system allows


def test_the_embedded_corpus() -> None:
    texts = sources.sample()
    assert all(10 <= len(text) <= 200 and text == " ".join(text.split()) for text in texts)
    assert len(set(near_duplicates.groups(texts).tolist())) == len(texts) == 1400  # as LICENSE-sample.txt says


@needs_data
def test_the_levantine_tweets() -> None:
    path = Path(DATA or "") / "ArSenTD-LEV.tsv"
    rows = read_rows(path, column="Tweet")
    assert (len(rows.texts), rows.texts.count("")) == (4000, 0)
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


# ---- data sets and several files


def test_the_parts_of_the_benchmark_share_nothing() -> None:
    split = sources.benchmark()
    rows = [row for part in sources.PARTS for row in split[part]]
    assert len(rows) == len(set(rows)) == 2680


def test_the_parts_of_the_benchmark_are_what_they_say(data_dir: Path) -> None:
    parts = {part: sources.texts(f"lev30/{part}") for part in sources.PARTS}
    assert {name: len(texts) for name, texts in parts.items()} == {
        "train": 454,
        "train_other": 2033,
        "validation": 64,
        "test": 129,
    }
    found = leaks(parts["train"] + parts["train_other"], parts["validation"] + parts["test"])
    assert (found.exact, found.near) == (0, 0)


def test_several_are_read_one_after_the_other(data_dir: Path) -> None:
    both = sources.texts("lev30/validation+sample")
    assert both == sources.texts("lev30/validation") + sources.texts("sample")


def test_a_file_wins_over_a_joint_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sample+sample").write_text("مرحبا\n", "utf-8")
    with pytest.raises(DataError):  # read as a file, and its name says no format
        sources.texts("sample+sample")
    Path("sample+sample").unlink()
    assert len(sources.texts("sample+sample")) == 2 * len(sources.texts("sample"))


@pytest.mark.parametrize("name", ["lev30/dev", "lev30/"])
def test_an_unknown_part_is_said(name: str) -> None:
    with pytest.raises(DataError, match="its parts are train, train_other, validation, test"):
        sources.rows(name)


def test_a_part_is_fixed() -> None:
    with pytest.raises(DataError, match="leave it out"):
        sources.rows("lev30/test", where="Country = 'lebanon'")


def test_several_files_and_folders_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    files = {"b.txt": "واحد\nاثنين\n", "in/a.csv": "text;source\nثلاثة;x\n", "in/c.jsonl": '{"text": "أربعة"}\n'}
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
    read = sources.rows([tmp_path / "b.txt", tmp_path / "in", Path("sample")])
    assert read.texts[:4] == ("واحد", "اثنين", "ثلاثة", "أربعة")
    assert read.sources is not None and len(read.sources) == len(read.texts) == 1404
    assert read.sources[:5] == ("b.txt", "b.txt", "x", "c.jsonl", "sample")
    assert read.name == "b.txt, a.csv, c.jsonl and 1 more"
    assert sources.texts(tmp_path / "in") == ["ثلاثة", "أربعة"]
    assert read.sha256 != sources.rows([tmp_path / "in", tmp_path / "b.txt"]).sha256


def test_a_condition_must_select_something_in_one_of_several_files(tmp_path: Path) -> None:
    for name, n in (("a", 1), ("b", 2)):
        (tmp_path / f"{name}.csv").write_text(f"n,text\n{n},{name}\n", "utf-8")
    assert sources.texts(tmp_path, where="n = 2") == ["b"]
    with pytest.raises(DataError, match="selects no row"):
        sources.texts(tmp_path, where="n = 3")
    with pytest.raises(DataError, match="holds no text"):
        sources.rows([])


# ---- texts of a program

ANY = st.text(max_size=8)
CELLS = st.none() | st.just(math.nan) | ANY


class Hub:
    """The interface of `datasets.Dataset`: names of columns, a column by its name, rows as mappings."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns

    @property
    def column_names(self) -> list[str]:
        return list(self._columns)

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for values in zip(*self._columns.values(), strict=True):
            yield dict(zip(self._columns, values, strict=True))


def pandas(columns: dict[Any, list[Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def streamed(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows as a streamed data set does, without names of columns beforehand."""
    yield from Hub(columns)


FRAMES: list[Callable[[dict[Any, list[Any]]], Any]] = [pandas, pl.DataFrame, Hub, streamed]


def refused(source: Any, column: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        from_python(source, column=column)
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(st.lists(CELLS, min_size=1))
def test_a_list_is_its_texts_and_what_is_missing_is_blank(cells: list[Any]) -> None:
    wanted = tuple(cell.strip() if isinstance(cell, str) else "" for cell in cells)
    if not any(wanted):
        assert "holds no text" in refused(cells)
        return
    for source in (cells, tuple(cells), (cell for cell in cells), np.array(cells, object), pl.Series(["", "x"])):
        found = from_python(source)
        assert found.texts == (wanted if not isinstance(source, pl.Series) else ("", "x"))


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_has_a_column(frame: Callable[[dict[Any, list[Any]]], Any]) -> None:
    columns = {"n": [1, 2, 3], "Tweet": ["a ", None, "c"], "Country": ["x", "y", "z"]}
    found = from_python(frame(columns), column="Tweet")
    assert (found.texts, found.name) == (("a", "", "c"), "column Tweet of 3 rows")
    assert "no column 'tweet' (did you mean 'Tweet'?); its columns are n, Tweet, Country" in refused(
        frame(columns), "tweet"
    )
    message = refused(frame(columns))
    assert "2 columns of text and none is called 'text'; choose one, such as column='Tweet'" in message
    assert from_python(frame({"n": [1], "Tweet": ["a"]})).texts == ("a",)
    assert from_python(frame({"text": ["a"], "Tweet": ["b"]})).texts == ("a",)
    assert from_python(frame({"المرسل": ["b"], "النص": ["a"]})).texts == ("a",)
    assert "such as column='b'" in refused(frame({"a": ["Sami"], "b": ["a longer text"]}))
    assert "no column of text; its columns are n" in refused(frame({"n": [1]}))
    assert "row 1 (counted from 0), column 'Tweet', is 5, no text" in refused(Hub({"Tweet": ["a", 5]}), "Tweet")


def test_the_missing_values_of_pandas() -> None:
    pd = pytest.importorskip("pandas")
    for series in (
        pd.Series(["a", None, math.nan, pd.NA, pd.NaT, "b"], dtype=object),
        pd.Series(["a", None, None, None, None, "b"], dtype="string"),
        pd.Series(["a", None, None, None, None, "b"], dtype="category"),
    ):
        assert from_python(series).texts == ("a", "", "", "", "", "b")
    assert from_python(pd.DataFrame([["a", 1], ["b", 2]]), column="0").texts == ("a", "b")  # columns that are numbers
    assert "several columns of the DataFrame are called 'a'" in refused(pd.DataFrame([["x", "y"]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "cannot be read from a int"),
        (None, "cannot be read from a NoneType"),
        (np.array(5), "cannot be read from a ndarray"),
        (b"abc", "are bytes; decode them"),
        ({"a", "b"}, "are a set, which has no order"),
        ({"train": ["a"], "test": ["b"]}, "a dict with the keys 'train', 'test'; give what stands under one of them"),
        ([], "the source holds no text (no row at all)"),
        ([None, " "], "(2 rows, all without one)"),
        (["a", 10**400], "is 1"),
        (["a", 5], "row 1 (counted from 0) is 5, no text; give strings alone"),
        (["a", b"b"], "row 1 (counted from 0) is b'b', no text"),
        (np.array([["a", "b"]]), "row 0 (counted from 0) is"),
        (pl.LazyFrame({"text": ["a"]}), "the LazyFrame is not computed yet; give what its collect() returns"),
        ([{"a": "x"}, 5], "row 1 (counted from 0), column 'a', is 5"),
    ],
)
def test_anything_else_is_one_sentence(source: Any, message: str) -> None:
    assert message in refused(source)


def test_an_error_of_a_generator_is_its_own() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        from_python(broken())


def test_rows_without_a_text_are_counted_and_named() -> None:
    assert left_out(["a", "b"]) is None
    assert left_out(["a", ""]) == "1 row without a text is left out of 2: 1 (counted from 0)."
    texts = ["a", *[""] * 1999]
    assert left_out(texts) == "1,999 rows without a text are left out of 2,000: 1, 2, 3, 4, 5, ... (counted from 0)."


def test_what_is_a_name() -> None:
    from pathlib import Path

    assert is_named("a.txt") and is_named(Path("a.txt")) and is_named([Path("a"), Path("b")])
    assert not is_named(["a.txt"]) and not is_named([])


def test_a_path_leads_into_values() -> None:
    rows = [{"m": {"text": "a"}, "n.o": "x"}, {"m": None}, {"m": {"text": "b"}}]
    for source in (rows, iter(rows), pl.DataFrame({"m": [row["m"] for row in rows]})):
        assert from_python(source, column="m.text").texts == ("a", "", "b")
    assert from_python(rows, column="n.o").texts == ("x", "", "")
    assert "no column 'm.body'" in refused(rows, column="m.body")
    talk = [{"talk": [{"text": "a"}, {"text": "b"}]}, {"talk": []}]
    assert from_python(talk, column="talk.text").texts == ("a", "b", "")


@pytest.mark.filterwarnings("ignore")
def test_streamed_data_sets_are_read() -> None:
    datasets: Any = pytest.importorskip("datasets")
    read = 0

    def rows() -> Iterator[dict[str, object]]:
        nonlocal read
        for number in range(50):
            read += 1
            yield {"n": number, "body": f"t{number}"}

    stream = datasets.IterableDataset.from_generator(rows)
    assert from_python(stream.take(3)).texts == ("t0", "t1", "t2")
    kinds = datasets.Features({"n": datasets.Value("int64"), "body": datasets.Value("string")})
    typed = datasets.IterableDataset.from_generator(rows, features=kinds)
    read = 0
    assert len(from_python(typed).texts) == 50
    assert read <= 53  # once, and a glance at the first row of each column
