"""A full disk, a folder that may not be written to, and clocks that jump: one sentence, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil.completion.learning import Profile
from kammil.errors import DataError, FolderError, KammilError
from kammil.evaluation import plots

GRU: dict[str, Any] = {"model": "gru", "hidden": 8, "embedding": 8, "epochs": 2, "device": "cpu", "report": False}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount small disks in memory, which are full when they are full."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        if not sys.platform.startswith("linux") or os.geteuid():
            pytest.skip("only root may mount a small disk in memory")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this system does not let its root mount a disk in memory")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("kilobytes", [4, 16, 48])
@pytest.mark.parametrize("options", [{"model": "ngram", "report": False}, GRU], ids=["ngram", "gru"])
def test_a_model_that_does_not_fit_leaves_nothing(
    disk: Callable[[str], Path], few: list[str], options: dict[str, Any], kilobytes: int
) -> None:
    place = disk(f"size={kilobytes}k")
    with pytest.raises(FolderError, match=r"cannot write .*No space left on device; (free some space|name another)"):
        kammil.train(few, out=place / "model", **options)
    assert not (place / "model").exists()
    assert not [path.name for path in place.rglob("*") if path.name.endswith(".draft")]


def test_a_checkpoint_that_no_longer_fits_can_be_gone_on_from(
    disk: Callable[[str], Path], few: list[str], tmp_path: Path
) -> None:
    place, filled = disk("size=400k"), False

    def fill(event: object) -> None:
        nonlocal filled
        if type(event).__name__ == "EpochEnded" and not filled:
            filled = True
            with suppress(OSError), (place / "other").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    with pytest.raises(FolderError, match="No space left on device; free some space"):
        kammil.train(few, out=place / "model", listen=fill, **dict(GRU, epochs=3))
    assert filled and not (place / "model").exists()
    (place / "other").unlink()
    kammil.train(few, out=place / "model", resume=True, **dict(GRU, epochs=3))
    kammil.train(few, out=tmp_path / "model", **dict(GRU, epochs=3))
    one, other = (where / "model" / "weights.safetensors" for where in (place, tmp_path))
    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in place.iterdir()] == ["model"]


def test_a_model_is_not_replaced_where_the_new_one_does_not_fit(disk: Callable[[str], Path], few: list[str]) -> None:
    place = disk("size=140k")
    kammil.train(few, out=place / "model", model="ngram", order=1, report=False)
    before = {path.name: path.read_bytes() for path in (place / "model").iterdir()}
    with pytest.raises(FolderError, match="No space left on device; free some space"):
        kammil.train(few, out=place / "model", model="ngram", order=8, replace=True, report=False)
    assert {path.name: path.read_bytes() for path in (place / "model").iterdir()} == before
    assert [path.name for path in place.iterdir()] == ["model"]


def test_a_profile_keeps_what_it_had(disk: Callable[[str], Path]) -> None:
    place, learnt = disk("size=16k"), list[str]()
    profile = Profile(place / "me.jsonl")
    with pytest.raises(KammilError, match="No space left on device"):
        for number in range(1000):
            profile.learn(f"نص رقم {number} " + "طويل " * 100)
            learnt.append(f"نص رقم {number} " + "طويل " * 100)
    assert learnt
    assert list(Profile(place / "me.jsonl").texts)[: len(learnt)] == [text.strip() for text in learnt]
    with suppress(KammilError):
        profile.forget(learnt[0].strip())
    assert list(Profile(place / "me.jsonl").texts)[-len(learnt) + 1 :] == [text.strip() for text in learnt[1:]]
    assert not (place / ".me.jsonl.draft").exists()


def test_an_export_and_a_figure_are_whole_or_not_there(
    disk: Callable[[str], Path], folder_of: Callable[[str], Path]
) -> None:
    place = disk("size=4k")
    with pytest.raises(FolderError, match="No space left on device"):
        kammil.export(folder_of("gru"), out=place / "model.onnx")
    history = [{"epoch": n, "train_bits": 3.0, "validation_bits": 3.0, "elapsed": 1.0, "best": True} for n in (1, 2)]
    full = [event | {"train_accuracy": 0.1, "validation_accuracy": 0.1, "learning_rate": 0.1} for event in history]
    with pytest.raises(FolderError, match=r"cannot write the figure .*No space left on device"):
        plots.save(plots.figure(plots.training_curves(full, "mine")), place / "curves.png")
    assert list(place.iterdir()) == []


def test_a_disk_that_is_read_only_is_said_at_once(
    disk: Callable[[str], Path], few: list[str], folder_of: Callable[[str], Path]
) -> None:
    place = disk("size=16k,ro")
    for options in (dict[str, Any](model="ngram"), GRU):
        with pytest.raises(FolderError, match=r"cannot write .*model: Read-only file system; name another place"):
            kammil.train(few, out=place / "model", **options)
    with pytest.raises(FolderError, match="Read-only file system"):
        kammil.export(folder_of("gru"), out=place / "model.onnx")
    with pytest.raises(DataError, match="Read-only file system; name another file"):
        Profile(place / "me.jsonl").learn("مرحبا")
    assert list(place.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write into any folder")
def test_a_folder_that_may_not_be_written_to_is_said_at_once(tmp_path: Path, few: list[str]) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match=r"cannot write .*: Permission denied; name another place"):
        kammil.train(few, out=tmp_path / "model", model="ngram")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_the_clock_on_the_wall_decides_nothing(
    tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """Minutes are counted by a clock that never jumps; and that the wall clock was asked for its time is no error."""
    kammil.train(few, out=tmp_path / "still", **dict(GRU, minutes=5))
    now, calls = time.time, 0

    def jumps() -> float:
        nonlocal calls
        calls += 1
        return now() + jump * (calls % 2)

    monkeypatch.setattr(time, "time", jumps)
    monkeypatch.setattr(time, "time_ns", lambda: int(jumps() * 1e9))
    result = kammil.train(few, out=tmp_path / "jumping", **dict(GRU, minutes=5))
    assert [event["epoch"] for event in result.history] == [1, 2]
    assert 0 <= result.history[-1]["elapsed"] < 300


def test_what_was_learnt_is_seen_while_the_clock_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second program notices every change of a profile, whatever time it is said to be."""
    path, now = tmp_path / "me.jsonl", time.time_ns()
    writes, reads = Profile(path), Profile(path)
    texts: list[str] = []
    for number in range(8):
        monkeypatch.setattr(time, "time_ns", lambda number=number: now - number * 10**15)
        texts.append(f"نص {number}")
        writes.learn(texts[-1])
        assert list(reads.texts) == texts
        if number == 4:
            writes.forget(texts.pop(1))
            assert list(reads.texts) == texts


def test_a_draft_that_a_killed_program_left_of_a_profile_goes(tmp_path: Path) -> None:
    profile = Profile(tmp_path / "me.jsonl")
    profile.learn("مرحبا", "سر")
    (tmp_path / ".me.jsonl.draft").write_bytes((tmp_path / "me.jsonl").read_bytes())  # killed while it forgot a text
    profile.learn("كيفك")
    assert not (tmp_path / ".me.jsonl.draft").exists()
    assert list(profile.texts) == ["مرحبا", "سر", "كيفك"]
