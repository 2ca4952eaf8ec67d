"""Slices: every text is in one slice of each criterion, and its figures are those of its texts alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.evaluate import evaluate
from kammil.evaluation.slices import DIALECT, Slice, measure, memberships, slices

TEXTS = st.lists(st.text(st.sampled_from("شو هلاaB1 🙂.ههههзд"), min_size=1, max_size=20), min_size=1, max_size=30)


def kinds(text: str) -> dict[str, str | None]:
    return {criterion: of[0] for criterion, (_, of) in memberships([text, "x" * 500, "x" * 900]).items()}


@pytest.mark.parametrize(
    ("text", "emoji", "scripts", "elongation"),
    [
        ("شو هالحلو", "without emoji", "letters of other scripts only", "no letter three times in a row"),
        ("كتييير 😂", "with emoji", "letters of other scripts only", "a letter three times in a row"),
        ("عملت update اليوم", "without emoji", "Latin letters among those of another script", "no letter three"),
        ("hello 111 !!!", "without emoji", "Latin letters only", "no letter three times in a row"),
        ("123 ...", "without emoji", "no letters", "no letter three times in a row"),
    ],
)
def test_kinds_by_hand(text: str, emoji: str, scripts: str, elongation: str) -> None:
    found = kinds(text)
    assert (found["emoji"], found["scripts"]) == (emoji, scripts)
    assert (found["elongation"] or "").startswith(elongation)


def test_a_dialect_is_guessed_for_arabic_alone() -> None:
    assert kinds("hello there")[DIALECT] is None
    assert kinds("شو بدك هلق يا زلمة")[DIALECT] == "Levantine"


@given(texts=TEXTS)
def test_thirds_by_length_are_in_the_order_of_lengths(texts: list[str]) -> None:
    found = {criterion: of for criterion, (_, of) in memberships(texts).items()}
    assert all(len(names) == len(texts) for names in found.values())
    assert all(name is not None for criterion, names in found.items() for name in names if criterion != DIALECT)
    by_length: dict[str | None, list[int]] = {}
    for text, name in zip(texts, found["length"], strict=True):
        by_length.setdefault(name, []).append(len(text))
    spans = sorted((min(lengths), max(lengths)) for lengths in by_length.values())
    assert len(spans) <= 3 and all(before[1] < after[0] for before, after in pairwise(spans))


def test_figures_by_hand() -> None:
    sums = np.array([[2.0, 1, 4]] * MIN_TEXTS + [[12.0, 0, 4]] * (MIN_TEXTS + 1))
    inside = np.arange(len(sums)) < MIN_TEXTS
    first, second = measure(sums, [("c", "easy", inside), ("c", "hard", ~inside)])
    assert (first.texts, second.texts) == (MIN_TEXTS, MIN_TEXTS + 1)
    assert first.bits_per_character is not None and second.bits_per_character is not None
    assert (first.bits_per_character.value, second.bits_per_character.value) == (0.5, 3.0)
    assert (first.bits_per_character.low, first.bits_per_character.high) == pytest.approx((0.5, 0.5))
    assert first.difference is not None and second.difference is not None
    assert (first.difference.value, second.difference.value) == (-2.5, 2.5)
    assert first.top1 is not None and first.top1.value == 0.25


def test_too_few_texts_have_no_figures() -> None:
    sums = np.ones((3 * MIN_TEXTS, 3))
    inside = np.arange(len(sums)) < MIN_TEXTS - 1
    few, rest = measure(sums, [("c", "few", inside), ("c", "rest", ~inside)])
    assert (few.bits_per_character, few.difference, few.top1) == (None, None, None)
    assert rest.bits_per_character is not None and rest.top1 is not None
    assert rest.difference is None, "there are too few others to compare with"


@pytest.mark.parametrize("family", ["ngram", "gru"])
def test_a_slice_has_the_figures_of_its_texts_alone(
    folder_of: Callable[[str], Path], texts: list[str], family: str
) -> None:
    model, some = kammil.load(folder_of(family)), texts[240:320]
    found = slices(model, some)
    assert {each.criterion for each in found} == {"emoji", "scripts", "elongation", "length", DIALECT}
    for criterion in ("emoji", "scripts", "elongation", "length"):
        assert sum(each.texts for each in found if each.criterion == criterion) == len(some)
    assert _names(found, "length")[0].startswith("up to") and _names(found, "length")[-1].startswith("more than")
    with_emoji = [t for t, kind in zip(some, memberships(some)["emoji"][1], strict=True) if kind == "with emoji"]
    (measured,) = (each for each in found if each.name == "with emoji")
    alone = evaluate(model, with_emoji).model.bits_per_character
    assert measured.texts == len(with_emoji) >= MIN_TEXTS
    assert measured.bits_per_character is not None and alone is not None
    assert measured.bits_per_character.value == pytest.approx(alone.value)


def test_no_text_has_no_slice(folder_of: Callable[[str], Path]) -> None:
    model: Completer = kammil.load(folder_of("ngram"))
    assert slices(model, [" ", ""]) == []


def _names(found: list[Slice], criterion: str) -> list[str]:
    return [each.name for each in found if each.criterion == criterion]
