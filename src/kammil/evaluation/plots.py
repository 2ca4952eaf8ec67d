"""Figures of results for files, notebooks and, as SVG in the page's fonts and colours, reports.

matplotlib >= 3.11 shapes and orders Arabic itself. Colours are never the only difference: lines have dashes.
"""

from __future__ import annotations

import io
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
from kammil.evaluation.bootstrap import Array, Interval
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.measures import KEYS, MEASURES, show
from kammil.evaluation.ranking import RANKED_BY, LearningCurve, Ranking
from kammil.evaluation.typing_report import BINS, Calibration
from kammil.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

_COLOURS = ("#0b57d0", "#b3400a", "#1a7f37", "#8a2a9b", "#a1133f", "#00707a", "#6b5500", "#4d4d57")
_INK, _QUIET, _LINE = "#16181d", "#54585f", "#c9ccd3"
_VARIABLES = {"ink": _INK, "quiet": _QUIET, "line": _LINE, **{f"s{i}": colour for i, colour in enumerate(_COLOURS)}}
"""Variable of `style.css` -> colour in its light theme."""
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
"""Inches of a chart: the width of a phone."""
_SHORT, _LINE_HEIGHT = 24, 0.2
"""Characters of a label that leave room beside it; inches of a line."""
MIN_DRAWN = 20
"""Minimum number of suggestions of a drawn bin."""


@dataclass(frozen=True)
class Chart:
    """One panel of a figure."""

    title: str
    x: str
    y: str
    draw: Callable[[Axes], None]
    height: float = 3.0


def figure(charts: Sequence[Chart], title: str = "") -> Figure:
    """Draw charts beside one another; `MissingExtraError` without matplotlib."""
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
        if title:
            lines = textwrap.wrap(printable(title), 27 * len(charts)) or [""]
            drawn.suptitle("\n".join(lines), parse_math=False)
            height += 0.25 * len(lines)
        drawn.set_size_inches(_WIDTH * len(charts), height)
        return drawn


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's ending; `FolderError` if that fails."""
    try:
        storage.write_atomic(path, _rendered(figure, path.suffix[1:].lower() or "png", dpi=150))
    except (ValueError, FolderError) as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise FolderError(f"cannot write the figure {path}: {reason}; name another file.") from error


def png(figure: Figure) -> bytes:
    """Render a figure as PNG for a notebook."""
    return _rendered(figure, "png", dpi=100)


def _rendered(figure: Figure, format: str, dpi: int) -> bytes:
    out = io.BytesIO()
    with _quiet():
        figure.savefig(out, dpi=dpi, format=format)
    return out.getvalue()


def svg(chart: Chart) -> str:
    """Return a chart as SVG in the page's colour variables, without styles, which its policy forbids.

    Raises: `MissingExtraError` without matplotlib.
    """
    out = io.BytesIO()
    drawn = figure([chart])
    from matplotlib import rc_context

    with _quiet(), rc_context({"svg.hashsalt": chart.title, "svg.fonttype": "none"}):
        drawn.savefig(out, format="svg", transparent=True)
    root = ElementTree.fromstring(out.getvalue())
    for parent in [*root.iter()]:
        for child in [*parent]:
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
        element.attrib, element.tail = attributes, None
        if element.tag != "text":
            element.text = None
    label = ": ".join(filter(None, (chart.title, chart.y, chart.x)))
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    text = ElementTree.tostring(root, "unicode")
    for name, colour in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def ready() -> None:
    """Raise `MissingExtraError` without matplotlib, before long work."""
    try:
        import_module("matplotlib")
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures need matplotlib", "train") from error


def training_curves(
    history: Sequence[Mapping[str, Any]], name: str, *, members: Sequence[Sequence[Mapping[str, Any]]] = ()
) -> list[Chart]:
    """Chart loss and accuracy by epoch, from histories of `metrics.json`; `FolderError` if empty or foreign."""
    name = printable(name)
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
            for part, label, marker in (("train", "training (with dropout)", "o"), ("validation", "validation", "s")):
                values = [scale * value for value in columns[f"{part}_{field}"]]
                axes.plot(columns["epoch"], values, marker=marker, label=label + which)
            kept = best_epoch(columns)
            axes.axvline(kept, color=_QUIET, linewidth=0.8, linestyle=":", label=f"kept: epoch {kept:.2g}{which}")
        _count_along(axes, min(c["epoch"][0] for c in curves), max(c["epoch"][-1] for c in curves))

    return [
        Chart("Loss", "epoch", "bits per character", lambda axes: panel(axes, "bits", 1.0)),
        Chart("Accuracy", "epoch", "characters right, %", lambda axes: panel(axes, "accuracy", 100.0)),
    ]


_COLUMNS = ("epoch", "train_bits", "validation_bits", "train_accuracy", "validation_accuracy", "best")


def history_columns(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the columns of a history; `KeyError`, `TypeError`, `ValueError` or `OverflowError` if foreign."""
    columns = {name: [float(entry[name]) for entry in history] for name in _COLUMNS}
    shares = [float(entry.get("share", 1.0)) for entry in history]  # a cut epoch ends early
    columns["epoch"] = [epoch - 1 + share for epoch, share in zip(columns["epoch"], shares, strict=True)]
    if not np.isfinite(list(columns.values())).all():
        raise ValueError("a figure is no number")
    return columns


def best_epoch(columns: Mapping[str, Sequence[float]]) -> float:
    """Return the epoch whose weights were kept: the last best one."""
    epochs = columns["epoch"]
    return max((epoch for epoch, best in zip(epochs, columns["best"], strict=True) if best), default=epochs[-1])


def accuracy_by_position(evaluation: Evaluation) -> Chart:
    """Chart accuracy at each position, with baselines over the whole target."""
    places = evaluation.by_position
    positions = [place.position for place in places]

    def panel(axes: Axes) -> None:
        for label, shares in (
            ("teacher-forced: it reads the true text", [place.teacher_forced for place in places]),
            ("free-running: it reads what it wrote", [place.free_running for place in places]),
        ):
            value, low, high = _bounds(shares, 100)
            (line,) = axes.plot(positions, value, marker="o", label=label)
            if not np.isnan(low).all():  # no band without bounds
                axes.fill_between(positions, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        for name, label, colour in (
            ("most frequent", "always the most frequent character", _QUIET),
            ("random", "a random character", _INK),
        ):
            baseline = evaluation.baselines.get(name)
            if baseline is not None and baseline.target_top1 is not None:
                axes.axhline(100 * baseline.target_top1.value, color=colour, linestyle=":", linewidth=1, label=label)
        axes.set_ylim(bottom=0)
        _count_along(axes, 1, max(positions))

    return Chart("Accuracy by position", "position after the prompt", "characters right, %", panel)


def reliability(models: Mapping[str, Calibration], name: str) -> list[Chart]:
    """Chart a reliability diagram and a histogram of probabilities; `FolderError` without a suggestion."""
    shown = [(model, found, found.error) for model, found in models.items() if found.error is not None]
    if not shown:
        raise FolderError(
            f"{printable(name)} suggests nothing on these texts, so there is nothing to draw; lower --threshold."
        )

    def diagram(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=_QUIET, label="as often as said")
        for i, (model, found, error) in enumerate(shown):
            label = f"{_named(model)}, error {show(error, percent=True, bounds=False)}"
            bins = [bin for bin in found.bins if bin.suggestions >= MIN_DRAWN]
            axes.plot(
                [bin.probability for bin in bins], [bin.right for bin in bins], marker="o", label=label, **_line(i)
            )
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(0, 1)

    def histogram(axes: Axes) -> None:
        for i, (_, found, _) in enumerate(shown):
            counts = np.zeros(BINS)
            for bin in found.bins:
                counts[min(int(bin.probability * BINS), BINS - 1)] = bin.suggestions
            axes.stairs(counts, np.linspace(0, 1, BINS + 1), color=_line(i)["color"], fill=i == 0, alpha=0.6)

    x = "probability of the first suggestion"
    return [
        Chart("Reliability diagram", x, "share that was right", diagram),
        Chart("How often each probability", x, "suggestions", histogram),
    ]


def intervals(title: str, rows: Sequence[tuple[str, Interval, int | None]], x: str) -> Chart:
    """Chart intervals from the top: name, value, and number of the colour, if any."""

    def panel(axes: Axes) -> None:
        for place, (name, interval, number) in enumerate(rows):
            colour = _INK if number is None else _line(number)["color"]
            value, low, high = _bounds([interval])
            axes.errorbar(value, [place], xerr=[value - low, high - value], fmt="o", color=colour, capsize=3)
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
    """Chart validation bits by training time, and bits on the test texts."""
    numbers = {row.name: i for i, row in enumerate(row for row in ranking.rows if row.family)}
    found = [(row.name, ranking.figures[row.name].get(RANKED_BY)) for row in ranking.rows]
    measured = sorted(((name, i) for name, i in found if i is not None), key=lambda pair: pair[1].value)
    ranked = [(name, i, numbers.get(name)) for name, i in measured if i.value <= 2 * measured[0][1].value]

    def learning(axes: Axes) -> None:
        from matplotlib.ticker import LogLocator

        for row in ranking.rows:
            if row.curve:
                seconds, bits = np.array(row.curve).T
                line, best = _line(numbers.get(row.name, 0)), np.minimum.accumulate(bits)
                axes.plot(seconds, best, marker="o" if len(bits) > 1 else "D", label=_named(row.name), **line)
        _logarithmic(axes, LogLocator(subs=(1, 2, 5)), "{x:g}")

    return [
        Chart("Best so far: lower is better", "seconds of training", "bits per character, validation", learning),
        intervals("How well each predicts: lower is better", ranked, MEASURES[RANKED_BY].title),
    ]


def learning_curve(curve: LearningCurve) -> list[Chart]:
    """Chart bits, characters right and keystrokes saved by number of training texts."""

    def chart(name: str) -> Chart:
        measure = MEASURES[name]
        points = [point for point in curve.points if name in point.figures]

        def panel(axes: Axes) -> None:
            from matplotlib.ticker import FixedLocator

            value, low, high = _bounds([point.figures[name] for point in points], measure.scale)
            sides = np.nan_to_num([value - low, high - value])  # no bar where texts are too few
            texts = [point.texts for point in points]
            axes.errorbar(texts, value, yerr=sides, fmt="o-", color=_COLOURS[0], capsize=3)
            if (guess := curve.random.get(name)) is not None and name != RANKED_BY:
                guessed = measure.scale * guess.value
                axes.axhline(guessed, label="a random guess", color=_INK, linestyle=":", linewidth=1)
            _logarithmic(axes, FixedLocator([point.texts for point in curve.points]), "{x:,.0f}")
            axes.margins(x=0.1)

        return Chart(measure.title, "training texts", measure.title + ", %" * measure.percent, panel)

    return [chart(name) for name in (RANKED_BY, "target_top1", f"{KEYS}3")]


@contextmanager
def _quiet() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def _count_along(axes: Axes, first: float, last: float) -> None:
    axes.set_xlim(first - 0.5, last + 0.5)
    locator: Any = axes.xaxis.get_major_locator()
    locator.set_params(integer=True, min_n_ticks=1)


def _logarithmic(axes: Axes, locator: Locator, form: str) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(form)
    axes.xaxis.set_minor_locator(NullLocator())


def _line(number: int) -> dict[str, Any]:
    return {"color": _COLOURS[number % len(_COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}


def _bounds(intervals: Sequence[Interval], scale: float = 1.0) -> Array:
    """Return values, lower and upper bounds, (3, N), NaN if missing."""
    return scale * np.array([(i.value, i.low, i.high) for i in intervals], np.float64).reshape(-1, 3).T


def _named(name: str, length: int = 16) -> str:
    """Shorten a name and escape dollars, which begin formulas."""
    short = name if len(name) <= length else name[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return printable(short).replace("$", r"\$")
