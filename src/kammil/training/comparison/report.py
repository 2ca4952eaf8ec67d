"""Show a comparison: tables for a terminal, the folder's `README.md`, and one HTML page on what the best model does."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kammil.completion.completer import Completer
from kammil.data.audit import cautions
from kammil.evaluation import plots
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.measurements import machine, measure, versions
from kammil.evaluation.measures import HELP, KEYS, MEASURES, TAKEN
from kammil.evaluation.model_card import INTERVAL
from kammil.evaluation.ranking import RANKED_BY, Ranking, Row
from kammil.evaluation.report import (
    audited_texts,
    data,
    drawn,
    environment,
    measured_sections,
    place_name,
    reproduce,
    summary,
)
from kammil.progress import phase
from kammil.training.comparison.split import ComparisonSplit
from kammil.views.page import Paragraph, Section, report
from kammil.views.tables import Table

SECONDS = 20.0
"""Time for the measuring: little beside the training of several families."""
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
    return Table(head, [row for row in rows if any(row[1:])], caption, note)


def _costs(row: Row) -> list[str]:
    return [cell(row) for _, cell in _COSTS.values()]


def _titles(*measures: str) -> list[str]:
    return [MEASURES[name].title for name in measures]


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


# ---- the page


def comparison_report(
    ranking: Ranking,
    parts: ComparisonSplit,
    best: Completer,
    *,
    name: str,
    command: str,
    toml: str,
    seconds: float = SECONDS,
) -> str:
    """Measure what the report needs beyond the ranking, and return the page.

    Args:
        ranking: the standings.
        parts: the texts.
        best: the model of the best family.
        name: of the comparison.
        command, toml: what makes it again, and the file that it names.
        seconds: how long the measuring may take, about.
    """
    with phase("writing the report"):
        measured = measure(best, parts.test, seconds=seconds)
        audited = audited_texts(parts.train)
    found = [
        _summary(ranking, quoted=len(measured.samples)),
        data(audited, texts=len(parts.train), source=parts.source),
        _split(ranking.data),
        _curves(ranking),
        *_standings(ranking),
        *(
            _about(section, ranking.best)
            for section in measured_sections(measured, ranking.best)
            if section is not None
        ),
        _settings(ranking),
        environment(machine(), versions()),
        reproduce(command, toml=toml),
    ]
    return report(name, "report of a comparison", [section for section in found if section is not None])


def repeat_command(
    source: str | Path,
    minutes: float,
    families: Sequence[str] | None,
    validation: str | Path | None,
    test: str | Path | None,
) -> str:
    """Return the command that makes a comparison again, with its options in `recipe.toml`."""
    arguments = ["kammil", "compare", place_name(str(source)), "--minutes", f"{minutes:g}"]
    arguments += ["--families", ",".join(families)] if families else []
    for flag, file in (("--validation", validation), ("--test", test)):
        arguments += [flag, place_name(str(file))] if file is not None else []
    return shlex.join([*arguments, "--config", "recipe.toml"])


def _about(section: Section, best: str) -> Section:
    return Section(section.id, f"{section.title}: {best}", section.lead, section.blocks)


def _summary(ranking: Ranking, *, quoted: int) -> Section:
    best = ranking.figures[ranking.best]
    sentences = [f"The best family is {ranking.best}, by bits per character of the target on the test texts."]
    apart = [
        row.name
        for row in ranking.rows
        if row.family and row.name != ranking.best and not _is_behind(ranking, row.name)
    ]
    if apart:
        sentences.append(f"Not shown to be worse, since the interval of the difference holds 0: {', '.join(apart)}.")
    if (right := best.get("target_top1")) is not None:
        sentences.append(f"Of 100 next characters its first guess is right for {100 * right.value:.0f}.")
    bits = {row.name: of.value for row in ranking.rows if (of := ranking.figures[row.name].get(RANKED_BY)) is not None}
    ahead = [
        row.name
        for row in ranking.rows
        if not row.family and bits.get(row.name, bits[ranking.best]) < bits[ranking.best]
    ]
    if ahead:
        sentences.append(f"Ahead of every family: {', '.join(ahead)}. More minutes, or more texts, may change that.")
    sentences += [f"{name} was left out: {reason}" for name, reason in ranking.left_out.items()]
    return summary(sentences, (), quoted=quoted)


def _is_behind(ranking: Ranking, name: str) -> bool:
    difference = ranking.differences[name].get(RANKED_BY)
    return difference is not None and difference.low is not None and difference.low > 0


def _split(data: Mapping[str, Any]) -> Section:
    rows = [
        ["training texts", f"{data['training_texts']:,}"],
        ["training characters", f"{data['training_characters']:,}"],
        ["validation texts, to choose by", f"{data['validation_texts']:,}"],
        ["test texts", f"{data['test_texts']:,}"],
        ["test characters", f"{data['test_characters']:,}"],
        ["test texts that are typed", f"{data['typed_texts']:,}"],
        ["test texts that stand in the training part", f"{data['test_exact_leaks']:,}"],
        ["test texts that are near-duplicates of a training text", f"{data['test_near_leaks']:,}"],
    ]
    return Section(
        "split",
        "Split",
        "All families learn from the same training texts, choose their settings by the validation texts and are judged "
        "by the test texts, which none of them has met; the last two numbers should be near 0.",
        [Table(["", "number"], rows, "The three parts")],
    )


def _curves(ranking: Ranking) -> Section | None:
    if not any(row.curve for row in ranking.rows):
        return None
    return Section(
        "curves",
        "Learning curves",
        "How fast each family learns: bits per character on the validation texts, the best so far, against seconds of "
        "training on a logarithmic axis; lower is better, and a family that counts is one point. Beside it: how well "
        "each predicts the test texts.",
        drawn(*plots.comparison(ranking)),
    )


def _standings(ranking: Ranking) -> list[Section]:
    """Return the sections of figures: what each predicts and writes, what it saves in typing, and what it costs."""
    measures = (*PREDICTS, *WRITES)
    minus, paired = f"Minus the best, {ranking.best}", "Differences are paired: on the same texts."
    return [
        Section(
            "figures",
            "Families and baselines",
            f"How well each predicts the test texts, beside the best, {ranking.best}; a difference in the second table "
            "whose interval holds 0 may be chance.",
            [
                figure_table(ranking, *measures, caption="Figures", note=INTERVAL),
                difference_table(ranking, *measures, caption=minus, note=paired),
                *map(Paragraph, meanings(*measures)),
            ],
        ),
        Section(
            "keystrokes",
            "Keystrokes saved by each family",
            "What a simulated writer saves who takes a word as soon as it is suggested: higher is better; “ceiling” "
            "knows every word before its first letter.",
            [
                figure_table(ranking, *TYPES, caption="Keystrokes saved, and suggestions taken", note=INTERVAL),
                *(Paragraph(meaning) for meaning in meanings(*TYPES) if "saved" in meaning),
            ],
        ),
        Section(
            "costs",
            "Costs",
            "What each model takes: numbers that were learnt, size on disk, wall-clock time of training and median "
            "time of one completion of 30 characters.",
            [cost_table(ranking)],
        ),
    ]


def _settings(ranking: Ranking) -> Section:
    rows = [[row.name, row.note or "as by default"] for row in ranking.rows if row.family]
    return Section(
        "settings",
        "Settings",
        f"What was chosen for each family on the validation texts, within {ranking.data['minutes']:g} minutes of "
        "training each; all other settings stand in the card of each model.",
        [
            Table(["family", "settings"], rows, "Chosen settings", words=True),
            *(Paragraph(f"{name} {signature}") for name, signature in ranking.signatures.items()),
        ],
    )
