"""Accuracy by position, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.completion.scoring import TokenScores
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.positions import accuracy_by_position


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
