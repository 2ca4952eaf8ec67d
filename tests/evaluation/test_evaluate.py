"""Evaluation of a model: which texts are counted, what they come as, and which of them it was trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores
from kammil.errors import DataError, OptionError
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.evaluate import accuracy_by_position, evaluate
from kammil.evaluation.metrics import normalised_texts


@given(st.lists(st.text(st.characters(codec=None), max_size=20), max_size=4), st.integers(1, 40))
@settings(max_examples=30)
def test_any_texts_can_be_evaluated(model: Completer, chosen: list[str], target: int) -> None:
    if not any(model.normalise(text).rstrip() for text in chosen):
        with pytest.raises(DataError, match="no text to evaluate"):
            evaluate(model, chosen, target=target)
        return
    evaluation = evaluate(model, chosen, target=target)
    assert 0 <= evaluation.seen_texts <= evaluation.texts
    for metrics in (evaluation.model, *evaluation.baselines.values()):
        for name in ("target_top1", "free_running", "top1", "whole_target"):
            interval = getattr(metrics, name)
            assert 0 <= interval.value <= 1
            assert interval.low is interval.high is None
    json.dumps(evaluation.to_dict(), allow_nan=False)


@pytest.mark.parametrize("nothing", [[], [""], ["  ", "\u200b\n"]])
def test_nothing_to_evaluate_is_said(model: Completer, nothing: list[str]) -> None:
    with pytest.raises(DataError, match="no text to evaluate on"):
        evaluate(model, nothing)


def test_texts_come_as_they_come_to_training(model: Completer, texts: list[str], tmp_path: Path) -> None:
    wanted = evaluate(model, texts[240:250])
    (tmp_path / "texts.txt").write_text("\n".join(texts[240:250]), "utf-8")
    frame = pl.DataFrame({"Tweet": [*texts[240:250], None], "Country": "x"})
    assert evaluate(model, frame, column="Tweet") == evaluate(model, tmp_path / "texts.txt") == wanted
    with pytest.raises(DataError, match=r"2 columns .*'text'"):
        evaluate(model, frame)
    with pytest.raises(DataError, match="row 1"):
        evaluate(model, [texts[0], 5])


TALK = ["رودي رجع من السفر مبارح", "منيح", "بدنا نعزم رودي عالعشا", "طيب", "حكيت مع رودي اليوم؟"]


def test_each_text_is_predicted_after_those_before_it() -> None:
    model = kammil.load()
    alone, read = (evaluate(model, TALK, context=number, min_length=5) for number in (0, 2))
    assert (read.context, read.texts, read.short_texts, read.characters) == (2, 3, 2, alone.characters)
    assert read.baselines == alone.baselines
    for found, context in ((alone, 0), (read, 2)):
        bits = [
            sum(model.score(text, context=TALK[max(0, i - context) : i]).bits[:-1])
            for i, text in enumerate(TALK)
            if len(text) >= 5
        ]
        assert found.model.bits_per_character is not None
        assert found.model.bits_per_character.value == pytest.approx(sum(bits) / found.characters, rel=1e-3)
        assert found.model.free_running is not None


def test_a_context_that_cannot_be_read_is_said(folder_of: Callable[[str], Path]) -> None:
    model = kammil.load(folder_of("gru"))
    with pytest.raises(OptionError, match="context is -1"):
        evaluate(model, TALK, context=-1)
    with pytest.raises(OptionError, match="cannot learn"):
        evaluate(model, TALK, context=1)


def test_training_texts_are_recognised(model: Completer, texts: list[str]) -> None:
    evaluation = evaluate(model, texts[:240:3])
    assert evaluation.seen_texts >= 0.85 * evaluation.texts  # a tenth was held out of the training
    assert evaluate(model, ["قرأت كتابا غريبا عن الحيتان الزرقاء في المحيط"]).seen_texts == 0
    longest = max((model.normalise(text) for text in texts[:200]), key=len)
    part = evaluate(model, [longest[: len(longest) // 2]])  # all its runs stand there, and it is no training text
    assert (part.seen_texts, part.seen_by) == (0, "texts")
    assert model.model is not None
    older = copy(model)
    older.model = replace(model.model, seen={"bits": model.model.seen["bits"]})
    by_runs = evaluate(older, [longest[: len(longest) // 2]])
    assert by_runs.seen_by == "runs" and by_runs.seen_texts in (0, 1)  # 0: the longest was held out
    assert replace(by_runs, seen_by="texts", seen_texts=0) == part


def test_the_positions_make_up_the_whole(model: Completer, texts: list[str]) -> None:
    evaluation = evaluate(model, texts[240:260], target=12)
    assert [place.position for place in evaluation.by_position] == [*range(1, 13)]
    for field, whole in (
        ("teacher_forced", evaluation.model.target_top1),
        ("free_running", evaluation.model.free_running),
    ):
        right = sum(place.texts * getattr(place, field).value for place in evaluation.by_position)
        assert whole is not None and right / evaluation.target_characters == pytest.approx(whole.value)
    assert sum(place.texts for place in evaluation.by_position) == evaluation.target_characters


def test_short_texts_are_left_out(model: Completer, texts: list[str]) -> None:
    chosen = [*texts[240:250], "  شو  ", "يلا نطلع", ""]
    long = [text for text in normalised_texts(model, chosen) if len(text) >= 60]
    assert 0 < len(long) < 10
    evaluation = evaluate(model, chosen, min_length=60)
    assert (evaluation.texts, evaluation.short_texts, evaluation.min_length) == (len(long), 12 - len(long), 60)
    assert replace(evaluation, short_texts=0, min_length=0) == evaluate(model, long)
    with pytest.raises(DataError, match=r"500 .*\d+; .*--min-length"):
        evaluate(model, chosen, min_length=500)


@pytest.mark.parametrize(("target", "min_length", "name"), [(0, 0, "target"), (1001, 0, "target"), (30, -1, "min_")])
def test_a_task_out_of_range_is_said(model: Completer, target: int, min_length: int, name: str) -> None:
    with pytest.raises(OptionError, match=name):
        evaluate(model, ["ab"], target=target, min_length=min_length)


def test_a_model_from_no_folder_has_no_baselines(model: Completer, texts: list[str]) -> None:
    alone = copy(model)
    alone.model = None
    evaluation = evaluate(alone, texts[:5])
    assert evaluation.baselines == {}
    assert evaluation.seen_texts == 0
    assert evaluation.model == evaluate(model, texts[:5]).model


def scores(ranks: list[int]) -> TokenScores:
    return TokenScores(np.zeros(len(ranks)), np.array(ranks))


def test_positions_are_counted_by_hand() -> None:
    # Two texts of 5 and 3 characters; their targets are the last 3 and the last 2.
    places = accuracy_by_position(
        [scores([0, 0, 0, 1, 0, 9]), scores([9, 2, 0, 9])],
        [np.array([7, 8]), np.array([5, 5, 5])],
        [np.array([7, 9, 7]), np.array([4, 5])],
        [slice(2, 5), slice(1, 3)],
    )
    counted = [(p.position, p.texts, p.teacher_forced.value, p.free_running.value, p.difference.value) for p in places]
    assert counted == [(1, 2, 1 / 2, 1 / 2, 0), (2, 2, 1 / 2, 1 / 2, 0), (3, 1, 1, 0, 1)]
    assert all(p.difference.low is None for p in places)


def test_the_difference_is_paired() -> None:
    # Every text is hard for both or for neither: each share has an interval, and their difference has none to speak of.
    hard = [i % 2 for i in range(2 * MIN_TEXTS)]
    places = accuracy_by_position(
        [scores([h, 1]) for h in hard],
        [np.array([5]) for _ in hard],
        [np.array([5 + h]) for h in hard],
        [slice(0, 1) for _ in hard],
    )
    (place,) = places
    assert place.teacher_forced == place.free_running
    assert place.teacher_forced.low is not None and place.teacher_forced.low < 0.5
    assert (place.difference.value, place.difference.low, place.difference.high) == (0, 0, 0)


@pytest.mark.parametrize("reaching", [MIN_TEXTS - 1, MIN_TEXTS])
def test_a_position_that_few_texts_reach_has_no_interval(reaching: int) -> None:
    lengths = [2] * reaching + [1] * MIN_TEXTS
    places = accuracy_by_position(
        [scores([0] * (n + 1)) for n in lengths],
        [np.zeros(n, int) for n in lengths],
        [np.zeros(n, int) for n in lengths],
        [slice(0, n) for n in lengths],
    )
    assert [place.texts for place in places] == [reaching + MIN_TEXTS, reaching]
    assert places[0].difference.low == 0
    assert {i.low is None for i in (places[1].teacher_forced, places[1].free_running, places[1].difference)} == {
        reaching < MIN_TEXTS
    }


def test_no_text_has_no_positions() -> None:
    assert accuracy_by_position([], [], [], []) == ()


@pytest.mark.parametrize("length", [1, 4])
def test_what_comes_after_the_end_is_wrong(length: int) -> None:
    true = np.arange(4, 4 + length)
    places = accuracy_by_position([scores([0] * (length + 1))], [true[:0]], [true], [slice(0, length)])
    assert [p.free_running.value for p in places] == [0] * length
    assert [p.teacher_forced.value for p in places] == [1] * length
