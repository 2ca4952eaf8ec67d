"""Middlewares before the routes, each of which keeps one promise.

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
from collections.abc import Callable, Collection, Mapping
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


Check = Callable[[Scope, Headers], None]
"""Raises `ApiError` to refuse a request."""


def guard(app: ASGIApp, settings: ServerSettings, metrics: Metrics, public: Collection[str]) -> ASGIApp:
    """Return an application behind all middlewares; `public` paths need no key."""
    origins = frozenset(origin.rstrip("/").lower() for origin in settings.origins)
    hosts = frozenset(map(str.lower, ("localhost", socket.gethostname(), settings.host, *settings.hosts)))
    http = with_bodies(with_queue(app, settings.queue), BodyReader(settings.max_body))
    if settings.api_key:
        http = with_check(http, only_with_key(settings.api_key, PUBLIC_PATHS | {*public}))
    http = with_check(with_preflight(with_check(http, only_from(origins)), origins), only_to(hosts))
    http = with_errors(http, settings.timeout + BODY_SECONDS + ANSWER_SECONDS)
    http = with_count(with_headers(http, origins), metrics)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        await (http if scope["type"] == "http" else app)(scope, receive, send)

    return guarded


def with_count(app: ASGIApp, metrics: Metrics) -> ASGIApp:
    """Count every request, with its status and time."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        begun, status = time.monotonic(), 500

        async def send_on(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, send_on)
        finally:
            metrics.count_request(scope, status, time.monotonic() - begun)

    return counted


def with_headers(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Let no browser guess types, nor pages of other origins but named ones read answers."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        extra, origin = {"x-content-type-options": "nosniff"}, _headers(scope).get("origin", "").lower()
        if origin in origins:
            extra |= {"access-control-allow-origin": origin, "vary": "origin"}
        else:
            extra |= {"cross-origin-resource-policy": "same-origin"}

        async def send_on(message: Message) -> None:
            for name, value in extra.items() if message["type"] == "http.response.start" else ():
                MutableHeaders(scope=message).setdefault(name, value)
            await send(message)

        await app(scope, receive, send_on)

    return answered


def with_errors(app: ASGIApp, seconds: float) -> ASGIApp:
    """Answer what fails, or takes longer than so many seconds, with an error, unless its answer has begun."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(seconds):
                await app(scope, receive, send_on)
        except Exception as error:
            if isinstance(error, TimeoutError):
                log.warning("%r took too long and was cut off", scope["path"])
            elif begun:
                raise
            elif not isinstance(error, ApiError):
                log.error("a request failed", exc_info=error)
            if not begun:
                await to_api_error(error).response()(scope, receive, send)

    return answered


def with_check(app: ASGIApp, check: Check) -> ASGIApp:
    """Refuse what a check refuses."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        check(scope, _headers(scope))
        await app(scope, receive, send)

    return checked


def only_to(hosts: Collection[str]) -> Check:
    """Return a check that allows these names, and IP addresses, which DNS cannot rebind."""

    def check(_scope: Scope, headers: Headers) -> None:
        if max(len(headers.getlist(name)) for name in ("host", "origin")) > 1:  # a proxy may believe either
            raise ApiError(400, "the request has two Host or two Origin headers; send one.")
        host = headers.get("host", "")
        name = _parse_url(f"//{host}").hostname if host and "/" not in host and "@" not in host else None
        if name not in hosts and not _is_address(name or ""):
            raise ApiError(403, f"{host[:100]!r} is not a name of this server; add it with --allow-host.")

    return check


def only_from(origins: Collection[str]) -> Check:
    """Return a check that allows pages of the server, and of these origins."""

    def check(scope: Scope, headers: Headers) -> None:
        origin = headers.get("origin", "").lower()
        foreign = origin not in origins and _parse_url(origin).netloc != headers.get("host", "").lower()
        if foreign if origin else headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET":
            raise ApiError(403, f"pages of {origin[:100]!r} are not allowed here; add the origin with --allow-origin.")

    return check


def only_with_key(key: str, public: Collection[str]) -> Check:
    """Return a check that asks for a key, but for public paths."""
    right = _digest(key.encode())

    def check(scope: Scope, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(_digest(given.strip().encode("latin-1")), right) and scheme.lower() == "bearer"
        if scope["path"] not in public and not is_right:
            message = "the API key is wrong or missing; send it as: Authorization: Bearer KEY"
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    return check


def with_preflight(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Answer a browser that asks whether a page of these origins may send a request."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        asks = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        is_preflight = asks and headers.get("origin", "").lower() in origins
        await (Response(status_code=204, headers=PREFLIGHT) if is_preflight else app)(scope, receive, send)

    return answered


def with_queue(app: ASGIApp, maximum: int) -> ASGIApp:
    """Refuse a request that gives work where so many are at work or waiting."""
    active = 0

    async def queued(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal active
        works = _has_body(scope)
        if works and active >= maximum:
            raise busy()
        active += works
        try:
            await app(scope, receive, send)
        finally:
            active -= works

    return queued


def with_bodies(app: ASGIApp, bodies: BodyReader) -> ASGIApp:
    """Read the body before a request goes on."""

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        if _has_body(scope):
            receive = replay(await bodies.read(_headers(scope), receive), receive)
        await app(scope, receive, send)

    return read


def _has_body(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD")


def _headers(scope: Scope) -> Headers:
    return Headers(raw=[(name.lower(), value) for name, value in scope["headers"]])


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


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
