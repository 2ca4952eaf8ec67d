"""A condition selects the rows that Python selects, and reaches nothing else."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.reading import sentence, shared_folder, write

from kammil.data import conditions
from kammil.data.readers import read

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
            with pytest.raises(conditions.NoRowsError, match=f"none of the {len(numbers)} rows"):
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
