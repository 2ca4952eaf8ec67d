"""What is large: made beside the event loop, and written as JSON piece by piece.

Whoever writes JSON keeps all other threads from running meanwhile, so that a thread alone would help nobody; between
two pieces the event loop has its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from kammil.server.api.schemas import Choice, Logprobs

MAX_INLINE = 4096
"""Characters, or tokens and their alternatives, that take some milliseconds at most."""
CHUNK = 256
"""Items of a list written at once."""

Result = TypeVar("Result")

LogprobsJson = dict[str, bytes]
"""Items of the lists of `Logprobs`, as JSON without brackets."""


async def run_off_loop(size: int, make: Callable[[], Result]) -> Result:
    """Make something of that size, in a thread unless it is small."""
    return make() if size <= MAX_INLINE else await asyncio.to_thread(make)


def items_json(values: Iterable[Sequence[object]]) -> bytes:
    """Lists, one after the other, as the items of one: JSON without brackets."""
    return b",".join(to_json(piece, inf_nan_mode="null")[1:-1] for piece in values if piece)


def logprobs_json(made: Logprobs) -> LogprobsJson:
    """Tokens as JSON."""
    return {name: items_json(_chunks(getattr(made, name))) for name in Logprobs.model_fields}


def choice_json(made: Choice, *tokens: LogprobsJson) -> bytes:
    """A choice as JSON, and the tokens that belong to it, one list after the other; without any they are null."""
    if not tokens:
        return made.model_dump_json().encode()
    fields = (
        b'"%s":[%s]' % (name.encode(), b",".join(part[name] for part in tokens if part[name]))
        for name in Logprobs.model_fields
    )
    return _replace(made, b'"logprobs":null', b'"logprobs":{%s}' % b",".join(fields))


def insert_items(frame: BaseModel, name: str, values: bytes) -> bytes:
    """A model as JSON, with these items in a list of it that is empty."""
    return _replace(frame, b'"%s":[]' % name.encode(), b'"%s":[%s]' % (name.encode(), values))


def _replace(frame: BaseModel, empty: bytes, full: bytes) -> bytes:
    # Quotes within a text are escaped: what is looked for can stand nowhere else.
    before, _, after = frame.model_dump_json().encode().partition(empty)
    return b"".join((before, full, after))


def _chunks(values: Sequence[object]) -> Iterable[Sequence[object]]:
    return (values[begin : begin + CHUNK] for begin in range(0, len(values), CHUNK))
