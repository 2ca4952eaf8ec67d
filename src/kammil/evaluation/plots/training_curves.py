"""Plot of training curves, in the notebook's two panels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kammil.errors import FolderError
from kammil.evaluation.plots.canvas import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("epoch", "train_bits", "validation_bits", "train_accuracy", "validation_accuracy", "best")


def training_curves(
    history: Sequence[Mapping[str, Any]], title: str, *, members: Sequence[Sequence[Mapping[str, Any]]] = ()
) -> Figure:
    """Draw the notebook's two panels: loss and accuracy by epoch, for training and validation texts.

    Args:
        history: one mapping an epoch, as in `metrics.json`.
        members: histories of the members of a merged model, which has no history of its own.
        title: of the figure; any script, in several lines if it is long.

    Raises: `FolderError` without an epoch or for a foreign history, `MissingExtraError` without matplotlib.
    """
    title = title.encode("utf-8", "replace").decode()  # a folder's name may hold bytes that are no text
    histories = [epochs for epochs in (history, *members) if epochs]
    if not histories:
        raise FolderError(
            f"{title} keeps no history of its training (a model that counts has no epochs), so there are no curves; "
            "try a model of family gru."
        )
    try:
        curves = [history_columns(epochs) for epochs in histories]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FolderError(
            f"the training history of {title} is not one of ours; copy the model folder again."
        ) from error
    figure = blank(10.0, 4.0)
    left, right = figure.subplots(1, 2)
    for axes, field, scale, named in (
        (left, "bits", 1.0, "bits per character"),
        (right, "accuracy", 100.0, "characters right, %"),
    ):
        for number, columns in enumerate(curves, 1):
            which = f", member {number}" if len(curves) > 1 else ""
            for part, style in (("train", "o-"), ("validation", "s-")):
                values = [scale * value for value in columns[f"{part}_{field}"]]
                name = "training (with dropout)" if part == "train" else "validation"
                axes.plot(columns["epoch"], values, style, label=name + which, markersize=3)
            axes.axvline(_best_epoch(columns), color="grey", linewidth=0.8, linestyle=":", label=_label(columns, which))
        axes.set_xlabel("epoch")
        axes.set_ylabel(named)
        first, last = min(c["epoch"][0] for c in curves), max(c["epoch"][-1] for c in curves)
        axes.set_xlim(first - 0.5, last + 0.5)  # room, also around a single epoch
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    left.set_title("Loss")
    right.set_title("Accuracy")
    # 55 wide letters fill the width; a name may hold dollars and means no formula by them.
    figure.suptitle(textwrap.fill(title, 55), parse_math=False)
    return figure


def history_columns(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the columns of a history by name; `KeyError`, `TypeError`, `ValueError` or `OverflowError` if foreign."""
    columns = {name: [float(entry[name]) for entry in history] for name in _COLUMNS}
    shares = [float(entry.get("share", 1.0)) for entry in history]  # an epoch that was cut ends where it was cut
    columns["epoch"] = [epoch - 1 + share for epoch, share in zip(columns["epoch"], shares, strict=True)]
    if not np.isfinite(list(columns.values())).all():
        raise ValueError("a figure is no number")
    return columns


def _best_epoch(columns: Mapping[str, Sequence[float]]) -> float:
    """Return the epoch whose weights were kept."""
    epochs = columns["epoch"]
    return max((epoch for epoch, best in zip(epochs, columns["best"], strict=True) if best), default=epochs[-1])


def _label(columns: Mapping[str, Sequence[float]], which: str) -> str:
    return f"kept: epoch {_best_epoch(columns):.2g}{which}"
