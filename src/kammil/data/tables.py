"""One column of a table: text cells with delimiters, workbooks, JSON and Parquet.

The standard library checks the syntax of CSV and JSON, because it follows the rules to the letter and can
name the line that breaks them; polars then reads clean bytes, holds the columns and evaluates the condition.
polars alone, on 9,869 small tables of random cells with stray quotes, refused 14 % although they are well
formed and read 3 % that are not; and it writes a NUL for half of a JSON surrogate pair.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kammil.data import delimited, json_rows
from kammil.data.conditions import first_paragraph, select
from kammil.data.contents import MAX_UNPACKED, Content
from kammil.data.delimited import DELIMITED
from kammil.data.headers import looks_like_a_text
from kammil.data.read_options import ReadOptions
from kammil.errors import DataError, MissingExtraError, nearest
from kammil.text import shortened, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

SOURCE_COLUMN = "source"
"""Name of the column of sources where a table has it and no other is named."""
MAX_ROWS = 1 << 27
"""Most rows of a Parquet file: a row takes 16 bytes a column in memory, but next to none in the file."""


@dataclass(frozen=True)
class Table:
    """Texts of a table, their sources and its header."""

    column: str
    """Name of the column of texts."""
    texts: tuple[str, ...]
    """The text of each selected row."""
    sources: tuple[str, ...] | None
    """The source of each text; None where the table names none."""
    header: tuple[str, ...] = ()
    """The cells of the first row, if the column was given by number and that row is no data; else empty."""


def read_table(content: Content, options: ReadOptions) -> Table:
    """Return the texts of the selected rows, and their sources."""
    path, data, ending = content.name, content.data, content.ending
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"reading {path} needs polars: pip install 'kammil[train]'") from None
    column, source_column = options.column, options.source_column
    header: tuple[str, ...] = ()
    if options.delimiter is not None and ending not in DELIMITED:
        raise DataError(
            f"--delimiter {options.delimiter!r} is for {', '.join(DELIMITED)}, not for {path}; leave it out"
        )
    try:
        if ending == ".parquet":
            frame = _read_parquet(path, data)
        elif ending in (*DELIMITED, ".xlsx"):
            table = _workbook_as_csv(content, column) if ending == ".xlsx" else delimited.well_formed(content, options)
            frame, header = delimited.read_csv(table, column)
            if header and column is not None:
                column, source_column = (_named(name, frame.columns) for name in (column, source_column))
            frame = frame.with_columns(delimited.as_numbers(series) for series in frame)
        else:
            frame = pl.read_ndjson(json_rows.as_lines(content, options), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is not a sound {ending} file ({first_paragraph(error)}); repair it") from None
    frame = _with_nested(frame, column)
    column = _choose_column(path, frame, column)
    if (
        ending in (*DELIMITED, ".xlsx")
        and options.column is None
        and looks_like_a_text(column, frame[column].cast(pl.String).to_list())
    ):
        number = frame.columns.index(column) + 1
        raise DataError(
            f"the first row of {path} looks like a text, not like names of columns: '{visible(shortened(column))}'; "
            f"give --column {number} if it is one, or --column and that name if it is none"
        )
    if options.where is not None:
        frame = select(path, frame, options.where)
    if source_column is None and SOURCE_COLUMN in frame.columns and column != SOURCE_COLUMN:
        source_column = SOURCE_COLUMN
    if source_column is not None and source_column not in frame.columns:
        hint = nearest(source_column, frame.columns)
        raise DataError(f"{path} has no column {source_column!r} of sources{hint}")
    texts = _cells(path, frame, column)
    return Table(column, texts, None if source_column is None else _cells(path, frame, source_column), header)


def _read_parquet(path: Path, data: bytes) -> pl.DataFrame:
    """Read a Parquet file; `DataError` for more than `MAX_ROWS` rows, which a few bytes can state."""
    import polars as pl

    rows = int(pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item())
    if rows > MAX_ROWS:
        raise DataError(f"{path} has {rows:,} rows, and {MAX_ROWS:,} are the most that are read; divide it")
    return pl.read_parquet(io.BytesIO(data))


def _workbook_as_csv(content: Content, column: str | None) -> io.BytesIO:
    """Return the first sheet of a workbook as CSV; formulas stay uncomputed, their saved values are read."""
    import polars as pl

    path = content.name
    try:
        options = {"header_row": None, "dtypes": "string"}
        frame = pl.read_excel(io.BytesIO(content.data), read_options=options, has_header=False, raise_if_empty=False)
    except ModuleNotFoundError:
        raise MissingExtraError(f"reading {path} needs fastexcel: pip install 'kammil[excel]'") from None
    except Exception as error:  # those of fastexcel have no class in common
        raise DataError(f"{path} is not a sound workbook ({first_paragraph(error)}); save it as .csv") from None
    out, rows = io.BytesIO(), io.StringIO(newline="")
    csv.writer(rows).writerows(frame.rows())
    rows.seek(0)
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    problem = delimited.copy_rows(rows, text, column, ",", quoting=True, ragged=True)
    text.detach()
    if problem or not out.tell():
        problem = problem or "no row in the first sheet; write column names first, then one row a line"
        raise DataError(f"{path}, {problem}")
    out.seek(0)
    return out


def _with_nested(frame: pl.DataFrame, column: str | None) -> pl.DataFrame:
    """Add the column of a path such as `message.text`, if there is one: a row for each item of a list on its way."""
    import polars as pl

    if column is None or column in frame.columns or "." not in column:
        return frame
    parts = column.split(".")
    start = next((n for n in range(len(parts) - 1, 0, -1) if ".".join(parts[:n]) in frame.columns), None)
    if start is None:
        return frame
    found = frame.with_columns(pl.col(".".join(parts[:start])).alias(column))
    for part in (*parts[start:], None):
        while isinstance(found.schema[column], pl.List):
            found = found.explode(column)
        kind = found.schema[column]
        if part is not None:
            if not isinstance(kind, pl.Struct) or part not in (field.name for field in kind.fields):
                return frame
            found = found.with_columns(pl.col(column).struct.field(part).alias(column))
    return found


def _named(column: str | None, names: Sequence[str]) -> str | None:
    """Return the name of a column that is given by its number; else what is given."""
    if column is None or column in names or not column.isdecimal() or not 1 <= int(column) <= len(names):
        return column
    return names[int(column) - 1]


def _cells(path: Path, frame: pl.DataFrame, column: str) -> tuple[str, ...]:
    """Return the cells of a column as stripped strings, "" for a missing one.

    Raises `DataError` for more than `MAX_UNPACKED` bytes: Parquet stores equal cells once, a list repeats its row.
    """
    import polars as pl

    cells = frame[column].cast(pl.String)
    if (cells.str.len_bytes().cast(pl.UInt64).sum() or 0) > MAX_UNPACKED:
        raise DataError(f"column {column!r} of {path} holds more than {MAX_UNPACKED >> 20} MiB of text; divide it")
    return tuple((cell or "").strip() for cell in cells.to_list())


def _choose_column(path: Path, frame: pl.DataFrame, column: str | None) -> str:
    """Return the name of the column of texts; raises `DataError` where none can be chosen."""
    import polars as pl

    # Null: nothing but blanks, which `read_rows` reports.
    kinds = (pl.String, pl.Categorical, pl.Enum, pl.Null)
    textual = [name for name, kind in frame.schema.items() if isinstance(kind, kinds)]
    listed = ", ".join(map(shortened, frame.columns[:20]))
    if column is None:
        column = "text" if "text" in frame.columns else textual[0] if len(textual) == 1 else None
    if column is not None and column not in frame.columns:
        hint = nearest(column, [*frame.columns, *_nested_texts(frame)])
        raise DataError(f"{path} has no column {column!r}{hint}; its columns are {listed}")
    if not textual:
        inside = next(_nested_texts(frame), None)
        hint = "" if inside is None else f"; there is text inside one, such as --column {inside}"
        raise DataError(f"{path} has no column of text; its columns are {listed or 'none'}{hint}")
    if column is None:
        raise DataError(
            f"{path} has {len(textual)} columns of text and none is called 'text'; choose one with --column: "
            f"{listed} (or a number such as --column 2 if the first row is data)"
        )
    if column not in textual:
        raise DataError(f"column {column!r} of {path} holds {frame.schema[column]}, not text; choose from {listed}")
    return column


def _nested_texts(frame: pl.DataFrame) -> Iterator[str]:
    """Yield the paths of all fields of text inside columns."""
    import polars as pl

    inside = list(frame.schema.items())
    while inside:
        path, kind = inside.pop(0)
        while isinstance(kind, pl.List):
            kind = kind.inner  # a type, or the class of one
        if isinstance(kind, pl.Struct):
            inside += [(f"{path}.{field.name}", cast(Any, field.dtype)) for field in kind.fields]
        elif kind == pl.String and "." in path:
            yield path
