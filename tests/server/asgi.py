"""One request to an application in this process: a test decides when it is cut off, not a clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass
class Answered:
    """What an application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGIApp, method: str, target: str, body: object = None, headers: Mapping[str, str | bytes] | None = None
) -> Answered:
    """One request; the body goes as JSON. Whatever the application raises is raised."""
    path, _, query = target.partition("?")
    given = {"host": "localhost", "content-type": "application/json", **(headers or {})}
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in given.items()
        ],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[Message] = []
    left: list[Message] = [{"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}]

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()  # who asked stays
        return left.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    named = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answered(sent[0]["status"], named, b"".join(message.get("body", b"") for message in sent[1:]))
