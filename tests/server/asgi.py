"""Requests to an application in this process, which a test can cancel at any moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass
class Answered:
    """The response of an application."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGIApp, method: str, target: str, body: object = None, headers: Mapping[str, str | bytes] | None = None
) -> Answered:
    """Send a request with a JSON body; exceptions of the application are raised here."""
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
            await asyncio.Event().wait()  # the client stays connected
        return left.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    named = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answered(sent[0]["status"], named, b"".join(message.get("body", b"") for message in sent[1:]))
