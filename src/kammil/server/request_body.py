"""Reads the bodies of requests, with bounds on their size, their time, and the memory of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import Message, Receive

from kammil.server.api.errors import ApiError, busy

BODY_SECONDS = 15.0
"""Seconds in which a body must have arrived."""
DRAIN_BYTES, DRAIN_SECONDS = 1 << 26, 1.0
"""How much of a body that is too large is still read and thrown away: a client that sends everything before it reads
would see a broken connection instead of the answer."""
MAX_BODIES = 64
"""Bodies of the largest size that may arrive at the same time; smaller ones share the same number of bytes."""


class BodyReader:
    """Reads bodies before their requests reach the routes.

    Args:
        max_body: most bytes of one body.
    """

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._arriving = 0
        """Bytes of all bodies that are being read."""

    async def read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """Read a whole body; `ApiError` if it is too large or too slow, or if too many bodies arrive at once."""
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._max_body:
            if "expect" not in headers:  # with it, the client sends nothing before it is told to
                await _drain(receive)
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(499, "the client has left.")
                    part = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    self._arriving += len(part)
                    if size > self._max_body:
                        await _drain(receive)
                        raise self._too_large()
                    if self._arriving > MAX_BODIES * self._max_body:
                        raise busy()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError as error:
            raise ApiError(408, f"the body did not arrive within {BODY_SECONDS:.0f} seconds.") from error
        finally:
            self._arriving -= size

    def _too_large(self) -> ApiError:
        # The rest of the body may be unread, so the connection cannot be used again.
        message = f"the body has more than {self._max_body} bytes; send less at a time."
        return ApiError(413, message, headers={"Connection": "close"})


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read, and then whatever follows it."""
    unread = [body]

    async def receive_again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return receive_again


async def _drain(receive: Receive) -> None:
    """Read the rest of a body and throw it away, within bounds."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))
