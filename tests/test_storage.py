"""A file or a folder is replaced as a whole, by one program at a time; whatever a kill leaves is mended."""

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

from kammil import model_folder as folders
from kammil import storage
from kammil.errors import FolderError, OptionError
from kammil.storage import clear_training_folder, draft_of, run_lock, training_folder, write_atomic
from kammil.training.train import train


@pytest.mark.parametrize("private", [True, False])
def test_a_draft_that_is_a_link_is_not_followed(tmp_path: Path, private: bool) -> None:
    """A stranger's folder may hold one, where `kammil report` writes."""
    path, other = tmp_path / "report.html", tmp_path / "other.txt"
    other.write_text("mine", "utf-8")
    draft_of(path).symlink_to(other)
    write_atomic(path, b"page", private=private)
    assert other.read_text("utf-8") == "mine"
    assert path.read_bytes() == b"page" and not path.is_symlink()
    assert not draft_of(path).exists()


def test_a_draft_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    draft_of(tmp_path / "a").mkdir()
    with pytest.raises(FolderError, match="cannot write"):
        write_atomic(tmp_path / "a", b"")


REPLACE = """
import os, signal, sys
from pathlib import Path
from kammil import storage, model_folder as folders
sys.path.insert(0, {tests!r})

def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

{fault}
with storage.new_folder(Path("model"), lambda: None) as draft:
    storage.write_atomic(draft / folders.MODEL, b'{{"format": 1, "family": "new"}}')
"""
"""A program that replaces a model and is killed on the way."""

BETWEEN = """
storage.exchange = lambda *_: False
rename = Path.rename
Path.rename = lambda path, to: dies() if path.suffix == ".draft" else rename(path, to)
"""
"""Killed between the two renames, on a system that cannot exchange folders."""

EXCHANGED = "import shutil; storage.shutil.rmtree = dies"
"""Killed after the exchange, before the old folder is removed."""

COMPLETE = "storage.replace = dies"
"""Killed when the draft is complete."""


def model(place: Path, family: str) -> None:
    place.mkdir(parents=True)
    write_atomic(place / folders.MODEL, f'{{"format": 1, "family": "{family}"}}'.encode())


def _family(place: Path) -> str:
    return folders._json(place, folders.MODEL)["family"]  # pyright: ignore[reportPrivateUsage]


def killed(where: Path, fault: str) -> None:
    """Replace `model` in a program that is killed on the way."""
    code = REPLACE.format(tests=str(Path(__file__).parent), fault=fault)
    done = subprocess.run([sys.executable, "-c", code], cwd=where, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def names(where: Path) -> list[str]:
    return sorted(path.name for path in where.iterdir())


needs_exchange = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no exchange of folders here")


@needs_exchange
def test_two_folders_change_places_in_one_step(tmp_path: Path) -> None:
    model(tmp_path / "a", "a")
    model(tmp_path / "b", "b")
    assert storage.exchange(tmp_path / "a", tmp_path / "b")
    assert (_family(tmp_path / "a"), _family(tmp_path / "b")) == ("b", "a")


def test_what_is_not_there_is_not_exchanged(tmp_path: Path) -> None:
    model(tmp_path / "a", "a")
    assert not storage.exchange(tmp_path / "a", tmp_path / "b")
    assert _family(tmp_path / "a") == "a"


@needs_exchange
@pytest.mark.parametrize(("fault", "stands"), [(COMPLETE, "old"), (EXCHANGED, "new")])
def test_a_kill_leaves_a_whole_model_under_the_name(tmp_path: Path, fault: str, stands: str) -> None:
    model(tmp_path / "model", "old")
    killed(tmp_path, fault)
    assert _family(tmp_path / "model") == stands
    with run_lock(tmp_path / "model"):  # as a training does
        assert names(tmp_path) == [".model.training", "model"]
    assert _family(tmp_path / "model") == stands
    assert names(tmp_path) == ["model"]


def test_what_was_put_aside_comes_back_at_the_next_training(tmp_path: Path) -> None:
    model(tmp_path / "model", "old")
    killed(tmp_path, BETWEEN)
    assert "model" not in names(tmp_path)
    with run_lock(tmp_path / "model"):
        assert _family(tmp_path / "model") == "old"
    assert names(tmp_path) == ["model"]


def test_what_was_put_aside_comes_back_when_it_is_opened(tmp_path: Path) -> None:
    model(tmp_path / "model", "old")
    killed(tmp_path, BETWEEN)
    assert folders.summary(tmp_path / "model")[0].family == "old"
    assert names(tmp_path) == ["model"]


def test_what_a_living_program_put_aside_is_left_alone(tmp_path: Path) -> None:
    model(tmp_path / ".model.abcdefgh.old", "old")
    with run_lock(tmp_path / "model"):
        (tmp_path / "model").rename(tmp_path / ".model.abcdefgh.old")
        with pytest.raises(FolderError, match="there is no model folder"):
            folders.summary(tmp_path / "model")
        (tmp_path / ".model.abcdefgh.old").rename(tmp_path / "model")


def test_only_what_was_left_of_this_very_model_goes(tmp_path: Path) -> None:
    others = [".model.b.abcdefgh.draft", ".other.abcdefgh.draft", ".model.short.draft", "model.abcdefgh.draft"]
    for name in (*others, ".model.abcdefgh.draft", ".model.abcd_f12.old", "model"):
        model(tmp_path / name, "x")
    (tmp_path / ".model.12345678.draft").write_text("a file")
    with run_lock(tmp_path / "model"):
        pass
    assert names(tmp_path) == sorted([*others, ".model.12345678.draft", "model"])


def test_of_two_that_were_put_aside_none_is_chosen(tmp_path: Path) -> None:
    for name in (".model.aaaaaaaa.old", ".model.bbbbbbbb.old"):
        model(tmp_path / name, "x")
    storage.restore(tmp_path / "model")
    assert names(tmp_path) == [".model.aaaaaaaa.old", ".model.bbbbbbbb.old"]


HOLD = """
import sys
from pathlib import Path
from kammil.storage import run_lock
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
    train(few, out=tmp_path / "model", model="ngram", report=False)
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
