"""Read the texts of a file: lines, chats, or one column of a table under one condition.

The standard library checks the syntax of CSV and JSON, because it follows the rules to the letter and can
name the line that breaks them; polars then reads clean bytes, holds the columns and evaluates the condition.
polars alone, on 9,869 small tables of random cells with stray quotes, refused 14 % although they are well
formed and read 3 % that are not; and it writes a NUL for half of a JSON surrogate pair.
"""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypedDict, Unpack, cast

from kammil.data import chats
from kammil.data.contents import Content, read_content
from kammil.data.encoding import decode, marked_encoding, undecodable
from kammil.data.headers import looks_like_a_text
from kammil.errors import DataError, MissingExtraError
from kammil.text import shortened, visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import polars as pl


_SURROGATE = re.compile("[\ud800-\udfff]")

_SQL_QUOTED = re.compile(r"""('|")(?:(?!\1).|\1\1)*\1""", re.DOTALL)
# Only a sub-query could read a file (polars opens read_csv('...') already while it parses one), and every
# sub-query needs one of these words. The signs start comments and the other kinds of quotation that the
# parser knows: with those out of the way, what looks like a string here is a string there.
_SQL_REFUSED = re.compile(r"\b(?:select|from|table|values|with)\b|--|/\*|[\w&]'|[`$;#]", re.IGNORECASE)


_DELIMITED = (".csv", ".tsv", ".txt")
_DELIMITERS = ",;\t|"
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
_SNIFFED_ROWS = 100

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
    chat: str | None = None
    """The program whose chat was read, such as WhatsApp; None for what is no chat."""

    @property
    def blank(self) -> int:
        """Number of blank texts."""
        return self.texts.count("")


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading: which part of a file, and how."""

    column: str | None = None
    """The exact name of a column. A number counts the columns of a .tsv, .csv or .xlsx from 1 and says that the first
    row is data, unless a column has that number for a name. Dots lead into JSON objects and lists (`message.text`),
    unless a column has that name. None: "text", else the only column of text, unless the first row of a .tsv or .csv
    looks like a text itself."""
    where: str | None = None
    """A condition in SQL on the columns, such as "Country = 'lebanon'". In a .tsv or .csv, a column of nothing but
    numbers compares with numbers and any other with strings. Without a header, columns are called "1", "2", ..., in
    double quotes."""
    encoding: str = "utf-8"
    """Encoding of a text file. A byte-order mark is skipped; one of UTF-16 wins over UTF-8. Parquet has its own."""
    delimiter: str | None = None
    """The character between cells, or "tab". None: a tab in a .tsv; in a .csv the one of comma, semicolon, tab and bar
    that divides the first row and most others alike."""
    source_column: str | None = None
    """The name of the column that says where each text comes from. None: "source", if there is one."""
    sender: str | None = None
    """Whose messages of a chat to read; None: all."""

    @property
    def table(self) -> bool:
        """Whether an option is for tables alone."""
        return any(option is not None for option in (self.column, self.where, self.delimiter, self.source_column))


class ReadKeywords(TypedDict, total=False):
    """The fields of `ReadOptions` by keyword."""

    column: str | None
    where: str | None
    encoding: str
    delimiter: str | None
    source_column: str | None
    sender: str | None


def read(path: str | Path, **keywords: Unpack[ReadKeywords]) -> list[str]:
    """Return the texts of `read_rows` that are not blank."""
    return [text for text in read_rows(path, **keywords).texts if text]


def read_rows(path: str | Path, **keywords: Unpack[ReadKeywords]) -> TextColumn:
    r"""Read one column of a file, whose ending says what it is; `-` is standard input.

    A .txt has one text a line (`\n` or `\r\n`, nothing else ends a line), unless it is a chat of WhatsApp, UTF-16 with
    tabs (Excel's "Unicode text"), or a delimiter is given. A .json is a chat of Telegram, a list of objects, or an
    object that holds one. The others are tables and need polars; a blank line in a table is no row.

    Raises:
        DataError: The file or an option cannot be used; `NoRowsError`: no row is selected; `chats.NoSenderError`: the
            sender wrote nothing.
        MissingExtraError: The file is a table and polars is not installed, or another library that it needs.
    """
    options = ReadOptions(**keywords)
    content = read_content(Path(path), table=options.table)
    name = content.name
    sources = column = chat = None
    try:
        messages = _messages(content, options)
        if messages is not None:
            chat = "Telegram" if content.ending == ".json" else "WhatsApp"
            texts = tuple(chats.choose(messages, options.sender))
        elif options.sender is not None:
            raise DataError(
                f"{name} is no chat of WhatsApp or Telegram, so --from {options.sender!r} has no use; leave it out"
            )
        elif content.ending == ".txt" and not _is_unicode_text(content, options):
            if options.table:
                named = "--column and --where need" if options.source_column is None else "source_column needs"
                raise DataError(f"{name} has no columns; {named} a table such as .tsv or .csv")
            texts = tuple(_lines(content, options.encoding))
        else:
            column, texts, sources = _from_table(content, options)
    except UnicodeError:
        raise DataError(undecodable(name, content.data, options.encoding)) from None
    if not any(texts):
        part = name if column is None else f"column {column!r} of {name}"
        raise DataError(f"{part} holds no text ({len(texts):,} rows, all blank); choose another file or column")
    return TextColumn(texts, name, column, content.sha256, sources, chat)


def _lines(content: Content, encoding: str) -> Iterator[str]:
    return (line.strip() for line in decode(content.name, content.data, encoding, "\n"))


def _messages(content: Content, options: ReadOptions) -> list[chats.Message] | None:
    """Return the messages of a chat export; None for anything else."""
    if options.table:
        return None
    if content.ending == ".txt":
        return chats.whatsapp(_lines(content, options.encoding))
    if content.ending == ".json":
        return chats.telegram(_load_json(content, options.encoding))
    return None


def _is_unicode_text(content: Content, options: ReadOptions) -> bool:
    """Whether a .txt is a table: UTF-16 with a mark and tabs in its first line, as Excel writes it, or one whose
    delimiter is given."""
    if options.delimiter is not None:
        return True
    if marked_encoding(content.data) is None:
        return False
    return "\t" in decode(content.name, content.data, options.encoding, "\n").readline()


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


def _from_table(content: Content, options: ReadOptions) -> tuple[str, tuple[str, ...], tuple[str, ...] | None]:
    """Return the name of the column that was read, and for each selected row its text and its source."""
    path, data, ending = content.name, content.data, content.ending
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"reading {path} needs polars: pip install 'kammil[train]'") from None
    column, source_column = options.column, options.source_column
    if options.delimiter is not None and ending not in _DELIMITED:
        raise DataError(
            f"--delimiter {options.delimiter!r} is for {', '.join(_DELIMITED)}, not for {path}; leave it out"
        )
    try:
        if ending == ".parquet":
            frame = pl.read_parquet(io.BytesIO(data))
        elif ending in (*_DELIMITED, ".xlsx"):
            table = _workbook_as_csv(content, column) if ending == ".xlsx" else _clean_csv(content, options)
            frame = pl.read_csv(table, infer_schema=False)
            frame = frame.with_columns(_as_numbers(series) for series in frame)
        else:
            frame = pl.read_ndjson(_clean_json(content, options), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is not a sound {ending} file ({_first_paragraph(error)}); repair it") from None
    frame = _with_nested(frame, column)
    column = _choose_column(path, frame, column)
    if (
        ending in (*_DELIMITED, ".xlsx")
        and options.column is None
        and looks_like_a_text(column, frame[column].cast(pl.String).to_list())
    ):
        number = frame.columns.index(column) + 1
        raise DataError(
            f"the first row of {path} looks like a text, not like names of columns: '{visible(shortened(column))}'; "
            f"give --column {number} if it is one, or --column and that name if it is none"
        )
    if options.where is not None:
        frame = _select(path, frame, options.where)
    if source_column is None and SOURCE_COLUMN in frame.columns and column != SOURCE_COLUMN:
        source_column = SOURCE_COLUMN
    if source_column is not None and source_column not in frame.columns:
        hint = nearest(source_column, frame.columns)
        raise DataError(f"{path} has no column {source_column!r} of sources{hint}")
    texts = _cells(frame, column)
    return column, texts, None if source_column is None else _cells(frame, source_column)


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
        raise DataError(f"{path} is not a sound workbook ({_first_paragraph(error)}); save it as .csv") from None
    out, rows = io.BytesIO(), io.StringIO(newline="")
    csv.writer(rows).writerows(frame.rows())
    rows.seek(0)
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    problem = _copy_rows(rows, text, column, ",", quoting=True, ragged=True)
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


def _cells(frame: pl.DataFrame, column: str) -> tuple[str, ...]:
    """Return the cells of a column as stripped strings, "" for a missing one."""
    import polars as pl

    return tuple((cell or "").strip() for cell in frame[column].cast(pl.String).to_list())


def _clean_csv(content: Content, options: ReadOptions) -> io.BytesIO:
    """Return the table as well-formed CSV in UTF-8 with a header.

    Tabs outside a .csv come in two dialects: with CSV quoting, and without any. The first one in which all rows are
    equally wide is chosen, quoting before none. pandas, which always assumes quoting, loses 1,889 of ATSAD's 58,751
    tweets.
    """
    path, encoding = content.name, options.encoding
    delimiter, skipped = _delimiter(content, options)
    tabs = delimiter == "\t" and content.ending != ".csv"
    dialects = ((True, False), (False, False), (True, True), (False, True)) if tabs else ((True, True),)
    problem = ""
    for quoting, ragged in dialects:
        out = io.BytesIO()
        text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
        lines = decode(path, content.data, encoding, "")
        for _ in range(skipped):
            lines.readline()
        problem = _copy_rows(lines, text, options.column, delimiter, quoting=quoting, ragged=ragged)
        text.detach()
        if not problem and not out.tell():
            raise DataError(f"{path} has only blank lines; write column names first, then one row a line")
        if not problem:
            out.seek(0)
            return out
    raise DataError(f"{path}, {problem}")


def _delimiter(content: Content, options: ReadOptions) -> tuple[str, int]:
    """Return the delimiter of a table, and the number of lines before it: a line such as `sep=;` is Excel's."""
    given = None if options.delimiter is None else _NAMED_DELIMITERS.get(options.delimiter, options.delimiter)
    if given is not None and (len(given) != 1 or given in '"\r\n'):
        raise DataError(f"--delimiter {given!r} is not one character; give one such as ';', or the word tab")
    first = decode(content.name, content.data, options.encoding, "").readline().rstrip("\r\n")
    marked = first[4] if len(first) == 5 and first.startswith("sep=") else None
    if given is not None:
        return given, int(marked is not None)
    if marked is not None:
        return marked, 1
    if content.ending != ".csv":
        return "\t", 0
    return _sniff_delimiter(content, options.encoding), 0


def _sniff_delimiter(content: Content, encoding: str) -> str:
    """Return the delimiter that divides the first row, and at least half of the first ones into as many cells.

    Of several, it is the one that divides most rows, then the first of `_DELIMITERS`; a comma where there is none.
    """
    found: list[tuple[float, int]] = []
    for rank, delimiter in enumerate(_DELIMITERS):
        reader = csv.reader(decode(content.name, content.data, encoding, ""), delimiter=delimiter)
        try:
            rows = list(itertools.islice(filter(None, reader), _SNIFFED_ROWS))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows) / max(1, len(rows))
        if width > 1 and alike >= 0.5:
            found.append((alike, -rank))
    return _DELIMITERS[-max(found)[1]] if found else ","


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


def _clean_json(content: Content, options: ReadOptions) -> io.BytesIO:
    """Return one checked object a line, in UTF-8; half of a surrogate pair becomes U+FFFD."""
    path, out = content.name, io.BytesIO()
    if content.ending == ".json":
        for row in _json_rows(path, _load_json(content, options.encoding), options.column):
            out.write(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", json.dumps(row, ensure_ascii=False)).encode() + b"\n")
        out.seek(0)
        return out
    for number, line in enumerate(decode(path, content.data, options.encoding, "\n"), start=1):
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


def _load_json(content: Content, encoding: str) -> object:
    """Return the value of a .json file."""
    try:
        return json.loads(decode(content.name, content.data, encoding, "").read())
    except UnicodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{content.name} is not JSON ({error}); one object a line is called .jsonl") from None


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
