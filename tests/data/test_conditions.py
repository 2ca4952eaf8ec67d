"""A condition selects the rows that Python selects, and reaches nothing else."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.reading import sentence, shared_folder, write

from kammil.data import conditions
from kammil.data.sources import texts as read
from kammil.errors import DataError

TABLE = "text,n,from,flag,Like,é,mixed\na,1,x,TRUE,0,é,5\nb,2,y,FALSE,7,,7\nc,10,,TRUE,8,,n/a\n"


@pytest.mark.parametrize(
    ("where", "texts"),
    [
        ("n > 1", ["b", "c"]),
        ("n BETWEEN 1 AND 2 AND text <> 'a'", ["b"]),
        ("flag = 'TRUE'", ["a", "c"]),  # as it stands in the file
        ('"from" = \'x\' OR "from" IS NULL', ["a", "c"]),
        ("text IN ('a', 'select', 'it''s -- /* from')", ["a"]),
        ("UPPER(text) LIKE 'C%'", ["c"]),
        ("from = 'x' OR from IS NULL", ["a", "c"]),  # a word of SQL where a value is due
        ("Like > 5 AND text LIKE '%c%'", ["c"]),
        ("text LIKE 'A%' OR text = 'b'", ["b"]),
        ("UPPER(é) = 'É'", ["a"]),
        ("é IS NOT NULL AND NOT (n <> 1)", ["a"]),
        ("n / 4 = 2.5", ["c"]),
        ("mixed = 5", ["a"]),
        ("CAST(mixed AS REAL) > 6", ["b"]),
        ("CASE WHEN n > 1 THEN TRUE ELSE FALSE END", ["b", "c"]),
        ("COALESCE(é, 'none') || 'x' = 'nonex'", ["b", "c"]),
        ("TRUE", ["a", "b", "c"]),
    ],
)
def test_a_condition_selects_rows(tmp_path: Path, where: str, texts: list[str]) -> None:
    assert read(write(tmp_path, "a.csv", TABLE), where=where) == texts


@pytest.mark.parametrize(
    ("where", "texts"),
    [
        ("n > 1", ["b"]),
        ("flag", ["a"]),
        ("flag = FALSE", ["b"]),
        ("n IS NULL", ["c"]),
        ("s = '' OR s IS NULL", ["b", "c"]),
        ("deep IS NOT NULL", ["a"]),
        ("big > 1", ["a"]),
    ],
)
def test_a_condition_on_values_of_json(tmp_path: Path, where: str, texts: list[str]) -> None:
    rows = [
        {"text": "a", "n": 1, "flag": True, "s": "x", "deep": [[1]], "big": 10**400},
        {"text": "b", "n": 2.5, "flag": False, "s": "", "big": math.nan},
        {"text": "c", "n": None},
    ]
    if "big" in where:
        rows = [{"text": "a", "big": 1e999}, {"text": "b", "big": math.nan}]
    for name, content in (("a.json", json.dumps(rows)), ("a.jsonl", "\n".join(map(json.dumps, rows)))):
        assert read(write(tmp_path, name, content), where=where) == texts


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
            with pytest.raises(conditions.NoRowsError, match="selects no row"):
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
        "text = 'a' AND randomblob(1000000000) IS NULL",
        "load_extension('{other}')",
        "readfile('{other}') = 'a'",
        "c0 = 'a'",
        "text = ?",
        "text = @a",
        "text = [a]",
    ],
)
def test_nothing_but_a_condition_on_the_columns_is_let_in(tmp_path: Path, where: str) -> None:
    other = write(tmp_path, "other.csv", "text\na\n")
    message = sentence(write(tmp_path, "a.csv", TABLE), where=where.format(other=other))
    assert any(said in message for said in ("no column of", "in it; give one condition", "is not a condition"))


def test_a_text_without_quotes_is_told_of_them(tmp_path: Path) -> None:
    assert "quotes" in sentence(write(tmp_path, "a.csv", TABLE), where="text = rima")


@pytest.mark.parametrize(
    "where", ["1) OR (1", "n) > 1 OR (n", "n), (n", "MAX(n) > 1", "n = MAX(n)", " AND ".join(["n > 0"] * 2000)]
)
def test_what_is_no_condition_on_one_row_is_refused_or_one(tmp_path: Path, where: str) -> None:
    path = write(tmp_path, "a.csv", TABLE)
    if where in ("1) OR (1", "n) > 1 OR (n"):
        assert set(read(path, where=where)) <= {"a", "b", "c"}  # parentheses that only look like a way out
    else:
        assert "--where" in sentence(path, where=where)


def test_a_condition_takes_bounded_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.csv", "text,n\n" + "\n".join(f"{'ab' * 500},{i}" for i in range(1000)))
    assert "shorten it" in sentence(path, where="n > 1 OR " * 20_000 + "TRUE")
    assert "is not a condition" in sentence(path, where=f"text LIKE '{'%a' * 5000}'")
    monkeypatch.setattr(conditions, "_MAX_CELL", 100_000)
    assert "is not a condition" in sentence(path, where=" || ".join(["text"] * 900) + " = 'x'")
    monkeypatch.setattr(conditions, "_MAX_STEPS", 1000)
    assert "interrupted" in sentence(path, where="n > 1")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Text = 'a'", "names 'Text'"),
        ("Text = 'a'", "(did you mean 'text'?); its columns are text, n, from, flag"),
        ("\"Text\" = 'a'", "names 'Text'"),
        ("text = read_csv('a.csv')", "names 'read_csv'"),
        ("n", "gives 2, not true or false"),
        ("text", "gives 'a', not true or false"),
        ("7", "not true or false"),
        ("n = 'x'", "selects no row"),
        ("mixed > 5", "not all of its cells are numbers"),
        ("mixed BETWEEN 1 AND 9", "not all of its cells are numbers"),
        ("-5 < mixed", "not all of its cells are numbers"),
        ("text = 'a", 'has "\'" in it'),
        ("text ~ '('", "'~' in it"),
        ("", "is not a condition"),
        ("*", "is not a condition"),
        ("n n", "is not a condition"),
        ("text = 'zzz'", "selects no row of"),
    ],
)
def test_a_wrong_condition_is_one_sentence(tmp_path: Path, where: str, message: str) -> None:
    assert message in sentence(write(tmp_path, "a.csv", TABLE), where=where)


MIXED = "text,n,m\na,9,1\nb,10,2\nc,x,3\n"


@pytest.mark.parametrize(
    "where",
    [
        "COALESCE(n, 0) > 50",
        "IFNULL(n, 0) > 50",
        "n NOT BETWEEN 1 AND 9",
        "n BETWEEN 1 AND 9",
        "(n) > 5",
        "n > (5)",
        "5 < (n)",
        "n > ABS(5)",
        "n > LENGTH(text) + 4",
        "text = 'a' AND n > 5",
    ],
)
def test_text_is_never_ordered_against_a_number(tmp_path: Path, where: str) -> None:
    file = write(tmp_path, "t.csv", MIXED)
    with pytest.raises(DataError, match="CAST"):
        read(file, column="text", where=where)


@pytest.mark.parametrize(
    ("where", "texts"),
    [
        ("CAST(n AS REAL) > 9", ["b"]),
        ("LENGTH(n) > 1", ["b"]),
        ("n > 'a'", ["c"]),
        ("text = 'b' AND m > 1", ["b"]),
        ("m BETWEEN 2 AND 3 AND n <> 'x'", ["b"]),
    ],
)
def test_text_beside_a_number_is_no_order(tmp_path: Path, where: str, texts: list[str]) -> None:
    assert read(write(tmp_path, "t.csv", MIXED), column="text", where=where) == texts


def test_digits_without_end_are_a_number(tmp_path: Path) -> None:
    file = write(tmp_path, "t.csv", f"text,n\na,1\nb,{'9' * 5000}\n")
    assert read(file, column="text", where="n > 3") == ["b"]
