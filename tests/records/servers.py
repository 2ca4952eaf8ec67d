"""What servers answer: every route, asked well and badly, in a fixed order."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.records.store import Entry

SERVERS: dict[str, tuple[str, ...]] = {
    "both": ("levantine-all", "levantine", "--allow-origin", "https://page.example"),
    "careful": (
        *("levantine", "--no-learn", "--max-tokens", "20", "--max-body", "3000", "--max-answer", "1000"),
        *("--allow-host", "words.example", "--threads", "1"),
    ),
    "keyed": ("levantine", "--api-key", "secret"),
}
"""Name -> arguments of `kammil serve`."""
HEADERS = (
    *("content-type", "cache-control", "content-security-policy", "access-control-allow-origin", "vary", "allow"),
    *("access-control-allow-methods", "access-control-allow-headers", "cross-origin-resource-policy", "retry-after"),
    *("www-authenticate", "x-content-type-options", "referrer-policy", "content-encoding"),
)
Request = tuple[str, str, Any, Mapping[str, str]]
"""Method, path, body (bytes as they are, anything else as JSON, None for none), headers."""

_DROPPED = {"id", "created", "system_fingerprint", "message", "description", "title", "summary", "operationId", "tags"}
"""What is told in other words, or is new with every answer."""
_COMPLETIONS: tuple[dict[str, Any], ...] = (
    {"prompt": "شو حلو", "max_tokens": 30, "temperature": 0.7, "seed": 1},
    {"prompt": "شو حلو", "max_tokens": 30, "temperature": 0},
    {"prompt": "شو حلو", "max_tokens": 12, "temperature": 0, "logprobs": 3},
    {"prompt": "شو حلو", "max_tokens": 0, "logprobs": 2, "echo": True},
    {"prompt": "شو حلو", "max_tokens": 5, "echo": True, "temperature": 0},
    {"prompt": ["شو", "كيف", ""], "max_tokens": 10, "n": 2, "seed": 3},
    {"prompt": ["شو", "كيف"], "max_tokens": 10, "seed": 3, "stream": True},
    {"prompt": "شو حلو", "max_tokens": 20, "seed": 4, "stream": True, "stream_options": {"include_usage": True}},
    {"prompt": "شو حلو", "max_tokens": 6, "temperature": 0, "stream": True, "logprobs": 1},
    {"prompt": "شو حلو", "preset": "sensible", "seed": 5, "max_tokens": 30},
    {"prompt": "kifak el", "preset": "sensible", "seed": 5, "max_tokens": 30},
    {"prompt": "kifak el", "preset": "creative", "seed": 5, "max_tokens": 30},
    {"prompt": "kifak el", "preset": "predictive", "max_tokens": 30, "stream": True},
    {"prompt": "بدي", "preset": "plain", "max_tokens": 20, "seed": 8},
    {"prompt": "بدي", "best_of": 6, "n": 2, "max_tokens": 15, "seed": 2},
    {"prompt": "بدي", "stop": [" ", "،"], "max_tokens": 15, "seed": 2},
    {"prompt": "بدي", "stop": "ا", "max_tokens": 15, "seed": 2},
    {"prompt": "بدي", "top_k": 3, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.9, "max_tokens": 15, "seed": 2},
    {"prompt": "بدي", "presence_penalty": 1, "frequency_penalty": 0.5, "repetition_penalty": 1.2, "seed": 2},
    {"prompt": "بدي", "logit_bias": {"5": -100, "6": 4}, "max_tokens": 15, "seed": 2},
    {"prompt": "بدي", "forbid": ["ا"], "whole_words": True, "max_tokens": 15, "seed": 2},
    {"prompt": "يا ", "allow_offensive": True, "max_tokens": 15, "seed": 2},
    {"prompt": "بدي", "clause": True, "max_tokens": 40, "seed": 2, "session": "me"},
    {"prompt": [5, 6, 7], "max_tokens": 10, "temperature": 0},
    {"prompt": [[5, 6], [7, 8, 9]], "max_tokens": 10, "temperature": 0},
    {"prompt": "", "max_tokens": 10, "temperature": 0},
    {"prompt": None, "max_tokens": 10, "temperature": 0},
    {"prompt": "😂\ud83d", "max_tokens": 10, "temperature": 0},
    {"max_tokens": 10, "temperature": 0, "unknown": 1, "user": "me"},
    {"prompt": "شو", "model": "levantine", "max_tokens": 10, "temperature": 0},
    {"prompt": "شو", "model": "nothing", "max_tokens": 10},
    {"prompt": "شو", "model": "", "max_tokens": 10, "temperature": 0},
    {"prompt": "شو", "model": None, "max_tokens": 10, "temperature": 0},
    {"prompt": "شو", "max_tokens": -1},
    {"prompt": "شو", "max_tokens": 1_000_000},
    {"prompt": "شو", "max_tokens": "ten"},
    {"prompt": "شو", "max_tokens": None, "temperature": None, "top_p": None, "n": None, "seed": 1},
    {"prompt": "شو", "temperature": 3},
    {"prompt": "شو", "top_p": 0},
    {"prompt": "شو", "top_k": -1, "seed": 1},
    {"prompt": "شو", "top_k": 0, "seed": 1},
    {"prompt": "شو", "n": 0},
    {"prompt": "شو", "n": 129},
    {"prompt": "شو", "n": 3, "best_of": 2},
    {"prompt": "شو", "stop": ["a", "b", "c", "d", "e"]},
    {"prompt": "شو", "stop": [""]},
    {"prompt": "شو", "seed": 1 << 64},
    {"prompt": "شو", "logprobs": 21},
    {"prompt": "شو", "logit_bias": {"x": 1}},
    {"prompt": "شو", "logit_bias": {"99999": 1}},
    {"prompt": "شو", "forbid": ["a"] * 17},
    {"prompt": "شو", "preset": "nothing"},
    {"prompt": "شو", "session": "x" * 300},
    {"prompt": "شو", "stream": True, "best_of": 3, "n": 1, "max_tokens": 8, "seed": 1},
    {"prompt": "شو", "stream_options": {"include_usage": True}},
    {"prompt": "شو", "suffix": "end"},
    {"prompt": "شو", "tools": [{}]},
    {"prompt": "شو", "response_format": {"type": "text"}, "seed": 1},
    {"prompt": "شو", "response_format": {"type": "json_object"}},
    {"prompt": ["شو"] * 65},
    {"prompt": ["شو"] * 64, "n": 5},
    {"prompt": []},
    {"prompt": [99999]},
    {"prompt": [-1]},
    {"prompt": [1.5]},
    {"prompt": {"text": "شو"}},
    {"prompt": "ا" * 100_001},
    {"prompt": "شو " * 200, "max_tokens": 8, "temperature": 0},
)
_SUGGEST: tuple[dict[str, Any], ...] = (
    {"prefix": "شو حل"},
    {"prefix": "شو حل", "k": 8, "phrase": 8},
    {"prefix": "شو حلو ", "k": 3, "phrase": 3, "ghost": "eager"},
    {"prefix": "دكتور الاسنان هاد ايده خفيفة والمواعيد عنده بتتأخر س", "phrase": 4, "ghost": "quiet"},
    {"prefix": "shu a5b", "k": 3},
    {"prefix": "shu a5barak ", "k": 3, "model": "levantine"},
    {"prefix": "shu a5b", "correct": False},
    {"prefix": ""},
    {"prefix": "كيفكك", "threshold": 0},
    {"prefix": "كيف", "threshold": 0.4},
    {"prefix": "كيف", "forbid": ["ك"], "session": "me"},
    {"prefix": "يا ", "allow_offensive": True},
    {"prefix": "😂 شو\n"},
    {"prefix": "شو", "k": 0},
    {"prefix": "شو", "k": 33},
    {"prefix": "شو", "k": "three"},
    {"prefix": "شو", "threshold": 2},
    {"prefix": "شو", "phrase": 33},
    {"prefix": "شو", "ghost": "loud"},
    {"prefix": "شو", "forbid": [""]},
    {"prefix": "شو", "model": "nothing"},
    {"prefix": 3},
    {},
    {"prefix": "ا" * 100_001},
)
_SCORE: tuple[dict[str, Any], ...] = (
    {"text": "شو حلو"},
    {"text": "حلو", "given": "شو ", "top": 2},
    {"text": "", "top": 1},
    {"text": "ABC 😂 日", "top": 0},
    {"text": "شو", "top": 21},
    {"text": "ا" * 100_001},
    {"given": "شو"},
    {"text": "شو", "model": "nothing"},
)
_PAGES = ("/", "/main.js", "/style.css", "/letters.js", "/plex-arabic.woff2", "/icon.svg", "/docs", "/favicon.ico")


def entries() -> Iterator[Entry]:
    """Start every server, and ask it all of its requests, one after the other."""
    for name, arguments in SERVERS.items():
        with _serving(*arguments) as port:
            asked = _requests() if name == "both" else _few(name)
            for number, (method, path, body, headers) in enumerate(asked):
                given = {"body": repr(body)[:300], "headers": dict(headers)}
                yield Entry(f"{name} {method} {path} {number}", given, _ask(port, method, path, body, headers))
            for number, sent in enumerate(_RAW if name == "both" else ()):
                yield Entry(f"{name} raw {number}", repr(sent[:100]), _raw(port, sent))


def _requests() -> Iterator[Request]:
    get, post = [("GET", path, None, {}) for path in ("/health", "/v1/models", "/openapi.json", *_PAGES)], "POST"
    yield from get
    yield "GET", "/", None, {"Accept-Encoding": "gzip"}
    yield "HEAD", "/", None, {}
    for path in (
        "/v1/models/levantine-all",
        "/v1/models/nothing",
        "/tokenizer_info",
        "/tokenizer_info?model=levantine",
    ):
        yield "GET", path, None, {}
    yield from ((post, "/v1/completions", body, {}) for body in _COMPLETIONS)
    yield from ((post, "/v1/suggest", body, {}) for body in _SUGGEST)
    yield from ((post, "/v1/score", body, {}) for body in _SCORE)
    for body in ({"prompt": "شو"}, {"content": "شُو  حلو"}, {"prompt": "شو", "add_special_tokens": True}, {}):
        yield post, "/tokenize", body, {}
    yield post, "/tokenize", {"prompt": "<|endoftext|>"}, {}
    for tokens in ([5, 6, 7], [], [0, 1, 2, 3], [1 << 30], [-1], "abc"):
        yield post, "/detokenize", {"tokens": tokens}, {}
    yield from _learning()
    for body in (b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"", b'{"prompt": "a", "prompt": 3}', b"[" * 90_000):
        yield post, "/v1/completions", body, {}
    yield post, "/v1/completions", b"prompt=a", {"Content-Type": "application/x-www-form-urlencoded"}
    yield post, "/v1/suggest", b"x" * ((1 << 20) + 1), {}
    for method, path in (("GET", "/v1/completions"), ("PUT", "/v1/suggest"), ("DELETE", "/v1/models"), ("PATCH", "/")):
        yield method, path, None, {}
    for path in ("/v1/chat/completions", "/v1/embeddings", "/nothing", "/v1", "/../secret", "/%2e%2e/x", "/model.json"):
        yield post, path, {"messages": []}, {}
        yield "GET", path, None, {}
    origin = {"Origin": "https://page.example"}
    yield "GET", "/health", None, origin
    yield post, "/v1/suggest", {"prefix": "شو"}, origin
    yield "OPTIONS", "/v1/suggest", None, origin | {"Access-Control-Request-Method": "POST"}
    yield "OPTIONS", "/v1/suggest", None, {}
    for headers in ({"Origin": "https://other.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        yield post, "/v1/suggest", {"prefix": "شو"}, headers
    for host in ("evil.example", "localhost", "10.0.0.1:80", "[::1]", "a@b", ""):
        yield "GET", "/health", None, {"Host": host}
    yield "GET", "/metrics", None, {}


def _learning() -> Iterator[Request]:
    def learn(**body: Any) -> Request:
        return "POST", "/v1/learn", body, {}

    def ask(session: str | None = None) -> Request:
        return "POST", "/v1/suggest", {"prefix": "دوار اليا", "session": session}, {}

    text = "رح نلتقى عند دوار الياسمينة"
    yield ask()
    yield learn(text=text, session="one")
    yield ask()
    yield "GET", "/v1/learn?session=one", None, {}
    yield "GET", "/v1/learn", None, {}
    yield "DELETE", "/v1/learn?session=one", None, {}
    yield ask()
    yield learn(text=text, session="two", private=True)
    yield ask("two")
    yield ask("one")
    yield "GET", "/v1/learn?session=two", None, {}
    yield learn(text=text)
    yield learn(text=text, private=True)
    yield learn(text="")
    yield learn(text="ا" * 4001)
    yield learn()
    yield learn(text=text, model="nothing")
    yield "DELETE", "/v1/learn", None, {}
    yield "DELETE", "/v1/learn?model=nothing", None, {}
    yield ask("two")


def _few(name: str) -> Iterator[Request]:
    """Requests that the bounds or the key of a server answer."""
    if name == "careful":
        for body in ({"prompt": "شو", "max_tokens": 20, "temperature": 0}, {"prompt": "شو", "max_tokens": 21}):
            yield "POST", "/v1/completions", body, {}
        yield "POST", "/v1/completions", {"prompt": "شو", "max_tokens": 20, "n": 30, "logprobs": 2}, {}
        yield "POST", "/v1/score", {"text": "ا" * 400}, {}
        yield "POST", "/v1/suggest", {"prefix": "ا" * 3000}, {}
        yield "POST", "/v1/learn", {"text": "شو"}, {}
        yield "GET", "/v1/learn", None, {}
        yield "GET", "/health", None, {"Host": "words.example"}
        yield "POST", "/v1/suggest", {"prefix": "شو", "phrase": 2}, {"Origin": "http://words.example"}
        return
    for headers in (
        {},
        {"Authorization": "Bearer secret"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "secret"},
    ):
        for method, path, body in (("GET", "/health", None), ("GET", "/", None), ("GET", "/v1/models", None)):
            yield method, path, body, headers
        yield "POST", "/v1/suggest", {"prefix": "شو"}, headers
        yield "GET", "/metrics", None, headers


_CHUNKED = (
    b"POST /v1/suggest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    b'Content-Type: application/json\r\n\r\n11\r\n{"prefix": "shu"}\r\n0\r\n\r\n'
)
_RAW = (
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"POST /v1/suggest HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
    _CHUNKED,
    b"GET /health HTTP/1.1\r\nHost: loc",
)
"""What is sent as it stands; the last head never ends, and its connection is closed all the same."""


@contextmanager
def _serving(*arguments: str) -> Generator[int]:
    """Start a server, and wait until it is ready; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w+") as log:
        command = [sys.executable, "-m", "kammil", "serve", *arguments, "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, stderr=log, env=os.environ | {"COLUMNS": "200"})
        try:
            for _ in range(600):
                if process.poll() is not None:
                    break
                try:
                    if _exchange(port, "GET", "/health", None, {})[0] == 200:
                        break
                except OSError:
                    pass
                time.sleep(0.1)
            if process.poll() is not None:
                log.seek(0)
                sys.exit(f"kammil serve {' '.join(arguments)} has ended: {log.read()[-2000:]}")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _exchange(port: int, method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def _ask(port: int, method: str, path: str, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    try:
        status, answered, data = _exchange(port, method, path, body, headers)
    except (OSError, http.client.HTTPException) as error:
        return {"crashed": type(error).__name__}
    kept = {name: ", ".join(sorted(answered[name].split(", "))) for name in HEADERS if name in answered}
    return {"status": status, "headers": kept, "body": _body(path, kept.get("content-type", ""), data)}


def _body(path: str, kind: str, data: bytes) -> Any:
    """Return what is compared of a body: of pages only whether there is something."""
    if kind.startswith("application/json"):
        return _plain(json.loads(data))
    if kind.startswith("text/event-stream"):
        return _stream(data.decode())
    if path == "/metrics":
        return sorted(re.findall(r"^# TYPE (\S+ \S+)$", data.decode(), re.MULTILINE))
    return bool(data)


def _plain(value: Any) -> Any:
    """Return a value without what differs from answer to answer, its figures to six places."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in _DROPPED or isinstance(each, dict)}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def _stream(events: str) -> dict[str, Any]:
    """Return the texts of a stream, put together: how they are cut is not compared."""
    texts: dict[str, str] = {}
    ends: dict[str, Any] = {}
    usage: Any = None
    for data in re.findall(r"^data: ?(.*)$", events, re.MULTILINE):
        if data == "[DONE]":
            ends["done"] = True
            continue
        event = json.loads(data)
        usage = event.get("usage") or usage
        for choice in event.get("choices", ()):
            index = str(choice["index"])
            texts[index] = texts.get(index, "") + choice["text"]
            ends[index] = choice["finish_reason"] or ends.get(index)
            for name in ("reading", "replaces"):
                if choice.get(name):
                    ends[f"{index} {name}"] = choice[name]
    return {"texts": texts, "ends": ends, "usage": usage}


def _raw(port: int, sent: bytes) -> Any:
    """Send bytes; returns the first line of the answer, and how the body begins."""
    with socket.create_connection(("127.0.0.1", port), timeout=40) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            while chunk := connection.recv(1 << 16):
                answer += chunk
        except TimeoutError:
            return "still open"
        except OSError:
            pass
    return answer.split(b"\r\n")[0].decode("latin-1")
