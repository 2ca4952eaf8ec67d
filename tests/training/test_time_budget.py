"""The minutes of a run: they run out, or stand still, and decide how long a network learns and how large it is, never
which texts are counted and measured."""

from __future__ import annotations

import itertools
import json
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kammil import model_folder
from kammil.errors import OptionError
from kammil.evaluation.baselines import UnigramModel
from kammil.evaluation.metrics import TARGET, predict
from kammil.language_model import Ids, LogProbabilities, State
from kammil.models.blend.model import OWN
from kammil.models.blend.network import BlendLearner
from kammil.progress import CounterAhead, EpochEnded, Event, Notice, PhaseProgress, TrainingEnded, listening
from kammil.training import texts as texts_module
from kammil.training import time_budget
from kammil.training.recipe import Recipe, TimeKind
from kammil.training.time_budget import TimeBudget, auto_sizes
from kammil.training.train import train
from kammil.vocabulary import CharacterVocabulary

# ---- the time that is left


def test_minutes_are_seconds_that_run_out() -> None:
    before = time.monotonic()
    budget = TimeBudget(1.5)
    assert budget.seconds == 90
    while budget.elapsed < 0.01:
        pass
    elapsed, left = budget.elapsed, budget.left
    assert 0.01 <= elapsed <= time.monotonic() - before
    assert 90 - (time.monotonic() - before) <= left <= 90 - elapsed


def test_processor_time_stands_still_while_others_work(times: FakeTimes) -> None:
    budget, wall = TimeBudget(1, "processor"), TimeBudget(1)
    times.go_on(4, 0.5)
    assert (budget.elapsed, wall.elapsed) == (0.5, 4)
    with budget.stopped():
        times.go_on(2, 2)
    assert budget.elapsed == 0.5
    times.go_on(1, 1)
    assert (budget.elapsed, wall.elapsed) == (1.5, 7)


def test_processor_time_is_that_of_this_process() -> None:
    budget, before = TimeBudget(1, "processor"), time.process_time()
    while time.process_time() < before + 0.01:
        pass
    assert 0.01 <= budget.elapsed <= time.process_time() - before + 0.01


def test_no_minutes_set_no_bound() -> None:
    budget = TimeBudget(None)
    assert budget.seconds is None
    assert budget.left == math.inf


def test_time_that_is_over_does_not_become_a_debt(times: FakeTimes) -> None:
    budget = TimeBudget(1)
    times.go_on(61, 61)
    assert budget.left == 0


def test_it_stands_still_while_stopped_and_goes_on_after_an_error(times: FakeTimes) -> None:
    budget = TimeBudget(1)
    with pytest.raises(KeyError), budget.stopped():
        times.go_on(5, 5)
        raise KeyError
    assert budget.elapsed == 0
    times.go_on(3, 3)
    assert budget.elapsed == 3


class FakeTimes:
    """Both clocks of a machine, which go on when they are told to."""

    def __init__(self) -> None:
        self.wall, self.processor = 0.0, 0.0

    def monotonic(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.processor

    def go_on(self, wall: float, processor: float) -> None:
        self.wall, self.processor = self.wall + wall, self.processor + processor


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> FakeTimes:
    fake = FakeTimes()
    monkeypatch.setattr(time_budget, "time", fake)
    return fake


@given(st.floats(0.01, 1e5), st.floats(0, 4), st.sampled_from([None, 1.0]), st.sampled_from(["wall", "processor"]))
def test_a_busy_processor_is_said_where_minutes_pass_without_it(
    wall: float, share: float, minutes: float | None, kind: TimeKind
) -> None:
    fake = FakeTimes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_budget, "time", fake)
        budget = TimeBudget(minutes, kind)
        fake.go_on(wall, wall * share)
        said = budget.shortfall()
    assume(abs(share - 0.5) > 1e-6)  # sums of floats
    assert (said is not None) == (minutes is not None and kind == "wall" and share < 0.5)
    assert said is None or (f" {wall * share:.0f} of {wall:.0f} seconds" in said and "clock=processor" in said)


def test_what_has_a_time_of_its_own_says_nothing_of_the_run(times: FakeTimes) -> None:
    budget = TimeBudget(1)
    with budget.stopped():
        times.go_on(1000, 1)
    times.go_on(40, 30)
    assert budget.shortfall() is None and budget.elapsed == 40
    times.go_on(60, 15)
    sentence = budget.shortfall()
    assert sentence is not None and " 45 of 100 seconds" in sentence


# ---- what minutes decide


TINY: dict[str, Any] = {"embedding": 8, "hidden": 16, "device": "cpu", "threads": 1}


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
        patch.setattr(time_budget, "time", times)
        budget, vocabulary = TimeBudget(minutes), CharacterVocabulary.from_texts(["abcd"])
        models = [SlowModel(vocabulary.size, times) for _ in range(2 if twice else 1)]
        told = budget.figures_seconds(models, vocabulary, rows)
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
    assert TimeBudget(None).figures_seconds([SlowModel(9, times)], CharacterVocabulary.from_texts(["ab"]), ["ab"]) == 0
    assert times.now == 0


def arrays(folder: Path) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in model_folder.read(folder).artifacts.weights.items()}


def test_a_starved_run_is_the_counter_of_all_texts(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is so busy that the minutes are over before the network learns: the model is that of `ngram`."""
    few, heard = texts[:300], list[Event]()
    train(few, out=tmp_path / "counted", model="ngram", report=False)
    monkeypatch.setattr(time_budget, "time", Times(every=1000.0))
    starved = train(few, out=tmp_path / "starved", minutes=1, report=False, listen=heard.append, **TINY)
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
        monkeypatch.setattr(time_budget, "time", Times(every))
        train(few, out=tmp_path / name, model="blend", minutes=1, epochs=1, report=False, **TINY)
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
    monkeypatch.setattr(time_budget, "time", times)
    heard: list[Event] = []
    given: dict[str, Any] = {**TINY, "model": "gru", "epochs": 2, "minutes": 9, **options}
    train(few, out=tmp_path / "model", listen=heard.append, report=False, **given)
    said = [event.sentence for event in heard if isinstance(event, Notice) and "clock=processor" in event.sentence]
    lines = (tmp_path / "model" / "events.jsonl").read_text("utf-8")
    if options:
        assert not said and "clock=processor" not in lines
    else:
        assert len(said) == 1 and said[0] in lines  # with what else is known of the run


# ---- sizes


CHOSEN = {"hidden": 7, "networks": 2, "epochs": 2}
MINUTES: dict[str, Any] = {"minutes": 1.0, "threads": 1, "device": "cpu"}


def chosen(characters: int = 320_000, **options: Any) -> tuple[dict[str, int], list[str]]:
    """What is chosen for these options, and the sentences that say so."""
    told: list[str] = []

    def listen(event: PhaseProgress | Notice) -> None:
        told.append(event.sentence if isinstance(event, Notice) else event.label)

    with listening(listen):
        return auto_sizes(Recipe.of(options), options, characters), told


def test_it_is_told_in_one_sentence() -> None:
    sizes, told = chosen(323_662, **MINUTES | {"minutes": 10})
    (line,) = told
    assert all(f"{name} {size}" in line for name, size in sizes.items()) and sizes.keys() >= {"hidden", "networks"}
    assert "323,662 characters" in line and "--minutes 10" in line


@pytest.mark.parametrize(
    "options",
    [
        {"minutes": None},
        {"hidden": 384},
        {"networks": 1},
        {"epochs": 8},
        {"base": "a-folder"},
        {"members": [{}]},
        {"model": "gru"},
        {"model": "ngram"},
    ],
)
def test_nothing_is_chosen_where_there_is_nothing_to_choose(options: dict[str, Any]) -> None:
    assert chosen(**MINUTES | options) == ({}, [])


Question = tuple[int, float, int]


def answering(monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int]) -> list[Question]:
    """Whatever is asked, these sizes are chosen; returns what was asked."""
    asked: list[Question] = []

    def choose(_self: BlendLearner, characters: int, minutes: float, threads: int) -> dict[str, int]:
        asked.append((characters, minutes, threads))
        return sizes

    monkeypatch.setattr(BlendLearner, "sizes", choose)
    return asked


def test_threads_of_a_busy_processor_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, CHOSEN)
    chosen(5, **MINUTES | {"threads": 3})
    chosen(6, **MINUTES | {"threads": 3, "clock": "processor"})
    assert asked == [(5, 1.0, 3), (6, 1.0, 1)]


SIZED: dict[str, Any] = MINUTES | {"model": "blend", "embedding": 8, "batch_size": 32, "report": False}


def recorded(folder: Path) -> dict[str, Any]:
    recipe = json.loads((folder / "model.json").read_text("utf-8"))["training"]["recipe"]
    return {name: (recipe["settings"] | recipe["training"])[name] for name in CHOSEN}


def recorded_characters(folder: Path) -> int:
    return json.loads((folder / "model.json").read_text("utf-8"))["training"]["data"]["characters"]


def test_a_model_has_the_size_that_was_chosen(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, CHOSEN)
    train(few, out=tmp_path / "model", **SIZED)
    assert asked == [(recorded_characters(tmp_path / "model"), 1.0, 1)]
    assert recorded(tmp_path / "model") == CHOSEN
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert all(f"\n{name} = {value}\n" in card for name, value in CHOSEN.items())  # who repeats it gets the same


def test_what_is_given_wins(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, CHOSEN)
    train(few, out=tmp_path / "model", **SIZED, hidden=5, epochs=1)
    assert recorded(tmp_path / "model") == {"hidden": 5, "networks": 1, "epochs": 1}


def test_an_interrupted_run_keeps_its_size(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a machine with more threads, or by a later version that chooses otherwise."""

    def stop(event: Event) -> None:
        if isinstance(event, EpochEnded):
            raise OSError

    answering(monkeypatch, CHOSEN | {"networks": 1})
    with pytest.raises(OSError):
        train(few, out=tmp_path / "model", listen=stop, **SIZED)
    answering(monkeypatch, CHOSEN | {"hidden": 9})
    train(few, out=tmp_path / "model", resume=True, **SIZED)
    assert recorded(tmp_path / "model") == CHOSEN | {"networks": 1}


def test_a_device_that_there_is_not_is_said(tmp_path: Path, few: list[str]) -> None:
    options: dict[str, Any] = SIZED | {"device": "mps"}
    with pytest.raises(OptionError, match="device is 'mps'"):
        train(few, out=tmp_path / "model", **options)
