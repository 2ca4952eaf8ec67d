"""Texts of whatever a user names or a program hands over.

Duck typing recognises frames, without imports of pandas, polars, pyarrow or Hugging Face's `datasets`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from kammil.data import chats, datasets
from kammil.data.files import (
    STDIN,
    File,
    NoRowsError,
    ReadKeywords,
    ReadOptions,
    list_files,
    marked_encoding,
    read_file,
    undecodable,
)
from kammil.data.formats import read_table
from kammil.data.tables import Table, TextColumn, choose, object_table, read_cells, read_texts
from kammil.errors import DataError
from kammil.progress import note
from kammil.text import counted

if TYPE_CHECKING:
    from typing_extensions import TypeIs  # pydantic brings it

SAMPLE = "sample"
"""The embedded corpus."""
BENCHMARK = "lev30"
"""A fixed leak-free split of `arsentd-lev`."""
PARTS = ("train", "train_other", "validation", "test")
SEPARATOR = "+"
_MAX_FILES, _MAX_ROWS = 3, 5

_T = TypeVar("_T")
Names = str | PathLike[str] | Sequence[PathLike[str]]
"""A file, folder or data set, or paths (strings in a list are texts)."""
Texts = Names | Iterable[object]
"""Names, the texts themselves, or a frame of them."""


def is_named(source: Texts) -> TypeIs[Names]:
    """Return whether a source is `Names`."""
    if isinstance(source, list | tuple):
        paths = cast(Sequence[object], source)
        return bool(paths) and all(isinstance(path, PathLike) for path in paths)
    return isinstance(source, str | PathLike)


def check_names(*given: Texts) -> None:
    """Raise `DataError` for a name of no file, folder or data set."""
    for source in filter(is_named, given):
        for name in [source] if isinstance(source, str | PathLike) else source:
            if not _exists(name) and str(name) != STDIN and data_sets(str(name)) is None:
                _file(Path(name), ReadOptions())


def texts(source: Texts, **keywords: Unpack[ReadKeywords]) -> list[str]:
    """Return the texts of `rows` that are not blank."""
    return [text for text in rows(source, **keywords).texts if text]


def rows(source: Texts, **keywords: Unpack[ReadKeywords]) -> TextColumn:
    r"""Return the selected rows of files, folders and data sets, or of a list or frame, where `column` alone counts.

    `-` is standard input, `arsentd-lev` a data set, `sample` the embedded corpus, `lev30/train` a part of the
    benchmark, `shami+atsad` two data sets. A file has precedence over a data set of its name, for which only `column`
    and `where` count.

    A .txt has one text a line (`\n` or `\r\n`), unless it is a chat of WhatsApp, UTF-16 with tabs (Excel's "Unicode
    text"), or a delimiter is given. A .json is a chat of Telegram, a list of objects, or an object that holds one.
    Other files are tables, in which a blank line is no row.

    The source of a text is the data set, or one of several files, unless the file names sources. Chats, whose files are
    named after people, have none. A listener (`kammil.progress`) hears the `remarks`.
    """
    if not is_named(source):
        return from_python(source, column=keywords.get("column"))
    read = _rows(source, ReadOptions(**keywords))
    for remark in remarks(read):
        note(remark)
    return read


def sample() -> list[str]:
    """Return the embedded corpus: Levantine short texts."""
    return list(_sample().texts)


def remarks(read: TextColumn) -> list[str]:
    """Return sentences on folders and chats that were read, and on headers left out."""
    found = [*read.folders, *read.chats[:_MAX_FILES]]
    if len(read.chats) > _MAX_FILES:
        found.append(f"and {counted(len(read.chats) - _MAX_FILES, 'chat')} more")
    if len(read.headers) == 1:
        found.append(f"the first row names the columns, so it is left out: {read.headers[0]}")
    elif read.headers:
        first, several = _first_files(read.headers), f"{len(read.headers):,} files"
        found.append(f"the first rows of {several} name the columns, so they are left out: {first}")
    return found


def description(source: Names | Sequence[Path]) -> str:
    """Return names of files without folders, or of data sets."""
    if not isinstance(source, str | PathLike):
        return _first_files([description(path) for path in source])
    if str(source) == STDIN:
        return "stdin"
    return Path(source).name if _exists(source) else str(source)


def _first_files(names: Sequence[str]) -> str:
    more = len(names) - _MAX_FILES
    return ", ".join(names[:_MAX_FILES]) + (f" and {more:,} more" if more > 0 else "")


def _exists(path: str | PathLike[str]) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # `Path.exists` raises for a name that is too long


# ---- files


def _rows(source: Names, options: ReadOptions) -> TextColumn:
    if not isinstance(source, str | PathLike):
        return _several([Path(name) for name in source], options)
    path = Path(source)
    if _exists(path) and path.is_dir():
        return _several([path], options)
    if _exists(path) or str(path) == STDIN:
        return _file(path, options)
    return _data_set(str(source), options.column, options.where) or _file(path, options)


def _several(paths: Sequence[Path], options: ReadOptions) -> TextColumn:
    inside = {path: list_files(path) for path in paths if path.is_dir()}
    files = [file for path in paths for file in inside.get(path, [path])]
    read = [
        replace(part, sources=part.sources or ("" if part.chat else part.name,) * len(part.texts))
        for part in _selected(files, lambda path: _rows(path, options))
    ]
    columns = {part.column for part in read}
    folders = tuple(
        f"{counted(len(found), 'file')} of {folder}"
        + (" and its subfolders" if any(file.parent != folder for file in found) else "")
        for folder, found in inside.items()
    )
    joined = _joined(read, description(files), columns.pop() if len(columns) == 1 else None)
    return replace(joined, folders=folders)


def _selected(paths: Iterable[Path], read: Callable[[Path], _T]) -> list[_T]:
    """`NoRowsError` only if nothing is selected in any file."""
    found: list[_T] = []
    nothing: NoRowsError | None = None
    for path in paths:
        try:
            found.append(read(path))
        except NoRowsError as error:
            nothing = error
    if nothing is not None and not found:
        raise nothing
    return found


def _joined(read: Sequence[TextColumn], name: str, column: str | None) -> TextColumn:
    chats = {part.chat for part in read}
    return TextColumn(
        tuple(text for part in read for text in part.texts),
        name,
        column,
        _joint_sha256(part.sha256 for part in read),
        tuple(source for part in read for source in part.sources or ()),
        chats.pop() if len(chats) == 1 else None,
        tuple(chat for part in read for chat in part.chats),
        tuple(header for part in read for header in part.headers),
    )


def _joint_sha256(sums: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(sums).encode()).hexdigest()


def _file(path: Path, options: ReadOptions) -> TextColumn:
    file = read_file(path, options)
    try:
        read = _texts(file, options)
    except UnicodeError:
        raise DataError(undecodable(file.name, file.data, options.encoding)) from None
    if not any(read.texts):
        part = file.name if read.column is None else f"column {read.column!r} of {file.name}"
        number = counted(len(read.texts), "row")
        raise DataError(f"{part} holds no text ({number}, all blank); choose another file or column")
    return read


def _texts(file: File, options: ReadOptions) -> TextColumn:
    name, chat = file.name.name, None
    if options.sheet is not None and file.ending != ".xlsx":
        raise DataError(f"--sheet {options.sheet!r} is for .xlsx, not for {file.name}; leave it out")
    if file.ending == ".txt" and not options.table:
        chat = chats.whatsapp(line.strip() for line in file.open())
    elif file.ending == ".json" and not options.table:
        chat = chats.telegram(file.value)
    if chat is not None:
        found, said = tuple(chats.choose(chat.messages, options.sender)), (chat.described(options.sender),)
        return TextColumn(found, name, None, file.sha256, chat=chat.program, chats=said)
    if options.sender is not None:
        raise DataError(
            f"{file.name} is no chat of WhatsApp or Telegram, so --from {options.sender!r} has no use; leave it out"
        )
    if (
        file.ending != ".txt"
        or options.delimiter is not None
        or (marked_encoding(file.data) and "\t" in file.open().readline())  # Excel's "Unicode text"
    ):
        return read_texts(read_table(file, options), options, file)
    if options.table:
        named = "--column and --where need" if options.source_column is None else "source_column needs"
        raise DataError(f"{file.name} has no columns; {named} a table such as .tsv or .csv")
    return TextColumn(tuple(line.strip() for line in file.open()), name, None, file.sha256)


# ---- data sets


@cache
def benchmark() -> Mapping[str, Any]:
    """Return the data set, the rule, and the row numbers of each part."""
    return cast(dict[str, Any], json.loads(resources.files("kammil.data").joinpath("lev30.json").read_text("utf-8")))


def data_sets(name: str) -> list[str] | None:
    """Return the data sets of a name, none for the embedded corpus; None if unknown."""
    if _is_joint_name(name):
        return [one for part in name.split(SEPARATOR) for one in data_sets(part) or ()]
    if name.startswith(f"{BENCHMARK}/"):
        return [benchmark()["dataset"]]
    return [] if name == SAMPLE else [name] if name in datasets.CATALOG else None


def _is_joint_name(name: str) -> bool:
    names = {SAMPLE, *datasets.CATALOG, *(f"{BENCHMARK}/{part}" for part in PARTS)}
    return SEPARATOR in name and all(part in names for part in name.split(SEPARATOR))


def _data_set(name: str, column: str | None, where: str | None) -> TextColumn | None:
    if _is_joint_name(name):
        options = ReadOptions(column=column, where=where)
        return _joined([_rows(part, options) for part in name.split(SEPARATOR)], name, column)
    if name == SAMPLE:
        read = _sample()
        return replace(read, sources=(name,) * len(read.texts))
    if name.startswith(f"{BENCHMARK}/"):
        return _benchmark_part(name, where)
    return _catalogued(datasets.CATALOG[name], column, where) if name in datasets.CATALOG else None


def _sample() -> TextColumn:
    with resources.as_file(resources.files("kammil.data").joinpath("sample.txt")) as path:
        return _file(path, ReadOptions())


def _benchmark_part(name: str, where: str | None) -> TextColumn:
    part = name.partition("/")[2]
    if part not in PARTS:
        raise DataError(f"{name} is no part of the benchmark; its parts are {', '.join(PARTS)}.")
    if where is not None:
        raise DataError(f"{name} is a fixed list of rows, from which --where cannot choose; leave it out.")
    split = benchmark()
    read = _rows(split["dataset"], ReadOptions())
    texts = tuple(read.texts[i] for i in split[part])
    return TextColumn(texts, name, read.column, _joint_sha256([read.sha256, name]), (name,) * len(texts))


def _catalogued(dataset: datasets.Dataset, column: str | None, where: str | None) -> TextColumn:
    chosen = dataset.column if column is None else column
    columns = chosen if isinstance(chosen, tuple) else (chosen,)
    parts = _selected(
        datasets.fetch(dataset.name),
        lambda path: [_file(path, ReadOptions(column=name, where=where)) for name in columns],
    )
    texts = [text for part in parts for row in zip(*(each.texts for each in part), strict=True) for text in row]
    if dataset.cleaning is not None:
        texts = [dataset.cleaning.clean(text) for text in texts]
    sha256 = _joint_sha256(part[0].sha256 for part in parts)
    named = ", ".join(filter(None, columns)) or None
    return TextColumn(tuple(texts), dataset.name, named, sha256, (dataset.name,) * len(texts))


# ---- texts of a program


def from_python(source: Iterable[object], *, column: str | None = None) -> TextColumn:
    """Read the texts of a list, Series or generator, or a column of a frame or of mappings.

    Missing values (None, NaN, NA) and white space are rows without a text; `DataError` if all are.
    """
    kind = type(source).__name__
    if isinstance(source, bytes | bytearray | memoryview):
        raise DataError("the texts are bytes; decode them first, such as source.decode('utf-8').splitlines().")
    if isinstance(source, set | frozenset):
        raise DataError("the texts are a set, which has no order, so no run could be repeated; give a sorted list.")
    if isinstance(source, Mapping):
        parts = ", ".join(repr(name) for name in list(cast(Mapping[object, object], source))[:_MAX_ROWS]) or "none"
        raise DataError(f"the texts are a {kind} with the keys {parts}; give what stands under one of them.")
    if hasattr(source, "collect") and not hasattr(source, "__iter__"):
        raise DataError(f"the {kind} is not computed yet; give what its collect() returns.")
    table, values = _frame(source), list[object]()
    if table is None:
        try:
            cells = iter(_cells(source))
        except TypeError:
            message = f"texts cannot be read from a {kind}; give a file's name, a list of strings, or a frame."
            raise DataError(message) from None
        values = list(cells)
        if any(isinstance(value, Mapping) for value in values):
            table = object_table("the source", values, _place, "column=")
    if table is None:
        column, place = None, "the source"
        texts = read_cells(values, _place)
    else:
        table, column = choose(table, column)
        place = f"column {column!r}"
        texts = read_cells(table.cells(column), _place, column)
    if not any(texts):
        every = "" if len(texts) == 1 else ", all"
        number = f"{counted(len(texts), 'row')}{every} without one" if texts else "no row at all"
        raise DataError(f"{place} holds no text ({number}); give texts, or name another column.")
    name = counted(len(texts), "text") if column is None else f"column {column} of {counted(len(texts), 'row')}"
    return TextColumn(texts, name, column, hashlib.sha256(json.dumps(texts).encode()).hexdigest())


def left_out(texts: Sequence[str]) -> str | None:
    """Return a sentence on the rows without a text, if any."""
    blank = [i for i, text in enumerate(texts) if not text]
    if not blank:
        return None
    which = ", ".join(map(str, blank[:_MAX_ROWS])) + (", ..." if len(blank) > _MAX_ROWS else "")
    number = counted(len(blank), "row without a text is", "rows without a text are")
    return f"{number} left out of {len(texts):,}: {which} (counted from 0)."


def _place(row: int) -> str:
    return f"row {row} (counted from 0)"


def _frame(source: Any) -> Table | None:
    for attribute in ("column_names", "columns"):  # datasets, pyarrow; pandas, polars
        names: object = getattr(source, attribute, None)
        if isinstance(names, Iterable) and not isinstance(names, str) and hasattr(source, "__getitem__"):
            break
    else:
        return None
    name, listed = f"the {type(source).__name__}", list(cast(Iterable[object], names))
    keys = {str(key): key for key in listed}
    if len(keys) < len(listed):
        twice = next(name for name in keys if sum(str(key) == name for key in listed) > 1)
        raise DataError(f"several columns of {name} are called {twice!r}; rename them.")
    return Table(name, list(keys), lambda name: _cells(source[keys[name]]), _place, "column=")


def _cells(column: object) -> Iterable[object]:
    for method in ("to_pylist", "to_list"):
        if callable(convert := getattr(column, method, None)):
            return cast(list[object], convert())
    return cast(Iterable[object], column)
