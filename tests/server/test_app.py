"""The application: its pages, metrics and health."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Running, until

import kammil
from kammil.server import model_pool, workers
from kammil.server.app import create
from kammil.server.settings import ServerSettings

pytest.importorskip("openai")  # it installs httpx, which TestClient needs
from starlette.testclient import TestClient

ASKED = {"prompt": "شو", "max_tokens": 20, "seed": 1}


def test_health_says_when_nothing_is_answered(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model is being opened, and where a request hangs; the others are answered by the other thread."""
    may_open, go_on = threading.Event(), threading.Event()

    def load(folder: Path, **options: Any) -> Any:
        assert may_open.wait(60)
        return kammil.load(folder, **options)

    monkeypatch.setattr(model_pool, "load", load)
    application = create(ServerSettings.of(folders=(folder_of("ngram"),), threads=2))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        assert client.get("/health").status_code == 503
        may_open.set()
        until(lambda: client.get("/health").status_code == 200)
        text = client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"]
        monkeypatch.setattr(workers, "HUNG_SECONDS", 0.1)
        (loaded,) = application.state.pool.loaded
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(lambda: asyncio.run(loaded.run(workers.once(lambda: go_on.wait(60)))))
            until(lambda: client.get("/health").status_code == 503)
            assert client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"] == text
            go_on.set()
            assert hanging.result(60)
        assert client.get("/health").status_code == 200


def test_a_model_that_could_not_be_opened_is_tried_again_by_the_next_request(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def load(folder: Path, **options: Any) -> Any:
        tries.append(folder)
        if len(tries) == 1:
            raise MemoryError
        return kammil.load(folder, **options)

    monkeypatch.setattr(model_pool, "load", load)
    application = create(ServerSettings.of(folders=(folder_of("ngram"),)))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: tries)
        assert client.get("/health").status_code == 503
        assert client.post("/v1/completions", json=ASKED).status_code in (200, 503)  # perhaps with the first
        assert client.post("/v1/completions", json=ASKED).status_code == 200
        assert client.get("/health").status_code == 200


def test_the_page_needs_nothing_from_elsewhere(server: Running) -> None:
    got = server.ask("/")
    assert got.status == 200
    assert b"http://" not in got.body and b"https://" not in got.body and b"//cdn" not in got.body
    assert got.headers["content-security-policy"].startswith("default-src 'self'")


def test_the_page_is_compressed_and_answers_are_not(server: Running) -> None:
    plain, packed = (server.ask("/style.css", headers={"Accept-Encoding": kind}) for kind in ("identity", "gzip"))
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < 0.5 * len(plain.body)
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding, Origin"
    for got in (plain, packed):
        again = server.ask("/style.css", headers={"Accept-Encoding": "gzip", "If-None-Match": got.headers["etag"]})
        assert (again.status, len(again.body)) == ((304, 0) if got is packed else (200, len(packed.body)))
    body = {"prompt": "شو", "max_tokens": 3, "stream": True}
    streamed = server.ask("/v1/completions", body, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in streamed.headers and b"[DONE]" in streamed.body


def test_figures(server: Running) -> None:
    before = server.figure("kammil_requests_total"), server.figure("kammil_completion_tokens_total")
    server.ask("/v1/completions", {"prompt": "شو", "max_tokens": 7, "logit_bias": {"3": -100}})
    server.ask("/v1/completions", {"model": "none"})
    assert server.figure("kammil_requests_total") >= before[0] + 2
    assert server.figure("kammil_completion_tokens_total") == before[1] + 7
    text = server.ask("/metrics").body.decode()
    for name in ("queue_size", "request_seconds_bucket", "token_seconds_bucket", "queue_seconds_bucket"):
        assert f"kammil_{name}" in text
    assert 'kammil_errors_total{route="/v1/completions",status="404"}' in text
