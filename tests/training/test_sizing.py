"""What minutes buy: the same for the same text and minutes, told in a sentence, and never against what was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kammil.errors import OptionError
from kammil.models.blend.learner import BlendLearner
from kammil.progress import EpochEnded, Event, Notice, PhaseProgress, listening
from kammil.training.recipe import Recipe, flags
from kammil.training.sizing import Sizes
from kammil.training.train import train

CHOSEN = {"hidden": 7, "networks": 2, "epochs": 2}
MINUTES: dict[str, Any] = {"minutes": 1.0, "threads": 1, "device": "cpu"}


def chosen(characters: int = 320_000, **options: Any) -> tuple[dict[str, int], list[str]]:
    """What is chosen for these options, and the sentences that say so."""
    told: list[str] = []

    def listen(event: PhaseProgress | Notice) -> None:
        told.append(event.sentence if isinstance(event, Notice) else event.phase)

    with listening(listen):
        return Sizes(Recipe.of(options), options).choose(characters), told


def test_it_is_told_in_one_sentence() -> None:
    sizes, told = chosen(323_662, **MINUTES | {"minutes": 10})
    assert told == [
        f"{sizes['hidden']} units, {sizes['networks']} members, at most 8 passes: 320,000 characters, 10 minutes"
    ]
    _, told = chosen(25_000_000, **MINUTES)
    assert told[0].endswith("one member, at most 8 passes: 25 million characters, 1 minute")


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


SMALL: dict[str, Any] = MINUTES | {"model": "blend", "embedding": 8, "batch_size": 32, "report": False}


def recorded(folder: Path) -> dict[str, Any]:
    recipe = json.loads((folder / "model.json").read_text("utf-8"))["training"]["recipe"]
    return {name: (recipe["settings"] | recipe["training"])[name] for name in CHOSEN}


def recorded_characters(folder: Path) -> int:
    return json.loads((folder / "model.json").read_text("utf-8"))["training"]["data"]["characters"]


def test_a_model_has_the_size_that_was_chosen(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, CHOSEN)
    train(few, out=tmp_path / "model", **SMALL)
    assert asked == [(recorded_characters(tmp_path / "model"), 1.0, 1)]
    assert recorded(tmp_path / "model") == CHOSEN
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "epochs=2" in card and "hidden=7" in card and "networks=2" in card  # who repeats it gets the same


def test_what_is_given_wins(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, CHOSEN)
    train(few, out=tmp_path / "model", **SMALL, hidden=5, epochs=1)
    assert recorded(tmp_path / "model") == {"hidden": 5, "networks": 1, "epochs": 1} and not asked


def test_an_interrupted_run_keeps_its_size(tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a machine with more threads, or by a later version that chooses otherwise."""

    def stop(event: Event) -> None:
        if isinstance(event, EpochEnded):
            raise OSError

    answering(monkeypatch, CHOSEN | {"networks": 1})
    with pytest.raises(OSError):
        train(few, out=tmp_path / "model", listen=stop, **SMALL)
    answering(monkeypatch, CHOSEN | {"hidden": 9})
    train(few, out=tmp_path / "model", resume=True, **SMALL)
    assert recorded(tmp_path / "model") == CHOSEN | {"networks": 1}


def test_a_device_that_there_is_not_is_said(tmp_path: Path, few: list[str]) -> None:
    options: dict[str, Any] = SMALL | {"device": "mps"}
    with pytest.raises(OptionError, match="device is 'mps'"):
        train(few, out=tmp_path / "model", **options)


def test_a_repetition_names_one_of_the_options() -> None:
    """So that another machine does not choose for itself."""
    assert "hidden=384" in flags(Recipe.of({"minutes": 1}))
    assert not any("hidden" in flag for flag in flags(Recipe.of({})))
    assert not any("hidden" in flag for flag in flags(Recipe.of({"minutes": 1, "model": "gru"})))
