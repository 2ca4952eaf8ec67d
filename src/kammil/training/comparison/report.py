"""Format a comparison: tables for a terminal, and the folder's `README.md`. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kammil.data.audit import cautions
from kammil.evaluation.bootstrap import MIN_TEXTS, Interval
from kammil.evaluation.ranking import RANKED_BY, Ranking, Row
from kammil.evaluation.scorecard import HELP, KEYS, MEASURES, TAKEN
from kammil.evaluation.text_overlap import NO_RUN

FIGURE = "comparison.png"

_COSTS: dict[str, Callable[[Row], str]] = {
    "params": lambda row: "" if row.parameters is None else f"{row.parameters:,}",
    "folder": lambda row: "" if row.folder_bytes is None else _size(row.folder_bytes),
    "training": lambda row: "" if row.training_seconds is None else f"{row.training_seconds:.1f} s",
    "complete": lambda row: "" if row.completion_seconds is None else f"{1000 * row.completion_seconds:.1f} ms",
}
"""Columns of a model's costs: heading -> cell."""


_COST_MEANINGS = {
    "params": "numbers that were learnt",
    "folder": "size on disk",
    "training": "wall-clock time on this machine",
    "complete": "median time of single completions of up to 30 characters on this machine",
}
_WITH_END = "bits_per_character_with_end"
PREDICTS = (RANKED_BY, _WITH_END, "target_top1", "target_top3")
WRITES = ("next_word", "chrf", "bleu", "new")
TYPES = tuple(prefix + name for name in HELP for prefix in (KEYS, TAKEN))
_TERMINAL_TYPING = (f"{KEYS}1", f"{KEYS}3", f"{TAKEN}3", f"{KEYS}5", f"{KEYS}ghost", f"{TAKEN}ghost")
"""Measures of typing that fit into a terminal."""
_WITH_INTERVALS = (RANKED_BY, _WITH_END, f"{KEYS}3", f"{KEYS}ghost")
"""Measures whose intervals fit into a terminal."""


def tables(ranking: Ranking) -> list[list[list[str]]]:
    """Return three tables for a terminal, headings first: how well each row predicts, what it writes and costs, and the
    keystrokes that it saves. A row is in the tables that it has figures for."""

    def row(of: Row, names: Sequence[str]) -> list[str]:
        return [of.name, *(_cell(ranking, of, name, bounds=name in _WITH_INTERVALS) for name in names)]

    predicts = [["", *_titles(*PREDICTS)]]
    writes = [["", *_titles(*WRITES), *_COSTS]]
    types = [["", *_titles(*_TERMINAL_TYPING)]]
    for each in ranking.rows:
        predicts.append(row(each, PREDICTS))
        predicts[-1].insert(2, difference(ranking, each, RANKED_BY))
        writes.append([*row(each, WRITES), *(cell(each) for cell in _COSTS.values())])
        types.append(row(each, _TERMINAL_TYPING))
    predicts[0].insert(2, "minus the best")
    return [[head, *(line for line in rows if any(line[1:]))] for head, *rows in (predicts, writes, types)]


def columns() -> list[list[str]]:
    """Return what the columns of each of `tables` mean, one line each; which way is better is said of every measure."""

    predicts = meanings(*PREDICTS)
    predicts.insert(1, "minus the best: difference of the first column to the best row; in brackets, 95 % intervals")
    costs = [f"{name}: {meaning}" for name, meaning in _COST_MEANINGS.items()]
    return [predicts, [*meanings(*WRITES), *costs], meanings(*_TERMINAL_TYPING)]


def _meaning(measure: str) -> str:
    """Return what a measure means, and which way is better."""
    of = MEASURES[measure]
    if of.best is None:
        return of.meaning
    return f"{of.meaning}; {'lower' if of.best is min else 'higher'} is better"


def notes(ranking: Ranking) -> list[str]:
    """Return the sentences that explain the tables."""
    data = ranking.data
    chosen = "; ".join(f"{row.name}: {row.note}" for row in ranking.rows if row.note)
    sizes = f"{data['training_texts']:,} training texts, {data['validation_texts']:,} to choose by"
    leaks = f"{data['test_exact_leaks']} stand in the training part and {data['test_near_leaks']} are near-duplicates"
    explanations = (
        f"{sizes}, {data['test_texts']:,} to test on; {data['minutes']:g} min of training each at most.",
        f"Of the test texts, {leaks} of a training text.",
        f"In brackets 95 % intervals: bootstrap over texts, none for fewer than {MIN_TEXTS}; differences are paired.",
        f"{data['typed_texts']} of the test texts were typed; the ceiling is that of knowing every word.",
        "Compressors are weighed in bytes of UTF-8 and go on learning while they read the test texts.",
    )
    return [
        *cautions(data["training_texts"], data["training_characters"] / data["training_texts"]),
        *explanations,
        *([f"Chosen on validation: {chosen}."] if chosen else []),
        *(f"{name} {signature}" for name, signature in ranking.signatures.items()),
        *(f"Left out: {name}, {reason}" for name, reason in ranking.left_out.items()),
    ]


def markdown(ranking: Ranking) -> str:
    """Return the content of `README.md`: all figures and all differences from the best, with intervals."""
    columns_mean = "\n".join(f"- **{measure.title}**: {_meaning(name)}" for name, measure in MEASURES.items())
    sentences = "\n".join(f"- {note}" for note in notes(ranking))
    return f"""# Model families on {ranking.data["source"]}

One split, equal time; the best is **{ranking.best}**. The texts are in this folder, `train`, `validation` and `test`,
each model in one of its own: its card says how it is made again.

{_markdown(figure_rows(ranking, *PREDICTS, *WRITES))}

![Bits per character against seconds of training, and final figures]({FIGURE})

## Typing with their help

{_markdown(figure_rows(ranking, *TYPES))}

## Minus the best

{_markdown(difference_rows(ranking, *PREDICTS, *WRITES))}

{_markdown(difference_rows(ranking, *TYPES))}

## What they cost

{_markdown(cost_rows(ranking))}

Training and completion are wall-clock times on the machine at hand: median of single completions of up to 30
characters.

## What the columns are

{columns_mean}

## Notes

{sentences}
"""


def figure_rows(ranking: Ranking, *names: str) -> list[list[str]]:
    """Return a heading and the figures with their intervals, of the rows that have any."""
    rows = [[row.name, *(_cell(ranking, row, name, bounds=True) for name in names)] for row in ranking.rows]
    return [["", *_titles(*names)], *(row for row in rows if any(row[1:]))]


def difference_rows(ranking: Ranking, *names: str) -> list[list[str]]:
    """Return a heading and the differences from the best row with their intervals, of the rows that have any."""
    others = [row for row in ranking.rows if row.name != ranking.best]
    rows = [[row.name, *(difference(ranking, row, name) for name in names)] for row in others]
    return [["", *_titles(*names)], *(row for row in rows if any(row[1:]))]


def cost_rows(ranking: Ranking) -> list[list[str]]:
    """Return a heading and what each family's model costs."""
    costs = [[row.name, *(cell(row) for cell in _COSTS.values())] for row in ranking.rows if row.family]
    return [["", *_COSTS], *costs]


def meanings(*names: str) -> list[str]:
    """Return what each measure means, a line each, with the side that is better."""
    return [f"{MEASURES[name].title}: {_meaning(name)}" for name in names]


def difference(ranking: Ranking, row: Row, measure: str) -> str:
    """Format a row's figure minus the best row's, with its interval; "best" for the best row itself."""
    if row.name == ranking.best:
        return "best"
    return _formatted(ranking.differences[row.name].get(measure), measure, bounds=True, sign="+")


def _cell(ranking: Ranking, row: Row, measure: str, *, bounds: bool = False) -> str:
    return _formatted(ranking.figures[row.name].get(measure), measure, bounds=bounds)


def _formatted(figure: Interval | None, measure: str, *, bounds: bool, sign: str = "") -> str:
    """Format a figure; an empty text if there is none."""
    if figure is None:
        return ""
    if measure == "bleu" and not figure.value and not sign:
        return NO_RUN
    scale, digits = MEASURES[measure].scale, MEASURES[measure].digits
    value = f"{scale * figure.value:{sign}.{digits}f}"
    if not bounds or figure.low is None or figure.high is None:
        return value
    low, high = (f"{scale * number:{sign}.{digits}f}" for number in (figure.low, figure.high))
    return f"{value} ({low}..{high})" if sign else f"{value} ({low}-{high})"


def _titles(*measures: str) -> list[str]:
    return [MEASURES[name].title for name in measures]


def _size(count: int) -> str:
    """Format a number of bytes in kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
