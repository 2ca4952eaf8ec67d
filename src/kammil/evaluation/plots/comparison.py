"""A comparison of families: how fast, and how well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kammil.evaluation.plots.canvas import blank
from kammil.evaluation.ranking import RANKED_BY, Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison(standings: Ranking) -> Figure:
    """Two panels: how fast each family learns, and how well each row predicts the test texts in the end.

    Left: bits a character of the validation texts, the best so far, against seconds of training; a family that counts
    is one point. Right: bits a character of the target with 95 % intervals; what pays more than twice the best, as an
    even choice does, would leave the others no room. `MissingExtraError` without matplotlib.
    """
    figure = blank(11.0, max(4.0, 1.2 + 0.3 * len(standings.rows)))
    from matplotlib.ticker import LogLocator, NullLocator

    shown = {row.name: standings.figures[row.name].get(RANKED_BY) for row in standings.rows}
    scale = 2 * min(found.value for found in shown.values() if found is not None)
    ranked = [(name, found) for name, found in shown.items() if found is not None and found.value <= scale]
    left, right = figure.subplots(1, 2)
    colours = {row.name: f"C{i % 10}" for i, row in enumerate(row for row in standings.rows if row.family)}
    for row in standings.rows:
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
    left.set_title("How fast")
    left.grid(visible=True, which="both", alpha=0.3)
    left.legend()
    ranked.sort(key=lambda pair: -pair[1].value)
    for place, (name, found) in enumerate(ranked):
        low, high = (found.value if bound is None else bound for bound in (found.low, found.high))
        sides = [[found.value - low], [high - found.value]] if found.low is not None else None
        right.errorbar([found.value], [place], xerr=sides, fmt="o", color=colours.get(name, "black"), capsize=3)
        right.annotate(f"{found.value:.2f}", (high, place), (6, 0), textcoords="offset points", va="center")
    right.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    right.set_xlabel("bits per character of the target, test; 95 % intervals")
    right.set_title("How well")
    right.margins(x=0.15)
    right.grid(visible=True, axis="x", alpha=0.3)
    return figure
