"""The column of texts of a table is found, whatever program wrote it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.data.reading import any_text, sentence, shared_folder, word, write

from kammil.data import conditions, formats, tables
from kammil.data.sources import rows as read_rows
from kammil.data.sources import texts as read
from kammil.data.tables import TEXT_NAMES, is_header, looks_like_a_text
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


def test_the_line_at_fault_is_named_whatever_rows_are_chosen(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a", "n": 1}\n{"text": "b", "n": 2}\n\n{"text": 5, "n": 2}\n')
    assert "line 4 of" in sentence(path)
    assert "line 4 of" in sentence(path, where="n = 2")


def test_a_table_whose_cells_take_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = pl.DataFrame({"text": ["a" * 1000] * 5000, "n": range(5000)})
    cells.write_parquet(tmp_path / "a.parquet")  # each different cell is stored once
    assert (tmp_path / "a.parquet").stat().st_size < 30_000
    write(tmp_path, "a.txt", f"{'a' * 1000}\n" * 5000)
    assert read_rows(tmp_path / "a.parquet").texts == read_rows(tmp_path / "a.txt").texts
    monkeypatch.setattr(conditions, "MAX_CELLS", 9_999)
    assert len(read(tmp_path / "a.parquet", where="n > 5")) == 4994
    assert "10,000 cells" in sentence(tmp_path / "a.parquet", where="n > 5 AND text <> 'b'")
    cells.write_csv(tmp_path / "a.csv")
    for module, name in ((tables, "a.csv"), (formats, "a.parquet")):
        monkeypatch.setattr(module, "MAX_UNPACKED", 4 << 20)
        assert "column 'text' holds more than" in sentence(tmp_path / name)
    monkeypatch.setattr(formats, "MAX_CELLS", 4999)
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


# ---- a first row that is a text, and one that names columns

TWEETS = ["just woke up and it is raining again", "why does nobody answer the phone here", "ok see you there then"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("what a day it was at the beach", TWEETS),
        ("see you there soon my friend", TWEETS),
        ("ok", ["yes", "ok"]),
        ("hi there!", TWEETS),
        ("good morning 😂", TWEETS),
        ("thanks @somebody", TWEETS),
        ("شو حلو الشعور", ["كيفك", "مرحبا يا حلو", "شو في"]),
        ("今天天气很好我们去公园玩", ["你好", "今天下雨了不想出门"]),
        ("ลองทำดูก่อนนะครับทุกคน", ["สวัสดี"]),
    ],
)
def test_texts(name: str, cells: list[str]) -> None:
    assert looks_like_a_text(name, cells)


@pytest.mark.parametrize(
    "name",
    ["Tweet", "tweet_text", "Tweet text", "Full text", "content", "النص", "نص التغريدة", "文本", "微博正文", "", "No."],
)
def test_names(name: str) -> None:
    assert not looks_like_a_text(name, TWEETS)
    assert not looks_like_a_text(name, [])


def test_a_long_name_over_longer_texts() -> None:
    assert not looks_like_a_text("Text of answer", TWEETS)
    assert looks_like_a_text("Text of answer", ["yes", "no", "well yes"])


@given(st.text(max_size=30), st.lists(st.text(max_size=30)))
def test_any_name_is_judged(name: str, cells: list[str]) -> None:
    assert looks_like_a_text(name, cells) or name == "" or name not in cells


HEADERS = [
    (["id", "anything"], 1),  # numbers below a name
    (["date", "anything"], 1),
    (["label", "text"], 1),
    (["label", "Full_Text"], 1),
    (["label", "tweetText"], 1),
    (["التصنيف", "نص التغريدة"], 1),
    (["label", "النَّص"], 1),
    (["类别", "文本"], 1),
]


@pytest.mark.parametrize(("first", "column"), HEADERS)
def test_headers(first: list[str], column: int) -> None:
    cells = {"id": ["1", "2.5", "-3"], "date": ["2024-01-31", "31/1/24 12:30", ""]}.get(first[0], ["a", "b", "a"])
    below = [list(row) for row in zip(cells, TWEETS, strict=True)]
    assert is_header([first, *below], column)
    assert not is_header([first, *below, ["", first[column]]], column)  # whoever writes it below, too, writes texts
    assert not is_header([[*first, " "], *below], column)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["1", "hello"], ["2", "yes"], ["3", "no"]],
        [["neg", "hello"], ["pos", "yes"], ["neg", "no"]],
        [["n/a", "hello"], ["2", "yes"], ["3", "no"]],
        [["id2", "hello"], ["2", "yes"], ["3", "no"]],
        [["id", "hello"], ["2", "yes"]],
        [["id", "hello"], ["2", "yes"], ["b3", "no"]],
        [["id", "ok. this is a text"], ["2", "yes"], ["3", "no"]],
        [["label", "text me"], ["a", "yes"], ["b", "no"]],
        [["label", "full"], ["a", "yes"], ["b", "no"]],
        [["label"], ["a", "yes"]],
    ],
)
def test_no_headers(rows: list[list[str]]) -> None:
    assert not is_header(rows, 1)
    assert not is_header(rows, -1)


cells = st.text(max_size=12)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_texts_are_no_header(rows: list[tuple[str, str]]) -> None:
    """Without a usual name nor a column of numbers, nothing is left out."""
    assume(rows[0][1].casefold() not in TEXT_NAMES)
    words_beside = [("label", text) for _, text in rows]
    assert not is_header(words_beside, 1) or not looks_like_a_text(rows[0][1], [text for _, text in rows[1:]])
    numbered = [(str(n), text) for n, (_, text) in enumerate(rows)]
    assert is_header(numbered, 1) == is_header(words_beside, 1)
