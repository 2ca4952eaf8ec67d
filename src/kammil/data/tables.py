"""One column of texts of a file that is a table: text cells with delimiters, workbooks, JSON and Parquet.

The standard library reads text cells and JSON, because it follows the rules to the letter and can name the line that
breaks them. polars, which reads Parquet and workbooks, refused 14 % of 9,869 small tables of random cells with stray
quotes although they are well formed, and read 3 % that are not.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from kammil.data import columns, delimited
from kammil.data.columns import Table, TextColumn
from kammil.data.conditions import select
from kammil.data.contents import Content
from kammil.data.delimited import DELIMITED
from kammil.data.encoding import decode
from kammil.data.headers import looks_like_a_text
from kammil.data.read_options import ReadOptions
from kammil.errors import DataError, MissingExtraError, nearest
from kammil.text import shortened, visible

SOURCE_COLUMN = "source"
"""Name of the column of sources where a table has it and no other is named."""
MAX_ROWS = 1 << 27
"""Maximum number of rows of a Parquet file: a row takes 16 bytes a column in memory, but next to none in the file."""
_SLICE = 10_000
"""Number of rows of a Parquet file that become Python's objects at a time."""
_SHOWN_HEADER = 60
"""Maximum number of graphemes of a header that are quoted."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_table(content: Content, options: ReadOptions) -> TextColumn:
    """Return the texts of the selected rows, and their sources."""
    path, ending = content.name, content.ending
    column, source_column = options.column, options.source_column
    if options.delimiter is not None and ending not in DELIMITED:
        raise DataError(
            f"--delimiter {options.delimiter!r} is for {', '.join(DELIMITED)}, not for {path}; leave it out"
        )
    if ending == ".parquet":
        table = _read_parquet(content)
    elif ending == ".xlsx":
        table = _read_workbook(content, column)
    elif ending in DELIMITED:
        table = delimited.read(content, options)
    else:
        table = _read_json(content, options)
    if table.header:
        column, source_column = (_named(name, table.names) for name in (column, source_column))
    table = columns.with_path(table, column)
    column = columns.choose(table, column)
    cells = list(table.cells(column))
    if table.numbered and options.column is None and looks_like_a_text(column, [str(c or "") for c in cells]):
        raise DataError(
            f"the first row of {path} looks like a text, not like names of columns: '{visible(shortened(column))}'; "
            f"give --column {table.names.index(column) + 1} if it is one, or --column and that name if it is none"
        )
    if source_column is None and SOURCE_COLUMN in table.names and column != SOURCE_COLUMN:
        source_column = SOURCE_COLUMN
    if source_column is not None and source_column not in table.names:
        hint = nearest(source_column, table.names)
        raise DataError(f"{path} has no column {source_column!r} of sources{hint}")
    rows = range(len(cells))
    sources = None if source_column is None else table.cells(source_column)
    if options.where is not None:
        met = select(table, options.where)
        rows, cells = list(itertools.compress(rows, met)), list(itertools.compress(cells, met))
        sources = sources and itertools.compress(sources, met)
    texts = columns.texts(cells, lambda i: table.place(rows[i]), column)
    if sources is not None:
        sources = columns.texts(
            (None if columns.is_missing(cell) else str(cell) for cell in sources), table.place, source_column or ""
        )
    names = visible(shortened(", ".join(table.header), _SHOWN_HEADER))
    headers = (f"{path.name} ({names})",) if table.header else ()
    return TextColumn(texts, path, column, content.sha256, sources, headers=headers)


def _named(column: str | None, names: Sequence[str]) -> str | None:
    """Return the name of a column that is given by its number; else what is given."""
    if column is None or column in names or not column.isdecimal() or not 1 <= int(column) <= len(names):
        return column
    return names[int(column) - 1]


def _read_parquet(content: Content) -> Table:
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"reading {content.name} needs polars", "tables") from None
    try:
        lazy = pl.scan_parquet(io.BytesIO(content.data))
        names, rows = lazy.collect_schema().names(), int(lazy.select(pl.len()).collect().item())
        if rows > MAX_ROWS:
            raise DataError(
                f"{content.name} has {rows:,} rows, and {MAX_ROWS:,} are the maximum that is read; divide it"
            )
        frame = lazy.collect()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{content.name} is not a sound .parquet file ({_first_paragraph(error)}); repair it") from None

    def cells(name: str) -> Iterator[object]:
        return itertools.chain.from_iterable(
            part.to_series().to_list() for part in frame.select(name).iter_slices(_SLICE)
        )

    return Table(str(content.name), names, cells, lambda i: f"row {i + 1} of {content.name}")


def _read_workbook(content: Content, column: str | None) -> Table:
    """Return the table of the first sheet; formulas stay uncomputed, their saved values are read."""
    try:
        import fastexcel  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import polars as pl
    except ImportError as error:
        raise MissingExtraError(f"reading {content.name} needs {error.name}", "tables") from None
    options = {"header_row": None, "dtypes": "string"}
    try:
        frame = pl.read_excel(io.BytesIO(content.data), read_options=options, has_header=False, raise_if_empty=False)
    except Exception as error:  # those of fastexcel have no class in common
        problem = _first_paragraph(error)
        raise DataError(f"{content.name} is not a sound workbook ({problem}); save it as .csv") from None
    if frame.is_empty():
        raise DataError(f"{content.name}, no row in the first sheet; write column names first, then one row a line")
    return delimited.as_table(content, [[cell or "" for cell in row] for row in frame.iter_rows()], column)


def _first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of a message of polars, on one line."""
    return " ".join(str(error).split("\n\n")[0].split())[:200]


def load_json(content: Content, encoding: str) -> object:
    """Return the value of a .json file; half of a surrogate pair becomes U+FFFD."""
    text = decode(content.name, content.data, encoding, "").read()
    try:
        return _loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{content.name} is not JSON ({error}); one object a line is called .jsonl") from None


def _loads(text: str) -> object:
    value: object = json.loads(text)
    if "\\ud" in text or "\\uD" in text:  # only an escape can spell half a pair
        return json.loads(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(value, ensure_ascii=False)))
    return value


def _read_json(content: Content, options: ReadOptions) -> Table:
    path = content.name
    if content.ending == ".json":
        rows = _json_rows(path, load_json(content, options.encoding), options.column)
    else:
        rows = [row for _, row in _json_lines(content, options.encoding)]
        if not rows:
            raise DataError(f'{path} has only blank lines; write an object such as {{"text": "..."}} on each')

    def place(i: int) -> str:
        if content.ending == ".json":
            return f"row {i + 1} of {path}"
        number, _ = next(itertools.islice(_json_lines(content, options.encoding), i, None))
        return f"line {number} of {path}"

    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    return Table(str(path), names, lambda name: (row.get(name) for row in rows), place)


def _json_lines(content: Content, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the object of each line that is not blank."""
    for number, line in enumerate(decode(content.name, content.data, encoding, "\n"), start=1):
        if not line.strip():
            continue
        try:
            value = _loads(line)
        except (ValueError, RecursionError) as error:
            problem = str(error).split(": line")[0]
            raise DataError(f"{content.name}, line {number}: not JSON ({problem}); write one object a line") from None
        if not isinstance(value, dict):
            raise DataError(f'{content.name}, line {number}: not an object; write one such as {{"text": "..."}}')
        yield number, cast(dict[str, Any], value)


def _json_rows(path: Path, value: object, column: str | None) -> list[dict[str, Any]]:
    """Return the objects of a JSON value: those of a list, or of the only list of objects that an object holds.

    A list of strings has one column, "text". A `column` that begins with a key of the object takes the object itself.
    """
    if isinstance(value, dict):
        top = cast(dict[str, object], value)
        lists = [items for items in top.values() if _are_objects(items)]
        if (column is None or column.split(".")[0] not in top) and len(lists) == 1:
            value = lists[0]
        elif column is None and len(lists) > 1:
            named = ", ".join(shortened(name) for name, items in top.items() if _are_objects(items))
            raise DataError(f"{path} holds {len(lists)} lists of objects: {named}; choose one with --column LIST.FIELD")
        else:
            value = [top]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in cast(list[object], value)):
        return [{"text": item} for item in cast(list[str], value)]
    if not _are_objects(value):
        raise DataError(f'{path} is no list of objects; write one such as [{{"text": "..."}}]')
    return cast(list[dict[str, Any]], value)


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in cast(list[object], value))
