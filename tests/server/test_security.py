"""Which requests are let through, with which bounds, and what hostile clients get."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.server.asgi import ask
from tests.server.conftest import Running, serving, until

from kammil.completion.completer import Completer
from kammil.server.api.responses import ApiError
from kammil.server.metrics import Metrics
from kammil.server.security import MAX_BODIES, BodyReader, guard, replay
from kammil.server.settings import ServerSettings

LONG = {"prompt": "شو", "max_tokens": 2000, "logit_bias": {"3": -100}}
"""A long request: the end of the text is banned."""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a key, small bounds, and one allowed foreign origin."""
    arguments = ("--queue", "2", "--timeout", "1", "--max-body", "2000", "--max-tokens", "100000", "--no-learn")
    origin = ("--allow-origin", "https://friend.example", "--allow-host", "kammil.test")
    with serving(tmp_path_factory.mktemp("strict"), *arguments, *origin, KAMMIL_API_KEY="sesame") as running:
        yield running


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "evil.example@localhost", "localhost/evil"]
)
def test_a_foreign_name_is_refused(server: Running, host: str) -> None:
    got = server.ask("/v1/models", Host=host)
    assert got.status in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8000", "LOCALHOST:1"])
def test_our_own_names_are_taken(server: Running, host: str) -> None:
    assert server.ask("/v1/models", Host=host).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
def test_pages_of_other_origins_are_refused(server: Running, origin: str) -> None:
    got = server.ask("/v1/suggest", {"prefix": "شو"}, Origin=origin)
    assert got.status == 403
    assert "Access-Control-Allow-Origin" not in got.headers
    assert server.ask("/v1/suggest", {"prefix": "شو"}, Sec_Fetch_Site="cross-site").status == 403


def test_the_own_page_may_ask(server: Running) -> None:
    assert server.ask("/v1/suggest", {"prefix": "شو"}, Origin=server.url).status == 200


def test_an_origin_that_was_named_may_ask(strict: Running) -> None:
    asked = {"Origin": "https://friend.example", "Authorization": "Bearer sesame"}
    got = strict.ask("/v1/suggest", {"prefix": "شو"}, headers=asked)
    assert got.status == 200 and got.headers["access-control-allow-origin"] == "https://friend.example"
    got = strict.ask(
        "/v1/suggest", method="OPTIONS", Origin="https://friend.example", Access_Control_Request_Method="POST"
    )
    assert got.status == 204 and "authorization" in got.headers["access-control-allow-headers"]
    assert strict.ask("/v1/models", Host="kammil.test", Authorization="Bearer sesame").status == 200


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer wrong", "Bearer sesame1", "Basic sesame", "sesame"])
def test_without_the_key_only_the_page_and_health(strict: Running, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": key}
    for path in ("/v1/models", "/metrics", "/tokenizer_info"):
        got = strict.ask(path, headers=headers)
        assert got.status == 401 and got.json["error"]["code"] == "invalid_api_key"
    for path in ("/health", "/", "/openapi.json"):
        assert strict.ask(path, headers=headers).status == 200


def test_the_key_opens(strict: Running) -> None:
    assert strict.ask("/v1/models", Authorization="Bearer sesame").status == 200
    assert strict.ask("/v1/learn", {"text": "شو"}, Authorization="bearer sesame").status == 403  # --no-learn
    assert strict.ask("/v1/learn?session=a", Authorization="Bearer sesame").status == 403


def test_who_sends_all_of_a_large_body_before_reading_gets_the_answer(strict: Running) -> None:
    body = b"x" * 10_000_000
    with socket.create_connection(("127.0.0.1", strict.port)) as connection:
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sesame\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_large_body_is_refused(strict: Running) -> None:
    got = strict.ask("/v1/completions", b"x" * 2001, Authorization="Bearer sesame")
    assert got.status == 413 and got.json["error"]["message"].startswith("the body has more than 2000 bytes")
    with socket.create_connection(("127.0.0.1", strict.port)) as connection:  # without Content-Length
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sesame\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n400\r\n" + b"x" * 1024 + b"\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_full_queue_is_said_and_time_ends_cleanly(strict: Running) -> None:
    key = {"Authorization": "Bearer sesame"}
    asked = {"prompt": "شو", "max_tokens": 100_000, "logit_bias": {"3": -100}}
    with ThreadPoolExecutor(2) as pool:
        tries = 0
        while True:  # on a busy machine the first two may time out before the third arrives
            long = [pool.submit(strict.ask, "/v1/completions", asked, headers=key) for _ in range(2)]
            time.sleep(0.1)
            full = strict.ask("/v1/suggest", {"prefix": "شو"}, headers=key)
            tries += 1
            if full.status != 200 or tries == 30:
                break
            wait(long)
        assert full.status == 429 and full.headers["retry-after"] == "1"
        assert full.json["error"]["code"] == "rate_limit_exceeded"
        for one in long:
            got = one.result()
            assert got.status == 200
            (choice,) = got.json["choices"]
            assert choice["finish_reason"] == "length" and choice["text"]
            assert got.json["usage"]["completion_tokens"] < 100_000


def test_a_stream_that_takes_too_long_ends_cleanly(strict: Running) -> None:
    asked = {"prompt": "شو", "max_tokens": 100_000, "stream": True, "logit_bias": {"3": -100}}
    got = strict.ask("/v1/completions", asked, Authorization="Bearer sesame")
    events = got.body.decode().split("\n\n")
    assert events[-2] == "data: [DONE]"
    assert json.loads(events[-3].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"prompt": NaN}',
        b'{"temperature": NaN}',
        b'{"temperature": 1e400}',
        b'{"presence_penalty": -Infinity}',
        b'{"max_tokens": 1e30}',
        b'{"n": 99999999999999999999999}',
        b'{"seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "a", "prompt": 5}',
        b'{"logit_bias": {"\\u0663": 1}}',
        b'{"logit_bias": {"-1": 1}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"prompt": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_odd_bodies_are_no_failure_of_ours(server: Running, body: bytes) -> None:
    for path in ("/v1/completions", "/v1/suggest", "/v1/score", "/tokenize", "/detokenize", "/v1/learn"):
        got = server.ask(path, body)
        assert got.status < 500, (path, got.body)
        assert got.status == 200 or got.json["error"]["message"]


def test_odd_texts_are_read(server: Running, bundled: Completer) -> None:
    for text in ("\x00\x01", "\u202e\u2066", "👩‍👩‍👧‍👦" * 50, "a" * 5000, "ا\u064b" * 300, "\ud7ff\ue000"):
        got = server.ask("/v1/completions", {"prompt": text, "max_tokens": 3, "seed": 1})
        assert got.json["choices"][0]["text"] == bundled.complete(text, length=3, temperature=1, seed=1).text
        assert server.ask("/v1/suggest", {"prefix": text}).status == 200
        assert server.ask("/v1/score", {"text": text}).status == 200


def test_prompts_do_not_stand_in_the_log(server: Running) -> None:
    for path, name in (("/v1/completions", "prompt"), ("/v1/suggest", "prefix"), ("/v1/score", "text")):
        assert server.ask(path, {name: "سرّ كبير secret"}).status == 200
    server.ask("/v1/completions", {"prompt": ["secret", 5]})
    log = server.log.read_text()
    assert "secret" not in log and "سر" not in log
    assert "/v1/suggest" in log


def test_slow_and_half_closed_clients_hold_nobody_up(server: Running) -> None:
    with ExitStack() as stack:
        for i in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"[: 20 + i]
            )
            if i % 3 == 0:
                connection.shutdown(socket.SHUT_WR)
        assert server.ask("/v1/suggest", {"prefix": "شو"}).status == 200
    assert server.ask("/health").status == 200


def test_health_answers_while_all_rows_are_taken(server: Running) -> None:
    async def main() -> None:
        body = json.dumps(LONG | {"n": 32}).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writers: list[asyncio.StreamWriter] = []
        for _ in range(8):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            writers.append(writer)
        await asyncio.to_thread(until, lambda: server.figure("kammil_live_texts") > 200)
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
        # All were answered while the same texts were being generated: none waited for the end of a text.
        assert server.figure("kammil_live_texts") > 200
        for writer in writers:
            writer.close()

    asyncio.run(main())
    until(lambda: server.figure("kammil_live_texts") == 0)


def test_two_thousand_connections(server: Running) -> None:
    with ExitStack() as stack:
        for _ in range(2_000):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        assert server.ask("/v1/suggest", {"prefix": "شو"}).status == 200


# ---- the middleware by itself, without a server


HEADERS = st.text(st.sampled_from("[]:/@?#%\\ .,aلE1٣½\x00\t\x85\xff"), max_size=12).map(lambda t: t.encode("utf-8"))


def guarded(app: ASGIApp, **options: object) -> ASGIApp:
    return guard(app, ServerSettings.of(**options), Metrics(()), ())


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://friend.example", 204),
        ("https://evil.example", 403),
        ("null", 403),
        ("https://friend.example.co", 403),
    ],
)
def test_a_preflight_is_answered_for_allowed_origins_alone(origin: str, status: int) -> None:
    app = guarded(fine, origins=["https://friend.example"], api_key="sesame")
    for host in ("localhost", "evil.example"):
        headers = {"host": host, "origin": origin, "access-control-request-method": "POST"}
        got = asyncio.run(ask(app, "OPTIONS", "/v1/suggest", headers=headers))
        assert got.status == (status if host == "localhost" else 403)
        assert got.body == b"" if got.status == 204 else got.json["error"]["message"]


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("fine")(scope, receive, send)


@pytest.mark.parametrize("key", [None, "sesame"])
@given(host=HEADERS | st.just(b"localhost"), origin=HEADERS | st.none())
@example(host=b"[", origin=None)
@example(host=b"[evil]:80", origin=None)
@example(host=b"localhost", origin=b"[")
@example(host=b"localhost", origin=b"http://[::1")
@example(host=b"localhost", origin=b"http://\xe2\x84\x80")
def test_no_name_or_origin_is_a_failure_of_ours(key: str | None, host: bytes, origin: bytes | None) -> None:
    headers = {"host": host} | ({"origin": origin} if origin is not None else {})
    got = asyncio.run(ask(guarded(fine, api_key=key), "GET", "/v1/models", headers=headers))
    assert got.status in ((200, 403) if key is None else (401, 403))
    if origin and host == b"localhost":
        assert got.status == 403
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("twice", [{"Host": "evil.example"}, {"origin": "http://localhost", "Origin": "null"}])
def test_which_of_two_names_counts_is_not_guessed(twice: dict[str, str]) -> None:
    got = asyncio.run(ask(guarded(fine), "GET", "/v1/models", headers=twice))
    assert got.status == 400 and "two" in got.json["error"]["message"]


def test_a_failure_has_the_headers_of_every_answer_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    got = asyncio.run(ask(guarded(fails), "GET", "/v1/models"))
    assert got.status == 500 and got.json["error"]["code"] == "internal_error"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError" in caplog.text


def test_a_failure_after_the_answer_began_is_not_hidden() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask(guarded(fails), "GET", "/v1/models"))


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
