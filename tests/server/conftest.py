"""A server in a process of its own, on a free port, as users start it."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil.completion.completer import Completer

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str | None = None,
        timeout: float = 60,
        headers: Mapping[str, str] | None = None,
        **named: str,
    ) -> Answer:
        """Send a request; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in (named | dict(headers or {})).items()
        }
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def figure(self, name: str) -> float:
        """Read one of the metrics, summed over all labels."""
        text = self.ask("/metrics").body.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition is true; fail if that never happens."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "the condition never became true"
        time.sleep(0.02)


@contextmanager
def serving(folder: Path, *arguments: str | Path, **environment: str) -> Generator[Running]:
    """Start a server and wait until it is ready; at the end it is told to stop, and must end by itself."""
    log = folder / "log"
    command = [sys.executable, "-m", "kammil", "serve", "--port", "0", *map(str, arguments)]
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            cwd=folder,
            env=os.environ | environment,
            start_new_session=True,
        )
    try:
        until(lambda: "listening on" in log.read_text() or process.poll() is not None)
        found = re.search(r"listening on http://\S+:(\d+)", log.read_text())
        assert found, log.read_text()
        running = Running(process, int(found[1]), log)

        def ready() -> bool:
            try:
                return running.ask("/health").status == 200
            except OSError:
                return False

        until(ready)
        yield running
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its workers
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == ""  # stdout is for results, which a server has none of
        process.stdout.close()


@pytest.fixture(scope="package", autouse=True)
def small_heap() -> Generator[None]:
    """Keep pytest's own objects out of the garbage collections that follow the loading of a model, which would take
    seconds each."""
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gc, "unfreeze", lambda: None)
        yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """A server of the bundled model."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def bundled() -> Completer:
    """The same model, in this process."""
    return kammil.load()


def lasting_seed(model: Completer, prompt: str, length: int, temperature: float) -> int:
    """The first seed with which a model does not end its text before the length."""
    options: dict[str, Any] = {"length": length, "temperature": temperature}
    lasting = (s for s in range(100) if model.complete(prompt, seed=s, **options).finish_reason == "length")
    seed = next(lasting, None)
    assert seed is not None, "the model ends every text early"
    return seed
