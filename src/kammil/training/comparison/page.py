"""The report of a comparison: the standings, and what the best model does, on one HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kammil.completion.completer import Completer
from kammil.evaluation import plots
from kammil.evaluation.machine import machine, versions
from kammil.evaluation.measurements import measure
from kammil.evaluation.model_card import INTERVAL
from kammil.evaluation.ranking import RANKED_BY, Ranking
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
from kammil.training.comparison import report as tables
from kammil.training.comparison.split import ComparisonSplit
from kammil.training.recipe import argument
from kammil.views.page import Paragraph, Section, report
from kammil.views.tables import Table

SECONDS = 20.0
"""Time for the measuring: little beside the training of several families."""
_FLAGS = ("column", "where", "encoding", "delimiter", "seed")
"""Options that are flags of `kammil compare` of the same name."""


def comparison_report(
    ranking: Ranking, parts: ComparisonSplit, best: Completer, *, name: str, command: str, seconds: float = SECONDS
) -> str:
    """Measure what the report needs beyond the ranking, and return the page.

    Args:
        ranking: the standings.
        parts: the texts.
        best: the model of the best family.
        name: of the comparison.
        command: what makes it again.
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
        reproduce(command),
    ]
    return report(name, "report of a comparison", [section for section in found if section is not None])


def repeat_command(
    source: str | Path,
    minutes: float,
    families: Sequence[str] | None,
    validation: str | Path | None,
    test: str | Path | None,
    options: Mapping[str, Any],
) -> str:
    """Return the command that makes a comparison again, with files named without their folders."""
    arguments = ["kammil", "compare", place_name(str(source)), "--minutes", f"{minutes:g}"]
    arguments += ["--families", ",".join(families)] if families else []
    for flag, file in (("--validation", validation), ("--test", test)):
        arguments += [flag, place_name(str(file))] if file is not None else []
    for option, value in options.items():
        if value is None or value is False:
            continue
        if option == "raw":
            arguments.append("--raw")
        elif option == "rules":
            arguments += [part for rule, on in value.items() for part in ("--with" if on else "--without", rule)]
        elif option == "sender" or option in _FLAGS:
            arguments += ["--from" if option == "sender" else f"--{option}", str(value)]
        else:
            named = [place_name(each) for each in value] if option == "exclude" else value
            arguments += ["--set", f"{option}={argument(named)}"]
    return shlex.join(arguments)


def _about(section: Section, best: str) -> Section:
    """Return a section that says of which family's model it is."""
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
    """Return whether the interval of a row's difference from the best lies above 0."""
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
    measures = (*tables.PREDICTS, *tables.WRITES)
    minus, paired = f"Minus the best, {ranking.best}", "Differences are paired: on the same texts."
    return [
        Section(
            "figures",
            "Families and baselines",
            f"How well each predicts the test texts, beside the best, {ranking.best}; a difference in the second table "
            "whose interval holds 0 may be chance.",
            [
                tables.figure_table(ranking, *measures, caption="Figures", note=INTERVAL),
                tables.difference_table(ranking, *measures, caption=minus, note=paired),
                *map(Paragraph, tables.meanings(*measures)),
            ],
        ),
        Section(
            "keystrokes",
            "Keystrokes saved by each family",
            "What a simulated writer saves who takes a word as soon as it is suggested: higher is better; “ceiling” "
            "knows every word before its first letter.",
            [
                tables.figure_table(
                    ranking, *tables.TYPES, caption="Keystrokes saved, and suggestions taken", note=INTERVAL
                ),
                *(Paragraph(meaning) for meaning in tables.meanings(*tables.TYPES) if "saved" in meaning),
            ],
        ),
        Section(
            "costs",
            "Costs",
            "What each model takes: numbers that were learnt, size on disk, wall-clock time of training and median "
            "time of one completion of 30 characters.",
            [tables.cost_table(ranking)],
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
