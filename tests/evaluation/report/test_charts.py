"""Figures: every point is inside, ticks are round, and the picture of numbers keeps their order."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.evaluation.report import charts

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
POINTS = st.lists(st.tuples(st.floats(0.01, 1e5), NUMBERS), min_size=1, max_size=60)


@given(low=NUMBERS, span=st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    high = low + max(span, 1e-6 * abs(low))
    found = charts.ticks(low, high)
    assert 2 <= len(found) <= 7
    step = found[1] - found[0]
    assert all(low - 1e-6 * step <= x <= high + 1e-6 * step for x in found)
    assert f"{step / 10 ** math.floor(math.log10(step) + 1e-6):.3f}" in ("1.000", "2.000", "5.000")


def test_ticks_by_hand() -> None:
    assert charts.ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert charts.ticks(2.71, 3.04) == [2.8, 2.9, 3.0]
    assert charts.log_ticks(0.5, 60) == [0.5, 1, 2, 5, 10, 20, 50]
    assert charts.log_ticks(1, 1000) == [1, 10, 100, 1000]
    assert [charts.label(x) for x in (3.0, 2.95, 0.1 + 0.2, 12000.0)] == ["3", "2.95", "0.3", "12,000"]


@given(points=POINTS, logarithmic=st.booleans())
def test_every_point_is_inside_the_plot_in_its_order(points: list[tuple[float, float]], logarithmic: bool) -> None:
    points = sorted(points)
    chart = charts.lines("t", [("one", points), ("two", points[:1])], x_label="x", y_label="y", logarithmic=logarithmic)
    for line in chart.lines:
        placed = [tuple(map(float, pair.split(","))) for pair in line.points.split(" ")]
        assert all(chart.left - 0.1 <= x <= chart.right + 0.1 for x, _ in placed)
        assert all(chart.top - 0.1 <= y <= chart.bottom + 0.1 for _, y in placed)
        assert [x for x, _ in placed] == sorted(x for x, _ in placed)
        assert line.legend[1] < chart.height
    first = [float(pair.split(",")[1]) for pair in chart.lines[0].points.split(" ")]
    highest = max(range(len(points)), key=lambda i: points[i][1])
    assert first[highest] == min(first), "a larger number stands higher"
    assert all(chart.left - 0.1 <= tick.at <= chart.right + 0.1 for tick in chart.x_ticks)
    assert all(chart.top - 0.1 <= tick.at <= chart.bottom + 0.1 for tick in chart.y_ticks)


def test_epochs_are_whole_numbers() -> None:
    chart = charts.lines("t", [("a", [(1, 3), (2, 2)])], x_label="epoch", y_label="bits", integral=True)
    assert [tick.label for tick in chart.x_ticks] == ["1", "2"]


def test_a_single_point_has_a_place() -> None:
    chart = charts.lines("t", [("a", [(5.0, 2.5)])], x_label="s", y_label="bits", logarithmic=True)
    assert re.fullmatch(r"[\d.]+,[\d.]+", chart.lines[0].points) and chart.x_ticks and chart.y_ticks


def test_a_reliability_diagram_puts_what_is_calibrated_on_the_diagonal() -> None:
    chart = charts.reliability("t", [("a", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])])
    begin, end = chart.diagonal.split(" ")
    middle = [sum(map(float, pair)) / 2 for pair in zip(begin.split(","), end.split(","), strict=True)]
    assert chart.lines[0].dots[1] == pytest.approx(middle, abs=0.1)
    assert chart.lines[0].points.split(" ")[0] == begin


@given(rows=st.lists(st.tuples(NUMBERS, st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1, max_size=12))
def test_intervals_hold_their_values(rows: list[tuple[float, float, float]]) -> None:
    given_rows = [("name", "1", value, value - below, value + above) for value, below, above in rows]
    chart = charts.intervals("t", given_rows, x_label="x")
    assert all(chart.left - 0.1 <= row.low <= row.value <= row.high <= chart.right + 0.1 for row in chart.rows)
    assert all(row.y < chart.bottom < chart.height for row in chart.rows)
    assert len({row.y for row in chart.rows}) == len(rows)
