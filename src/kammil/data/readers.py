"""Bytes of a file to texts: lines, chats, or one column of a table under one condition."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from kammil.data import chats, json_rows, tables
from kammil.data.contents import Content, read_content
from kammil.data.encoding import decode, marked_encoding, undecodable
from kammil.data.read_options import ReadKeywords, ReadOptions
from kammil.errors import DataError
from kammil.text import shortened, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN_HEADER = 60
"""Most graphemes of a header that are quoted."""


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
    headers: tuple[str, ...] = ()
    """For each table whose column was given by number but whose first row is a header, and so was left out: the name of
    the file and the cells of that row, such as `a.csv (id, Tweet)`."""

    @property
    def blank(self) -> int:
        """Number of blank texts."""
        return self.texts.count("")


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
    headers: tuple[str, ...] = ()
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
            table = tables.read_table(content, options)
            column, texts, sources = table.column, table.texts, table.sources
            if table.header:
                names = visible(shortened(", ".join(table.header), _SHOWN_HEADER))
                headers = (f"{name.name} ({names})",)
    except UnicodeError:
        raise DataError(undecodable(name, content.data, options.encoding)) from None
    if not any(texts):
        part = name if column is None else f"column {column!r} of {name}"
        raise DataError(f"{part} holds no text ({len(texts):,} rows, all blank); choose another file or column")
    return TextColumn(texts, name, column, content.sha256, sources, chat, headers)


def _lines(content: Content, encoding: str) -> Iterator[str]:
    return (line.strip() for line in decode(content.name, content.data, encoding, "\n"))


def _messages(content: Content, options: ReadOptions) -> list[chats.Message] | None:
    """Return the messages of a chat export; None for anything else."""
    if options.table:
        return None
    if content.ending == ".txt":
        return chats.whatsapp(_lines(content, options.encoding))
    if content.ending == ".json":
        return chats.telegram(json_rows.load(content, options.encoding))
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
