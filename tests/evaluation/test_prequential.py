"""Whether learning helped: against a loop that goes text by text, with the bundled model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import kammil
from kammil.completion.completer import Completer
from kammil.errors import DataError, OptionError
from kammil.evaluation.bootstrap import MIN_TEXTS, Interval, ratio
from kammil.evaluation.prequential import Effect, Effects, LearningReport, learning_report
from kammil.evaluation.typing_report import simulate

ALIKE = [
    f"بكرا منطلع عالزعرورية {end}"
    for end in [
        "مع سامر",
        "سوا",
        "الصبح",
        "بكير",
        "كلنا",
        "وبعدين",
        "شي ساعة",
        "عالفطور",
        "إذا صحّ",
        "مشي",
    ]
]
"""Ten texts of somebody who says one thing in many ways."""


@pytest.fixture(scope="module")
def model() -> Completer:
    return kammil.load()


@pytest.fixture(scope="module")
def counting(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("blend"))


def test_each_text_is_predicted_before_it_is_learnt(model: Completer) -> None:
    report = learning_report(model, [*ALIKE, " ", ALIKE[0]])
    assert (report.texts, report.repeats, report.characters) == (10, 1, sum(map(len, ALIKE)))
    learner = model.fork()
    before, after = np.zeros(10), np.zeros(10)
    for i, text in enumerate(ALIKE):
        before[i], after[i] = sum(model.score(text).bits), sum(learner.score(text).bits)
        learner.learn(text)
    positions = np.array([len(text) + 1.0 for text in ALIKE])
    for found, bits in ((report.bits.without, before), (report.bits.learnt, after)):
        wanted = ratio(bits, positions)
        assert wanted is not None and (found.value, found.low, found.high) == pytest.approx(
            (wanted.value, wanted.low, wanted.high), rel=1e-4
        )
    assert before[0] == pytest.approx(after[0])  # nothing was known before the first
    assert report.bits.difference.value == pytest.approx((after.sum() - before.sum()) / positions.sum(), rel=1e-4)
    assert report.verdict == "helped"
    assert report.right.learnt.value > report.right.without.value
    assert json.loads(json.dumps(report.to_dict()))["verdict"] == "helped"
    # The model itself has learnt nothing.
    assert sum(model.score(ALIKE[0]).bits) == pytest.approx(before[0])


def test_what_the_model_knew_before_does_not_count(model: Completer) -> None:
    taught = model.fork()
    for text in ALIKE:
        taught.learn(text)
    assert learning_report(taught, ALIKE) == learning_report(model, ALIKE)


def test_keystrokes_are_those_of_a_typing_report(model: Completer) -> None:
    saved = learning_report(model, ALIKE).keystrokes
    assert 0 <= saved.without.value < saved.learnt.value < 1
    assert saved.difference.value == pytest.approx(saved.learnt.value - saved.without.value)
    # Suggestions correct begun words, as they do for a person.
    alone = simulate(model.fork(), ALIKE).model.lists[3].keystrokes
    assert alone is not None and saved.without.value == pytest.approx(alone.value)


@pytest.mark.parametrize(("number", "span"), [(1, 1), (5, 2), (205, 100)])
def test_the_beginning_and_the_end_are_reported_apart(counting: Completer, number: int, span: int) -> None:
    texts = [f"ب{n}" for n in range(number)]
    report = learning_report(counting, texts)
    assert (report.texts, report.first.texts, report.last.texts) == (number, span, span)
    for part, some in ((report.first, texts[:span]), (report.last, texts[-span:])):
        assert part.characters == sum(map(len, some))
        bits = [sum(counting.score(text).bits) for text in some]
        assert part.bits.without.value == pytest.approx(sum(bits) / (part.characters + span))


def test_learnt_words_are_suggested_where_the_report_says(model: Completer) -> None:
    texts = [*ALIKE, "بالزعرورية بكرا", "حلوة كتير بكرا"]
    words = {word.word: word for word in learning_report(model, texts).words}
    assert "بكرا" not in words and "بالزعرورية" not in words  # known before; used once
    word = words["عالزعرورية"]
    assert word.used == len(ALIKE) and word.offered == tuple(range(2, len(ALIKE) + 1))
    learner, place = model.fork(), ALIKE[0].index(word.word)
    for known in (False, True):
        listed = [each.text for n in range(3) for each in learner.suggest(ALIKE[1][: place + n])]
        assert (word.word in listed) == known
        learner.learn(ALIKE[0])


def test_few_texts_are_not_yet_known(model: Completer) -> None:
    report = learning_report(model, ALIKE[: MIN_TEXTS - 1])
    assert report.bits.difference.value < 0 and report.verdict == "not yet known"


@pytest.mark.parametrize(
    ("bits", "right", "verdict"),
    [
        ((-0.2, -0.1), (0.1, 0.2), "helped"),
        ((-0.2, -0.1), (-0.1, 0.2), "helped"),
        ((-0.2, -0.1), (-0.2, -0.1), "mixed"),
        ((0.1, 0.2), (-0.2, -0.1), "harmed"),
        ((0.1, 0.2), (-0.2, 0.1), "harmed"),
        ((0.1, 0.2), (0.1, 0.2), "mixed"),
        ((-0.1, 0.1), (0.1, 0.2), "not yet known"),
        ((0.0, 0.1), (-0.2, -0.1), "not yet known"),
        ((-0.1, 0.0), (0.1, 0.2), "not yet known"),
        ((None, None), (None, None), "not yet known"),
    ],
)
def test_it_is_not_known_while_the_interval_holds_zero(
    bits: tuple[float | None, float | None], right: tuple[float | None, float | None], verdict: str
) -> None:
    effects = [Effect(Interval(1, 1, 1), Interval(1, 1, 1), Interval(0, low, high)) for low, high in (bits, right)]
    part = Effects(20, 100, effects[0], effects[1], effects[0])
    assert LearningReport(**vars(part), repeats=0, first=part, last=part, words=()).verdict == verdict


def test_what_cannot_be_reported_is_said(model: Completer, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="no text to report on"):
        learning_report(model, ["", " "])
    with pytest.raises(OptionError, match="texts is 'abc'"):
        learning_report(model, "abc")
    with pytest.raises(OptionError, match="cannot learn while it runs"):
        learning_report(kammil.load(folder_of("ngram")), ALIKE)
