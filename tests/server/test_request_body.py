"""Bodies of requests: read whole, refused beyond the bounds, and what they took is given back."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from kammil.server.api.errors import ApiError
from kammil.server.request_body import MAX_BODIES, BodyReader, replay


async def read(reader: BodyReader, parts: list[bytes | None], wait: asyncio.Event | None = None) -> int | bytes:
    """The body, or the status of the refusal; None is a client that leaves. After the first part it may wait."""
    left = list(parts)

    async def receive() -> Message:
        if wait is not None and len(left) < len(parts):
            await wait.wait()
        part = left.pop(0) if left else None
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    try:
        return await reader.read({}, receive)
    except ApiError as error:
        return error.status


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([b"x" * 1000], b"x" * 1000),
        ([b"x" * 600, b"y" * 400], b"x" * 600 + b"y" * 400),
        ([b"x" * 1000, b"x" * 1000], 413),
        ([b"x" * 1000, None], 499),
    ],
)
def test_the_room_of_every_body_is_given_back(parts: list[bytes | None], wanted: int | bytes) -> None:
    async def main() -> None:
        reader = BodyReader(1024)
        for _ in range(3 * MAX_BODIES):
            assert await read(reader, parts) == wanted
        assert await read(reader, [b"x"]) == b"x"

    asyncio.run(main())


def test_bodies_that_arrive_together_are_bounded_together() -> None:
    async def main() -> None:
        reader, wait = BodyReader(1024), asyncio.Event()
        some = [asyncio.ensure_future(read(reader, [b"x" * 1000, b""], wait)) for _ in range(MAX_BODIES + 1)]
        await asyncio.sleep(0)
        assert await read(reader, [b"x" * 500]) == b"x" * 500  # 65,500 of 65,536 bytes
        assert await read(reader, [b"x" * 600]) == 429
        wait.set()
        assert await asyncio.gather(*some) == [b"x" * 1000] * len(some)
        assert await read(reader, [b"x" * 600]) == b"x" * 600

    asyncio.run(main())


def test_the_routes_receive_the_body_once_and_then_what_follows() -> None:
    async def main() -> None:
        async def leave() -> Message:
            return {"type": "http.disconnect"}

        receive = replay(b"body", leave)
        assert await receive() == {"type": "http.request", "body": b"body", "more_body": False}
        assert await receive() == {"type": "http.disconnect"}

    asyncio.run(main())
