"""Bootstrap intervals against an independent bootstrap, and where they must be exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.evaluation.bootstrap import (
    MIN_TEXTS,
    Array,
    BootstrapEstimate,
    Interval,
    Statistic,
    estimates,
    quotient,
    ratio,
)

PAIRS = st.lists(st.tuples(st.floats(0, 1000), st.floats(1, 1000)), min_size=MIN_TEXTS, max_size=60)


def arrays(pairs: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    above, below = np.array(pairs, np.float64).T
    return above, below


@given(PAIRS)
def test_the_value_is_the_ratio_of_sums_and_lies_within(pairs: list[tuple[float, float]]) -> None:
    above, below = arrays(pairs)
    interval = ratio(above, below)
    assert interval is not None
    assert interval.value == pytest.approx(sum(a for a, _ in pairs) / sum(b for _, b in pairs))
    assert interval.low is not None and interval.high is not None
    slack = 1e-9 * (1 + interval.value)
    assert interval.low <= interval.value + slack
    assert interval.value <= interval.high + slack
    # No resample is better than the best text or worse than the worst.
    assert min(above / below) - slack <= interval.low
    assert interval.high <= max(above / below) + slack


@given(st.floats(0, 1000), st.floats(1, 1000), st.integers(MIN_TEXTS, 30))
def test_texts_that_are_all_alike_leave_no_doubt(above: float, below: float, n: int) -> None:
    interval = ratio(np.full(n, above), np.full(n, below))
    assert interval is not None
    assert interval.low == pytest.approx(interval.value)
    assert interval.high == pytest.approx(interval.value)


def test_nothing_to_divide_by_gives_no_figure() -> None:
    assert ratio(np.zeros(3), np.zeros(3)) is None
    assert ratio(np.zeros(0), np.zeros(0)) is None


def test_texts_without_a_denominator_count_for_nothing() -> None:
    interval = ratio(np.tile([2.0, 0.0], MIN_TEXTS), np.tile([4.0, 0.0], MIN_TEXTS))
    assert interval is not None
    assert (interval.value, interval.low, interval.high) == (0.5, 0.5, 0.5)


def texts(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of texts, and right characters in them: each text has a difficulty of its own."""
    generator = np.random.default_rng(seed)
    below = generator.integers(10, 140, n).astype(np.float64)
    return generator.binomial(below.astype(int), generator.beta(4, 6, n)).astype(np.float64), below


def width(interval: Interval | None) -> float:
    """Of an interval."""
    assert interval is not None and interval.low is not None and interval.high is not None
    return interval.high - interval.low


@given(st.integers(1, 2 * MIN_TEXTS))
def test_few_texts_have_a_value_and_no_interval(n: int) -> None:
    above, below = texts(n, seed=n)
    interval, whole = ratio(above, below), ratio(np.tile(above, MIN_TEXTS), np.tile(below, MIN_TEXTS))
    assert interval is not None and whole is not None
    assert interval.value == pytest.approx(whole.value)
    assert ((interval.low, interval.high) == (None, None)) == (n < MIN_TEXTS)


def test_a_difference_from_what_is_known_as_a_whole_has_no_interval() -> None:
    columns = np.stack(texts(40, 1), axis=1)
    (each,), (whole,) = (estimates([Statistic(c, quotient)]) for c in (columns, columns.sum(axis=0, keepdims=True)))
    for interval in (whole.minus(each).interval(), each.minus(whole).interval()):
        assert interval == Interval(0.0, None, None)


@pytest.mark.parametrize("n", [MIN_TEXTS, 40, 700])
def test_an_independent_bootstrap_agrees(n: int) -> None:
    above, below = texts(n, seed=n)
    interval = ratio(above, below)
    assert interval is not None
    # How often each text is drawn: one multinomial a resample.
    counts = np.random.default_rng(99).multinomial(n, np.full(n, 1 / n), size=20_000)
    low, high = np.quantile((counts @ above) / (counts @ below), [0.025, 0.975])
    # A 2.5 % quantile of 2,000 normal draws has a standard error of 0.06 sigma, which is 1.5 % of the width.
    assert interval.low == pytest.approx(low, abs=0.08 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.08 * (high - low))


def test_four_times_the_texts_halve_the_interval() -> None:
    above, below = texts(300, seed=1)
    single, fourfold = ratio(above, below), ratio(np.tile(above, 4), np.tile(below, 4))
    assert single is not None
    assert fourfold is not None
    assert fourfold.value == pytest.approx(single.value)
    assert width(single) / width(fourfold) == pytest.approx(2, abs=0.2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.4  # the mean of the Beta(4, 6) above: difficulty does not depend on length
    figures = [ratio(*texts(60, seed)) for seed in range(200)]
    covered = sum(
        f is not None and f.low is not None and f.high is not None and f.low <= truth <= f.high for f in figures
    )
    # 95 % of 200 is 190; three standard deviations are 9, and a bootstrap of 60 texts is a little too narrow.
    assert covered >= 176
    assert covered < 200


def test_many_texts_are_drawn_in_parts_like_few() -> None:
    above, below = texts(5000, seed=2)
    (estimate,) = estimates([Statistic(np.stack([above, below], axis=1), quotient)])
    assert estimate.resampled.shape == (2000,)
    interval = ratio(above, below)
    assert interval is not None
    spread = np.sqrt(((above - interval.value * below) ** 2).sum()) / below.sum()  # of a ratio, to first order
    assert width(interval) == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_a_report_is_reproducible() -> None:
    assert ratio(*texts(50, 3)) == ratio(*texts(50, 3))


# ---- many figures, and differences


def test_figures_share_their_resamples() -> None:
    (a, b), (c, _) = texts(80, 4), texts(80, 5)
    together = estimates([Statistic(np.stack(pair, 1), quotient) for pair in ((a, b), (c, b), (a, b))])
    assert [each.interval() for each in together] == [ratio(a, b), ratio(c, b), ratio(a, b)]


def test_a_paired_difference_is_surer_than_two_figures() -> None:
    above, below = texts(100, 6)
    worse = above + np.random.default_rng(7).normal(1, 0.5, 100)  # hard texts are hard for both
    better, worse_estimate = estimates([Statistic(np.stack([n, below], axis=1), quotient) for n in (above, worse)])
    single, paired = worse_estimate.interval(), worse_estimate.minus(better).interval()
    assert single is not None
    assert paired is not None
    assert paired.value == pytest.approx(((worse - above).sum()) / below.sum())
    assert paired.low is not None and paired.high is not None
    assert 0 < paired.low < paired.value < paired.high
    assert width(paired) < 0.3 * width(single)
    # The difference of two ratios over the same denominators is the ratio of the differences.
    direct = ratio(worse - above, below)
    assert direct is not None
    assert (paired.low, paired.high) == pytest.approx((direct.low, direct.high))


def test_nothing_differs_from_itself() -> None:
    statistic = Statistic(np.stack(texts(30, 8), axis=1), quotient)
    first, second = estimates([statistic, statistic])
    assert first.minus(second).interval() == Interval(0.0, 0.0, 0.0)


def test_any_function_of_sums_has_an_interval() -> None:
    columns = np.random.default_rng(9).random((50, 3))
    (estimate,) = estimates([Statistic(columns, lambda sums: sums[:, 0] * sums[:, 1] - sums[:, 2])])
    total = columns.sum(axis=0)
    assert estimate.value == pytest.approx(total[0] * total[1] - total[2])
    assert estimate.resampled.shape == (2000,)


def test_an_interval_leaves_out_a_fortieth_on_either_side() -> None:
    resampled = np.append(np.random.default_rng(1).permutation(1001) / 1000, np.nan)  # one without a value
    estimate = BootstrapEstimate(0.5, resampled, MIN_TEXTS).interval()
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.5, 0.025, 0.975))
    assert BootstrapEstimate(math.nan, resampled, MIN_TEXTS).interval() is None


def test_a_quotient_of_nothing_is_none() -> None:
    assert quotient(np.array([[1.0, 0.5], [3.0, 4.0], [1.0, 0.0]])) == pytest.approx([2, 0.75, np.nan], nan_ok=True)
    assert estimates([]) == []
    (nothing,) = estimates([Statistic(np.zeros((0, 2)), quotient)])
    assert np.isnan(nothing.value) and np.isnan(nothing.resampled).all()


def test_statistics_of_several_widths_keep_their_columns() -> None:
    generator = np.random.default_rng(2)
    one, two, three = (generator.random((20, k)) for k in (1, 2, 3))

    def weighted(sums: Array) -> Array:
        return sums @ np.arange(1.0, sums.shape[1] + 1)

    joint = estimates([Statistic(columns, weighted) for columns in (two, one, three)])
    for estimate, columns in zip(joint, (two, one, three), strict=True):
        (alone,) = estimates([Statistic(columns, weighted)])
        assert estimate.value == pytest.approx(float(weighted(columns.sum(axis=0, keepdims=True))[0]))
        assert estimate.resampled == pytest.approx(alone.resampled)  # the same texts, whatever stands beside them
