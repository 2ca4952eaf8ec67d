"""Plot of accuracy by position after the prompt."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from kammil.evaluation.plots.canvas import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kammil.evaluation.evaluate import Evaluation


def accuracy_by_position(evaluation: Evaluation, title: str) -> Figure:
    """Draw the share of characters right at each position after the prompt, fed the truth and fed the model's own text.

    Bands are 95 % intervals; dotted lines are the baselines over the whole target. `MissingExtraError` without
    matplotlib.
    """
    title = title.encode("utf-8", "replace").decode()
    figure = blank(7.0, 4.5)
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    places = evaluation.by_position
    positions = [place.position for place in places]
    for colour, label, shares in (
        ("C0", "teacher-forced: it reads the true text", [place.teacher_forced for place in places]),
        ("C1", "free-running: it reads what it wrote", [place.free_running for place in places]),
    ):
        axes.plot(positions, [100 * share.value for share in shares], "o-", color=colour, label=label, markersize=3)
        bounds = [(share.low, share.high) for share in shares]
        low, high = (
            [math.nan if bound is None else 100 * bound for bound in each] for each in zip(*bounds, strict=True)
        )
        if not all(map(math.isnan, low)):  # the band is where there are texts enough
            axes.fill_between(positions, low, high, color=colour, alpha=0.2, linewidth=0)
    for name, colour in (("most frequent", "grey"), ("random", "black")):
        baseline = evaluation.baselines.get(name)
        if baseline is not None and baseline.target_top1 is not None:
            label = "always the most frequent character" if name == "most frequent" else "a random character"
            axes.axhline(100 * baseline.target_top1.value, color=colour, linestyle=":", linewidth=1, label=label)
    axes.set_xlabel("position after the prompt")
    axes.set_ylabel("characters right, %")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, max(positions) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    axes.set_title(textwrap.fill(title, 45), parse_math=False)
    return figure
