"""One program at a time trains a model; others are refused at once, by name, and a kill frees the lock."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kammil.errors import FolderError, OptionError
from kammil.locks import clear_training_folder, run_lock, training_folder
from kammil.training.train import train

HOLD = """
import sys
from pathlib import Path
from kammil.locks import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds the lock of `model`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "model")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None and started.stdout.readline() == "held\n"
        yield started
        started.kill()


def test_the_second_training_is_refused_at_once_by_name(
    tmp_path: Path, few: list[str], other: subprocess.Popen[str]
) -> None:
    who = rf"model is being made by another program \(process {other.pid} on {socket.gethostname()}\); wait for it, or"
    cases: list[dict[str, Any]] = [{}, {"resume": True}, {"replace": True}]
    for options in cases:
        began = time.monotonic()
        with pytest.raises(FolderError, match=who):
            train(few, out=tmp_path / "model", model="ngram", **options)
        assert time.monotonic() - began < 30  # the other one holds it as long as the test runs
    assert sorted(path.name for path in training_folder(tmp_path / "model").iterdir()) == ["holder.json", "lock"]


@pytest.mark.parametrize("link", ["", "events.jsonl", "holder.json", "lock"])
def test_links_in_the_place_of_its_own_files_are_not_followed(tmp_path: Path, few: list[str], link: str) -> None:
    """Whoever trains beside a stranger's texts must not lose files elsewhere."""
    mine, place = tmp_path / "mine", training_folder(tmp_path / "model")
    mine.mkdir()
    (mine / "diary.txt").write_text("mine", "utf-8")
    if link:
        place.mkdir()
    (place / link).symlink_to(mine / "diary.txt" if link else mine)
    with pytest.raises(FolderError, match="link"):
        train(few, out=tmp_path / "model", model="ngram")
    assert (mine / "diary.txt").read_text("utf-8") == "mine"
    assert [path.name for path in mine.iterdir()] == ["diary.txt"]


def test_a_kill_frees_it(tmp_path: Path, few: list[str], other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert json.loads((training_folder(tmp_path / "model") / "holder.json").read_text())["process"] == other.pid
    train(few, out=tmp_path / "model", model="ngram")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_interrupted_is_told_from_alive(tmp_path: Path, few: list[str], other: subprocess.Popen[str]) -> None:
    """A checkpoint does not tell whether a program is running."""
    (training_folder(tmp_path / "model") / "checkpoint.safetensors").write_bytes(b"")
    (training_folder(tmp_path / "model") / "run.json").write_text("{}")
    sizes: dict[str, Any] = {"model": "gru", "hidden": 8, "embedding": 8, "device": "cpu"}
    with pytest.raises(FolderError, match="another program"):
        train(few, out=tmp_path / "model", **sizes)
    other.kill()
    other.wait()
    with pytest.raises(OptionError, match="an interrupted run waits"):
        train(few, out=tmp_path / "model", **sizes)
    assert sorted(path.name for path in training_folder(tmp_path / "model").iterdir()) == [
        "checkpoint.safetensors",
        "run.json",
    ]


def test_one_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with run_lock(tmp_path / "model"):
        with pytest.raises(FolderError, match=f"process {os.getpid()}"), run_lock(tmp_path / "model"):
            raise AssertionError("the block is not entered")
        with run_lock(tmp_path / "another"):
            pass
        assert (training_folder(tmp_path / "model") / "lock").exists()
    with run_lock(tmp_path / "model"):
        pass
    assert not list(tmp_path.iterdir())


def test_who_holds_it_is_not_needed(tmp_path: Path) -> None:
    with run_lock(tmp_path / "model"):
        (training_folder(tmp_path / "model") / "holder.json").write_text("[")
        with pytest.raises(FolderError, match=r"by another program; wait"), run_lock(tmp_path / "model"):
            raise AssertionError("the block is not entered")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_it_is_free_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), run_lock(tmp_path / "model"):
        raise error
    assert not list(tmp_path.iterdir())


def test_the_training_folder_is_cleared_but_for_the_lock(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with run_lock(out):
        (training_folder(out) / "checkpoint.part").write_text("x")
        (training_folder(out) / "more").mkdir()
        clear_training_folder(out)
        assert sorted(path.name for path in training_folder(out).iterdir()) == ["holder.json", "lock"]


def test_a_kill_while_it_is_cleared_leaves_no_checkpoint_without_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, removed = tmp_path / "model", list[str]()
    unlink = Path.unlink

    def record(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok=missing_ok)

    with run_lock(out):
        for name in ("run.json", "checkpoint.safetensors", "2-checkpoint.safetensors", "zz"):
            (training_folder(out) / name).write_text("x")
        monkeypatch.setattr(Path, "unlink", record)
        clear_training_folder(out)
        monkeypatch.undo()
    assert removed[-1] == "run.json" and len(removed) == 4
