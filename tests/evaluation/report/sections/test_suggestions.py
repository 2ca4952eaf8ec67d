"""The section on typing has a row for each kind of help, and random words beside the model."""

from __future__ import annotations

from dataclasses import replace

from tests.evaluation.report.conftest import tables_of

from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.calibration import Bin, Calibration
from kammil.evaluation.report.sections import suggestions
from kammil.evaluation.typing_report import Savings, TypingReport, TypingSavings


def savings(share: float) -> Savings:
    """Savings of one kind of help, all of one share."""
    value = Interval(share, share, share)
    return Savings(value, value, value, value, value, {"phone": Interval(30, 30, 30)})


def typed() -> TypingReport:
    """A report whose figures tell what they are of."""
    bins = (Bin(19, 0.1, 0.2), Bin(20, 0.5, 0.4))
    model, baseline = (
        TypingSavings(
            lists={1: savings(first), 3: savings(first + 0.1)},
            ghost=savings(first + 0.2),
            ghosts={"quiet": savings(first + 0.2)},
            calibration=Calibration(Interval(0.01, 0.01, 0.01), bins),
            proven=1.0,
            steps=1.0,
        )
        for first in (0.2, 0.5)
    )
    random = {1: savings(0.001), 3: savings(0.003)}
    ceiling = Interval(0.8, 0.8, 0.8)
    return TypingReport(50, 500, 0.01, 0.0, {"phone": 36.2}, ceiling, model, {"3-gram": baseline}, random)


def test_every_kind_of_help_is_a_row_beside_its_baselines() -> None:
    (table,) = tables_of(suggestions.typing(typed()))
    assert list(table.head)[-2:] == ["keystrokes saved, 3-gram", "keystrokes saved, random"]
    assert all(len(row) == len(table.head) for row in table.rows)
    shown = {row[0]: [cell.split(" (")[0] for cell in row[1:]] for row in table.rows}
    assert shown["none"] == ["0 %", "", "36.2", "", ""]
    assert shown["the most probable word"] == ["20.0 %", "20.0 %", "30.0", "50.0 %", "0.1 %"]
    assert shown["the 3 most probable words"][-2:] == ["60.0 %", "0.3 %"]
    assert shown["ghost text, quiet"][-2:] == ["70.0 %", ""]
    assert shown["every word known before its first letter"] == ["80.0 %", "", "", "", ""]


def test_without_a_baseline_random_words_stand_alone() -> None:
    (table,) = tables_of(suggestions.typing(replace(typed(), baselines={})))
    assert table.head[-1] == "keystrokes saved, random" and all(len(row) == len(table.head) for row in table.rows)


def test_bins_of_few_suggestions_are_not_drawn() -> None:
    section = suggestions.calibration(typed(), "m")
    assert section is not None
    *_, bins = tables_of(section)
    assert [row[2] for row in bins.rows] == ["19", "20"]
    assert suggestions.calibration(None, "m") is None and suggestions.typing(None).blocks == []
