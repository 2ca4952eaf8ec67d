"""Minutes decide how long a network learns, and nothing else: what is counted and measured is all there is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil import model_folder
from kammil.evaluation.baselines import UnigramModel
from kammil.evaluation.metrics import TARGET, predict
from kammil.language_model import Ids, LogProbabilities, State
from kammil.models.blend.settings import OWN
from kammil.progress import CounterAhead, EpochEnded, Event, Notice, TrainingEnded
from kammil.training import clock as clock_module
from kammil.training import texts as texts_module
from kammil.training.clock import Clock
from kammil.training.pacing import figures_seconds
from kammil.training.train import train
from kammil.vocabulary import CharacterVocabulary

SMALL: dict[str, Any] = {"embedding": 8, "hidden": 16, "device": "cpu", "threads": 1}


class Times:
    """A clock of the system that moves on when it is told to, and `every` seconds whenever it is read."""

    def __init__(self, every: float = 0.0) -> None:
        self.now, self.every = 0.0, every

    def monotonic(self) -> float:
        self.now += self.every
        return self.now

    process_time = monotonic


class SlowModel(UnigramModel):
    """Takes a second for each character that it reads."""

    def __init__(self, size: int, times: Times) -> None:
        super().__init__(np.ones(size, np.int64))
        self.times, self.read = times, 0

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        self.times.now += ids.size
        self.read += ids.size
        return super().forward(ids, state, last=last)


@given(
    st.lists(st.text("abcd", min_size=1, max_size=40), min_size=1, max_size=150), st.floats(0.01, 1e6), st.booleans()
)
def test_what_a_few_texts_take_tells_what_all_take(rows: list[str], minutes: float, twice: bool) -> None:
    """At least a third of it, however different the texts, and little of the minutes is spent on knowing it."""
    times = Times()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock_module, "time", times)
        clock, vocabulary = Clock(minutes), CharacterVocabulary.from_texts(["abcd"])
        models = [SlowModel(vocabulary.size, times) for _ in range(2 if twice else 1)]
        told = figures_seconds(models, vocabulary, rows, clock)
        measuring, times.now = times.now, 0.0
        for model in models:
            predict(model, vocabulary, rows, TARGET)
    assert told > times.now / 10
    if len(set(map(len, rows))) == 1:  # rows of a batch are filled up to the longest
        assert told == pytest.approx(times.now, rel=0.7)
    shortest = len(models) * (max(map(len, rows)) * 2 + TARGET + 2)  # of one text
    assert measuring <= shortest + 0.02 * 60 * minutes * 5 + sum(m.read for m in models) * (len(rows) <= 64)


def test_without_minutes_nothing_is_timed() -> None:
    times = Times()
    assert figures_seconds([SlowModel(9, times)], CharacterVocabulary.from_texts(["ab"]), ["ab"], Clock(None)) == 0
    assert times.now == 0


def arrays(folder: Path) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in model_folder.read(folder).artifacts.weights.items()}


def test_a_starved_run_is_the_counter_of_all_texts(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is so busy that the minutes are over before the network learns: the model is that of `ngram`."""
    few, heard = texts[:300], list[Event]()
    train(few, out=tmp_path / "counted", model="ngram", report=False)
    monkeypatch.setattr(clock_module, "time", Times(every=1000.0))
    starved = train(few, out=tmp_path / "starved", minutes=1, report=False, listen=heard.append, **SMALL)
    assert arrays(tmp_path / "starved") == arrays(tmp_path / "counted")
    described = [json.loads((tmp_path / name / "metrics.json").read_text("utf-8")) for name in ("starved", "counted")]
    assert described[0]["validation"] == described[1]["validation"]
    (ahead,) = [event for event in heard if isinstance(event, CounterAhead)]
    (ended,) = [event for event in heard if isinstance(event, TrainingEnded)]
    (epoch,) = [event for event in heard if isinstance(event, EpochEnded)]
    assert ahead.texts == 300 - described[0]["validation"]["texts"] and ahead.published
    assert ended.reason == "minutes" and ended.passes == epoch.share < 1
    assert starved.ending == ahead.sentence == described[0]["ending"]
    assert f" {ahead.texts} texts" in starved.ending and "--model blend" in starved.ending
    assert starved.ending in (tmp_path / "starved" / "README.md").read_text("utf-8")
    notes = [event.sentence for event in heard if isinstance(event, Notice)]
    assert f"{ahead.texts:,} texts to learn from" in " ".join(notes) and " not 60" in notes[-1]  # the overrun


def test_the_clock_chooses_no_texts(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle or starved: one vocabulary, the same texts counted, the same texts measured."""
    folders: list[dict[str, Any]] = []
    for name, every in (("idle", 1e-4), ("starved", 1000.0)):
        monkeypatch.setattr(clock_module, "time", Times(every))
        train(few, out=tmp_path / name, model="blend", minutes=1, epochs=1, report=False, **SMALL)
        found = model_folder.read(tmp_path / name)
        counts = {key: value.tolist() for key, value in found.artifacts.weights.items() if key.startswith(OWN)}
        folders.append({"counts": counts, "data": found.description.training["data"], "v": found.vocabulary.characters})
    assert folders[0] == folders[1] and folders[0]["counts"]


@pytest.mark.parametrize(("most", "said"), [(10, True), (10**9, False)])
def test_long_counting_is_announced(
    tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch, most: int, said: bool
) -> None:
    monkeypatch.setattr(texts_module, "MANY", most)
    heard: list[Event] = []
    train(few, out=tmp_path / "model", model="ngram", report=False, listen=heard.append)
    notes = [event.sentence for event in heard if isinstance(event, Notice)]
    assert ("million characters" in notes[0] and "1 minute" in notes[0]) == said


@pytest.mark.parametrize("options", [{}, {"clock": "processor"}, {"minutes": None}])
def test_a_run_that_got_little_of_the_processor_says_so(
    tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Others take two thirds of the processor: of every three seconds it works for this run for one."""
    passed = itertools.count(0.0, 0.3)
    times = SimpleNamespace(monotonic=lambda: next(passed), process_time=lambda: next(passed) / 3)
    monkeypatch.setattr(clock_module, "time", times)
    heard: list[Event] = []
    given: dict[str, Any] = {**SMALL, "model": "gru", "epochs": 2, "minutes": 9, **options}
    train(few, out=tmp_path / "model", listen=heard.append, report=False, **given)
    said = [event.sentence for event in heard if isinstance(event, Notice) and "clock=processor" in event.sentence]
    lines = (tmp_path / "model" / "events.jsonl").read_text("utf-8")
    if options:
        assert not said and "clock=processor" not in lines
    else:
        assert len(said) == 1 and said[0] in lines  # with what else is known of the run
