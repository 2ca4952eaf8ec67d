"""Texts that a program hands over are read from anything that holds them; anything else is refused in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data.in_memory import from_python, left_out
from kammil.data.sources import is_named
from kammil.errors import DataError

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


def sentence(source: Any, column: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        from_python(source, column=column)
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(st.lists(CELLS, min_size=1))
def test_a_list_is_its_texts_and_what_is_missing_is_blank(cells: list[Any]) -> None:
    wanted = tuple(cell.strip() if isinstance(cell, str) else "" for cell in cells)
    if not any(wanted):
        assert "holds no text" in sentence(cells)
        return
    for source in (cells, tuple(cells), (cell for cell in cells), np.array(cells, object), pl.Series(["", "x"])):
        found = from_python(source)
        assert found.texts == (wanted if not isinstance(source, pl.Series) else ("", "x"))


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_has_a_column(frame: Callable[[dict[Any, list[Any]]], Any]) -> None:
    columns = {"n": [1, 2, 3], "Tweet": ["a ", None, "c"], "Country": ["x", "y", "z"]}
    found = from_python(frame(columns), column="Tweet")
    assert (found.texts, found.name) == (("a", "", "c"), "column Tweet of 3 rows")
    assert "no column 'tweet' (did you mean 'Tweet'?); its columns are n, Tweet, Country" in sentence(
        frame(columns), "tweet"
    )
    message = sentence(frame(columns))
    assert "2 columns of text and none is called 'text'; choose one, such as column='Tweet'" in message
    assert from_python(frame({"n": [1], "Tweet": ["a"]})).texts == ("a",)
    assert from_python(frame({"text": ["a"], "Tweet": ["b"]})).texts == ("a",)
    assert "no column of text; its columns are n" in sentence(frame({"n": [1]}))
    assert "row 1 (counted from 0), column 'Tweet', is 5, no text" in sentence(Hub({"Tweet": ["a", 5]}), "Tweet")


def test_the_missing_values_of_pandas() -> None:
    pd = pytest.importorskip("pandas")
    for series in (
        pd.Series(["a", None, math.nan, pd.NA, pd.NaT, "b"], dtype=object),
        pd.Series(["a", None, None, None, None, "b"], dtype="string"),
        pd.Series(["a", None, None, None, None, "b"], dtype="category"),
    ):
        assert from_python(series).texts == ("a", "", "", "", "", "b")
    assert from_python(pd.DataFrame([["a", 1], ["b", 2]]), column="0").texts == ("a", "b")  # columns that are numbers
    assert "several columns of the DataFrame are called 'a'" in sentence(pd.DataFrame([["x", "y"]], columns=["a", "a"]))


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
    assert message in sentence(source)


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


def test_names() -> None:
    from pathlib import Path

    assert is_named("a.txt") and is_named(Path("a.txt")) and is_named([Path("a"), Path("b")])
    assert not is_named(["a.txt"]) and not is_named([])


def test_a_path_leads_into_values() -> None:
    rows = [{"m": {"text": "a"}, "n.o": "x"}, {"m": None}, {"m": {"text": "b"}}]
    for source in (rows, iter(rows), pl.DataFrame({"m": [row["m"] for row in rows]})):
        assert from_python(source, column="m.text").texts == ("a", "", "b")
    assert from_python(rows, column="n.o").texts == ("x", "", "")
    assert "no column 'm.body'" in sentence(rows, column="m.body")
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
