"""Results to figures; nothing is computed here. matplotlib >= 3.11 shapes and orders Arabic itself."""

from __future__ import annotations

import textwrap
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.evaluation.calibration import BINS, Calibration
from kammil.evaluation.standings import RANKED_BY, Standings
from kammil.explanation import LIGHT, Explanation, Place, Tempered, label, level
from kammil.text import role, visible, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LINE = 40
"""Characters in a line of an explained text, about: lines break between words."""
_LONGEST = 2000
"""Characters of a text that is drawn: 50 lines, four screens high."""
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


def explained(explanation: Explanation) -> Figure:
    """A text, its words coloured by bits, and below a bar for each character, in reading order.

    A text whose first letter is written from right to left begins at the right. `OptionError` for more than 2,000
    characters, `MissingExtraError` without matplotlib.
    """
    text = explanation.text
    if len(text) > _LONGEST:
        raise OptionError(f"the text has {len(text):,} characters, and a figure holds {_LONGEST:,}; draw a part of it.")
    lines = _lines(text)
    width = min(max(end - begin for begin, end in lines), _LINE) + 1
    figure = _figure(1.2 + 0.24 * max(width, 12), 0.5 + 1.7 * len(lines))
    highest = max([8.0, *(place.bits for place in explanation.places)])
    panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
    for axes, (begin, end) in zip(panels, lines, strict=True):
        _line(axes, text, explanation.places, begin, end)
        axes.set_xlim(begin - 0.6, begin + max(width, 12) - 0.4)
        axes.set_ylim(0, 1.02 * highest)
        axes.set_ylabel("bits")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.grid(visible=True, axis="y", alpha=0.3)
        if _from_right(text):
            axes.invert_xaxis()
            axes.yaxis.tick_right()
            axes.yaxis.set_label_position("right")
    each = explanation.bits_per_character
    title = "" if each is None else f"{each:.2f} bits a character"
    figure.suptitle(title, fontsize="medium")
    return figure


def temperatures(made: Tempered) -> Figure:
    """What may follow a text, one group of bars for each character, one bar for each temperature.

    `MissingExtraError` without matplotlib.
    """
    shown = [label(alternative.text) for alternative in made.alternatives[0]]
    figure = _figure(max(5.0, 0.9 * len(shown)), 3.5)
    axes = figure.subplots()
    share = 0.8 / len(made.temperatures)
    for i, (value, row, bits) in enumerate(zip(made.temperatures, made.alternatives, made.bits, strict=True)):
        places = np.arange(len(row)) - 0.4 + share * (i + 0.5)
        heights = [100 * alternative.probability for alternative in row]
        axes.bar(places, heights, share, label=f"T = {value:g}: {bits:.1f} bits of choice")
    axes.set_xticks(range(len(shown)), shown, parse_math=False, fontsize="large")
    axes.set_ylabel("probability, %")
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.legend()
    # The end of a long text is what decides; a line of its own keeps Arabic apart from English.
    tail = visible(made.text[-_LINE:])
    axes.set_title(f"What may follow\n{tail}" if tail.strip() else "How a text may begin", parse_math=False)
    return figure


def _lines(text: str) -> list[tuple[int, int]]:
    """Where each line of a text begins and ends, broken behind spaces, or anywhere in a longer word.

    The last one holds one position more: the end of the text.
    """
    made: list[tuple[int, int]] = []
    begin, whole = 0, len(text) + 1
    while whole - begin > _LINE:
        space = text.rfind(" ", begin, begin + _LINE)
        end = space + 1 if space > begin else begin + _LINE
        made.append((begin, end))
        begin = end
    return [*made, (begin, whole)]


def _line(axes: Axes, text: str, places: Sequence[Place], begin: int, end: int) -> None:
    """One line: bars with each character by itself below, words as they are written above."""
    bits = [place.bits for place in places[begin:end]]
    axes.bar(range(begin, end), bits, 0.8, color=[LIGHT[level(b)] for b in bits], edgecolor="#555555", linewidth=0.6)
    axes.set_xticks(range(begin, end), [label(p.text) for p in places[begin:end]], parse_math=False)
    for tick, place in zip(axes.get_xticklabels(), places[begin:end], strict=True):
        if len(label(place.text)) > 2:  # U+202E, or the end
            tick.set_rotation(90)
            tick.set_fontsize("x-small")
    for first, last in ((max(first, begin), min(last, end)) for first, last in words(text)):
        if first < last:
            mean = sum(place.bits for place in places[first:last]) / (last - first)
            _word(axes, visible(text[first:last]), (first + last - 1) / 2, last - first, LIGHT[level(mean)])


def _word(axes: Axes, word: str, middle: float, characters: int, shade: str) -> None:
    """A word above its bars, small enough to stay above them."""
    # A bar is 0.24 inches wide and a letter 0.14 at 16 points, but for the widest: W, and signs that are phrases.
    wide = sum(
        1.6 if unicodedata.east_asian_width(c) in "WF" or c in "WM﷽ﷺ" else 0.9 for c in word if role(c) != "mark"
    )
    size = min(16.0, 16.0 * 1.5 * characters / max(wide, 1))
    axes.annotate(
        word,
        (middle, 1),
        (0, 6),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=size,
        parse_math=False,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": shade, "edgecolor": "none"},
    )


def _from_right(text: str) -> bool:
    """Whether the first letter that has a direction is written from right to left (as UAX 9 finds a paragraph's)."""
    strong = (unicodedata.bidirectional(c) for c in text)
    return next((direction != "L" for direction in strong if direction in ("L", "R", "AL")), False)


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
