"""Processes: what they load, how they end, and what happens when one is killed."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.server.conftest import Running, serving, until
from uvicorn.supervisors.multiprocess import Process

import kammil
from kammil import model_folder as folders
from kammil.completion.completer import Completer
from kammil.server import run as server_run
from kammil.server.run import _responds, listen  # pyright: ignore[reportPrivateUsage]
from kammil.server.settings import VARIABLE, ServerSettings


def kammil_serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kammil", "serve", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_cannot_be_served_is_said_in_one_sentence(server: Running, tmp_path: Path) -> None:
    for arguments, said in (
        ((str(tmp_path / "nothing"),), "there is no model folder at"),
        (("--port", str(server.port)), "give another --host or --port"),
        (("--queue", "0"), "queue is 0"),
    ):
        done = kammil_serve(*arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert said in done.stderr and done.stderr.count("\n") == 1


def test_several_models_are_opened_when_asked_for_and_read_again(
    folder_of: Callable[[str], Path], tmp_path: Path, bundled: Completer
) -> None:
    counter = tmp_path / "counter"
    shutil.copytree(folder_of("ngram"), counter)
    old = kammil.load(counter)
    asked = {"model": "counter", "prompt": "شو", "max_tokens": 40, "seed": 1, "temperature": 1.0}
    options = {"length": 40, "seed": 1, "temperature": 1.0}
    with serving(tmp_path, "levantine", counter) as server:
        names = [model["id"] for model in server.ask("/v1/models").json["data"]]
        assert names == ["levantine", "counter"]
        got = server.ask("/v1/completions", {"prompt": "شو", "max_tokens": 5, "seed": 1}).json
        assert got["choices"][0]["text"] == bundled.complete("شو", length=5, seed=1, temperature=1).text
        got = server.ask("/v1/completions", asked).json
        assert got["choices"][0]["text"] == old.complete("شو", **options).text  # pyright: ignore[reportArgumentType]
        assert server.ask("/v1/learn", {"model": "counter", "text": "شو"}).status == 400  # this family cannot learn
        assert server.ask("/v1/learn?model=counter").status == 400

        # Requests are answered while the folder is read again.
        texts: list[int] = []
        stop = threading.Event()

        def asking() -> None:
            while not stop.is_set():
                texts.append(server.ask("/v1/completions", asked).status)

        thread = threading.Thread(target=asking)
        thread.start()
        shutil.rmtree(counter)
        shutil.copytree(folder_of("gru"), counter)
        new = kammil.load(counter).complete("شو", **options).text  # pyright: ignore[reportArgumentType]
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.ask("/v1/completions", asked).json["choices"][0]["text"] == new)
        (counter / folders.MODEL).write_text("{")  # a folder that cannot be read changes nothing
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "stays as it was" in server.log.read_text())
        assert server.ask("/v1/completions", asked).json["choices"][0]["text"] == new
        stop.set()
        thread.join()
        assert texts and set(texts) == {200}


def test_what_streams_is_finished_before_the_end(tmp_path: Path, bundled: Completer) -> None:
    with serving(tmp_path, TMPDIR=str(tmp_path)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"prompt": "شو", "max_tokens": 1500, "seed": 1, "stream": True, "logit_bias": {"3": -100}}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        first = answer.readline()
        server.process.send_signal(signal.SIGTERM)
        events = (first + answer.read()).decode().split("\n\n")
        assert events[-2] == "data: [DONE]"
        made = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events[:-2]]
        assert len("".join(choice["text"] for choice in made)) == 1500
        assert made[-1]["finish_reason"] == "length"
        assert server.process.wait(30) == 0
        assert not [*tmp_path.glob("kammil-*")]
        connection.close()


@pytest.mark.long
def test_a_worker_that_is_killed_comes_back_and_the_other_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", TMPDIR=str(tmp_path)) as server:
        assert list(tmp_path.glob("kammil-*"))

        def workers() -> set[int]:
            started = map(int, re.findall(r"process (\d+) serves", server.log.read_text()))
            return {process for process in started if lives(process)}

        until(lambda: len(workers()) == 2)
        before = workers()
        assert server.ask("/v1/learn", {"text": "شو"}).status == 403  # the other worker would not know the text
        until(lambda: server.ask("/v1/completions", {"prompt": "شو", "max_tokens": 3}).status == 200)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        failed = 0
        until(lambda: killed not in workers())
        end = time.monotonic() + 60
        while len(workers()) < 2:
            assert time.monotonic() < end
            try:
                assert server.ask("/v1/completions", {"prompt": "شو", "max_tokens": 3}, timeout=5).status in (200, 503)
            except OSError:
                failed += 1  # requests at work in the killed process
        assert failed <= 2
        assert len(workers() & before) == 1
        assert server.figure("kammil_requests_total") > 0
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.log.read_text().count("read levantine again") >= 1)
        assert len(workers()) == 2
        os.kill(server.process.pid, signal.SIGKILL)  # workers end when their supervisor dies
        until(lambda: not workers())
    assert not list(tmp_path.glob("kammil-*"))  # the folder of their metrics


def test_the_supervisor_does_not_wait_for_a_dead_worker() -> None:
    worker = Process(uvicorn.Config("nothing:application"), [])
    worker.process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))  # answers no ping
    worker.start()
    asked: list[bool] = []
    asking = threading.Thread(target=lambda: asked.append(_responds(worker, 600)))
    asking.start()
    asking.join(0.5)
    assert asking.is_alive()
    worker.process.kill()
    asking.join(60)
    assert asked == [False]
    assert not _responds(worker, 600)


@pytest.mark.parametrize(("options", "warned"), [({"host": "0.0.0.0"}, True), ({}, False)])
def test_a_server_that_other_machines_reach_warns_without_a_key(
    options: dict[str, str], warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def end(_server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        sockets[0].close()

    def nothing(_config: uvicorn.Config) -> None:
        """Leave the log to pytest."""

    def nearby(_settings: ServerSettings) -> socket.socket:
        """Listen on 127.0.0.1, whatever the settings say."""
        return listen(ServerSettings.of(port=0))

    monkeypatch.setattr(server_run, "listen", nearby)
    monkeypatch.setattr(uvicorn.Server, "run", end)
    monkeypatch.setattr(uvicorn.Config, "configure_logging", nothing)
    monkeypatch.setenv(VARIABLE, "")
    server_run.run(ServerSettings.of(**options))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == warned
    assert all("0.0.0.0" in one and "KAMMIL_API_KEY" in one for one in said)


def test_small_answers_are_sent_at_once() -> None:
    """asyncio sets TCP_NODELAY only on connections whose listening socket names the protocol TCP."""
    with listen(ServerSettings.of(port=0)) as made:
        assert made.proto == socket.IPPROTO_TCP


def test_a_head_that_never_ends_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_run, "HEADER_SECONDS", 0.5)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(app, http=server_run.HeaderTimeoutProtocol, lifespan="off", log_config=None)
    uvicorn_server = uvicorn.Server(config)
    listener = listen(ServerSettings.of(port=0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=uvicorn_server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        for whole_requests in (0, 1, 2):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                for _ in range(whole_requests):
                    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    said = b""
                    while not said.endswith(b"ok"):
                        said += client.recv(4096)
                client.sendall(b"GET / HTTP/1.1\r\nHost: ")
                assert client.recv(4096) == b""  # closed, and not by the client's patience
    finally:
        uvicorn_server.should_exit = True
        thread.join(60)
