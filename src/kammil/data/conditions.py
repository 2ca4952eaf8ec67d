"""Rows of a table by one condition in SQL, which can reach nothing but the columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kammil.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl

_SQL_QUOTED = re.compile(r"""('|")(?:(?!\1).|\1\1)*\1""", re.DOTALL)
# Only a sub-query could read a file (polars opens read_csv('...') already while it parses one), and every
# sub-query needs one of these words. The signs start comments and the other kinds of quotation that the
# parser knows: with those out of the way, what looks like a string here is a string there.
_SQL_REFUSED = re.compile(r"\b(?:select|from|table|values|with)\b|--|/\*|[\w&]'|[`$;#]", re.IGNORECASE)


class NoRowsError(DataError):
    """A valid condition that selects no row."""


def select(path: Path, frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return the rows of the table of a file that meet a condition; `NoRowsError` for none, `DataError` for what is no
    condition on its columns."""
    import polars as pl

    # The quotes stay, what is between them goes.
    if refused := _SQL_REFUSED.search(_SQL_QUOTED.sub(r"\1\1", where)):
        raise DataError(
            f"--where {where!r} has {refused[0]!r} in it; give one condition on the columns, without "
            "sub-queries and comments, and a column of such a name in double quotes"
        )
    try:
        condition = pl.sql_expr(where)
        if unknown := [name for name in condition.meta.root_names() if name not in frame.columns]:
            raise DataError(
                f"--where {where!r} names the column {unknown[0]!r}, which {path} does not have"
                f"{nearest(unknown[0], frame.columns)}; its columns are {', '.join(frame.columns[:20])}"
            )
        kinds = frame.lazy().select(condition).collect_schema().dtypes()
        if kinds != [pl.Boolean]:
            gives = " and ".join(map(str, kinds))
            raise DataError(f"--where {where!r} gives {gives}, not true or false; compare it with a value")
        selected = frame.filter(condition)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        problem = first_paragraph(error)
        raise DataError(f"--where {where!r} is not a condition that {path} can meet: {problem}") from None
    if selected.is_empty():
        raise NoRowsError(f"--where {where!r} selects none of the {len(frame):,} rows of {path}; loosen it")
    return selected


def first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of a message of polars, on one line."""
    return " ".join(str(error).split("\n\n")[0].split())[:200]
