"""Calibration: bins against a count by hand, the error of those who know and of those who boast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.evaluation.calibration import BINS, calibration

PREDICTIONS = st.lists(
    st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), max_size=8).map(lambda pairs: pairs), min_size=1, max_size=6
)


@given(PREDICTIONS)
def test_the_error_is_the_mean_distance_in_bins(texts: list[list[tuple[float, bool]]]) -> None:
    calibrated = calibration(
        [np.array([p for p, _ in t]) for t in texts], [np.array([r for _, r in t], bool) for t in texts]
    )
    pairs = [pair for text in texts for pair in text]
    if not pairs:
        assert calibrated.error is None and calibrated.bins == ()
        return
    total, bins = 0.0, []
    for b in range(BINS):
        inside = [(p, r) for p, r in pairs if min(int(p * BINS), BINS - 1) == b]
        if inside:
            predicted, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            bins.append((len(inside), predicted, right))
            total += len(inside) * abs(predicted - right)
    assert calibrated.error is not None
    assert calibrated.error.value == pytest.approx(total / len(pairs))
    assert [(b.suggestions, b.probability, b.right) for b in calibrated.bins] == [pytest.approx(b) for b in bins]


def test_who_knows_and_who_boasts() -> None:
    generator = np.random.default_rng(0)
    predicted = [generator.random(500) for _ in range(20)]
    knows = calibration(predicted, [generator.random(500) < p for p in predicted])
    boasts = calibration(predicted, [generator.random(500) < p / 2 for p in predicted])
    assert knows.error is not None and knows.error.value < 0.02
    error = boasts.error
    assert error is not None and error.low is not None and error.high is not None
    assert error.low < 0.25 < error.high
