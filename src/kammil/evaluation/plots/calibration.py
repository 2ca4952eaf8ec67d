"""Plot of the calibration of suggestions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kammil.errors import FolderError
from kammil.evaluation.calibration import BINS, Calibration
from kammil.evaluation.plots.canvas import blank, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability(models: Mapping[str, Calibration], title: str) -> Figure:
    """Draw a reliability diagram: the share of suggestions that were right, by their probability.

    Below it stands a histogram of the probabilities. `FolderError` without any suggestion, `MissingExtraError` without
    matplotlib.
    """
    title = title.encode("utf-8", "replace").decode()
    shown = {name: calibration for name, calibration in models.items() if calibration.error is not None}
    if not shown:
        raise FolderError(f"{title} suggests nothing on these texts, so there is nothing to draw; lower --threshold.")
    figure = blank(5.5, 7.0)
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], ":", color="grey", label="as often as said")
    edges = np.linspace(0, 1, BINS + 1)
    for i, (name, calibration) in enumerate(shown.items()):
        predicted = np.array([bin.probability for bin in calibration.bins])
        sizes = np.array([bin.suggestions for bin in calibration.bins])
        right = np.array([bin.right for bin in calibration.bins])
        error = calibration.error.value if calibration.error is not None else np.nan
        above.plot(
            predicted, right, "o-", color=f"C{i}", markersize=4, label=f"{named(name)}, error {100 * error:.1f} %"
        )
        counts = np.zeros(BINS)
        counts[np.minimum((predicted * BINS).astype(np.int64), BINS - 1)] = sizes
        below.stairs(counts, edges, color=f"C{i}", fill=i == 0, alpha=0.6)
    above.set_ylabel("share that was right")
    above.set_ylim(-0.02, 1.02)
    above.set_xlim(0, 1)
    above.legend()
    below.set_ylabel("suggestions")
    below.set_xlabel("probability of the first suggestion")
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.3)
    figure.suptitle(textwrap.fill(title, 40), parse_math=False)
    return figure
