"""Learning curves: figures, paired gains, and the sentence on them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from kammil.evaluation.bootstrap import MIN_TEXTS, ratio
from kammil.evaluation.learning_curve import CurvePoint, LearningCurve, learning_curve
from kammil.evaluation.ranking import RANKED_BY

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
