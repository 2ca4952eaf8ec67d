"""JSON: checked objects, one a line, of a list of them, of an object that holds one, or of lines."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, cast

from kammil.data.contents import Content
from kammil.data.encoding import decode
from kammil.data.read_options import ReadOptions
from kammil.errors import DataError
from kammil.text import shortened

_SURROGATE = re.compile("[\ud800-\udfff]")


def as_lines(content: Content, options: ReadOptions) -> io.BytesIO:
    """Return one checked object a line, in UTF-8; half of a surrogate pair becomes U+FFFD."""
    path, out = content.name, io.BytesIO()
    if content.ending == ".json":
        for row in _json_rows(path, load(content, options.encoding), options.column):
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


def load(content: Content, encoding: str) -> object:
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
