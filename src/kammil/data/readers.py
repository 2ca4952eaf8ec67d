"""Read the texts of .txt, .tsv, .csv, .jsonl and .parquet files: one column, one condition, one encoding.

The standard library checks the syntax of CSV and JSON, because it follows the rules to the letter and can
name the line that breaks them; polars then reads clean bytes, holds the columns and evaluates the condition.
polars alone, on 9,869 small tables of random cells with stray quotes, refused 14 % although they are well
formed and read 3 % that are not; and it writes a NUL for half of a JSON surrogate pair.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from kammil.data.encoding import decode, read_bytes, undecodable
from kammil.data.headers import looks_like_a_text
from kammil.errors import DataError, MissingExtraError
from kammil.text import shortened, visible

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl


_SURROGATE = re.compile("[\ud800-\udfff]")

_SQL_QUOTED = re.compile(r"""('|")(?:(?!\1).|\1\1)*\1""", re.DOTALL)
# Only a sub-query could read a file (polars opens read_csv('...') already while it parses one), and every
# sub-query needs one of these words. The signs start comments and the other kinds of quotation that the
# parser knows: with those out of the way, what looks like a string here is a string there.
_SQL_REFUSED = re.compile(r"\b(?:select|from|table|values|with)\b|--|/\*|[\w&]'|[`$;#]", re.IGNORECASE)


SOURCE_COLUMN = "source"
"""Name of the column of sources where a table has it and no other is named."""


class NoRowsError(DataError):
    """A valid condition that selects no row."""


@dataclass(frozen=True)
class TextColumn:
    """The texts of the selected rows of a file, in file order."""

    texts: tuple[str, ...]
    """The text of each row, stripped of white space at both ends; "" for a blank or missing cell."""
    path: Path
    column: str | None
    """The column that was read; None for a .txt file."""
    sha256: str
    """SHA-256 of the file, 64 hexadecimal digits."""
    sources: tuple[str, ...] | None = None
    """The name of the source of each text; None where the file names none."""

    @property
    def blank(self) -> int:
        """Number of blank texts."""
        return self.texts.count("")


def read(
    path: str | Path, *, column: str | None = None, where: str | None = None, encoding: str = "utf-8"
) -> list[str]:
    """Return the texts of `read_rows` that are not blank."""
    return [text for text in read_rows(path, column=column, where=where, encoding=encoding).texts if text]


def read_rows(
    path: str | Path,
    *,
    column: str | None = None,
    where: str | None = None,
    encoding: str = "utf-8",
    source_column: str | None = None,
) -> TextColumn:
    r"""Read one column of a file, whose ending says what it is.

    A .txt file has one text a line (`\n` or `\r\n`, nothing else ends a line) and takes neither `column` nor
    `where`. The others are tables and need polars; a blank line in a table is no row.

    Args:
        path: The file.
        column: The exact name of a column. A number counts the columns of a .tsv or .csv from 1 and says that
            the first row is data, unless a column has that number for a name. None: "text", else the only
            column of text, unless the first row of a .tsv or .csv looks like a text itself.
        where: A condition in SQL on the columns, such as "Country = 'lebanon'". In a .tsv or .csv, a column
            of nothing but numbers compares with numbers and any other with strings. Without a header, columns
            are called "1", "2", ..., in double quotes.
        encoding: Of a text file. A byte-order mark is skipped. Parquet has its own encoding.
        source_column: The name of the column that says where each text comes from. None: "source", if there is one.

    Raises:
        DataError: The file, column, condition or encoding cannot be used; `NoRowsError`: no row is selected.
        MissingExtraError: The file is a table and polars is not installed.
    """
    path = Path(path)
    data = read_bytes(path)
    sources = None
    try:
        if path.suffix.lower() == ".txt":
            if column is not None or where is not None or source_column is not None:
                options = "--column and --where need" if source_column is None else "source_column needs"
                raise DataError(f"{path} has no columns; {options} a table such as .tsv or .csv")
            texts = tuple(line.strip() for line in decode(path, data, encoding, "\n"))
        else:
            column, texts, sources = _from_table(path, data, column, where, encoding, source_column)
    except UnicodeError:
        raise DataError(undecodable(path, data, encoding)) from None
    if not any(texts):
        part = path if column is None else f"column {column!r} of {path}"
        raise DataError(f"{part} holds no text ({len(texts):,} rows, all blank); choose another file or column")
    return TextColumn(texts, path, column, hashlib.sha256(data).hexdigest(), sources)


def sample_rows() -> TextColumn:
    """Return the embedded corpus: Levantine short texts, to try things out without a file or a network."""
    with resources.as_file(resources.files("kammil.data").joinpath("sample.txt")) as path:
        return read_rows(path)


def sample() -> list[str]:
    """Return the texts of the embedded corpus."""
    return list(sample_rows().texts)


def nearest(name: str, names: Collection[str]) -> str:
    """Return the hint ` (did you mean 'Tweet'?)` for a message, or "" if no name is close; case is ignored."""
    folded = {candidate.casefold(): candidate for candidate in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _from_table(
    path: Path, data: bytes, column: str | None, where: str | None, encoding: str, source_column: str | None
) -> tuple[str, tuple[str, ...], tuple[str, ...] | None]:
    """Return the name of the column that was read, and for each selected row its text and its source."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"reading {path} needs polars: pip install 'kammil[train]'") from None
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            frame = pl.read_parquet(io.BytesIO(data))
        elif ending in (".tsv", ".csv"):
            frame = pl.read_csv(_clean_csv(path, data, column, encoding), infer_schema=False)
            frame = frame.with_columns(_as_numbers(series) for series in frame)
        else:
            frame = pl.read_ndjson(_clean_json(path, data, encoding), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is not a sound {ending} file ({_first_paragraph(error)}); repair it") from None
    chosen = column is not None
    column = _choose_column(path, frame, column)
    if ending in (".tsv", ".csv") and not chosen and looks_like_a_text(column, frame[column].cast(pl.String).to_list()):
        number = frame.columns.index(column) + 1
        raise DataError(
            f"the first row of {path} looks like a text, not like names of columns: '{visible(shortened(column))}'; "
            f"give --column {number} if it is one, or --column and that name if it is none"
        )
    if where is not None:
        frame = _select(path, frame, where)
    if source_column is None and SOURCE_COLUMN in frame.columns and column != SOURCE_COLUMN:
        source_column = SOURCE_COLUMN
    if source_column is not None and source_column not in frame.columns:
        hint = nearest(source_column, frame.columns)
        raise DataError(f"{path} has no column {source_column!r} of sources{hint}")
    texts = _cells(frame, column)
    return column, texts, None if source_column is None else _cells(frame, source_column)


def _cells(frame: pl.DataFrame, column: str) -> tuple[str, ...]:
    """Return the cells of a column as stripped strings, "" for a missing one."""
    import polars as pl

    return tuple((cell or "").strip() for cell in frame[column].cast(pl.String).to_list())


def _clean_csv(path: Path, data: bytes, column: str | None, encoding: str) -> io.BytesIO:
    """Return the table as well-formed CSV in UTF-8 with a header.

    A .tsv has one of two dialects: with CSV quoting, and without any. The first one in which all rows are equally
    wide is chosen, quoting before none. pandas, which always assumes quoting, loses 1,889 of ATSAD's 58,751 tweets.
    """
    tab = path.suffix.lower() == ".tsv"
    dialects = ((True, False), (False, False), (True, True), (False, True)) if tab else ((True, True),)
    problem = ""
    for quoting, ragged in dialects:
        out = io.BytesIO()
        text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
        lines = decode(path, data, encoding, "")
        problem = _copy_rows(lines, text, column, "\t" if tab else ",", quoting=quoting, ragged=ragged)
        text.detach()
        if not problem and not out.tell():
            raise DataError(f"{path} has only blank lines; write column names first, then one row a line")
        if not problem:
            out.seek(0)
            return out
    raise DataError(f"{path}, {problem}")


def _copy_rows(lines: TextIO, out: TextIO, column: str | None, delimiter: str, *, quoting: bool, ragged: bool) -> str:
    """Copy all rows; return what is wrong with the first bad one, or "". `ragged` allows short rows."""
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quotes, strict=True)
    writer = csv.writer(out)
    width = 0
    try:
        for row in filter(None, reader):
            if not width:
                width = len(row)
                if column is not None and column not in row and re.fullmatch("[0-9]+", column):
                    writer.writerow(range(1, width + 1))
                elif width == 1 and (separator := re.search("[\t;,|]", row[0])):
                    return f"line 1: one column, but {separator[0]!r} in its name; separate cells with {delimiter!r}"
            if len(row) > width or (len(row) < width and not ragged):
                return (
                    f"line {reader.line_num}: a row of {len(row)} cells, where the first row has {width}; "
                    f"put double quotes around a cell that has {delimiter!r} in it"
                )
            writer.writerow(row)
    except csv.Error as error:
        return f"line {reader.line_num}: not well-formed CSV ({error}); double a quote that belongs to a cell"
    return ""


def _as_numbers(column: pl.Series) -> pl.Series:
    """Convert a column of strings to numbers, if every cell is one; so that `score > 5` compares numbers.

    polars would infer true and false too, but then a `TRUE` in the file no longer equals 'TRUE'.
    """
    import polars as pl

    for kind in (pl.Int64, pl.Float64):
        numbers = column.cast(kind, strict=False)
        if numbers.null_count() == column.null_count() < len(column):
            return numbers
    return column


def _clean_json(path: Path, data: bytes, encoding: str) -> io.BytesIO:
    """Return one checked object a line, in UTF-8; half of a surrogate pair becomes U+FFFD."""
    out = io.BytesIO()
    for number, line in enumerate(decode(path, data, encoding, "\n"), start=1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = str(error).split(": line")[0]
            raise DataError(f"{path}, line {number}: not JSON ({problem}); write one object a line") from None
        if not isinstance(value, dict):
            raise DataError(f'{path}, line {number}: not an object; write one such as {{"text": "..."}}')
        escaped = "\\u" in line  # only an escape can spell half a pair
        clean = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(value, ensure_ascii=False)) if escaped else line
        out.write(clean.strip().encode() + b"\n")
    if not out.tell():
        raise DataError(f'{path} has only blank lines; write an object such as {{"text": "..."}} on each')
    out.seek(0)
    return out


def _choose_column(path: Path, frame: pl.DataFrame, column: str | None) -> str:
    """Return the name of the column of texts; raises `DataError` where none can be chosen."""
    import polars as pl

    # Null: nothing but blanks, which `read_rows` reports.
    kinds = (pl.String, pl.Categorical, pl.Enum, pl.Null)
    textual = [name for name, kind in frame.schema.items() if isinstance(kind, kinds)]
    listed = ", ".join(map(shortened, frame.columns[:20]))
    if column is None:
        column = "text" if "text" in frame.columns else textual[0] if len(textual) == 1 else None
    if not textual:
        raise DataError(f"{path} has no column of text; its columns are {listed or 'none'}")
    if column is None:
        raise DataError(
            f"{path} has {len(textual)} columns of text and none is called 'text'; choose one with --column: "
            f"{listed} (or a number such as --column 2 if the first row is data)"
        )
    if column not in frame.columns:
        hint = nearest(column, frame.columns)
        raise DataError(f"{path} has no column {column!r}{hint}; its columns are {listed}")
    if column not in textual:
        raise DataError(f"column {column!r} of {path} holds {frame.schema[column]}, not text; choose from {listed}")
    return column


def _first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of a message of polars, on one line."""
    return " ".join(str(error).split("\n\n")[0].split())[:200]


def _select(path: Path, frame: pl.DataFrame, where: str) -> pl.DataFrame:
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
        problem = _first_paragraph(error)
        raise DataError(f"--where {where!r} is not a condition that {path} can meet: {problem}") from None
    if selected.is_empty():
        raise NoRowsError(f"--where {where!r} selects none of the {len(frame):,} rows of {path}; loosen it")
    return selected
