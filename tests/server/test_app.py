"""Models whose thread has ended: each is missed at once, and opened anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import until

import kammil
from kammil.server import model_pool
from kammil.server.app import create
from kammil.server.settings import ServerSettings

pytest.importorskip("openai")  # it brings the client that this needs
from starlette.testclient import TestClient

ASKED = {"prompt": "شو", "max_tokens": 20, "seed": 1}


def test_a_model_that_stopped_is_opened_anew(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened, may_open = threading.Event(), threading.Event()
    may_open.set()

    def load(folder: Path) -> Any:
        opened.set()
        assert may_open.wait(60)
        return kammil.load(folder)

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
        got = client.post("/v1/completions", json=ASKED)  # not after its time is over, but at once
        assert got.status_code == 503 and got.json()["error"]["code"] == "model_stopped"
        assert client.get("/health").status_code == 503
        until(opened.is_set)  # though nobody asks
        assert client.get("/health").status_code == 503
        may_open.set()
        until(lambda: client.get("/health").status_code == 200)
        (anew,) = application.state.pool.loaded
        assert anew is not loaded and anew.scheduler.alive
        # It knows what the one before was taught.
        assert client.post("/v1/score", json={"text": "شو برطوشة"}).json()["bits_per_character"] == knows
        assert client.delete("/v1/learn?session=somebody").json() == {"forgotten": 1}
        assert client.post("/v1/completions", json=ASKED).json()["choices"][0]["text"] == text


def test_a_model_that_cannot_be_opened_anew_is_tried_again_when_asked_for(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()
    tries: list[bool] = []

    def load(folder: Path) -> Any:
        tries.append(broken.is_set())
        if broken.is_set():
            raise MemoryError
        return kammil.load(folder)

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
