"""What fits into the minutes: measured on a small part, honest to the texts left out, and never without a model."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kammil.progress import Notice
from kammil.training import clock, pacing
from kammil.training.clock import Clock
from kammil.training.events import EpochEnded, Event
from kammil.training.pacing import Pace, TextFit, characters, measure
from kammil.training.recipe import Recipe
from kammil.training.texts import prepare
from kammil.training.train import train

SMALL: dict[str, Any] = {"model": "gru", "embedding": 8, "hidden": 16, "device": "cpu", "threads": 1, "epochs": 2}


def recipe(**options: Any) -> Recipe:
    return Recipe.of(SMALL | {"minutes": 1.0} | options)


def paced(monkeypatch: pytest.MonkeyPatch, pace: Pace | None) -> list[int]:
    """Each measuring says this; the numbers of texts that it was asked about."""
    asked: list[int] = []

    def says(_recipe: Recipe, texts: list[str], _validation: list[str], _within: Path | None) -> Pace | None:
        asked.append(len(texts))
        return pace

    monkeypatch.setattr(pacing, "measure", says)
    return asked


@pytest.mark.parametrize("family", ["gru", "ngram", "blend"])
def test_every_part_of_a_run_takes_time(texts: list[str], family: str) -> None:
    sizes = {"embedding": 8, "hidden": 16} if family != "ngram" else {}
    pace = measure(Recipe.of({"model": family, "minutes": 1.0, **sizes}), texts, texts)
    assert pace is not None
    assert min(pace.prepare, pace.finish, pace.evaluate) > 0 and pace.fixed >= 0
    data = prepare(Recipe.of({}), texts)
    assert pace.reserve(data) > pace.evaluate * characters(data.validation)


def test_a_pace_is_what_more_characters_took_more(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that takes so many seconds, and so many for each character."""

    def takes(
        _recipe: Recipe, train: list[str], validation: list[str], _within: Path | None
    ) -> tuple[float, float, float]:
        many, judged = characters(train), characters(validation)
        return 0.5 + 0.01 * many, 1 + 0.02 * many, 2 + 0.5 * judged

    monkeypatch.setattr(pacing, "_time_run", takes)
    pace = measure(recipe(), texts, texts)
    assert pace is not None
    assert (pace.prepare, pace.finish, pace.evaluate, pace.fixed) == pytest.approx((0.01, 0.02, 0.5, 1 + 2))
    data = prepare(recipe(), texts)
    reserved = 3 + 0.02 * characters(data.train) + 0.5 * characters(data.validation)
    assert pace.reserve(data) == pytest.approx(reserved)


def test_a_clock_too_rough_to_tell_makes_no_run_free(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def takes(
        _recipe: Recipe, train: list[str], validation: list[str], _within: Path | None
    ) -> tuple[float, float, float]:
        sizes.append(characters(train))
        return 8.0, 0.0, 0.0

    monkeypatch.setattr(pacing, "_time_run", takes)
    pace = measure(recipe(), texts, texts)
    assert pace is not None
    assert (pace.prepare, pace.finish, pace.fixed) == pytest.approx((0.25 * 8 / max(sizes), 0, 0))


def test_what_cannot_be_made_is_not_measured(few: list[str]) -> None:
    """The sentence comes from the run itself."""
    assert measure(recipe(device="mps"), few, few) is None


def test_one_text_is_enough(few: list[str]) -> None:
    assert measure(recipe(), few[:1], few[:1]) is not None


def test_without_minutes_nothing_is_measured(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = paced(monkeypatch, Pace(1, 1, 1))
    budget = TextFit(recipe(minutes=None), Clock(None))
    assert budget.texts(list(texts), None) == texts and budget.validation(list(texts)) == texts
    assert not asked


def test_what_there_is_time_for_is_all(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, Pace(1e-9, 1e-9, 1e-9))
    assert prepare(recipe(), texts, budget=TextFit(recipe(), Clock(1.0))) == prepare(recipe(), texts)


@pytest.mark.parametrize("with_file", [False, True])
@pytest.mark.parametrize("slow", ["prepare", "finish", "evaluate"])
def test_what_is_drawn_fits_into_half_of_the_time(
    texts: list[str], monkeypatch: pytest.MonkeyPatch, slow: str, with_file: bool
) -> None:
    pace = Pace(**({"prepare": 1e-5, "finish": 1e-5, "evaluate": 1e-5} | {slow: 0.004}))
    paced(monkeypatch, pace)
    validation = texts[-200:] if with_file else None
    source = texts[:-200] if with_file else texts
    data = prepare(recipe(), source, validation, budget=TextFit(recipe(), Clock(1.0)))
    whole = prepare(recipe(), source, validation)
    trained, judged = characters(data.train), characters(data.validation)
    seconds = (pace.prepare + pace.finish) * trained + pace.evaluate * judged
    assert 12 < seconds < 33  # texts differ in length
    assert data.drawn is not None and data.drawn[1] == len(data.validation)
    assert set(data.train) <= set(whole.train + whole.validation)
    assert data.sha256 == whole.sha256  # of what was given
    again = prepare(recipe(), source, validation, budget=TextFit(recipe(), Clock(1.0), data.drawn))
    assert again == data  # an interrupted run learns from the very same texts


def test_it_is_said_and_recorded(tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, Pace(1.0, 1.0, 1.0))
    heard: list[Event] = []
    train(texts, out=tmp_path / "model", listen=heard.append, **SMALL, minutes=1)
    notes = [event.sentence for event in heard if isinstance(event, Notice)]
    said = f"1 minutes are too few for {len(texts):,} texts: 20 of them, drawn by the seed, are used; more minutes"
    assert notes[0].startswith(said)
    data = json.loads((tmp_path / "model" / "model.json").read_text("utf-8"))["training"]["data"]
    assert data["drawn"][0] == 20 and data["texts"] + data["validation_texts"] <= 20
    assert [event.epoch for event in heard if isinstance(event, EpochEnded)] == [1]  # never without a model


@pytest.mark.parametrize("options", [{}, {"clock": "processor"}, {"minutes": None}])
def test_a_run_that_got_little_of_the_processor_says_so(
    tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Others take two thirds of the processor: of every three seconds it works for this run for one."""
    passed = itertools.count(0.0, 0.3)
    times = SimpleNamespace(monotonic=lambda: next(passed), process_time=lambda: next(passed) / 3)
    monkeypatch.setattr(clock, "time", times)
    paced(monkeypatch, None)
    heard: list[Event] = []
    given: dict[str, Any] = {**SMALL, "minutes": 9, **options}
    train(few, out=tmp_path / "model", listen=heard.append, report=False, **given)
    sentences = [event.sentence for event in heard if isinstance(event, Notice)]
    lines = (tmp_path / "model" / "events.jsonl").read_text("utf-8")
    if options:
        assert not sentences and "clock=processor" not in lines
    else:
        (said,) = sentences
        assert re.fullmatch(r"the processor worked on this run for \d+ of \d+ seconds, .+ clock=processor .+", said)
        assert said in lines  # with what else is known of the run


def test_an_interrupted_run_draws_the_same(tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, EpochEnded):
            raise OSError

    paced(monkeypatch, Pace(1e-3, 1e-3, 1e-3))
    options: dict[str, Any] = SMALL | {"minutes": 1, "epochs": 3}
    with pytest.raises(OSError):
        train(texts, out=tmp_path / "model", listen=stop, **options)
    drawn = json.loads((tmp_path / ".model.training" / "run.json").read_text("utf-8"))["drawn"]
    assert 20 < drawn[0] < len(texts)
    paced(monkeypatch, Pace(1e-4, 1e-4, 1e-4))  # the machine has become faster
    train(texts, out=tmp_path / "model", resume=True, **options)
    assert json.loads((tmp_path / "model" / "model.json").read_text("utf-8"))["training"]["data"]["drawn"] == drawn
