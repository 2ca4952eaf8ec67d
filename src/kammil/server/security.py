"""What stands before every route: who may ask, how much, and for how long.

A server on one's own machine can be reached by every page that the browser shows. A page of a foreign origin names
itself, and is refused. One that has its own name point here (DNS rebinding) is of "our" origin, but asks under a name
that is not ours, and is refused too.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kammil.server.api import errors
from kammil.server.api.errors import ApiError, busy
from kammil.server.metrics import Metrics
from kammil.server.settings import ServerSettings

BODY_SECONDS = 15.0
"""Seconds in which a body must have come."""
ANSWER_SECONDS = 15.0
"""Seconds beyond a request's time in which a slow client must have taken its answer."""
DRAIN_BYTES, DRAIN_SECONDS = 1 << 26, 1.0
"""Bytes and seconds of a body that is too large which are still taken, and thrown away: a client that sends all before
it reads would see a broken connection in place of the answer."""
MAX_BODIES = 64
"""Largest bodies that may be on their way at once, all of them together."""
PUBLIC = frozenset({"/health", "/docs", "/openapi.json"})
"""Besides the page, what needs no key."""

log = logging.getLogger("kammil.server")


class SecurityMiddleware:
    """Answers what must not reach the routes, and counts all the rest.

    Args:
        app: the routes.
        settings: of the server.
        metrics: where requests are counted.
        page: paths of the page's files, which need no key.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, public: Collection[str]) -> None:
        """Nobody has asked."""
        self._app, self._settings, self._metrics = app, settings, metrics
        self._public = PUBLIC | set(public)
        names = {"localhost", socket.gethostname().lower(), settings.host.lower()}
        self._hosts = names | {name.lower() for name in settings.hosts}
        self._origins = {origin.rstrip("/").lower() for origin in settings.origins}
        self._key = _digest(settings.api_key.encode()) if settings.api_key else None
        self._active = 0
        self._body_bytes = 0
        """Bytes of bodies that are on their way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything but HTTP goes its way."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, started = time.monotonic(), 500, False
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin", "").lower()
        extra = [(b"x-content-type-options", b"nosniff")]
        if origin in self._origins:
            extra += [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]
        else:
            extra += [(b"cross-origin-resource-policy", b"same-origin")]

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in given)]
            await send(message)

        try:
            async with asyncio.timeout(self._settings.timeout + BODY_SECONDS + ANSWER_SECONDS):
                await self._check(scope, headers, origin, receive, answer)
        except ApiError as error:
            await error.response()(scope, receive, answer)
        except TimeoutError:
            log.warning("%s took too long, and was cut off", scope["path"])
            if not started:
                await ApiError(503, "the time for this request is over.", code="timeout").response()(
                    scope, receive, answer
                )
        except Exception as error:
            if started:
                raise
            log.error("a request failed", exc_info=error)
            await errors.to_api_error(error).response()(scope, receive, answer)
        finally:
            self._metrics.count_request(scope, status, time.monotonic() - begun)

    async def _check(self, scope: Scope, headers: dict[str, str], origin: str, receive: Receive, send: Send) -> None:
        """Check a request and hand it on; `ApiError` if it is refused."""
        host = headers.get("host", "")
        if not self._is_own_host(host):
            raise ApiError(403, f"this server is not called {host[:100]!r}; name it with --allow-host.")
        foreign = bool(origin) and origin not in self._origins and _parse_url(origin).netloc != host.lower()
        if foreign or (not origin and headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET"):
            raise ApiError(403, f"pages of {origin[:100]!r} may not ask here; name the origin with --allow-origin.")
        if scope["method"] == "OPTIONS" and origin in self._origins and "access-control-request-method" in headers:
            await self._preflight(send)
            return
        path = scope["path"]
        if self._key is not None and path not in self._public and not self._has_key(headers.get("authorization", "")):
            raise ApiError(
                401,
                "the API key is wrong or missing; send it as: Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = await self._read_body(headers, receive)
        if self._active >= self._settings.queue:
            raise busy()
        self._active += 1
        try:
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._active -= 1

    def _is_own_host(self, host: str) -> bool:
        """Whether a header `Host` names this server: one of its names, or any address, which no name can point to."""
        name = _parse_url(f"//{host}").hostname if host and "/" not in host and "@" not in host else None
        if name is None:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_key(self, authorization: str) -> bool:
        """Whether a client knows the key; it takes as long for a wrong one, however wrong."""
        scheme, _, key = authorization.partition(" ")
        assert self._key is not None
        return hmac.compare_digest(_digest(key.strip().encode("latin-1")), self._key) and scheme.lower() == "bearer"

    async def _preflight(self, send: Send) -> None:
        """Tell a browser what pages of an origin that may ask may send."""
        headers = [
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", b"authorization, content-type"),
            (b"access-control-max-age", b"600"),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _read_body(self, headers: dict[str, str], receive: Receive) -> bytes:
        """The whole body; `ApiError` for one that is too large, or too slow."""
        most = self._settings.max_body
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > most:
            if "expect" not in headers:  # else the client waits to be told
                await _drain(receive)
            raise _too_large(most)
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
                    self._body_bytes += len(part)
                    if size > most:
                        await _drain(receive)
                        raise _too_large(most)
                    if self._body_bytes > MAX_BODIES * most:
                        raise busy()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError as error:
            raise ApiError(408, f"the body did not come within {BODY_SECONDS:.0f} seconds.") from error
        finally:
            self._body_bytes -= size


async def _drain(receive: Receive) -> None:
    """Throw away the rest of a body, as far as it is worth it."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))


def _parse_url(url: str) -> SplitResult:
    """The parts of an address; none of one that cannot be, such as `http://[`."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _too_large(most: int) -> ApiError:
    # What is left of the body may be unread, so the connection cannot be used again.
    return ApiError(413, f"the body has more than {most} bytes; send less at a time.", headers={"Connection": "close"})


def _digest(key: bytes) -> bytes:
    """Of one length whatever the key's, so that comparing tells nothing of it."""
    return hashlib.sha256(key).digest()


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read, and then whatever comes."""
    left = [body]

    async def replay() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replay
