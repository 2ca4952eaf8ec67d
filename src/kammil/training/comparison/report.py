"""Format a comparison: tables for a terminal, and the folder's `README.md`. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable

from kammil.data.audit import cautions
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.measures import HELP, KEYS, MEASURES, TAKEN
from kammil.evaluation.ranking import RANKED_BY, Ranking, Row
from kammil.views.tables import Table

FIGURE = "comparison.png"
_COSTS: dict[str, tuple[str, Callable[[Row], str]]] = {
    "params": ("numbers that were learnt", lambda row: "" if row.parameters is None else f"{row.parameters:,}"),
    "folder": ("size on disk", lambda row: "" if row.folder_bytes is None else _size(row.folder_bytes)),
    "training": (
        "wall-clock time on this machine",
        lambda row: "" if row.training_seconds is None else f"{row.training_seconds:.1f} s",
    ),
    "complete": (
        "median time of single completions of up to 30 characters on this machine",
        lambda row: "" if row.completion_seconds is None else f"{1000 * row.completion_seconds:.1f} ms",
    ),
}
"""Columns of a model's costs: heading -> meaning, cell."""
_WITH_END = "bits_per_character_with_end"
PREDICTS = (RANKED_BY, _WITH_END, "target_top1", "target_top3")
WRITES = ("next_word", "chrf", "bleu", "new")
TYPES = tuple(prefix + name for name in HELP for prefix in (KEYS, TAKEN))
_TERMINAL_TYPING = (f"{KEYS}1", f"{KEYS}3", f"{TAKEN}3", f"{KEYS}5", f"{KEYS}ghost", f"{TAKEN}ghost")
"""Measures of typing that fit into a terminal."""
_WITH_INTERVALS = (RANKED_BY, _WITH_END, f"{KEYS}3", f"{KEYS}ghost")
"""Measures whose intervals fit into a terminal."""


def tables(ranking: Ranking) -> list[tuple[Table, list[str]]]:
    """Return three tables for a terminal: how well each row predicts, what it writes and costs, and the keystrokes that
    it saves; with each the lines on what its columns mean. A row is in the tables that it has figures for."""

    def row(of: Row, *names: str) -> list[str]:
        figures = ranking.figures[of.name]
        return [MEASURES[name].show(figures.get(name), bounds=name in _WITH_INTERVALS) for name in names]

    predicts = [
        [r.name, *row(r, PREDICTS[0]), difference(ranking, r, RANKED_BY), *row(r, *PREDICTS[1:])] for r in ranking.rows
    ]
    writes = [[r.name, *row(r, *WRITES), *_costs(r)] for r in ranking.rows]
    types = [[r.name, *row(r, *_TERMINAL_TYPING)] for r in ranking.rows]
    first, *others = _titles(*PREDICTS)
    minus = "minus the best: difference of the first column to the best row; in brackets, 95 % intervals"
    costs = [f"{name}: {meaning}" for name, (meaning, _) in _COSTS.items()]
    return [
        (
            _table(["", first, "minus the best", *others], predicts),
            [*meanings(PREDICTS[0]), minus, *meanings(*PREDICTS[1:])],
        ),
        (_table(["", *_titles(*WRITES), *_COSTS], writes), [*meanings(*WRITES), *costs]),
        (_table(["", *_titles(*_TERMINAL_TYPING)], types), meanings(*_TERMINAL_TYPING)),
    ]


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
    shown = (*PREDICTS, *WRITES, *TYPES)
    columns_mean = "\n".join(f"- **{MEASURES[name].title}**: {MEASURES[name].explained}" for name in shown)
    sentences = "\n".join(f"- {note}" for note in notes(ranking))
    return f"""# Model families on {ranking.data["source"]}

One split, equal time; the best is **{ranking.best}**. The texts are in this folder, `train`, `validation` and `test`,
each model in one of its own: its card says how it is made again.

{figure_table(ranking, *PREDICTS, *WRITES).markdown()}

![Bits per character against seconds of training, and final figures]({FIGURE})

## Typing with their help

{figure_table(ranking, *TYPES).markdown()}

## Minus the best

{difference_table(ranking, *PREDICTS, *WRITES).markdown()}

{difference_table(ranking, *TYPES).markdown()}

## What they cost

{cost_table(ranking).markdown()}

Training and completion are wall-clock times on the machine at hand: median of single completions of up to 30
characters.

## What the columns are

{columns_mean}

## Notes

{sentences}
"""


def figure_table(ranking: Ranking, *names: str, caption: str = "", note: str = "") -> Table:
    """Return the figures with their intervals, of the rows that have any."""
    rows = [
        [row.name, *(MEASURES[name].show(ranking.figures[row.name].get(name)) for name in names)]
        for row in ranking.rows
    ]
    return _table(["", *_titles(*names)], rows, caption, note)


def difference_table(ranking: Ranking, *names: str, caption: str = "", note: str = "") -> Table:
    """Return the differences from the best row with their intervals, of the rows that have any."""
    others = [row for row in ranking.rows if row.name != ranking.best]
    rows = [[row.name, *(difference(ranking, row, name) for name in names)] for row in others]
    return _table(["", *_titles(*names)], rows, caption, note)


def cost_table(ranking: Ranking) -> Table:
    """Return what each family's model costs."""
    return Table(["", *_COSTS], [[row.name, *_costs(row)] for row in ranking.rows if row.family], "Costs")


def meanings(*names: str) -> list[str]:
    """Return what each measure means, a line each, with the side that is better."""
    return [f"{MEASURES[name].title}: {MEASURES[name].explained}" for name in names]


def difference(ranking: Ranking, row: Row, measure: str) -> str:
    """Format a row's figure minus the best row's, with its interval; "best" for the best row itself."""
    if row.name == ranking.best:
        return "best"
    return MEASURES[measure].show(ranking.differences[row.name].get(measure), signed=True)


def _table(head: list[str], rows: list[list[str]], caption: str = "", note: str = "") -> Table:
    """Return the table of the rows that have any cell."""
    return Table(head, [row for row in rows if any(row[1:])], caption, note)


def _costs(row: Row) -> list[str]:
    return [cell(row) for _, cell in _COSTS.values()]


def _titles(*measures: str) -> list[str]:
    return [MEASURES[name].title for name in measures]


def _size(count: int) -> str:
    """Format a number of bytes in kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
