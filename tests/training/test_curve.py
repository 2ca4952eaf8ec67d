"""A whole curve of a small model: nested amounts of text, one test, resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil import model_folder as folders
from kammil.errors import FolderError, OptionError
from kammil.evaluation.evaluate import evaluate
from kammil.evaluation.ranking import LearningCurve
from kammil.progress import Event, Notice
from kammil.training import suite
from kammil.training.recipe import Recipe
from kammil.training.suite import gather, subsets

OPTIONS: dict[str, Any] = {"model": "ngram", "shares": (1.0, 0.25)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"{text[:30]}\n" for text in texts[:130]), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("curves") / "one"


@pytest.fixture(scope="module")
def made(file: Path, folder: Path) -> LearningCurve:
    return kammil.curve(file, out=folder, **OPTIONS)


def test_amounts_are_nested_and_share_their_test(made: LearningCurve, file: Path, folder: Path) -> None:
    parts = gather(Recipe(), file)
    quarter, whole = made.points
    assert (quarter.texts, whole.texts) == (-(-len(parts.train) // 4), len(parts.train))
    few, all_ = ((folder / f"{point.name}-train.txt").read_text("utf-8").splitlines() for point in made.points)
    assert all_ == list(parts.train) and quarter.characters == sum(map(len, few))
    places = [all_.index(text) for text in few]
    assert places == sorted(places) and len(set(places)) == quarter.texts  # in their own order
    assert (folder / "test.txt").read_text("utf-8").splitlines() == list(parts.test)
    for point in made.points:
        model = kammil.load(folder / point.name)
        assert folders.read(folder / point.name).description.training["data"]["texts"] == point.texts
        measured = evaluate(model, parts.test).model
        for measure in ("target_bits_per_character", "target_top1", "chrf", "bleu"):
            of = {"target_bits_per_character": measured.target_bits_per_character, "target_top1": measured.target_top1}
            assert point.figures[measure] == of.get(measure, getattr(measured, measure))
    gain = whole.gains["target_bits_per_character"].value
    bits = [point.figures["target_bits_per_character"].value for point in made.points]
    assert gain == pytest.approx(bits[1] - bits[0]) and gain < 0
    assert set(made.random) == {
        "target_bits_per_character",
        "bits_per_character_with_end",
        "target_top1",
        "target_top3",
    }
    assert json.loads((folder / "curve.json").read_text("utf-8")) == json.loads(json.dumps(made.to_dict()))


def test_what_is_finished_is_kept(
    made: LearningCurve, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a finished model was made again")

    monkeypatch.setattr(suite, "train_or_reuse", forbidden)
    monkeypatch.setattr(suite, "scorecard", forbidden)
    heard: list[Event] = []
    again = kammil.curve(file, out=folder, listen=heard.append, **OPTIONS)
    said = [event.sentence for event in heard if isinstance(event, Notice)]
    assert again.to_dict() == made.to_dict()
    assert said[1:] == [f"{point.name}: done before" for point in made.points]
    fewer = kammil.curve(file, out=folder, model="ngram", shares=[0.25])
    assert [point.name for point in fewer.points] == [made.points[0].name]
    assert fewer.verdict().startswith("One amount")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "has another SHA-256"),
        ({"order": 3}, "has another order"),
        ({"shares": []}, "shares is"),
        ({"shares": [0.5, 1.5]}, "shares is .* at most 1, such as 0.5"),
        ({"hiden": 3}, "there is no option 'hiden'"),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, folder: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        kammil.curve(file, out=folder, **(OPTIONS | changed))


def test_a_folder_of_something_else_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(FolderError, match="exists and is no curve"):
        kammil.curve(file, out=tmp_path, **OPTIONS)


def test_shares_of_few_texts_that_come_to_one_number_are_one_point(file: Path) -> None:
    whole = gather(Recipe(), file)
    assert [len(part.train) for part in subsets(whole, [0.001, 0.002, 1], 0)] == [1, len(whole.train)]
