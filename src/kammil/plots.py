"""Results to figures; nothing is computed here. matplotlib >= 3.11 shapes and orders Arabic itself."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kammil.errors import FolderError, MissingExtraError
from kammil.evaluation.calibration import BINS, Calibration
from kammil.evaluation.standings import RANKED_BY, Standings

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
    figure = _figure(10.0, 4.0)
    epochs = columns["epoch"]
    best = max((epoch for epoch, best in zip(epochs, columns["best"], strict=True) if best), default=epochs[-1])
    left, right = figure.subplots(1, 2)
    for axes, field, scale, label in (
        (left, "bits", 1.0, "bits per character"),
        (right, "accuracy", 100.0, "characters right, %"),
    ):
        for part, style in (("train", "o-"), ("validation", "s-")):
            values = [scale * value for value in columns[f"{part}_{field}"]]
            name = "training (with dropout)" if part == "train" else "validation"
            axes.plot(epochs, values, style, label=name, markersize=3)
        axes.axvline(best, color="grey", linewidth=0.8, linestyle=":", label=f"kept: epoch {best:.0f}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)  # room, also around a single epoch
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    left.set_title("Loss")
    right.set_title("Accuracy")
    # 55 wide letters fill the width; a name may hold dollars and means no formula by them.
    figure.suptitle(textwrap.fill(title, 55), parse_math=False)
    return figure


def comparison(standings: Standings) -> Figure:
    """Two panels: how fast each family learns, and how well each row predicts the test texts in the end.

    Left: bits a character of the validation texts, the best so far, against seconds of training; a family that counts
    is one point. Right: bits a character of the target with 95 % intervals; what pays more than twice the best, as an
    even choice does, would leave the others no room. `MissingExtraError` without matplotlib.
    """
    figure = _figure(11.0, max(4.0, 1.2 + 0.3 * len(standings.rows)))
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
        sides = [[found.value - found.low], [found.high - found.value]]
        right.errorbar([found.value], [place], xerr=sides, fmt="o", color=colours.get(name, "black"), capsize=3)
        right.annotate(f"{found.value:.2f}", (found.high, place), (6, 0), textcoords="offset points", va="center")
    right.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    right.set_xlabel("bits per character of the target, test; 95 % intervals")
    right.set_title("How well")
    right.margins(x=0.15)
    right.grid(visible=True, axis="x", alpha=0.3)
    return figure


def reliability(models: Mapping[str, Calibration], title: str) -> Figure:
    """A reliability diagram: how often suggestions were right against how probable they were said to be.

    Below, how many there are of each probability. `FolderError` without any suggestion, `MissingExtraError` without
    matplotlib.
    """
    title = title.encode("utf-8", "replace").decode()
    drawn = {name: found for name, found in models.items() if found.error is not None}
    if not drawn:
        raise FolderError(f"{title} suggests nothing on these texts, so there is nothing to draw; lower --threshold.")
    figure = _figure(5.5, 7.0)
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], ":", color="grey", label="as often as said")
    edges = np.linspace(0, 1, BINS + 1)
    for i, (name, found) in enumerate(drawn.items()):
        said = np.array([bin.probability for bin in found.bins])
        many = np.array([bin.suggestions for bin in found.bins])
        right = np.array([bin.right for bin in found.bins])
        error = found.error.value if found.error is not None else np.nan
        above.plot(said, right, "o-", color=f"C{i}", markersize=4, label=f"{_label(name)}, error {100 * error:.1f} %")
        counts = np.zeros(BINS)
        counts[np.minimum((said * BINS).astype(np.int64), BINS - 1)] = many
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


def _label(name: str) -> str:
    """A name for a legend: not wider than half the figure, and dollars are no formula."""
    short = name if len(name) <= 16 else name[:15] + "\N{HORIZONTAL ELLIPSIS}"
    return short.encode("utf-8", "replace").decode().replace("$", r"\$")


def ready() -> None:
    """`MissingExtraError` without matplotlib: to be said before long work, not after it."""
    _figure(1.0, 1.0)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending decides the format (png, svg, pdf), and none means png."""
    try:
        with warnings.catch_warnings():
            # A letter that no font at hand has shows as a box, which says it.
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            figure.savefig(path, dpi=150, format=path.suffix[1:].lower() or "png")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FolderError(f"cannot write the figure {path}: {reason}; name another file.") from error


def _figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, independent of any window system."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures need matplotlib; run: pip install 'kammil[train]'") from error
    return Figure(figsize=(width, height), layout="constrained")
