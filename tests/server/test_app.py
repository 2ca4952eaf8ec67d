"""The application: its pages and metrics, and how it reopens models whose threads have ended."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from tests.server.conftest import Running, until

import kammil
from kammil.server import model_pool
from kammil.server.app import create
from kammil.server.settings import ServerSettings

pytest.importorskip("openai")  # it installs httpx, which TestClient needs
from starlette.testclient import TestClient

ASKED = {"prompt": "شو", "max_tokens": 20, "seed": 1}


def test_a_model_that_stopped_is_reopened(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened, may_open = threading.Event(), threading.Event()
    may_open.set()

    def load(folder: Path, **options: Any) -> Any:
        opened.set()
        assert may_open.wait(60)
        return kammil.load(folder, **options)

    monkeypatch.setattr(model_pool, "load", load)
    application = create(ServerSettings.of(folders=(folder_of("blend"),)))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        text = client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"]
        taught = {"text": "شو برطوشة", "session": "somebody"}
        assert client.post("/v1/learn", json=taught).json() == {"learnt": 1}
        knows = client.post("/v1/score", json={"text": "شو برطوشة"}).json()["bits_per_character"]
        (loaded,) = application.state.pool.loaded

        def end(*_: object) -> None:
            raise SystemExit

        opened.clear()
        may_open.clear()
        monkeypatch.setattr(loaded.scheduler, "_round", end)
        got = client.post("/v1/completions", json=ASKED)  # at once, not after the time-out
        assert got.status_code == 503 and got.json()["error"]["code"] == "model_stopped"
        assert client.get("/health").status_code == 503
        until(opened.is_set)  # without another request
        assert client.get("/health").status_code == 503
        may_open.set()
        until(lambda: client.get("/health").status_code == 200)
        (anew,) = application.state.pool.loaded
        assert anew is not loaded and anew.scheduler.alive
        # The new model knows what the old one was taught.
        assert client.post("/v1/score", json={"text": "شو برطوشة"}).json()["bits_per_character"] == knows
        assert client.delete("/v1/learn?session=somebody").json() == {"forgotten": 1}
        assert client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"] == text


@pytest.mark.parametrize("stops", ["all share", "her own"])
def test_private_texts_outlive_a_thread(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, stops: str
) -> None:
    """Whichever thread ends; a request meanwhile is told, and not answered by the model that all share."""
    application = create(ServerSettings.of(folders=(folder_of("blend"),)))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        text = {"text": "شو برطوشة"}
        for session, private in (("anna", True), ("basim", False), ("dana", True)):
            taught = client.post("/v1/learn", json=text | {"session": session, "private": private})
            assert taught.json() == {"learnt": 1}
        asked = text | {"session": "anna"}
        knows = client.post("/v1/score", json=asked).json()["bits_per_character"]
        (loaded,) = application.state.pool.loaded
        end = loaded if stops == "all share" else loaded.private["anna"]
        with monkeypatch.context() as patched:
            patched.setattr(application.state.pool, "reopen_stopped", AsyncMock())  # which would be too soon for us
            end.scheduler.close()
            end.scheduler.thread.join(30)
            assert not end.scheduler.thread.is_alive()
            assert client.get("/health").status_code == 503
            if stops == "her own":
                got = client.post("/v1/score", json=asked)
                assert got.status_code == 503 and got.json()["error"]["code"] == "model_stopped"
        until(lambda: client.get("/health").status_code == 200)
        assert client.post("/v1/score", json=asked).json()["bits_per_character"] == knows
        for session in ("anna", "basim", "dana"):
            assert client.get(f"/v1/learn?session={session}").json() == {"learnt": 1}
            assert client.delete(f"/v1/learn?session={session}").json() == {"forgotten": 1}
        assert client.post("/v1/score", json=asked).json()["bits_per_character"] > knows
        assert len(application.state.pool.running) == 1


def test_a_model_that_could_not_be_reopened_is_tried_again_by_the_next_request(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()
    tries: list[bool] = []

    def load(folder: Path, **options: Any) -> Any:
        tries.append(broken.is_set())
        if broken.is_set():
            raise MemoryError
        return kammil.load(folder, **options)

    monkeypatch.setattr(model_pool, "load", load)
    application = create(ServerSettings.of(folders=(folder_of("blend"),)))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        text = client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"]
        (loaded,) = application.state.pool.loaded

        def end(*_: object) -> None:
            raise SystemExit

        broken.set()
        monkeypatch.setattr(loaded.scheduler, "_round", end)
        assert client.post("/v1/completions", json=ASKED).status_code == 503
        until(lambda: True in tries)
        assert client.get("/health").status_code == 503
        broken.clear()
        assert client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"] == text
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
