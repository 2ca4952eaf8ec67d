"""The report of a model: every section has its place and says what was measured, and what is missing is left out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.views.conftest import ParsedPage, tables_of

from kammil import model_folder as folders
from kammil.data.audit import audit
from kammil.evaluation import report
from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.measures import show
from kammil.evaluation.slices import Slice
from kammil.evaluation.typing_report import Bin, Calibration, Savings, TypingReport, TypingSavings
from kammil.text import TextRules
from kammil.views.page import Beside, Figure, Paragraph, Section


def figures_of(section: Section) -> list[Figure]:
    """All figures of a section."""
    found = [block for block in section.blocks if isinstance(block, Beside)]
    return [each for block in found for each in block.blocks if isinstance(each, Figure)]


def test_a_report_without_texts_quotes_none(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    files = folders.read(folder_of("blend"))
    page = report.model_report("m", files, report.stored_evaluation(files.metrics))
    found = ParsedPage(page).attributes("section", "id")
    assert {"typing", "slices", "completions", "surprise", "data", "reproduce"}.isdisjoint(found)
    assert {"figures", "curves", "split", "settings", "machine"} <= set(found)
    assert not any(text in page for text in texts) and "quotes" not in page


def test_a_report_without_figures_is_a_page(folder_of: Callable[[str], Path]) -> None:
    files = folders.read(folder_of("ngram"))
    page = report.model_report("m", replace(files, metrics={}), None)
    assert "figures" not in ParsedPage(page).attributes("section", "id")
    assert report.stored_evaluation({"validation": {"texts": "many"}}) is None and report.stored_evaluation({}) is None
    assert report.stored_evaluation({"validation": 3}) is None


def test_figures_of_an_older_version_are_read(folder_of: Callable[[str], Path]) -> None:
    new = json.loads((folder_of("gru") / "metrics.json").read_text("utf-8"))["validation"]
    old = {name: value for name, value in new.items() if name not in ("by_position", "target")}
    del old["model"]["chrf"], old["model"]["first_word"]
    found = report.stored_evaluation({"validation": old})
    assert found is not None and found.by_position == () and found.model.chrf is None
    assert found.model.top1 is not None and found.model.top1.value == new["model"]["top1"]["value"]


def test_figures_are_those_of_the_card(folder_of: Callable[[str], Path]) -> None:
    evaluation = report.stored_evaluation(folders.read(folder_of("gru")).metrics)
    stored = folders.read(folder_of("gru")).metrics["validation"]
    assert evaluation is not None and json.loads(json.dumps(evaluation.to_dict())) == stored
    section = report.figures(evaluation, "me", on="texts", chosen=True)
    table, terms = tables_of(section)
    assert list(table.head) == ["", "me", *evaluation.baselines]
    assert {row[0]: row[1] for row in table.rows}["perplexity"] == show(evaluation.model.perplexity)
    said = " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))
    assert "expect a little less" in said
    explained = {row[0] for row in terms.rows}
    assert {f"baseline “{name}”" for name in evaluation.baselines} <= explained


def test_accuracy_by_position_is_that_of_the_evaluation(folder_of: Callable[[str], Path]) -> None:
    evaluation = report.stored_evaluation(folders.read(folder_of("gru")).metrics)
    assert evaluation is not None
    section = report.positions(evaluation)
    assert section is not None
    (table,) = tables_of(section)
    assert list(table.head)[2:4] == ["teacher-forced", "free-running"]
    places = {str(place.position): place for place in evaluation.by_position}
    for row in table.rows:
        place = places[row[0]]
        assert row[1:4] == [
            f"{place.texts:,}",
            *(show(s, percent=True) for s in (place.teacher_forced, place.free_running)),
        ]
    (drawn,) = figures_of(section)
    assert drawn.svg.count("<use") >= 2 * len(places)  # a point each
    assert report.positions(replace(evaluation, by_position=())) is None


def test_a_slice_of_too_few_texts_says_so() -> None:
    bits = Interval(2.5, 2.25, 2.75)
    found = [
        Slice("emoji", "with emoji", 3, None, None, None),
        Slice("emoji", "without emoji", 97, bits, Interval(-0.5, -0.625, -0.375), Interval(0.5, 0.25, 0.75)),
    ]
    section = report.by_slice(found, 100)
    assert section is not None
    (table,) = tables_of(section)
    assert table.rows[0] == ["emoji: with emoji", "3", "too few", "too few", "too few"]
    assert table.rows[1][2:] == ["2.500 (2.250-2.750)", "-0.500 (-0.625..-0.375)", "50.0 % (25.0-75.0)"]
    assert report.by_slice([], 0) is None


def test_every_text_rule_is_put_into_words() -> None:
    rules = TextRules(numbers=True).to_dict()
    section = report.settings({"family": "gru", "settings": {}, "rules": rules, "training": {}}, {})
    (table,) = (table for table in tables_of(section) if table.head[0] == "rule")
    assert [row[0] for row in table.rows] == list(rules) and all(row[1] for row in table.rows)


def test_settings_name_no_folder(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("شو", "utf-8")
    recipe = {"exclude": [str(tmp_path / "test.txt"), "/nowhere/else.tsv", "lev30/test"], "base": str(tmp_path)}
    description = {"family": "gru", "settings": {"hidden": 8}, "rules": {}, "training": {"recipe": recipe}}
    section = report.settings(description, {"parameters": 12345})
    said = " ".join(cell for table in tables_of(section) for row in table.rows for cell in row)
    assert "test.txt, else.tsv, lev30/test" in said and str(tmp_path) not in said and "nowhere" not in said
    assert "12,345" in said and "hidden" in said


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
    (table,) = tables_of(report.typing(typed()))
    assert list(table.head)[-2:] == ["keystrokes saved, 3-gram", "keystrokes saved, random"]
    assert all(len(row) == len(table.head) for row in table.rows)
    shown = {row[0]: [cell.split(" (")[0] for cell in row[1:]] for row in table.rows}
    assert shown["none"] == ["0 %", "", "36.2", "", ""]
    assert shown["the most probable word"] == ["20.0 %", "20.0 %", "30.0", "50.0 %", "0.1 %"]
    assert shown["the 3 most probable words"][-2:] == ["60.0 %", "0.3 %"]
    assert shown["ghost text, quiet"][-2:] == ["70.0 %", ""]
    assert shown["every word known before its first letter"] == ["80.0 %", "", "", "", ""]


def test_without_a_baseline_random_words_stand_alone() -> None:
    (table,) = tables_of(report.typing(replace(typed(), baselines={})))
    assert table.head[-1] == "keystrokes saved, random" and all(len(row) == len(table.head) for row in table.rows)


def test_bins_of_few_suggestions_are_not_drawn() -> None:
    section = report.calibration(typed(), "m")
    assert section is not None
    *_, bins = tables_of(section)
    assert [row[2] for row in bins.rows] == ["19", "20"]
    assert report.calibration(None, "m") is None and report.typing(None).blocks == []


EPOCH: dict[str, Any] = {
    "epoch": 1,
    "train_bits": 3.0,
    "validation_bits": 2.9,
    "train_accuracy": 0.3,
    "validation_accuracy": 0.35,
    "best": True,
}


def cells(section: Section) -> dict[str, str]:
    """First figure of each row of a section, by the name of the row."""
    return {row[0]: row[1] for table in tables_of(section) for row in table.rows}


def test_the_audit_is_that_of_the_texts(texts: list[str]) -> None:
    found = audit([*texts[:30], texts[0]])
    section = report.data(found, texts=100, source="FILE")
    shown = cells(section)
    assert shown["texts"] == "31" and shown["exact repeats of an earlier text"] == "1 (3.2 %)"
    assert shown["shortest"] == f"{min(map(len, texts[:30]))}"
    assert "31 of the 100 texts" in section.lead
    assert report.data(found, texts=31, source="FILE").lead.count("31 of") == 0


def test_a_split_says_what_leaks() -> None:
    leaks = {"exact": 2, "near": 5}
    base = {"source": "big", "texts": 9000, "base": None}
    data = {"texts": 1000, "characters": 5, "validation_texts": 100, "validation_leaks": leaks, "base": base}
    section = report.split({"data": data})
    assert section is not None
    shown = cells(section)
    assert shown["validation texts that stand in the training part"] == "2"
    assert shown["validation texts that are near-duplicates of a training text"] == "5"
    assert shown["texts of the model that it goes on from, big"] == "9,000"
    assert report.split({}) is None


def test_curves_go_through_every_epoch_and_name_the_one_that_was_kept() -> None:
    history = [EPOCH, EPOCH | {"epoch": 2, "validation_bits": 2.5}, EPOCH | {"epoch": 3, "best": False}]
    section = report.curves(history)
    drawn = figures_of(section)
    assert [figure.title for figure in drawn] == ["Loss", "Accuracy"]
    assert all(figure.svg.count("<use") >= 2 * 3 for figure in drawn)
    (table,) = tables_of(section)
    assert [row[0] for row in table.rows] == ["1", "2 (kept)", "3"] and table.rows[1][2] == "2.500"
    members = report.curves([], [history, history])
    assert [table.caption for table in tables_of(members)] == ["Every epoch, member 1", "Every epoch, member 2"]


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [EPOCH | {"train_bits": float("nan")}], [3]])
def test_what_is_no_history_has_no_curves(history: list[Any]) -> None:
    section = report.curves(history)
    assert section.blocks == [] and section.lead


def test_a_counter_that_took_the_place_of_a_network_says_so() -> None:
    warnings = [b for b in report.curves([EPOCH], counter=True).blocks if isinstance(b, Paragraph) and b.warning]
    assert len(warnings) == 1 and not report.curves([], counter=True).blocks


def test_without_matplotlib_a_sentence_stands_in_place_of_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    section = report.curves([EPOCH])
    said = [block.text for block in section.blocks if isinstance(block, Paragraph)]
    assert not figures_of(section) and "matplotlib" in said[0] and len(tables_of(section)) == 1
