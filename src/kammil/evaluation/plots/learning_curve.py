"""Plot of a learning curve: quality against the amount of text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from kammil.evaluation.learning_curve import LearningCurve
from kammil.evaluation.plots.canvas import blank
from kammil.evaluation.ranking import RANKED_BY
from kammil.evaluation.scorecard import KEYS, MEASURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = {
    RANKED_BY: "bits per character, target",
    "target_top1": "target characters right, %",
    f"{KEYS}3": "keystrokes saved, 3 suggestions, %",
}
"""Measure -> label of its panel."""


def learning_curve(curve: LearningCurve, title: str) -> Figure:
    """Draw three panels against the number of training texts: bits, characters right, keystrokes saved.

    Bars are 95 % intervals; a dotted line is a random guess. The axis of the bits leaves the random guess out, which
    would squeeze the others. `MissingExtraError` without matplotlib.
    """
    figure = blank(12.0, 4.0)
    from matplotlib.ticker import FixedLocator, NullLocator

    texts = [point.texts for point in curve.points]
    for axes, (measure, label) in zip(figure.subplots(1, 3), _PANELS.items(), strict=True):
        scale = MEASURES[measure].scale
        shown = [(point.texts, point.figures[measure]) for point in curve.points if measure in point.figures]
        values = [scale * interval.value for _, interval in shown]
        bounds = [(i.value if i.low is None else i.low, i.value if i.high is None else i.high) for _, i in shown]
        sides = [
            [value - scale * low for value, (low, _) in zip(values, bounds, strict=True)],
            [scale * high - value for value, (_, high) in zip(values, bounds, strict=True)],
        ]
        axes.errorbar([n for n, _ in shown], values, yerr=sides, fmt="o-", capsize=3, markersize=4)
        guess = curve.random.get(measure)
        if guess is not None and measure != RANKED_BY:
            axes.axhline(scale * guess.value, color="black", linestyle=":", linewidth=1, label="a random guess")
            axes.legend()
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(texts))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("training texts")
        axes.set_ylabel(label)
        axes.margins(x=0.1)
        axes.grid(visible=True, alpha=0.3)
    figure.suptitle(textwrap.fill(title.encode("utf-8", "replace").decode(), 70), parse_math=False)
    return figure
