"""A comparison in words: tables for people, and the folder's `README.md`. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kammil.evaluation.intervals import Figure
from kammil.evaluation.scorecard import MEASURES
from kammil.evaluation.standings import RANKED_BY, Row, Standings

FIGURE = "comparison.png"

_COSTS: dict[str, Callable[[Row], str]] = {
    "params": lambda row: "" if row.parameters is None else f"{row.parameters:,}",
    "folder": lambda row: "" if row.folder_bytes is None else _size(row.folder_bytes),
    "training": lambda row: "" if row.training_seconds is None else f"{row.training_seconds:.1f} s",
    "complete": lambda row: "" if row.completion_seconds is None else f"{1000 * row.completion_seconds:.1f} ms",
}
"""What a model costs: heading -> cell."""


def tables(standings: Standings) -> list[list[list[str]]]:
    """Two tables of 100 columns at most, each a heading and a row for each predictor: how well it predicts, what it
    writes and costs."""
    whole = "bits_per_character_with_end"
    predicts = [["", MEASURES[RANKED_BY].title, "minus the best", *_titles(whole, "target_top1", "target_top3")]]
    writes = [["", *_titles("next_word", "keystrokes_saved", "chrf", "bleu", "new"), *_COSTS]]
    for row in standings.rows:
        predicts.append(
            [
                row.name,
                _cell(standings, row, RANKED_BY, bounds=True),
                difference(standings, row, RANKED_BY),
                _cell(standings, row, whole, bounds=True),
                *(_cell(standings, row, name) for name in ("target_top1", "target_top3")),
            ]
        )
        named = ("next_word", "keystrokes_saved", "chrf", "bleu", "new")
        writes.append(
            [row.name, *(_cell(standings, row, name) for name in named), *(cell(row) for cell in _COSTS.values())]
        )
    return [predicts, writes]


def notes(standings: Standings) -> list[str]:
    """What must be known to read the tables, a sentence each."""
    data = standings.data
    chosen = "; ".join(f"{row.name}: {row.note}" for row in standings.rows if row.note)
    sizes = f"{data['training_texts']:,} training texts, {data['validation_texts']:,} to choose by"
    leaks = f"{data['test_exact_leaks']} stand in the training part and {data['test_near_leaks']} are near-duplicates"
    said = (
        f"{sizes}, {data['test_texts']:,} to test on; {data['minutes']:g} min of training each at most.",
        f"Of the test texts, {leaks} of a training text.",
        "In brackets 95 % intervals: bootstrap over texts; differences are paired.",
        "Per cent: top-1, top-3, words (next words written exactly), keys (keystrokes saved), new (completions).",
        "Compressors are weighed in bytes of UTF-8 and go on learning while they read the test texts.",
    )
    return [
        *said,
        *([f"Chosen on validation: {chosen}."] if chosen else []),
        *(f"{name} {signature}" for name, signature in standings.signatures.items()),
        *(f"Left out: {name}, {reason}" for name, reason in standings.left_out.items()),
    ]


def markdown(standings: Standings, name: str) -> str:
    """The content of `README.md`: all figures and all differences, with intervals."""
    names = list(MEASURES)
    figures = [["", *_titles(*names)]]
    differences = [["", *_titles(*names)]]
    costs = [["", *_COSTS]]
    for row in standings.rows:
        figures.append([row.name, *(_cell(standings, row, measure, bounds=True) for measure in names)])
        if row.name != standings.best:
            differences.append([row.name, *(difference(standings, row, measure) for measure in names)])
        if row.family:
            costs.append([row.name, *(cell(row) for cell in _COSTS.values())])
    meanings = "\n".join(f"- **{measure.title}**: {measure.meaning}" for measure in MEASURES.values())
    said = "\n".join(f"- {note}" for note in notes(standings))
    return f"""# {name}

Model families on one split of `{standings.data["source"]}` with equal time; the best is **{standings.best}**.

{_markdown(figures)}

![Bits per character against seconds of training, and final figures]({FIGURE})

## Minus the best

{_markdown(differences)}

## What they cost

{_markdown(costs)}

Training and completion are wall-clock times on the machine at hand: median of single completions of up to 30
characters.

## What the columns are

{meanings}

## Notes

{said}
"""


def difference(standings: Standings, row: Row, measure: str) -> str:
    """A row's figure minus that of the best, with its interval; "best" for the best itself."""
    if row.name == standings.best:
        return "best"
    return _shown(standings.differences[row.name].get(measure), measure, bounds=True, sign="+")


def _cell(standings: Standings, row: Row, measure: str, *, bounds: bool = False) -> str:
    return _shown(standings.figures[row.name].get(measure), measure, bounds=bounds)


def _shown(figure: Figure | None, measure: str, *, bounds: bool, sign: str = "") -> str:
    """A figure as text, empty if there is none."""
    if figure is None:
        return ""
    scale, digits = MEASURES[measure].scale, MEASURES[measure].digits
    value, low, high = (f"{scale * number:{sign}.{digits}f}" for number in (figure.value, figure.low, figure.high))
    if not bounds or math.isnan(figure.low):
        return value
    return f"{value} ({low}..{high})" if sign else f"{value} ({low}-{high})"


def _titles(*measures: str) -> list[str]:
    return [MEASURES[name].title for name in measures]


def _size(count: int) -> str:
    """Bytes, as people say them."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
