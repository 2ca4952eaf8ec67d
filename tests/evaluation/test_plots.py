"""Figures: two panels, whole labels, Arabic as it is written."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from kammil.errors import FolderError
from kammil.evaluation import plots
from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.evaluate import Evaluation, PositionAccuracy
from kammil.evaluation.metrics import Metrics
from kammil.evaluation.ranking import CurvePoint, LearningCurve
from kammil.evaluation.typing_report import Calibration, calibration


def history(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": n,
            "train_bits": 6 - n / 4,
            "validation_bits": 6.2 - n / 5,
            "train_accuracy": n / 20,
            "validation_accuracy": n / 25,
            "best": n <= 3,
        }
        for n in range(1, epochs + 1)
    ]


def curves(epochs: int, title: str = "mine") -> Figure:
    return plots.figure(plots.training_curves(history(epochs), title), title)


def labels(figure: Figure) -> list[list[str]]:
    """Labels of the legend of each chart."""
    return [[text.get_text() for text in one.legends[0].get_texts()] for one in figure.subfigs if one.legends]


def numbers(data: object) -> list[float]:
    return np.asarray(data, np.float64).tolist()


def test_two_panels_hold_the_history() -> None:
    figure = curves(5, "mine")
    left, right = figure.axes
    assert (left.get_title(), left.get_xlabel(), left.get_ylabel()) == ("Loss", "epoch", "bits per character")
    assert (right.get_title(), right.get_xlabel(), right.get_ylabel()) == ("Accuracy", "epoch", "characters right, %")
    for axes, field, scale in ((left, "bits", 1), (right, "accuracy", 100)):
        train, validation, best = axes.get_lines()
        assert numbers(train.get_xdata()) == numbers(validation.get_xdata()) == [1, 2, 3, 4, 5]
        assert numbers(train.get_ydata()) == pytest.approx([scale * entry[f"train_{field}"] for entry in history(5)])
        assert numbers(validation.get_ydata()) == pytest.approx(
            [scale * entry[f"validation_{field}"] for entry in history(5)]
        )
        assert numbers(best.get_xdata()) == [3, 3]
    assert labels(figure) == [["training (with dropout)", "validation", "kept: epoch 3"]] * 2
    assert figure.get_suptitle() == "mine"


def test_members_are_drawn_beside_each_other() -> None:
    figure = plots.figure(plots.training_curves([], "mine", members=[history(3), history(5), []]))
    for axes in figure.axes:
        labels = [str(line.get_label()) for line in axes.get_lines()]
        assert [label for label in labels if label.startswith("validation")] == [
            "validation, member 1",
            "validation, member 2",
        ]
        assert axes.get_xlim() == (0.5, 5.5)
    assert numbers(figure.axes[0].get_lines()[4].get_ydata()) == pytest.approx(
        [entry["validation_bits"] for entry in history(5)]
    )


def evaluated(places: int, *, intervals: bool = True) -> Evaluation:
    """An evaluation with the shares 1/1, 1/2, ... teacher-forced, half as much free-running."""

    def share(value: float) -> Interval:
        return Interval(value, value - 0.01, value + 0.01) if intervals else Interval(value, None, None)

    nothing = Metrics(*[None] * len(dataclasses.fields(Metrics)))
    by_position = tuple(
        PositionAccuracy(n, 5, share(1 / n), share(0.5 / n), share(0.5 / n)) for n in range(1, places + 1)
    )
    baselines = {"random": dataclasses.replace(nothing, target_top1=share(0.01)), "unigram": nothing}
    return Evaluation(5, 50, 25, 0, 0, "texts", nothing, baselines, by_position)


@pytest.mark.parametrize("places", [1, 2, 30])
def test_accuracy_by_position_is_drawn(places: int) -> None:
    (axes,) = plots.figure([plots.accuracy_by_position(evaluated(places))], "mine $x$").axes
    teacher, own, chance = axes.get_lines()
    assert numbers(teacher.get_xdata()) == numbers(own.get_xdata()) == [*range(1, places + 1)]
    assert numbers(teacher.get_ydata()) == pytest.approx([100 / n for n in range(1, places + 1)])
    assert numbers(own.get_ydata()) == pytest.approx([50 / n for n in range(1, places + 1)])
    assert numbers(chance.get_ydata()) == pytest.approx([1, 1]) and chance.get_label() == "a random character"
    assert len(axes.collections) == 2  # the bands of both
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("position after the prompt", "characters right, %")
    (few,) = plots.figure([plots.accuracy_by_position(evaluated(places, intervals=False))]).axes
    assert len(few.collections) == 0


@pytest.mark.parametrize("intervals", [True, False])
def test_a_learning_curve_is_drawn_against_the_texts(intervals: bool) -> None:
    def figures(value: float) -> dict[str, Interval]:
        low, high = (value - 0.1, value + 0.2) if intervals else (None, None)
        return {name: Interval(value, low, high) for name in ("target_bits_per_character", "target_top1")}

    points = tuple(CurvePoint(f"{n}-texts", n, 10 * n, 1.0, figures(8 / n), {}) for n in (2, 4, 8))
    curve = LearningCurve(points, {"target_top1": Interval(0.01, None, None)})
    figure = plots.figure(plots.learning_curve(curve), "mine $x$")
    bits, right, keys = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "bits per character, target",
        "characters right, target, %",
        "keystrokes saved, 3 suggestions, %",
    ]
    assert numbers(bits.get_lines()[0].get_xdata()) == [2, 4, 8]
    assert numbers(bits.get_lines()[0].get_ydata()) == [4, 2, 1]
    assert numbers(right.get_lines()[0].get_ydata()) == [400, 200, 100]
    assert numbers(right.get_lines()[-1].get_ydata()) == [1, 1]
    assert numbers(bits.get_xticks()) == numbers(keys.get_xticks()) == [2, 4, 8]
    lower, upper = (numbers(cap.get_ydata()) for cap in bits.get_lines()[1:3])
    assert lower == pytest.approx([v - (0.1 if intervals else 0) for v in (4, 2, 1)])
    assert upper == pytest.approx([v + (0.2 if intervals else 0) for v in (4, 2, 1)])
    FigureCanvasAgg(figure).draw()


@pytest.mark.parametrize("epochs", [1, 2, 40])
@pytest.mark.parametrize("title", ["mine", "نموذجي كمّل", "W" * 255, "نموذجي كمّل " * 20, "a\nb"])
def test_nothing_is_cut_off(epochs: int, title: str) -> None:
    figure = curves(epochs, title)
    FigureCanvasAgg(figure).draw()
    inked = figure.get_tightbbox()  # of all that is drawn, in inches
    width, height = figure.get_size_inches()
    assert inked.x0 >= -0.01
    assert inked.y0 >= -0.01
    assert inked.x1 <= width + 0.01
    assert inked.y1 <= height + 0.01
    assert all(axes.get_window_extent().height > 1.5 * figure.dpi for axes in figure.axes)


def test_epochs_are_whole_numbers() -> None:
    for epochs in (1, 2, 3, 17):
        figure = curves(epochs, "mine")
        FigureCanvasAgg(figure).draw()
        low, high = figure.axes[0].get_xlim()
        shown = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
        assert shown
        assert all(tick == round(tick) for tick in shown)


def pixels(title: str) -> NDArray[np.uint8]:
    """How a title looks: what the figure has above its panels."""
    figure = curves(2, title)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:30].copy()


# Presentation forms of كمّل name each joined shape; a renderer that does not shape draws the letters apart.
JOINED = "\ufedb\ufee4\u0651\ufede"
APART = "\ufed9\u200c\ufee1\u0651\u200c\ufedd"


def test_arabic_letters_are_joined() -> None:
    def width(title: str) -> float:
        figure = curves(2, title)
        FigureCanvasAgg(figure).draw()
        (text,) = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text() == title)
        return text.get_window_extent().width

    assert width("كمّل") == pytest.approx(width(JOINED), abs=1)
    assert width("كمّل") < 0.9 * width(APART)


def test_arabic_runs_from_right_to_left() -> None:
    # The dotted letter is the first: it stands at the right. ZWNJ keeps both letters in their isolated shapes.
    def ink(title: str) -> NDArray[np.int64]:
        return np.flatnonzero((pixels(title)[..., :3] < 128).any(axis=(0, 2)))

    dot_first, dot_last = ink("ب\u200cاا"), ink("اا\u200cب")
    # The wide letter is one broad run of ink; the two alifs are thin.
    assert broadest(dot_first) > broadest_middle(dot_first)
    assert broadest(dot_last) < broadest_middle(dot_last)


def broadest(columns: NDArray[np.int64]) -> float:
    """Middle of the broadest run of inked columns."""
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    return float(max(runs, key=len).mean())


def broadest_middle(columns: NDArray[np.int64]) -> float:
    """Middle of all ink."""
    return float((columns[0] + columns[-1]) / 2)


def test_dollars_are_no_formula(tmp_path: Path) -> None:
    plots.save(curves(2, "$\\foo$ and $x^2$"), tmp_path / "a.png")
    assert (pixels("$x^2$") != pixels("x2")).any()


@pytest.mark.parametrize("title", ["漢字", "👨‍👩‍👧", "\udcff", "\u202eab", "\0"])
def test_any_title_can_be_drawn(tmp_path: Path, title: str) -> None:
    plots.save(curves(2, title), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.png", b"\x89PNG"),
        ("a.PNG", b"\x89PNG"),
        ("a.pdf", b"%PDF"),
        ("a.svg", b"<?xml"),
        ("a", b"\x89PNG"),
        ("نموذج.png", b"\x89PNG"),
    ],
)
def test_the_ending_decides_the_format(tmp_path: Path, name: str, begins: bytes) -> None:
    plots.save(curves(2, "نموذجي"), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.xyz", "a.txt", "missing/a.png", "x" * 300 + ".png", "a\0.png", "."])
def test_a_figure_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(FolderError, match="cannot write the figure") as caught:
        plots.save(curves(2, "mine"), tmp_path / name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_epochs_has_no_curves() -> None:
    with pytest.raises(FolderError, match=r"mine .*gru"):
        plots.training_curves([], "mine")


@pytest.mark.parametrize(
    "content",
    [
        '["epoch"]',
        "[1]",
        "[{}]",
        '[{"epoch": 1}]',
        '{"epoch": 1}',
        "7",
        json.dumps([*history(3), history(1)[0] | {"epoch": float("nan")}]),
        json.dumps([history(1)[0] | {"train_bits": []}]),
        json.dumps([history(1)[0] | {"train_bits": 10**400}]),
        json.dumps([history(1)[0] | {"validation_accuracy": float("inf")}]),
    ],
)
def test_a_foreign_history_is_said(content: str) -> None:
    with pytest.raises(FolderError, match="history of mine") as caught:
        plots.training_curves(json.loads(content), "mine")
    assert "\n" not in str(caught.value)


def judged() -> Calibration:
    generator = np.random.default_rng(0)
    said = [generator.random(50) for _ in range(9)]
    return calibration(said, [generator.random(50) < p for p in said])


@pytest.mark.parametrize("name", ["mine", "نموذجي كمّل", "W" * 60, "$x$"])
def test_a_reliability_diagram_holds_the_bins(name: str) -> None:
    made = judged()
    figure = plots.figure(plots.reliability({name: made}, name), "نموذجي كمّل: as often right as said?")
    FigureCanvasAgg(figure).draw()
    above, below = figure.axes
    diagonal, drawn = above.get_lines()
    assert numbers(diagonal.get_xdata()) == numbers(diagonal.get_ydata()) == [0, 1]
    assert numbers(drawn.get_xdata()) == pytest.approx([bin.probability for bin in made.bins])
    assert numbers(drawn.get_ydata()) == pytest.approx([bin.right for bin in made.bins])
    assert below.get_xlabel() == "probability of the first suggestion"
    inked = figure.get_tightbbox()
    assert inked.x0 >= -0.01 and inked.y0 >= -0.01
    assert inked.y1 <= figure.get_size_inches()[1] + 0.01


def test_two_models_in_one_diagram() -> None:
    silent = calibration([np.zeros(0)], [np.zeros(0, np.bool_)])
    figure = plots.figure(plots.reliability({"a": judged(), "b": judged(), "silent": silent}, "both"))
    assert len(figure.axes[0].get_lines()) == 3
    with pytest.raises(FolderError, match=r"both .*--threshold"):
        plots.reliability({"silent": silent}, "both")


@pytest.mark.parametrize("name", ["mine", "نموذجي", "</svg><script>&", "$x$\u202e"])
def test_a_chart_on_a_page_has_no_style_of_its_own_and_its_text_is_text(name: str) -> None:
    drawn = [plots.svg(chart) for chart in plots.reliability({name: judged()}, name)]
    drawn += [plots.svg(plots.intervals(name, [(name, Interval(2.5, 2.0, 3.0), 0)], "bits"))]
    drawn += [plots.svg(chart) for chart in plots.training_curves(history(3), name)]
    root = ElementTree.fromstring(f"<page>{''.join(drawn)}</page>")
    tags = {element.tag for element in root.iter()}
    assert tags <= {"page", "svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect"}
    assert not any("style" in element.attrib or "font-family" in element.attrib for element in root.iter())
    assert not re.search("#[0-9a-f]{6}", "".join(drawn)), "colours are those of the page"
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert all(svg.attrib["role"] == "img" and svg.attrib["aria-label"] for svg in root)
    assert any(name.replace("$", "") in "".join(text.itertext()).replace("$", "") for text in root.iter("text"))


def test_intervals_stand_in_their_order_from_the_top() -> None:
    rows = [("a", Interval(2.5, 2.0, 3.0), 0), ("b", Interval(3.5, None, None), None)]
    (axes,) = plots.figure([plots.intervals("t", rows, "bits")]).axes
    low, high = axes.get_ylim()
    assert low > high  # the first is above
    assert [text.get_text() for text in axes.texts] == ["a", "2.50", "b", "3.50"]
