"""Training curves: the notebook's two panels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kammil.errors import FolderError
from kammil.plots.canvas import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("epoch", "train_bits", "validation_bits", "train_accuracy", "validation_accuracy", "best")


def training_curves(history: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """The notebook's two panels: loss and accuracy by epoch, training and validation.

    Args:
        history: one mapping an epoch, as in `metrics.json`.
        title: stands above; any script, in several lines if it is long.

    Raises: `FolderError` without an epoch or for a foreign history, `MissingExtraError` without matplotlib.
    """
    title = title.encode("utf-8", "replace").decode()  # a folder's name may hold bytes that are no text
    if not history:
        raise FolderError(f"{title} was not trained in epochs, so there are no curves; try a model of family gru.")
    try:
        columns = {name: [float(entry[name]) for entry in history] for name in _COLUMNS}
        if not np.isfinite(list(columns.values())).all():
            raise ValueError("a figure is no number")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FolderError(
            f"the training history of {title} is not one of ours; copy the model folder again."
        ) from error
    figure = blank(10.0, 4.0)
    epochs = columns["epoch"]
    best = max((epoch for epoch, best in zip(epochs, columns["best"], strict=True) if best), default=epochs[-1])
    left, right = figure.subplots(1, 2)
    for axes, field, scale, named in (
        (left, "bits", 1.0, "bits per character"),
        (right, "accuracy", 100.0, "characters right, %"),
    ):
        for part, style in (("train", "o-"), ("validation", "s-")):
            values = [scale * value for value in columns[f"{part}_{field}"]]
            name = "training (with dropout)" if part == "train" else "validation"
            axes.plot(epochs, values, style, label=name, markersize=3)
        axes.axvline(best, color="grey", linewidth=0.8, linestyle=":", label=f"kept: epoch {best:.0f}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(named)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)  # room, also around a single epoch
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    left.set_title("Loss")
    right.set_title("Accuracy")
    # 55 wide letters fill the width; a name may hold dollars and means no formula by them.
    figure.suptitle(textwrap.fill(title, 55), parse_math=False)
    return figure
