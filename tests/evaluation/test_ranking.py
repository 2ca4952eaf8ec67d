"""Ranking: the best family, and how far each row is from it, on the same texts."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import astuple

import numpy as np
import pytest

from kammil.evaluation.bootstrap import MIN_TEXTS, Array, quotient, ratio
from kammil.evaluation.measures import MEASURES
from kammil.evaluation.ranking import RANKED_BY, CurvePoint, LearningCurve, Row, learning_curve, rank

OTHER = "next_word"


def columns(seed: int, share: float, n: int = 2 * MIN_TEXTS) -> Array:
    """Numerators and denominators (n, 2) of texts whose ratios lie around a share."""
    generator = np.random.default_rng(seed)
    below = generator.integers(10, 60, n).astype(np.float64)
    return np.stack([below * (share + generator.normal(0, 0.01, n)), below], axis=1)


ROWS = [Row("counter", family=True), Row("letters", family=False), Row("network", family=True, note="hidden 32")]


def test_the_family_of_the_fewest_bits_is_the_best() -> None:
    """Not what it is only compared with, however few bits that needs; nor the first row."""
    bits = {"counter": columns(1, 3.0), "letters": columns(2, 1.0), "network": columns(3, 2.0)}
    ranking = rank(ROWS, {name: {RANKED_BY: summed} for name, summed in bits.items()})
    assert ranking.best == "network"
    assert ranking.rows == tuple(ROWS)
    assert {name: list(summed) for name, summed in ranking.differences.items()} == {
        "counter": [RANKED_BY],
        "letters": [RANKED_BY],
        "network": [],
    }
    for name, summed in bits.items():
        interval = ratio(*summed.T)
        assert interval is not None
        assert astuple(ranking.figures[name][RANKED_BY]) == pytest.approx(astuple(interval))


def test_a_difference_is_that_row_less_the_best_text_by_text() -> None:
    best, difficulty = columns(1, 2.0), np.random.default_rng(5).normal(0, 1, 2 * MIN_TEXTS)
    best[:, 0] += difficulty
    worse = best + [[0.5, 0.0]] * len(best)  # half a bit a text, without any doubt but for the lengths
    ranking = rank(ROWS[::2], {"network": {RANKED_BY: best}, "counter": {RANKED_BY: worse}})
    difference = ranking.differences["counter"][RANKED_BY]
    expected = ratio(np.full(len(best), 0.5), best[:, 1])
    assert expected is not None and difference.value == pytest.approx(expected.value)
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))


def test_measures_may_be_missing_and_of_other_texts() -> None:
    measured = {
        "counter": {RANKED_BY: columns(1, 3.0), OTHER: columns(2, 0.4, n=MIN_TEXTS)},
        "letters": {OTHER: np.zeros((MIN_TEXTS, 2))},  # nothing to divide by
        "network": {RANKED_BY: columns(3, 2.0)},
    }
    ranking = rank(ROWS, measured)
    assert MEASURES[OTHER].of is quotient
    assert {name: sorted(intervals) for name, intervals in ranking.figures.items()} == {
        "counter": sorted([RANKED_BY, OTHER]),
        "letters": [],
        "network": [RANKED_BY],
    }
    assert ranking.figures["counter"][OTHER] == ratio(*measured["counter"][OTHER].T)
    assert list(ranking.differences["counter"]) == [RANKED_BY]  # the best has nothing to take away


def test_a_ranking_can_be_written_down() -> None:
    measured = {name: {RANKED_BY: columns(i, 2.0 + i)} for i, name in enumerate(("counter", "letters", "network"))}
    written = json.loads(json.dumps(rank(ROWS, measured).to_dict()))
    assert written["best"] == "counter"
    assert [(row["name"], row["note"]) for row in written["rows"]] == [
        ("counter", ""),
        ("letters", ""),
        ("network", "hidden 32"),
    ]
    interval = ratio(*measured["network"][RANKED_BY].T)
    assert interval is not None and written["rows"][2]["figures"][RANKED_BY]["value"] == interval.value
    assert [list(row["minus_best"]) for row in written["rows"]] == [[], [RANKED_BY], [RANKED_BY]]


N = 3 * MIN_TEXTS


def made(*bits: float, noise: float = 0.0, texts: int = N) -> LearningCurve:
    """A curve whose texts have so many bits a character, hard and easy texts alike for all points."""
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 2, texts)
    points = [CurvePoint(str(i), 10 * (i + 1), 100, 1.0, {}, {}) for i in range(len(bits))]
    columns = {
        str(i): {RANKED_BY: np.stack([b + hard + noise * generator.normal(size=texts), np.ones(texts)], 1)}
        for i, b in enumerate(bits)
    }
    guess = {RANKED_BY: np.stack([np.full(texts, 8.0), np.ones(texts)], 1)}
    return learning_curve(points, columns, guess, {"source": "x"})


def test_figures_are_ratios_and_gains_are_paired() -> None:
    curve = made(4.0, 3.0, 3.0)
    first, second, third = curve.points
    hard = np.random.default_rng(0).normal(0, 2, N)
    width, wanted = first.figures[RANKED_BY], ratio(4.0 + hard, np.ones(N))
    assert wanted is not None and dataclasses.astuple(width) == pytest.approx(dataclasses.astuple(wanted))
    assert width.low is not None and width.high is not None and width.high - width.low > 1
    assert first.gains == {}
    for point, value in ((second, -1), (third, 0)):
        gain = point.gains[RANKED_BY]
        assert (gain.value, gain.low, gain.high) == pytest.approx((value, value, value))  # what is hard cancels
    assert curve.random[RANKED_BY].value == 8
    assert json.loads(json.dumps(curve.to_dict()))["verdict"] == curve.verdict()


@pytest.mark.parametrize(
    ("curve", "sentence"),
    [
        (made(4.0, 3.0), "From 10 to 20 texts the bits per character change by -1.000 (-1.000..-1.000): more texts"),
        (
            made(4.0, 3.0, 5.0),
            "From 20 to 30 texts the bits per character change by +2.000 (+2.000..+2.000): the added",
        ),
        (made(4.0, 4.0, noise=1.0), "whether more texts help cannot be told"),
        (made(4.0, 3.0, texts=MIN_TEXTS - 1), "change by -1.000; the test texts are too few"),
        (made(4.0), "One amount of text makes no curve"),
    ],
)
def test_the_verdict_is_on_the_last_step(curve: LearningCurve, sentence: str) -> None:
    assert sentence in curve.verdict()
