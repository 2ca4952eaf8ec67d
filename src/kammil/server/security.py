"""Middleware that checks host, origin and API key, bounds bodies, queue and time, and counts requests.

Any page in a browser can send requests to this machine. A foreign page is refused by its Origin header, and DNS
rebinding by its Host header. Starlette's middlewares allow no IP addresses, and let a foreign page's POST through.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import socket
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kammil.server.api.responses import ApiError, busy, to_api_error
from kammil.server.metrics import Metrics
from kammil.server.settings import ServerSettings

BODY_SECONDS = 15.0
"""Time limit for a body."""
DRAIN_BYTES, DRAIN_SECONDS = 1 << 26, 1.0
"""Limits for draining a body that is too large: most clients send all before they read an answer."""
MAX_BODIES = 64
"""Bodies of the largest size, or the same number of bytes, that may arrive together."""
ANSWER_SECONDS = 15.0
"""Time limit for a slow client to receive its answer."""
PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}
PUBLIC_PATHS = frozenset({"/health", "/openapi.json"})
"""Paths that need no key, besides the page's."""

log = logging.getLogger("kammil.server")


class SecurityMiddleware:
    """Refuses requests that must not reach the routes; `public` paths need no key."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, public: Collection[str]) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._public = PUBLIC_PATHS | set(public)
        hosts = ("localhost", socket.gethostname(), settings.host, *settings.hosts)
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.rstrip("/").lower() for origin in settings.origins}
        self._key = _digest(settings.api_key.encode()) if settings.api_key else None
        self._bodies = BodyReader(settings.max_body)
        self._active = 0  # requests at work or waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle HTTP requests; pass on anything else."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, started = time.monotonic(), 500, False
        headers = Headers(raw=[(name.lower(), value) for name, value in scope["headers"]])
        origin = headers.get("origin", "").lower()
        extra = {"x-content-type-options": "nosniff"}
        if origin in self._origins:
            extra |= {"access-control-allow-origin": origin, "vary": "origin"}
        else:
            extra |= {"cross-origin-resource-policy": "same-origin"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                answered = MutableHeaders(scope=message)
                for name, value in extra.items():
                    answered.setdefault(name, value)
            await send(message)

        async def refuse(error: ApiError) -> None:
            await error.response()(scope, receive, send_with_headers)

        try:
            async with asyncio.timeout(self._settings.timeout + BODY_SECONDS + ANSWER_SECONDS):
                await self._check(scope, headers, origin, receive, send_with_headers)
        except ApiError as error:
            await refuse(error)
        except TimeoutError as error:
            log.warning("%r took too long and was cut off", scope["path"])
            if not started:
                await refuse(to_api_error(error))
        except Exception as error:
            if started:
                raise
            log.error("a request failed", exc_info=error)
            await refuse(to_api_error(error))
        finally:
            self._metrics.count_request(scope, status, time.monotonic() - begun)

    async def _check(self, scope: Scope, headers: Headers, origin: str, receive: Receive, send: Send) -> None:
        if max(len(headers.getlist(name)) for name in ("host", "origin")) > 1:  # a proxy may believe either
            raise ApiError(400, "the request has two Host or two Origin headers; send one.")
        host = headers.get("host", "")
        if not self._is_own_host(host):
            raise ApiError(403, f"{host[:100]!r} is not a name of this server; add it with --allow-host.")
        foreign = bool(origin) and origin not in self._origins and _parse_url(origin).netloc != host.lower()
        if foreign or (not origin and headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET"):
            raise ApiError(403, f"pages of {origin[:100]!r} are not allowed here; add the origin with --allow-origin.")
        if scope["method"] == "OPTIONS" and origin in self._origins and "access-control-request-method" in headers:
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
            return
        if self._key is not None and scope["path"] not in self._public and not self._has_key(headers):
            message = "the API key is wrong or missing; send it as: Authorization: Bearer KEY"
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = await self._bodies.read(headers, receive)
        if self._active >= self._settings.queue:
            raise busy()
        self._active += 1
        try:
            await self._app(scope, replay(body, receive), send)
        finally:
            self._active -= 1

    def _is_own_host(self, host: str) -> bool:
        """Whether a `Host` header is the server's name, or an IP address, which DNS cannot rebind."""
        name = _parse_url(f"//{host}").hostname if host and "/" not in host and "@" not in host else None
        if name is None or name in self._hosts:
            return name is not None
        with suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return False

    def _has_key(self, headers: Mapping[str, str]) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        assert self._key is not None
        return hmac.compare_digest(_digest(key.strip().encode("latin-1")), self._key) and scheme.lower() == "bearer"


def _parse_url(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # malformed, such as `http://[`
        return urlsplit("")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()  # digests have equal lengths, so comparing takes constant time


class BodyReader:
    """Reads whole bodies, within bounds."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._arriving = 0  # bytes of all bodies being read

    async def read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """Read a body; `ApiError` if it is too large or slow, or too many arrive at once."""
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._max_body:
            if "expect" not in headers:  # with it, the client waits before it sends
                await _drain(receive)
            raise self._too_large()
        parts, size = list[bytes](), 0
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
        # An unread rest makes the connection unusable.
        message = f"the body has more than {self._max_body} bytes; send less at a time."
        return ApiError(413, message, headers={"Connection": "close"})


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first gives this body."""
    unread = [body]

    async def receive_again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return receive_again


async def _drain(receive: Receive) -> None:
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))
