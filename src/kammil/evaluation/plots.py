"""Figures of results, for files, notebooks and reports; nothing is computed here.

matplotlib >= 3.11 shapes and orders Arabic itself. Colours are never the only difference: lines have dashes of their
own. A report holds a figure as SVG in its own fonts and, in a dark theme, in other colours.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from kammil import storage
from kammil.errors import FolderError, MissingExtraError
from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.calibration import BINS, Calibration
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.learning_curve import LearningCurve
from kammil.evaluation.measures import KEYS, MEASURES
from kammil.evaluation.ranking import RANKED_BY, Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0b57d0", "#b3400a", "#1a7f37", "#8a2a9b", "#a1133f", "#00707a", "#6b5500", "#4d4d57")
_INK, _QUIET, _LINE = "#16181d", "#54585f", "#c9ccd3"
_VARIABLES = {"ink": _INK, "quiet": _QUIET, "line": _LINE, **{f"s{i}": colour for i, colour in enumerate(_COLOURS)}}
"""Variable of a page's style sheet -> colour; `style.css` has others for a dark theme."""
_DASHES = ["-", (0, (6, 3)), (0, (2, 3)), (0, (8, 3, 2, 3)), (0, (12, 4)), (0, (4, 2)), (0, (1, 4)), (0, (10, 2, 2, 2))]
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _LINE,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": _LINE,
    "grid.linewidth": 0.75,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.labelcolor": _QUIET,
    "xtick.major.size": 0,
    "ytick.labelcolor": _QUIET,
    "ytick.major.size": 0,
}
_WIDTH = 5.0
"""Inches of a chart; 360 points, the width of a phone."""
_SHORT, _LINE_HEIGHT = 24, 0.2
"""Characters of a label that leave room for another beside it; inches of a line of labels."""
MIN_DRAWN = 20
"""Minimum suggestions of a bin for a point of the reliability diagram: of fewer, the share that is right is chance."""


@dataclass(frozen=True)
class Chart:
    """One panel of a figure."""

    title: str
    x: str
    y: str
    draw: Callable[[Axes], None]
    height: float = 3.0


def figure(charts: Sequence[Chart], title: str = "") -> Figure:
    """Draw charts beside one another, for a file or a notebook; `MissingExtraError` without matplotlib."""
    ready()
    from cycler import cycler
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows even without matplotlib's inline backend."""

        def _repr_png_(self) -> bytes:
            return png(self)

    with _quiet(), rc_context({**_STYLE, "axes.prop_cycle": cycler(color=_COLOURS) + cycler(linestyle=_DASHES)}):
        drawn, height = Shown(layout="constrained"), 0.0
        parts = drawn.subfigures(1, len(charts), squeeze=False)[0]
        for part, chart in zip(parts, charts, strict=True):
            axes = part.subplots()
            chart.draw(axes)
            axes.set_xlabel(chart.x)
            axes.set_ylabel(chart.y)
            if len(charts) > 1:
                axes.set_title(chart.title, fontsize="medium", parse_math=False)
            labels = axes.get_legend_handles_labels()[1]
            columns = 1 if max(map(len, labels), default=0) > _SHORT else 2
            if labels:  # below, where it hides nothing
                part.legend(loc="outside lower left", ncols=columns)
            height = max(height, chart.height + _LINE_HEIGHT * -(-len(labels) // columns))
        if title:  # a folder's name may hold dollars, which begin no formula, and bytes that are no text
            text = title.encode("utf-8", "replace").decode()
            lines = textwrap.wrap(text, 27 * len(charts)) or [""]
            drawn.suptitle("\n".join(lines), parse_math=False)
            height += 0.25 * len(lines)
        drawn.set_size_inches(_WIDTH * len(charts), height)
        return drawn


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file; its ending decides the format (png, svg, pdf), none means png. Raises `FolderError`."""
    out = io.BytesIO()
    try:
        with _quiet():
            figure.savefig(out, dpi=150, format=path.suffix[1:].lower() or "png")
        storage.write_atomic(path, out.getvalue())
    except (ValueError, FolderError) as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise FolderError(f"cannot write the figure {path}: {reason}; name another file.") from error


def png(figure: Figure) -> bytes:
    """Render a figure as PNG, at the resolution of a notebook."""
    out = io.BytesIO()
    with _quiet():
        figure.savefig(out, dpi=100, format="png")
    return out.getvalue()


def svg(chart: Chart) -> str:
    """Return a chart as an SVG element of a page: without styles of its own, which the page's policy forbids, its
    colours variables of the page, its text text. `MissingExtraError` without matplotlib."""
    out = io.BytesIO()
    drawn = figure([chart])
    from matplotlib import rc_context

    with _quiet(), rc_context({"svg.fonttype": "none", "svg.hashsalt": chart.title}):
        drawn.savefig(out, format="svg", transparent=True)
    root = ElementTree.fromstring(out.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.partition("}")[2]
        rules = (rule.partition(":") for rule in element.attrib.pop("style", "").split(";"))
        attributes = {name.strip(): value.strip() for name, _, value in rules if value}
        if font := attributes.pop("font", ""):
            attributes["font-size"] = next(word for word in font.split() if word.endswith("px"))
        attributes.pop("font-family", None)  # that of the page
        attributes |= {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        if element.tag in ("g", "svg"):
            attributes.pop("id", None)
        element.attrib = attributes
        element.tail = None
        if element.tag != "text":
            element.text = None
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": ": ".join(filter(None, (chart.title, chart.y, chart.x))),
    }
    text = ElementTree.tostring(root, "unicode")
    for name, colour in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def ready() -> None:
    """Check that matplotlib is installed, before long work rather than after it; raises `MissingExtraError`."""
    try:
        import_module("matplotlib")
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures need matplotlib", "train") from error


def training_curves(
    history: Sequence[Mapping[str, Any]], name: str, *, members: Sequence[Sequence[Mapping[str, Any]]] = ()
) -> list[Chart]:
    """Chart loss and accuracy by epoch, for training and validation texts.

    Args:
        history: one mapping an epoch, as in `metrics.json`.
        name: of the model.
        members: histories of the members of a merged model, which has no history of its own.

    Raises: `FolderError` without an epoch or for a foreign history.
    """
    name = name.encode("utf-8", "replace").decode()
    histories = [epochs for epochs in (history, *members) if epochs]
    if not histories:
        raise FolderError(
            f"{name} keeps no history of its training (a model that counts has no epochs), so there are no curves; "
            "try a model of family gru."
        )
    try:
        curves = [history_columns(epochs) for epochs in histories]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FolderError(f"the training history of {name} is not one of ours; copy the model folder again.") from error

    def panel(axes: Axes, field: str, scale: float) -> None:
        for number, columns in enumerate(curves, 1):
            which = f", member {number}" if len(curves) > 1 else ""
            for part, label in (("train", "training (with dropout)"), ("validation", "validation")):
                values = [scale * value for value in columns[f"{part}_{field}"]]
                axes.plot(columns["epoch"], values, marker="o" if part == "train" else "s", label=label + which)
            kept = best_epoch(columns)
            label = f"kept: epoch {kept:.2g}{which}"
            axes.axvline(kept, color=_QUIET, linewidth=0.8, linestyle=":", label=label)
        first, last = min(c["epoch"][0] for c in curves), max(c["epoch"][-1] for c in curves)
        axes.set_xlim(first - 0.5, last + 0.5)  # room, also around a single epoch
        _whole_numbers(axes)

    return [
        Chart("Loss", "epoch", "bits per character", lambda axes: panel(axes, "bits", 1.0)),
        Chart("Accuracy", "epoch", "characters right, %", lambda axes: panel(axes, "accuracy", 100.0)),
    ]


_COLUMNS = ("epoch", "train_bits", "validation_bits", "train_accuracy", "validation_accuracy", "best")


def history_columns(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the columns of a history by name; `KeyError`, `TypeError`, `ValueError` or `OverflowError` if foreign."""
    columns = {name: [float(entry[name]) for entry in history] for name in _COLUMNS}
    shares = [float(entry.get("share", 1.0)) for entry in history]  # an epoch that was cut ends where it was cut
    columns["epoch"] = [epoch - 1 + share for epoch, share in zip(columns["epoch"], shares, strict=True)]
    if not np.isfinite(list(columns.values())).all():
        raise ValueError("a figure is no number")
    return columns


def best_epoch(columns: Mapping[str, Sequence[float]]) -> float:
    """Return the epoch whose weights were kept: the last one that was best."""
    epochs = columns["epoch"]
    return max((epoch for epoch, best in zip(epochs, columns["best"], strict=True) if best), default=epochs[-1])


def accuracy_by_position(evaluation: Evaluation) -> Chart:
    """Chart the share of characters right at each position, fed the true text and fed the model's own.

    Bands are 95 % intervals; dotted lines are the baselines over the whole target.
    """
    places = evaluation.by_position

    def panel(axes: Axes) -> None:
        for label, shares in (
            ("teacher-forced: it reads the true text", [place.teacher_forced for place in places]),
            ("free-running: it reads what it wrote", [place.free_running for place in places]),
        ):
            positions = [place.position for place in places]
            (line,) = axes.plot(positions, [100 * share.value for share in shares], marker="o", label=label)
            low = [math.nan if share.low is None else 100 * share.low for share in shares]
            high = [math.nan if share.high is None else 100 * share.high for share in shares]
            if not all(map(math.isnan, low)):  # the band is where there are texts enough
                axes.fill_between(positions, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        for name, label in (("most frequent", "always the most frequent character"), ("random", "a random character")):
            baseline = evaluation.baselines.get(name)
            if baseline is not None and baseline.target_top1 is not None:
                colour = _INK if name == "random" else _QUIET
                axes.axhline(100 * baseline.target_top1.value, color=colour, linestyle=":", linewidth=1, label=label)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0.5, max(place.position for place in places) + 0.5)
        _whole_numbers(axes)

    return Chart("Accuracy by position", "position after the prompt", "characters right, %", panel)


def reliability(models: Mapping[str, Calibration], name: str) -> list[Chart]:
    """Chart the share of suggestions that were right by their probability, and how many there are of each probability.

    Bins of fewer than `MIN_DRAWN` suggestions are left out of the first. `FolderError` without any suggestion.
    """
    shown = {each: calibration for each, calibration in models.items() if calibration.error is not None}
    if not shown:
        name = name.encode("utf-8", "replace").decode()
        raise FolderError(f"{name} suggests nothing on these texts, so there is nothing to draw; lower --threshold.")

    def diagram(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=_QUIET, label="as often as said")
        for i, (each, calibration) in enumerate(shown.items()):
            bins = [bin for bin in calibration.bins if bin.suggestions >= MIN_DRAWN]
            error = f", error {100 * calibration.error.value:.1f} %" if calibration.error is not None else ""
            style: dict[str, Any] = {"color": _COLOURS[i % len(_COLOURS)], "linestyle": _DASHES[i % len(_DASHES)]}
            predicted, right = [bin.probability for bin in bins], [bin.right for bin in bins]
            axes.plot(predicted, right, marker="o", label=_named(each) + error, **style)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(0, 1)

    def histogram(axes: Axes) -> None:
        for i, calibration in enumerate(shown.values()):
            counts = np.zeros(BINS)
            for bin in calibration.bins:
                counts[min(int(bin.probability * BINS), BINS - 1)] = bin.suggestions
            axes.stairs(counts, np.linspace(0, 1, BINS + 1), color=_COLOURS[i % len(_COLOURS)], fill=i == 0, alpha=0.6)

    x = "probability of the first suggestion"
    return [
        Chart("Reliability diagram", x, "share that was right", diagram),
        Chart("How often each probability", x, "suggestions", histogram),
    ]


def intervals(title: str, rows: Sequence[tuple[str, Interval, int | None]], x: str) -> Chart:
    """Chart values with their 95 % intervals from the top: name, value, and the number of its colour if it has one."""

    def panel(axes: Axes) -> None:
        for place, (name, interval, number) in enumerate(rows):
            high = interval.value if interval.high is None else interval.high
            colour = _INK if number is None else _COLOURS[number % len(_COLOURS)]
            sides = None if interval.low is None else [[interval.value - interval.low], [high - interval.value]]
            axes.errorbar([interval.value], [place], xerr=sides, fmt="o", color=colour, capsize=3)
            for text, edge, side in ((_named(name, 60), 0, "left"), (f"{interval.value:.2f}", 1, "right")):
                axes.annotate(
                    text, (edge, place), (0, 7), xycoords=("axes fraction", "data"), textcoords="offset points", ha=side
                )
        axes.set_yticks([])
        axes.set_ylim(len(rows) - 0.5, -0.8)
        axes.margins(x=0.05)
        axes.spines["left"].set_visible(False)

    return Chart(title, f"{x}; 95 % intervals", "", panel, height=0.8 + 0.42 * len(rows))


def comparison(ranking: Ranking) -> list[Chart]:
    """Chart how fast each family learns, and how well each row predicts the test texts in the end.

    First: bits a character on the validation texts, the best so far, against seconds of training; a family that counts
    is one point. Then: bits a character of the target with 95 % intervals. Rows with more than twice the bits of the
    best, such as a uniform guess, are left out: they would squeeze the others.
    """
    numbers = {row.name: i for i, row in enumerate(row for row in ranking.rows if row.family)}
    found = [(row.name, ranking.figures[row.name].get(RANKED_BY)) for row in ranking.rows]
    measured = sorted(((name, i) for name, i in found if i is not None), key=lambda pair: pair[1].value)
    ranked = [(name, i, numbers.get(name)) for name, i in measured if i.value <= 2 * measured[0][1].value]

    def learning(axes: Axes) -> None:
        from matplotlib.ticker import LogLocator, NullLocator

        for row in ranking.rows:
            if row.curve:
                seconds, bits = np.array(row.curve).T
                number = numbers.get(row.name, 0)
                style: dict[str, Any] = {
                    "color": _COLOURS[number % len(_COLOURS)],
                    "linestyle": _DASHES[number % len(_DASHES)],
                }
                marker = "o" if len(bits) > 1 else "D"
                axes.plot(seconds, np.minimum.accumulate(bits), marker=marker, label=_named(row.name), **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())

    return [
        Chart("Best so far: lower is better", "seconds of training", "bits per character, validation", learning),
        intervals("How well each predicts: lower is better", ranked, MEASURES[RANKED_BY].title),
    ]


def learning_curve(curve: LearningCurve) -> list[Chart]:
    """Chart bits, characters right and keystrokes saved against the number of training texts.

    Bars are 95 % intervals; a dotted line is a random guess. The axis of the bits leaves the random guess out, which
    would squeeze the others.
    """

    def chart(name: str) -> Chart:
        measure = MEASURES[name]
        shown = [(point.texts, point.figures[name]) for point in curve.points if name in point.figures]

        def panel(axes: Axes) -> None:
            from matplotlib.ticker import FixedLocator, NullLocator

            values = [measure.scale * i.value for _, i in shown]
            sides = [
                [0.0 if bound is None else measure.scale * abs(bound - i.value) for bound, i in bounds]
                for bounds in ([(i.low, i) for _, i in shown], [(i.high, i) for _, i in shown])
            ]
            axes.errorbar([n for n, _ in shown], values, yerr=sides, fmt="o-", color=_COLOURS[0], capsize=3)
            if (guess := curve.random.get(name)) is not None and name != RANKED_BY:
                style: dict[str, Any] = {"color": _INK, "linestyle": ":", "linewidth": 1}
                axes.axhline(measure.scale * guess.value, label="a random guess", **style)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator([point.texts for point in curve.points]))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.margins(x=0.1)

        return Chart(measure.title, "training texts", measure.title + ", %" * measure.percent, panel)

    return [chart(name) for name in (RANKED_BY, "target_top1", f"{KEYS}3")]


@contextmanager
def _quiet() -> Generator[None]:
    """Leave out the warning of a letter that no font has: it is drawn as a box, which shows the problem."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def _whole_numbers(axes: Axes) -> None:
    locator: Any = axes.xaxis.get_major_locator()
    locator.set_params(integer=True, min_n_ticks=1)


def _named(name: str, length: int = 16) -> str:
    """Shorten a name, and escape dollars, which would begin a formula."""
    short = name if len(name) <= length else name[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return short.encode("utf-8", "replace").decode().replace("$", r"\$")
