"""There is a model under its name whatever a kill leaves: child processes are killed between the steps."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kammil import files, folder_swap, locks
from kammil import model_folder as folders
from kammil.errors import FolderError

REPLACE = """
import os, signal, sys
from pathlib import Path
from kammil import files, folder_swap, model_folder as folders
sys.path.insert(0, {tests!r})

def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

{fault}
with folders.new(Path("model"), replace=True) as draft:
    files.write_atomic(draft / folders.MODEL, b'{{"format": 1, "family": "new"}}')
"""
"""A program that replaces a model and is killed on the way."""

BETWEEN = """
folder_swap.exchange = lambda *_: False
rename = Path.rename
Path.rename = lambda path, to: dies() if path.suffix == ".draft" else rename(path, to)
"""
"""Killed between the two renames, on a system that cannot exchange folders."""

EXCHANGED = "import shutil; folder_swap.shutil.rmtree = dies"
"""Killed after the exchange, before the old folder is removed."""

COMPLETE = "folder_swap.replace = dies"
"""Killed when the draft is complete."""


def model(place: Path, family: str) -> None:
    place.mkdir(parents=True)
    files.write_atomic(place / folders.MODEL, f'{{"format": 1, "family": "{family}"}}'.encode())


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
    assert folder_swap.exchange(tmp_path / "a", tmp_path / "b")
    assert (_family(tmp_path / "a"), _family(tmp_path / "b")) == ("b", "a")


def test_what_is_not_there_is_not_exchanged(tmp_path: Path) -> None:
    model(tmp_path / "a", "a")
    assert not folder_swap.exchange(tmp_path / "a", tmp_path / "b")
    assert _family(tmp_path / "a") == "a"


@needs_exchange
@pytest.mark.parametrize(("fault", "stands"), [(COMPLETE, "old"), (EXCHANGED, "new")])
def test_a_kill_leaves_a_whole_model_under_the_name(tmp_path: Path, fault: str, stands: str) -> None:
    model(tmp_path / "model", "old")
    killed(tmp_path, fault)
    assert _family(tmp_path / "model") == stands
    with locks.run_lock(tmp_path / "model"):  # as a training does
        assert names(tmp_path) == [".model.training", "model"]
    assert _family(tmp_path / "model") == stands
    assert names(tmp_path) == ["model"]


def test_what_was_put_aside_comes_back_at_the_next_training(tmp_path: Path) -> None:
    model(tmp_path / "model", "old")
    killed(tmp_path, BETWEEN)
    assert "model" not in names(tmp_path)
    with locks.run_lock(tmp_path / "model"):
        assert _family(tmp_path / "model") == "old"
    assert names(tmp_path) == ["model"]


def test_what_was_put_aside_comes_back_when_it_is_opened(tmp_path: Path) -> None:
    model(tmp_path / "model", "old")
    killed(tmp_path, BETWEEN)
    assert folders.summary(tmp_path / "model")[0].family == "old"
    assert names(tmp_path) == ["model"]


def test_what_a_living_program_put_aside_is_left_alone(tmp_path: Path) -> None:
    model(tmp_path / ".model.abcdefgh.old", "old")
    with locks.run_lock(tmp_path / "model"):
        (tmp_path / "model").rename(tmp_path / ".model.abcdefgh.old")
        with pytest.raises(FolderError, match="there is no model folder"):
            folders.summary(tmp_path / "model")
        (tmp_path / ".model.abcdefgh.old").rename(tmp_path / "model")


def test_only_what_was_left_of_this_very_model_goes(tmp_path: Path) -> None:
    others = [".model.b.abcdefgh.draft", ".other.abcdefgh.draft", ".model.short.draft", "model.abcdefgh.draft"]
    for name in (*others, ".model.abcdefgh.draft", ".model.abcd_f12.old", "model"):
        model(tmp_path / name, "x")
    (tmp_path / ".model.12345678.draft").write_text("a file")
    with locks.run_lock(tmp_path / "model"):
        pass
    assert names(tmp_path) == sorted([*others, ".model.12345678.draft", "model"])


def test_of_two_that_were_put_aside_none_is_chosen(tmp_path: Path) -> None:
    for name in (".model.aaaaaaaa.old", ".model.bbbbbbbb.old"):
        model(tmp_path / name, "x")
    assert not folder_swap.restore(tmp_path / "model")
    assert names(tmp_path) == [".model.aaaaaaaa.old", ".model.bbbbbbbb.old"]
