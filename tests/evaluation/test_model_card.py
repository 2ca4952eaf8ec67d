"""The model card says what was measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kammil
from kammil import model_folder as folders
from kammil.evaluation import model_card as card
from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.evaluate import Evaluation, evaluate
from kammil.evaluation.measures import MEASURES, show
from kammil.evaluation.metrics import Metrics
from kammil.evaluation.model_card import FIGURES, model_card, position_table, reproducing, table
from kammil.evaluation.text_overlap import NO_RUN


@pytest.fixture(scope="module")
def evaluation(trained: Path, texts: list[str]) -> Evaluation:
    return evaluate(kammil.load(trained), texts[240:250])


def test_every_figure_has_a_row() -> None:
    assert set(FIGURES) == {field.name for field in dataclasses.fields(Metrics)} <= set(MEASURES)


def test_the_table_holds_the_model_and_its_rivals(evaluation: Evaluation) -> None:
    made = table(evaluation, "mine")
    heading, rows = made.head, made.rows
    assert heading == ["", "mine", "random", "most frequent", "unigram", "3-gram"]
    assert all(len(row) == len(heading) for row in rows)
    shown = [(field, measure) for field, measure in MEASURES.items() if field in FIGURES]
    for (field, measure), row in zip(shown, rows, strict=True):
        assert row[:2] == [measure.title, measure.show(getattr(evaluation.model, field))]
        for name, cell in zip(heading[2:], row[2:], strict=True):
            baseline = getattr(evaluation.baselines[name], field)
            assert cell == measure.show(baseline).partition(" (")[0]


def test_bleu_says_where_nothing_is_shared_and_what_it_needs(evaluation: Evaluation) -> None:
    for figure, said in (
        (Interval(0.0, 0.0, 0.0), NO_RUN),
        (None, "needs sacrebleu"),
        (Interval(2.0, 1, 3), "2.0 (1.0"),
    ):
        changed = dataclasses.replace(evaluation, model=dataclasses.replace(evaluation.model, bleu=figure))
        assert {row[0]: row[1] for row in table(changed, "mine").rows}[MEASURES["bleu"].title].startswith(said)


def test_some_positions_are_shown_and_the_last(evaluation: Evaluation) -> None:
    made = position_table(evaluation)
    heading, rows = made.head, made.rows
    assert [row[0] for row in rows] == ["1", "2", "3", "5", "7", "10", "15", "20", "25", "30"]
    assert all(len(row) == len(heading) for row in rows)
    place = evaluation.by_position[2]
    assert rows[2][1] == str(place.texts) and rows[2][2] == show(place.teacher_forced, percent=True)
    assert rows[0][4] == "+0.0 % (+0.0..+0.0)"  # both have read the same
    short = dataclasses.replace(evaluation, by_position=evaluation.by_position[:12])
    assert [row[0] for row in position_table(short).rows] == ["1", "2", "3", "5", "7", "10", "12"]


def card_of(trained: Path, evaluation: Evaluation, name: str = "mine", **recipe: Any) -> str:
    model = folders.read(trained)
    training = model.description.training
    changed = training | {"recipe": training["recipe"] | recipe}
    described = model.description.model_copy(update={"training": changed})
    return model_card(
        name,
        dataclasses.replace(model, description=described),
        evaluation,
        command="kammil train FILE",
        toml="seed = 0\n",
    )


def test_the_card_names_the_data_the_rules_and_the_figures(trained: Path, evaluation: Evaluation) -> None:
    card = card_of(trained, evaluation)
    described = folders.read(trained).description
    data = described.training["data"]
    for sentence in (
        "# mine\n",
        f"family **{trained.name}**",
        f"{data['texts']:,} texts, {data['characters']:,} characters",
        data["sha256"],
        "nfc, invisible, tatweel, urls, handles, spaces",
        "| bits per character, target | " + show(evaluation.model.target_bits_per_character),
        "licence",
    ):
        assert sentence in card
    assert "None" not in card
    assert folders.read(trained).card.startswith(f"# {trained.name}\n")


def test_what_makes_the_model_again_is_read_from_its_card(trained: Path, evaluation: Evaluation) -> None:
    card = card_of(trained, evaluation)
    assert (reproducing(card, ""), reproducing(card, "toml")) == ("kammil train FILE", "seed = 0")
    assert reproducing("# none\n", "") == reproducing("# none\n", "toml") == ""


def test_the_card_says_how_far_copies_can_be_told(trained: Path, evaluation: Evaluation) -> None:
    model = folders.read(trained)
    half = {"bits": np.tile(np.array([240, 15], np.uint8), 64)}
    card = model_card("mine", dataclasses.replace(model, seen=half), evaluation, command="", toml="")
    assert "of runs that no training text has, 25.0 % are taken for copied." in card


def test_a_raw_model_says_so(trained: Path, evaluation: Evaluation) -> None:
    model = folders.read(trained)
    described = model.description.model_copy(update={"rules": dict.fromkeys(model.description.rules, False)})
    card = model_card("raw", dataclasses.replace(model, description=described), evaluation, command="", toml="")
    assert "What the model sees: the raw text" in card


def test_a_name_breaks_no_table(trained: Path, evaluation: Evaluation) -> None:
    lines = card_of(trained, evaluation, name="a|b").splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {row.count("|") for row in rows} == {7}


@pytest.mark.parametrize(
    ("metrics", "based", "sentence"),
    [
        ({"training_seconds": 12.34}, False, "trained in 12.3 s"),
        ({"training_seconds": 232.0}, True, "the last stage of its training took 232.0 s"),
        (
            {"training_seconds": 232.0, "training_seconds_in_all": 14_232.0},
            True,
            "the last stage of its training took 232.0 s, after 14000.0 s for what it goes on from",
        ),
    ],
)
def test_how_long_it_was_trained(metrics: dict[str, float], based: bool, sentence: str) -> None:
    assert card._training_time(metrics, based=based) == sentence  # pyright: ignore[reportPrivateUsage]


def test_an_overview_says_purpose_quality_and_faults() -> None:
    model = folders.read(Path("levantine"))
    said = card.overview("levantine", model)
    positions = [said.index(f"\n{heading}\n") for heading in ("What it is for", "How good it is", "Known faults")]
    assert positions == sorted(positions)
    right = model.metrics["validation"]["model"]["target_top1"]["value"]
    assert f"its first guess is right for {100 * right:.0f}" in said and "fewer is better" in said
    assert card.section(model.card, "Known faults") in said and card.section(model.card, "Intended use") in said


def test_an_overview_leaves_out_what_is_not_known(trained: Path) -> None:
    unmeasured = dataclasses.replace(folders.read(trained), metrics={}, card="# mine\n\n## Known faultsless\nx\n")
    assert card.overview("mine", unmeasured).count("\n") == 0


def test_a_section_ends_at_the_next_heading() -> None:
    text = "## A\none\n\n### deeper\ntwo\n\n## B\nthree\n"
    assert (card.section(text, "A"), card.section(text, "B"), card.section(text, "C")) == (
        "one\n\n### deeper\ntwo",
        "three",
        "",
    )


@pytest.mark.parametrize("base", [None, {"texts": 411_049, "characters": 29_282_815}])
def test_few_texts_of_ones_own_bring_a_caution_beside_any_base(trained: Path, base: dict[str, int] | None) -> None:
    model = folders.read(trained)
    training = model.description.training
    training = training | {"data": training["data"] | {"texts": 10, "characters": 800, "base": base}}
    few = dataclasses.replace(model, description=model.description.model_copy(update={"training": training}))
    (sentence,) = card.cautions(few)
    assert sentence.startswith("Only 10 texts to learn from")
    assert (", beside those of the base:" in sentence) == (base is not None)
