"""Results to figures; nothing is computed here. matplotlib >= 3.11 shapes and orders Arabic itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kammil.errors import FolderError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_curves(history: Sequence[dict[str, Any]], title: str) -> Figure:
    """The notebook's two panels: loss and accuracy by epoch, training and validation.

    Args:
        history: one mapping an epoch, as in `metrics.json`.
        title: stands above; any script.

    Raises: `FolderError` without an epoch, `MissingExtraError` without matplotlib.
    """
    if not history:
        raise FolderError(f"{title} was not trained in epochs, so there are no curves; try a model of family gru.")
    figure = _figure(10.0, 4.0)
    epochs = [entry["epoch"] for entry in history]
    best = max((entry["epoch"] for entry in history if entry["best"]), default=epochs[-1])
    left, right = figure.subplots(1, 2)
    for axes, field, scale, label in (
        (left, "bits", 1.0, "bits per character"),
        (right, "accuracy", 100.0, "characters right, %"),
    ):
        for part, style in (("train", "o-"), ("validation", "s-")):
            values = [scale * entry[f"{part}_{field}"] for entry in history]
            name = "training (with dropout)" if part == "train" else "validation"
            axes.plot(epochs, values, style, label=name, markersize=3)
        axes.axvline(best, color="grey", linewidth=0.8, linestyle=":", label=f"kept: epoch {best}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    left.set_title("Loss")
    right.set_title("Accuracy")
    figure.suptitle(title)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending decides the format (png, svg, pdf)."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot write the figure {path}: {error}; name another file with --out.") from error


def _figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, independent of any window system."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures need matplotlib; run: pip install 'kammil[train]'") from error
    return Figure(figsize=(width, height), layout="constrained")
