"""What happened in a run stands in `events.jsonl`, and the same in TensorBoard."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kammil
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.progress import EpochEnded, Event, MemberEvent, Notice, PhaseProgress, TrainingProgress, TrainingStarted
from kammil.training import tracking
from kammil.training.tracking import EventLog, RateLimited, ScalarWriter

GRU: dict[str, Any] = {"model": "gru", "embedding": 8, "hidden": 8, "batch_size": 8, "device": "cpu", "threads": 1}


def step(number: int, epoch: int = 1, elapsed: float = 2.0) -> TrainingProgress:
    return TrainingProgress(epoch, number, 10, 4, 3.5, elapsed, 0.25, 0.004)


def epoch(number: int) -> EpochEnded:
    return EpochEnded(number, 3.25, 0.25, 3.0, 0.5, 0.002, 9.0, best=True, early=((1.0, 4.0),))


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().splitlines()]


def test_a_line_is_an_event_with_all_its_fields(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    assert log.content() == b""
    log(step(1))
    log(MemberEvent(2, 3, epoch(1)))
    log(TrainingProgress(1, 2, 10, 4, math.nan, math.inf, 0.25, 0.004))
    log(Notice("شو؟\n"))
    first, second, third, fourth = lines(log.content())
    assert first.pop("time").endswith("+00:00") and first == {"event": "TrainingProgress", **vars(step(1))}
    assert (second["event"], second["member"], second["validation_bits"]) == ("EpochEnded", 2, 3.0)
    assert second["early"] == [[1.0, 4.0]]
    assert third["train_bits"] is None and third["elapsed"] is None
    assert fourth["sentence"] == "شو؟\n" and (tmp_path / "events.jsonl").read_bytes() == log.content()


def test_half_a_line_of_a_killed_run_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    EventLog(file)(step(1))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    log = EventLog(file)
    assert log.content() == whole
    log(step(2))
    log(step(3))
    assert file.read_bytes().startswith(whole) and [line["step"] for line in lines(file.read_bytes())] == [1, 2, 3]
    with pytest.raises(FolderError, match="cannot write"):
        EventLog(tmp_path / "none" / "events.jsonl")(step(1))


def test_steps_are_thinned_and_phases_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now, heard = 100.0, list[Event]()
    monkeypatch.setattr(tracking.time, "monotonic", lambda: now)
    listen = RateLimited([heard.append])
    for number in range(1, 41):
        listen(step(number))
        listen(MemberEvent(1, 2, step(number)))
        listen(PhaseProgress("counting", 0.5, 1.0))
        now += 0.25
    alone = [event.step for event in heard if isinstance(event, TrainingProgress)]
    assert alone == list(range(1, 41, 4))
    assert len(heard) == 2 * len(alone)
    now += 9.0
    listen(step(2, epoch=2, elapsed=3000.0))  # ten seconds apart after so long
    listen(step(3, epoch=2, elapsed=3000.0))
    listen(step(1, epoch=3, elapsed=3000.0))
    listen(epoch(3))
    assert [getattr(event, "step", None) for event in heard[-3:]] == [2, 1, None]


def test_curves_count_steps_over_epochs() -> None:
    written: list[tuple[str, float, int]] = []
    curves = ScalarWriter(lambda name, value, step: written.append((name, value, step)))
    for event in (TrainingStarted("cpu", "float32", 1), step(3, epoch=2), MemberEvent(2, 2, step(4)), epoch(2)):
        curves(event)
    curves(MemberEvent(2, 2, epoch(1)))
    assert written[:2] == [("bits/step", 3.5, 13), ("learning rate", 0.004, 13)]
    assert written[2:4] == [("member 2/bits/step", 3.5, 4), ("member 2/learning rate", 0.004, 4)]
    assert written[4:6] == [("bits/training", 3.25, 20), ("bits/validation", 3.0, 20)]
    assert written[-1] == ("member 2/accuracy/validation", 0.5, 10) and len(written) == 12


def test_every_run_keeps_its_events(few: list[str], tmp_path: Path) -> None:
    """A resumed run goes on with those before the interruption; TensorBoard has the same figures."""
    out, epochs = tmp_path / "model", list[int]()

    def stop(event: Event) -> None:
        epochs.extend([event.epoch] if isinstance(event, EpochEnded) else [])
        if epochs == [1]:
            raise RuntimeError("as if killed")

    options: Any = {**GRU, "epochs": 2}
    with pytest.raises(RuntimeError):
        kammil.train(few, out=out, listen=stop, **options)
    assert lines((tmp_path / ".model.training" / "events.jsonl").read_bytes())[-1]["event"] == "EpochEnded"
    result = kammil.train(few, out=out, resume=True, track=["tensorboard"], **options)
    found = lines((out / "events.jsonl").read_bytes())
    assert [line["event"] for line in found if line["event"] != "TrainingProgress"] == [
        *("TrainingStarted", "EpochEnded", "TrainingStarted", "EpochEnded", "TrainingEnded", "Evaluated"),
    ]
    ended = [line for line in found if line["event"] == "EpochEnded"]
    assert [line["validation_bits"] for line in ended] == [event["validation_bits"] for event in result.history]
    bits = result.evaluation.model.bits_per_character_with_end
    assert bits is not None and found[-1]["bits_per_character_with_end"] == bits.value
    (folder,) = (tmp_path / "runs" / "model").iterdir()
    shown = EventAccumulator(str(folder))
    shown.Reload()
    steps: int = next(line["steps"] for line in found if line["event"] == "TrainingProgress")
    (point,) = shown.Scalars("bits/validation")
    assert (point.step, point.value) == (2 * steps, pytest.approx(ended[1]["validation_bits"]))
    assert not (tmp_path / ".model.training").exists()


def test_what_cannot_be_tracked_is_refused_at_once(
    few: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> None:
        kammil.train(few, out=tmp_path / "model", track=[name], model="ngram")

    for name in ("wandb", "trackio"):
        with pytest.raises(OptionError, match=f"track is '{name}', but it must be .*tensorboard"):
            run(name)
    with pytest.raises(OptionError, match="track is 'tensorboard', but it must be a list"):
        kammil.train(few, out=tmp_path / "model", track="tensorboard", model="ngram")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
        with pytest.raises(MissingExtraError, match=r"track"):
            run("tensorboard")
    assert not list(tmp_path.iterdir())
