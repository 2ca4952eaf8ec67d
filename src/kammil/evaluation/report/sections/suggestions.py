"""How good suggestions are: what a simulated writer saves with them, and whether their probabilities hold."""

from __future__ import annotations

from collections.abc import Sequence

from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.keystrokes import LOOK_AFTER
from kammil.evaluation.metrics import RANDOM
from kammil.evaluation.model_card import show
from kammil.evaluation.report import charts
from kammil.evaluation.report.page import Charts, Paragraph, Section, Table
from kammil.evaluation.report.sections.figures import INTERVAL, NO_INTERVAL
from kammil.evaluation.typing_report import Savings, TypingReport

MIN_DRAWN = 20
"""Fewest suggestions of a bin for a point of the reliability diagram: of fewer, the share that is right is chance."""


def typing(report: TypingReport | None) -> Section:
    """Return what a simulated writer saves with the help of the model."""
    title = "Typing"
    if report is None:
        return Section(
            "typing",
            title,
            f"It was left out: fewer than {MIN_TEXTS} texts could be typed in the time that a report takes; "
            "“kammil report” takes more.",
            [],
        )
    others = {name: (each.lists, each.ghosts) for name, each in report.baselines.items()}
    others[RANDOM] = report.random, {}

    def row(name: str, each: Savings, beside: Sequence[Savings | None]) -> list[str]:
        speeds = [show(each.speed[device], digits=1) for device in report.unaided]
        saved = ["" if other is None else show(other.keystrokes, percent=True) for other in beside]
        return [name, show(each.keystrokes, percent=True), show(each.precision, percent=True), *speeds, *saved]

    head = ["help", "keystrokes saved", "taken, of those shown", *(f"words a minute, {d}" for d in report.unaided)]
    head += [f"keystrokes saved, {name}" for name in others]
    blank = [""] * len(others)
    rows = [["none", "0 %", "", *(f"{rate:.1f}" for rate in report.unaided.values()), *blank]]
    for width, each in report.model.lists.items():
        name = "the most probable word" if width == 1 else f"the {width} most probable words"
        rows.append(row(name, each, [lists[width] for lists, _ in others.values()]))
    for step, each in report.model.ghosts.items():
        rows.append(row(f"ghost text, {step}", each, [ghosts.get(step) for _, ghosts in others.values()]))
    rows.append(["every word known before its first letter", show(report.ceiling, percent=True)])
    rows[-1] += [""] * (len(head) - len(rows[-1]))
    enough = report.texts >= MIN_TEXTS
    return Section(
        "typing",
        title,
        f"What somebody who types {report.texts:,} of the texts with the model's help would save: keystrokes are "
        "counted; words a minute come from a model of typing with published times, in which reading costs time, too, "
        "so help can slow a writer down.",
        [
            Table("Keystrokes and words a minute", head, rows, INTERVAL if enough else NO_INTERVAL, first=True),
            Paragraph(
                "A word is five characters. Without help, people write as fast as the first row says (Palin et al. "
                "2019 on phones, Dhakal et al. 2018 on keyboards). A list is looked at once a word, after "
                f"{LOOK_AFTER} letters, when time is counted, and after every key when keystrokes are. Differences "
                "between rows are worth more than the figures themselves. “Random” are words that are drawn from all "
                "words of these texts, whatever is typed."
            ),
        ],
    )


def calibration(report: TypingReport | None, name: str) -> Section | None:
    """Return the reliability diagram of the first suggestion; None where nothing was typed or suggested."""
    if report is None or report.model.calibration.error is None:
        return None
    found = {name: report.model.calibration} | {n: each.calibration for n, each in report.baselines.items()}
    shown = {each: c for each, c in found.items() if c.error is not None}
    chart = charts.reliability(
        "Reliability diagram",
        [
            (
                "this model" if each == name else each,
                [(bin.probability, bin.right) for bin in c.bins if bin.suggestions >= MIN_DRAWN],
            )
            for each, c in shown.items()
        ],
    )
    rows = [[each, show(c.error, percent=True)] for each, c in shown.items()]
    bins = [
        [f"{100 * bin.probability:.0f} %", f"{100 * bin.right:.0f} %", f"{bin.suggestions:,}"]
        for bin in report.model.calibration.bins
    ]
    return Section(
        "calibration",
        "Calibration",
        "Whether probabilities can be believed: of the suggestions that the model calls 30 % probable, 30 % should be "
        "right, so the line should lie on the dotted diagonal; below it, the model is too sure of itself.",
        [
            Charts([chart]),
            Paragraph(f"Bins of fewer than {MIN_DRAWN} suggestions are not drawn."),
            Table("Expected calibration error", ["", "error, 0 % is best"], rows, INTERVAL),
            Table("Every bin of this model", ["mean probability", "right", "suggestions"], bins, folded=True),
        ],
    )
