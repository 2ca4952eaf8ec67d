"""Figures of a report as shapes in a coordinate system of 360 units width, which the template draws as SVG.

matplotlib (`evaluation.plots`) draws for files and notebooks; here the page's own fonts, colours and dark mode apply,
and a figure is as wide as a phone. Colours are never the only difference: lines have dashes of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 36
_PLOT_HEIGHT = 170
_LEGEND_ROW, _INTERVAL_ROW = 18, 34
STYLES = 8
"""Line styles that the page has; more lines repeat them."""
_TICKS = 5
_MAX_DOTS = 40
"""Most points of a line that are marked by a dot."""


@dataclass(frozen=True)
class Tick:
    """A tick of an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A line of a chart, in units of the drawing."""

    name: str
    style: int
    """0 to `STYLES` - 1; decides colour and dashes."""
    points: str
    """The value of the attribute `points` of an SVG polyline."""
    dots: tuple[tuple[float, float], ...]
    legend: tuple[float, float]
    """Where its sample begins in the legend."""


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes."""

    title: str
    x_label: str
    y_label: str
    height: float
    left: float
    right: float
    top: float
    bottom: float
    """Edges of the plot."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    diagonal: str = ""
    """Points of a thin line that the others are compared with."""
    kind: str = "lines"


@dataclass(frozen=True)
class IntervalRow:
    """One value with its interval, in units of the drawing."""

    label: str
    text: str
    y: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalChart:
    """Values with their intervals, one below the other."""

    title: str
    x_label: str
    height: float
    left: float
    right: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    rows: tuple[IntervalRow, ...]
    kind: str = "intervals"


Series = Sequence[tuple[float, float]]


def lines(
    title: str,
    series: Sequence[tuple[str, Series]],
    *,
    x_label: str,
    y_label: str,
    logarithmic: bool = False,
    integral: bool = False,
) -> LineChart:
    """Lay out series of points (x, y), each with a name, one point at least.

    `logarithmic`: the x axis is, and no x is below a tenth. `integral`: ticks of the x axis are whole numbers.
    """
    every = [(max(x, 0.1) if logarithmic else x, y) for _, points in series for x, y in points]
    x_low, x_high = _range([x for x, _ in every], pad=not logarithmic)
    y_low, y_high = _range([y for _, y in every])
    x_ticks = log_ticks(x_low, x_high) if logarithmic else ticks(x_low, x_high)
    x_ticks = [x for x in x_ticks if not integral or x == round(x)]
    bottom = _TOP + _PLOT_HEIGHT
    right = WIDTH - _RIGHT
    scale: Callable[[float], float] = (lambda x: math.log(max(x, 0.1))) if logarithmic else float
    to_x = _axis(scale(x_low), scale(x_high), _LEFT, right)
    to_y = _axis(y_low, y_high, bottom, _TOP)
    legend_top = bottom + _BOTTOM + 10
    laid: list[Line] = []
    for number, (name, points) in enumerate(series):
        placed = [(round(to_x(scale(x)), 1), round(to_y(y), 1)) for x, y in points]
        at = (_LEFT + (number % 2) * (right - _LEFT) / 2, legend_top + number // 2 * _LEGEND_ROW)
        shown = placed if len(placed) <= _MAX_DOTS else ()
        laid.append(Line(name, number % STYLES, _points(placed), tuple(shown), at))
    height = legend_top + (len(series) + 1) // 2 * _LEGEND_ROW
    return LineChart(
        title,
        x_label,
        y_label,
        height,
        _LEFT,
        right,
        _TOP,
        bottom,
        tuple(Tick(round(to_x(scale(x)), 1), label(x)) for x in x_ticks),
        tuple(Tick(round(to_y(y), 1), label(y)) for y in ticks(y_low, y_high)),
        tuple(laid),
    )


def reliability(title: str, series: Sequence[tuple[str, Series]]) -> LineChart:
    """Lay out a reliability diagram: shares that were right over probabilities, both 0 to 1, and the diagonal."""
    bottom, right = _TOP + _PLOT_HEIGHT + 60, WIDTH - _RIGHT
    to_x, to_y = _axis(0, 1, _LEFT, right), _axis(0, 1, bottom, _TOP)
    legend_top = bottom + _BOTTOM + 10
    laid: list[Line] = []
    for number, (name, points) in enumerate(series):
        placed = [(round(to_x(x), 1), round(to_y(y), 1)) for x, y in points]
        laid.append(Line(name, number, _points(placed), tuple(placed), (_LEFT, legend_top + number * _LEGEND_ROW)))
    fifths = [i / 5 for i in range(6)]
    return LineChart(
        title,
        "probability of the first suggestion, %",
        "right, %",
        legend_top + len(series) * _LEGEND_ROW,
        _LEFT,
        right,
        _TOP,
        bottom,
        tuple(Tick(round(to_x(x), 1), f"{100 * x:.0f}") for x in fifths),
        tuple(Tick(round(to_y(y), 1), f"{100 * y:.0f}") for y in fifths),
        tuple(laid),
        diagonal=_points([(to_x(0), to_y(0)), (to_x(1), to_y(1))]),
    )


def intervals(title: str, rows: Sequence[tuple[str, str, float, float, float]], *, x_label: str) -> IntervalChart:
    """Lay out values with their intervals: label, text of the value, value, low and high of each row, from the top."""
    low, high = _range([x for _, _, *numbers in rows for x in numbers])
    left, right = 10, WIDTH - 14
    to_x = _axis(low, high, left, right)
    laid = [
        IntervalRow(name, text, 26 + number * _INTERVAL_ROW, *(round(to_x(x), 1) for x in (value, lower, upper)))
        for number, (name, text, value, lower, upper) in enumerate(rows)
    ]
    bottom = 8 + len(rows) * _INTERVAL_ROW
    x_ticks = tuple(Tick(round(to_x(x), 1), label(x)) for x in ticks(low, high))
    return IntervalChart(title, x_label, bottom + _BOTTOM, left, right, bottom, x_ticks, tuple(laid))


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers between two numbers: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two numbers above 0, or 1 times them where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if math.log10(high / low) > 2.5 else (1, 2, 5)
    found = [factor * 10.0**power for power in powers for factor in factors]
    return [x for x in found if low * (1 - 1e-9) <= x <= high * (1 + 1e-9)]


def label(number: float) -> str:
    """Format the number of a tick without needless digits."""
    return f"{number:,.0f}" if number == round(number) and abs(number) < 1e15 else f"{number:.10g}"


def _range(numbers: Sequence[float], *, pad: bool = True) -> tuple[float, float]:
    """Return the least and the greatest number, with a little room on both sides; never equal."""
    low, high = min(numbers), max(numbers)
    if high - low < 1e-9 * max(1.0, abs(high)):
        return (low - 0.5, high + 0.5) if pad else (low / 2, high * 2)
    room = 0.05 * (high - low) if pad else 0.0
    return low - room, high + room


def _axis(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    """Return the function from numbers to places, linear, `low` at `begin` and `high` at `end`."""
    return lambda x: begin + (x - low) / (high - low) * (end - begin)


def _points(placed: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in placed)
