"""Options of reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading: which part of a file, and how."""

    column: str | None = None
    """The exact name of a column. A number counts the columns of a .tsv, .csv or .xlsx from 1, unless a column has that
    number for a name; the first row is data then, unless it is plainly a header (`headers.is_header`). Dots lead into
    JSON objects and lists (`message.text`), unless a column has that name. None: "text", else the only column of text,
    unless the first row of a .tsv or .csv looks like a text itself."""
    where: str | None = None
    """A condition in SQL on the cells of a row, such as "Country = 'lebanon'". A column of nothing but numbers compares
    with numbers and any other with strings. Without a header, columns are called "1", "2", ..., in double quotes."""
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
