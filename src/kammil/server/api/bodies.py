"""Large responses: built off the event loop, and written as JSON chunk by chunk.

Writing JSON holds Python's lock, so a thread alone would not help; between two chunks the event loop can run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from kammil.server.api.schemas import Choice, Logprobs

MAX_INLINE = 4096
"""Number of characters, or of tokens and alternatives, that take a few milliseconds at most."""
CHUNK = 256
"""Number of list items written at once."""

Result = TypeVar("Result")

LogprobsJson = dict[str, bytes]
"""The items of each list of `Logprobs`, as JSON without brackets."""


async def run_off_loop(size: int, make: Callable[[], Result]) -> Result:
    """Call `make`, in a thread if the size is large."""
    return make() if size <= MAX_INLINE else await asyncio.to_thread(make)


def items_json(values: Iterable[Sequence[object]]) -> bytes:
    """Write lists one after the other as the items of a single one: JSON without brackets."""
    return b",".join(to_json(piece, inf_nan_mode="null")[1:-1] for piece in values if piece)


def logprobs_json(logprobs: Logprobs) -> LogprobsJson:
    """Write the items of each list as JSON."""
    return {name: items_json(_chunks(getattr(logprobs, name))) for name in Logprobs.model_fields}


def choice_json(choice: Choice, *tokens: LogprobsJson) -> bytes:
    """Write a choice as JSON, with the given tokens one part after the other; without any, `logprobs` is null."""
    if not tokens:
        return choice.model_dump_json().encode()
    fields = (
        b'"%s":[%s]' % (name.encode(), b",".join(part[name] for part in tokens if part[name]))
        for name in Logprobs.model_fields
    )
    return _replace(choice, b'"logprobs":null', b'"logprobs":{%s}' % b",".join(fields))


def insert_items(frame: BaseModel, name: str, values: bytes) -> bytes:
    """Write a model as JSON, with the given items in a list of it that is empty."""
    return _replace(frame, b'"%s":[]' % name.encode(), b'"%s":[%s]' % (name.encode(), values))


def _replace(frame: BaseModel, empty: bytes, full: bytes) -> bytes:
    # Quotes within a text are escaped, so the searched string occurs nowhere else.
    before, _, after = frame.model_dump_json().encode().partition(empty)
    return b"".join((before, full, after))


def _chunks(values: Sequence[object]) -> Iterable[Sequence[object]]:
    return (values[begin : begin + CHUNK] for begin in range(0, len(values), CHUNK))
