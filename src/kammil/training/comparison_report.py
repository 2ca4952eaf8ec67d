"""Show a comparison: tables for a terminal, `README.md`, and one HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

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
from kammil.views.page import Paragraph, Section, report
from kammil.views.tables import Table

SECONDS = 20.0
FIGURE = "comparison.png"


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    meaning: str
    cell: Callable[[Ranking, Row], str]


def _measured(name: str, *, bounds: bool = True) -> Column:
    measure = MEASURES[name]
    return Column(
        measure.title,
        measure.explained,
        lambda ranking, row: measure.show(ranking.figures[row.name].get(name), bounds=bounds),
    )


def _minus_best(name: str) -> Column:
    measure = MEASURES[name]

    def cell(ranking: Ranking, row: Row) -> str:
        if row.name == ranking.best:
            return "best"
        return measure.show(ranking.differences[row.name].get(name), signed=True)

    return Column(measure.title, measure.explained, cell)


_WITH_END = "bits_per_character_with_end"
PREDICTS = (RANKED_BY, _WITH_END, "target_top1", "target_top3")
WRITES = ("next_word", "chrf", "bleu", "new")
TYPES = tuple(prefix + name for name in HELP for prefix in (KEYS, TAKEN))
_COSTS = (
    Column(
        "params", "numbers that were learnt", lambda _, row: "" if row.parameters is None else f"{row.parameters:,}"
    ),
    Column("folder", "size on disk", lambda _, row: "" if row.folder_bytes is None else _size(row.folder_bytes)),
    Column(
        "training",
        "wall-clock time on this machine",
        lambda _, row: "" if row.training_seconds is None else f"{row.training_seconds:.1f} s",
    ),
    Column(
        "complete",
        "median time of single completions of up to 30 characters on this machine",
        lambda _, row: "" if row.completion_seconds is None else f"{1000 * row.completion_seconds:.1f} ms",
    ),
)
_ON_TERMINAL: tuple[tuple[Column, ...], ...] = (
    (
        _measured(RANKED_BY),
        replace(
            _minus_best(RANKED_BY),
            title="minus the best",
            meaning="difference of the first column to the best row; in brackets, 95 % intervals",
        ),
        *(_measured(name, bounds=name == _WITH_END) for name in PREDICTS[1:]),
    ),
    (*(_measured(name, bounds=False) for name in WRITES), *_COSTS),
    (
        _measured(f"{KEYS}1", bounds=False),
        _measured(f"{KEYS}3"),
        *(_measured(name, bounds=False) for name in (f"{TAKEN}3", f"{KEYS}5")),
        _measured(f"{KEYS}ghost"),
        _measured(f"{TAKEN}ghost", bounds=False),
    ),
)


def tables(ranking: Ranking) -> list[tuple[Table, list[str]]]:
    """Return tables for a terminal, each with lines on what its columns mean."""
    return [
        (_table(ranking, columns), [f"{column.title}: {column.meaning}" for column in columns])
        for columns in _ON_TERMINAL
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
    """Return the content of `README.md`."""
    lines = [
        f"# Model families on {ranking.data['source']}",
        f"One split, equal time; the best is **{ranking.best}**.",
        "The texts lie here in `train`, `validation` and `test`; the card in a model's folder says how to repeat it.",
        f"![Bits per character against seconds of training, and final figures]({FIGURE})",
    ]
    for section in _standings(ranking):
        lines += [f"## {section.title}", section.lead]
        for block in section.blocks:
            lines.append(block.markdown() if isinstance(block, Table) else f"- {cast(Paragraph, block).text}")
    return "\n\n".join([*lines, "## Notes", *(f"- {note}" for note in notes(ranking))]) + "\n"


def _table(
    ranking: Ranking,
    columns: Iterable[Column],
    rows: Sequence[Row] | None = None,
    *,
    caption: str = "",
    note: str = "",
) -> Table:
    columns = list(columns)
    cells = [[row.name, *(column.cell(ranking, row) for column in columns)] for row in rows or ranking.rows]
    return Table(["", *(column.title for column in columns)], [row for row in cells if any(row[1:])], caption, note)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def comparison_report(
    ranking: Ranking,
    train: Sequence[str],
    test: Sequence[str],
    best: Completer,
    *,
    name: str,
    command: str,
    toml: str,
    seconds: float = SECONDS,
) -> str:
    """Measure the best model for about `seconds`, and return the HTML page."""
    with phase("writing the report"):
        measured = measure(best, test, seconds=seconds)
        audited = audited_texts(train)
    counts = [name for name in ranking.data if name.rpartition("_")[2] in ("texts", "characters", "leaks")]
    parts = [[name.replace("_", " "), f"{ranking.data[name]:,}"] for name in counts]
    settings = [[row.name, row.note or "as by default"] for row in ranking.rows if row.family]
    found = [
        _summary(ranking, quoted=len(measured.samples)),
        data(audited, texts=len(train), source=str(ranking.data["source"])),
        Section(
            "split",
            "Split",
            "All families learn from the same training texts, choose their settings by the validation texts and are "
            "judged by the test texts, which none of them has met. Exact leaks are test texts that stand in the "
            "training part, near leaks resemble one of its texts: both should be near 0.",
            [Table(["", "number"], parts, "The three parts")],
        ),
        Section(
            "curves",
            "Learning curves",
            "How fast each family learns: bits per character on the validation texts, the best so far, against seconds "
            "of training on a logarithmic axis; lower is better, and a family that counts is one point. Beside it: how "
            "well each predicts the test texts.",
            drawn(*plots.comparison(ranking)),
        ),
        *_standings(ranking),
        *(
            section and replace(section, title=f"{section.title}: {ranking.best}")
            for section in measured_sections(measured, ranking.best)
        ),
        Section(
            "settings",
            "Settings",
            f"What was chosen for each family on the validation texts, within {ranking.data['minutes']:g} minutes of "
            "training each; all other settings stand in the card of each model.",
            [
                Table(["family", "settings"], settings, "Chosen settings", words=True),
                *(Paragraph(f"{name} {signature}") for name, signature in ranking.signatures.items()),
            ],
        ),
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
    """Return the command of a comparison, with its options in `recipe.toml`."""
    arguments = ["kammil", "compare", place_name(str(source)), "--minutes", f"{minutes:g}"]
    arguments += ["--families", ",".join(families)] if families else []
    for flag, file in (("--validation", validation), ("--test", test)):
        arguments += [flag, place_name(str(file))] if file is not None else []
    return shlex.join([*arguments, "--config", "recipe.toml"])


def _summary(ranking: Ranking, *, quoted: int) -> Section:
    best = ranking.figures[ranking.best]
    sentences = [f"The best family is {ranking.best}, by bits per character of the target on the test texts."]
    for row in ranking.rows:
        minus = ranking.differences[row.name].get(RANKED_BY)
        if row.family and row.name != ranking.best and (minus is None or (minus.low or 0) <= 0):
            sentences.append(f"{row.name} is not shown to be worse, since the interval of the difference holds 0.")
        if not row.family and minus is not None and minus.value < 0:
            sentences.append(f"{row.name} is ahead of every family. More minutes, or more texts, may change that.")
    if (right := best.get("target_top1")) is not None:
        sentences.append(f"Of 100 next characters its first guess is right for {100 * right.value:.0f}.")
    sentences += [f"{name} was left out: {reason}" for name, reason in ranking.left_out.items()]
    return summary(sentences, (), quoted=quoted)


def _standings(ranking: Ranking) -> list[Section]:
    names = (*PREDICTS, *WRITES)
    others = [row for row in ranking.rows if row.name != ranking.best]
    minus, paired = f"Minus the best, {ranking.best}", "Differences are paired: on the same texts."
    return [
        Section(
            "figures",
            "Families and baselines",
            f"How well each predicts the test texts, beside the best, {ranking.best}; a difference in the second table "
            "whose interval holds 0 may be chance.",
            [
                _table(ranking, map(_measured, names), caption="Figures", note=INTERVAL),
                _table(ranking, map(_minus_best, names), others, caption=minus, note=paired),
                *(Paragraph(f"{MEASURES[name].title}: {MEASURES[name].explained}") for name in names),
            ],
        ),
        Section(
            "keystrokes",
            "Keystrokes saved by each family",
            "What a simulated writer saves who takes a word as soon as it is suggested: higher is better; “ceiling” "
            "knows every word before its first letter.",
            [
                _table(
                    ranking, map(_measured, TYPES), caption="Keystrokes saved, and suggestions taken", note=INTERVAL
                ),
                *(Paragraph(f"{MEASURES[KEYS + name].title}: {MEASURES[KEYS + name].explained}") for name in HELP),
            ],
        ),
        Section(
            "costs",
            "Costs",
            "What each model takes: numbers that were learnt, size on disk, wall-clock time of training and median "
            "time of one completion of 30 characters.",
            [_table(ranking, _COSTS, [row for row in ranking.rows if row.family], caption="Costs")],
        ),
    ]
