"""Plots of an explained text, and of one distribution at several temperatures."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kammil.completion.explain.attribution import CharacterScore, Explanation, TemperatureSweep
from kammil.completion.explain.display import LIGHT, level, visible_label
from kammil.errors import OptionError
from kammil.evaluation.plots.canvas import blank
from kammil.text import role, visible, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE_LENGTH = 40
"""Most characters in a line of an explained text; lines break between words."""
_MAX_CHARACTERS = 2000
"""Most characters of a text that is drawn: 50 lines, four screens high."""


def explained(explanation: Explanation) -> Figure:
    """Draw a text, its words coloured by bits, and below them a bar for each character, in reading order.

    A text whose first letter is written from right to left begins at the right. `OptionError` for more than 2,000
    characters, `MissingExtraError` without matplotlib.
    """
    text = explanation.text
    if len(text) > _MAX_CHARACTERS:
        raise OptionError(
            f"the text has {len(text):,} characters, and a figure holds {_MAX_CHARACTERS:,}; draw a part of it."
        )
    lines = _lines(text)
    width = min(max(end - begin for begin, end in lines), _LINE_LENGTH) + 1
    figure = blank(1.2 + 0.24 * max(width, 12), 0.5 + 1.7 * len(lines))
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
    mean_bits = explanation.bits_per_character
    title = "" if mean_bits is None else f"{mean_bits:.2f} bits a character"
    figure.suptitle(title, fontsize="medium")
    return figure


def temperatures(sweep: TemperatureSweep) -> Figure:
    """Draw what may follow a text: one group of bars for each character, one bar for each temperature.

    `MissingExtraError` without matplotlib.
    """
    shown = [visible_label(alternative.text) for alternative in sweep.alternatives[0]]
    figure = blank(max(5.0, 0.9 * len(shown)), 3.5)
    axes = figure.subplots()
    bar_width = 0.8 / len(sweep.temperatures)
    for i, (value, row, bits) in enumerate(zip(sweep.temperatures, sweep.alternatives, sweep.bits, strict=True)):
        places = np.arange(len(row)) - 0.4 + bar_width * (i + 0.5)
        heights = [100 * alternative.probability for alternative in row]
        axes.bar(places, heights, bar_width, label=f"T = {value:g}: {bits:.1f} bits of choice")
    axes.set_xticks(range(len(shown)), shown, parse_math=False, fontsize="large")
    axes.set_ylabel("probability, %")
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.legend()
    # The end of a long text is what decides; a line of its own keeps Arabic apart from English.
    tail = visible(sweep.text[-_LINE_LENGTH:])
    axes.set_title(f"What may follow\n{tail}" if tail.strip() else "How a text may begin", parse_math=False)
    return figure


def _lines(text: str) -> list[tuple[int, int]]:
    """Break a text into lines, (begin, end) each, behind spaces, or anywhere in a longer word.

    The last one holds one position more: the end of the text.
    """
    lines: list[tuple[int, int]] = []
    begin, end_of_text = 0, len(text) + 1
    while end_of_text - begin > _LINE_LENGTH:
        space = text.rfind(" ", begin, begin + _LINE_LENGTH)
        end = space + 1 if space > begin else begin + _LINE_LENGTH
        lines.append((begin, end))
        begin = end
    return [*lines, (begin, end_of_text)]


def _line(axes: Axes, text: str, places: Sequence[CharacterScore], begin: int, end: int) -> None:
    """Draw one line: bars with each character by itself below them, and the words above."""
    bits = [place.bits for place in places[begin:end]]
    # The end stays unpainted: a text may be shown before it is finished.
    shades = [LIGHT[level(place.bits) if place.text else 0] for place in places[begin:end]]
    axes.bar(range(begin, end), bits, 0.8, color=shades, edgecolor="#555555", linewidth=0.6)
    axes.set_xticks(range(begin, end), [visible_label(p.text) for p in places[begin:end]], parse_math=False)
    for tick, place in zip(axes.get_xticklabels(), places[begin:end], strict=True):
        if len(visible_label(place.text)) > 2:  # U+202E, or the end
            tick.set_rotation(90)
            tick.set_fontsize("x-small")
    for first, last in ((max(first, begin), min(last, end)) for first, last in words(text)):
        if first < last:
            mean = sum(place.bits for place in places[first:last]) / (last - first)
            _word(axes, visible(text[first:last]), (first + last - 1) / 2, last - first, LIGHT[level(mean)])


def _word(axes: Axes, word: str, middle: float, characters: int, shade: str) -> None:
    """Write a word above its bars, in a size that is no wider than they are."""
    # A bar is 0.24 inches wide and a letter 0.14 at 16 points, but for the widest: W, and signs that are phrases.
    em_widths = sum(
        1.6 if unicodedata.east_asian_width(c) in "WF" or c in "WM﷽ﷺ" else 0.9 for c in word if role(c) != "mark"
    )
    size = min(16.0, 16.0 * 1.5 * characters / max(em_widths, 1))
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
    """Return whether the first letter with a direction is written from right to left (rules P2 and P3 of UAX 9)."""
    strong = (unicodedata.bidirectional(c) for c in text)
    return next((direction != "L" for direction in strong if direction in ("L", "R", "AL")), False)
