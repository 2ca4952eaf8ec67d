"""Plot of a comparison of families: learning curves and final bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kammil.evaluation.plots.canvas import blank
from kammil.evaluation.ranking import RANKED_BY, Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison(ranking: Ranking) -> Figure:
    """Draw two panels: how fast each family learns, and how well each row predicts the test texts in the end.

    Left: bits a character on the validation texts, the best so far, against seconds of training; a family that counts
    is one point. Right: bits a character of the target with 95 % intervals. Rows with more than twice the bits of the
    best, such as a uniform guess, are left out: they would squeeze the others. `MissingExtraError` without matplotlib.
    """
    figure = blank(11.0, max(4.0, 1.2 + 0.3 * len(ranking.rows)))
    from matplotlib.ticker import LogLocator, NullLocator

    shown = {row.name: ranking.figures[row.name].get(RANKED_BY) for row in ranking.rows}
    scale = 2 * min(interval.value for interval in shown.values() if interval is not None)
    ranked = [(name, interval) for name, interval in shown.items() if interval is not None and interval.value <= scale]
    left, right = figure.subplots(1, 2)
    colours = {row.name: f"C{i % 10}" for i, row in enumerate(row for row in ranking.rows if row.family)}
    for row in ranking.rows:
        if row.curve:
            seconds, bits = np.array(row.curve).T
            so_far = np.minimum.accumulate(bits)
            style = "-o" if len(bits) > 1 else "D"
            left.plot(seconds, so_far, style, color=colours[row.name], label=row.name, markersize=4)
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_locator(NullLocator())
    left.set_xlabel("seconds of training")
    left.set_ylabel("bits per character, validation, best so far")
    left.set_title("How fast each learns: lower is better")
    left.grid(visible=True, which="both", alpha=0.3)
    left.legend()
    ranked.sort(key=lambda pair: -pair[1].value)
    for place, (name, interval) in enumerate(ranked):
        low, high = (interval.value if bound is None else bound for bound in (interval.low, interval.high))
        sides = [[interval.value - low], [high - interval.value]] if interval.low is not None else None
        right.errorbar([interval.value], [place], xerr=sides, fmt="o", color=colours.get(name, "black"), capsize=3)
        right.annotate(f"{interval.value:.2f}", (high, place), (6, 0), textcoords="offset points", va="center")
    right.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    right.set_xlabel("bits per character of the target, test; 95 % intervals")
    right.set_title("How well each predicts: lower is better")
    right.margins(x=0.15)
    right.grid(visible=True, axis="x", alpha=0.3)
    return figure
