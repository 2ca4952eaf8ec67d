"""Bytes of a file to texts: lines, chats, or one column of a table under one condition."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from kammil.data import chats, tables
from kammil.data.columns import TextColumn
from kammil.data.contents import Content, read_content
from kammil.data.encoding import decode, marked_encoding, undecodable
from kammil.data.read_options import ReadKeywords, ReadOptions
from kammil.errors import DataError
from kammil.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(path: str | Path, **keywords: Unpack[ReadKeywords]) -> list[str]:
    """Return the texts of `read_rows` that are not blank."""
    return [text for text in read_rows(path, **keywords).texts if text]


def read_rows(path: str | Path, **keywords: Unpack[ReadKeywords]) -> TextColumn:
    r"""Read one column of a file, whose ending says what it is; `-` is standard input.

    A .txt has one text a line (`\n` or `\r\n`, nothing else ends a line), unless it is a chat of WhatsApp, UTF-16 with
    tabs (Excel's "Unicode text"), or a delimiter is given. A .json is a chat of Telegram, a list of objects, or an
    object that holds one. The others are tables; .parquet and .xlsx need polars. A blank line in a table is no row.

    Raises:
        DataError: The file or an option cannot be used; `NoRowsError`: no row is selected; `chats.NoSenderError`: the
            sender wrote nothing.
        MissingExtraError: The library that such a file needs is not installed.
    """
    options = ReadOptions(**keywords)
    content = read_content(Path(path), table=options.table)
    name = content.name
    try:
        chat = _chat(content, options)
        if chat is not None:
            texts, said = tuple(chats.choose(chat.messages, options.sender)), (chat.described(options.sender),)
            found = TextColumn(texts, name, None, content.sha256, chat=chat.program, chats=said)
        elif options.sender is not None:
            raise DataError(
                f"{name} is no chat of WhatsApp or Telegram, so --from {options.sender!r} has no use; leave it out"
            )
        elif content.ending == ".txt" and not _is_unicode_text(content, options):
            if options.table:
                named = "--column and --where need" if options.source_column is None else "source_column needs"
                raise DataError(f"{name} has no columns; {named} a table such as .tsv or .csv")
            found = TextColumn(tuple(_lines(content, options.encoding)), name, None, content.sha256)
        else:
            found = tables.read_table(content, options)
    except UnicodeError:
        raise DataError(undecodable(name, content.data, options.encoding)) from None
    if not any(found.texts):
        part = name if found.column is None else f"column {found.column!r} of {name}"
        rows = counted(len(found.texts), "row")
        raise DataError(f"{part} holds no text ({rows}, all blank); choose another file or column")
    return found


def _lines(content: Content, encoding: str) -> Iterator[str]:
    return (line.strip() for line in decode(content.name, content.data, encoding, "\n"))


def _chat(content: Content, options: ReadOptions) -> chats.Chat | None:
    """Return a chat export; None for anything else."""
    if options.table:
        return None
    if content.ending == ".txt":
        return chats.whatsapp(_lines(content, options.encoding))
    return chats.telegram(tables.load_json(content, options.encoding)) if content.ending == ".json" else None


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
