"""Errors: what clients are told when the server fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Running, until

from kammil.server.api import errors
from kammil.server.app import create
from kammil.server.scheduler import RoundError, StoppedError
from kammil.server.settings import ServerSettings

pytest.importorskip("openai")  # it installs httpx, which TestClient needs
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("POST", "/api/generate"),
        ("GET", "/api/tags"),
        ("POST", "/completion"),
    ],
)
def test_the_routes_of_other_servers_say_what_this_one_speaks(server: Running, method: str, path: str) -> None:
    got = server.ask(path, {"model": "levantine"} if method == "POST" else None, method=method)
    error = got.json["error"]
    assert got.status == 404 and error["type"] == "invalid_request_error" and error.keys() >= {"param", "code"}
    assert "POST /v1/completions" in error["message"]


def test_another_method_says_which_a_route_takes(server: Running) -> None:
    got = server.ask("/v1/completions")
    assert got.status == 405 and got.headers["allow"] == "POST" and "POST" in got.json["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry", "news"),
    [
        (MemoryError(), 503, "out_of_memory", "1", True),
        (StoppedError(), 503, "model_stopped", "1", False),  # the scheduler has logged these two
        (RoundError(), 500, "internal_error", None, False),
        (TimeoutError(), 503, "timeout", None, False),
        (ZeroDivisionError(), 500, "internal_error", None, True),
    ],
)
def test_a_failure_of_ours_is_one_sentence_and_a_word(
    error: Exception, status: int, code: str, retry: str | None, news: bool
) -> None:
    told = errors.to_api_error(error)
    assert (told.status, told.code, (told.headers or {}).get("Retry-After")) == (status, code, retry)
    assert told.message.endswith(".") and len(told.message) < 120
    assert errors.should_log(error) == news


@pytest.mark.parametrize(("error", "code"), [(MemoryError, "out_of_memory"), (ArithmeticError, "internal_error")])
@pytest.mark.parametrize("stream", [False, True])
def test_a_round_that_fails_is_told_and_logged_once_and_the_next_one_works(
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
    code: str,
    stream: bool,
) -> None:
    application = create(ServerSettings.of(folders=(folder_of("ngram"),)))
    asked: dict[str, Any] = {"prompt": ["شو", "مرحبا"], "max_tokens": 20, "seed": 1, "stream": stream}
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        (loaded,) = application.state.pool.loaded
        before = client.post("/v1/completions", json=asked | {"stream": False}).json()["choices"]
        real = loaded.scheduler._round

        def fail(taken: Any) -> None:
            real(taken)
            monkeypatch.setattr(loaded.scheduler, "_round", real)
            raise error

        monkeypatch.setattr(loaded.scheduler, "_round", fail)
        with caplog.at_level(logging.ERROR, "kammil.server"):
            got = client.post("/v1/completions", json=asked)
        if stream:
            *_, failed, done, _ = got.text.split("\n\n")
            assert done == "data: [DONE]"
            told = json.loads(failed.removeprefix("data: "))
        else:
            told = got.json()
        assert told["error"]["code"] == code
        assert client.get("/health").status_code == 200
        assert client.post("/v1/completions", json=asked | {"stream": False}).json()["choices"] == before
    rounds = [record for record in caplog.records if record.message.startswith("a round failed")]
    assert len(rounds) == 1 and rounds[0].exc_info
