"""What a report says of the training is what was read, divided and learnt."""

from __future__ import annotations

from typing import Any

import pytest
from tests.evaluation.report.conftest import tables_of

from kammil.data.audit import audit
from kammil.evaluation.report.charts import LineChart
from kammil.evaluation.report.page import Charts, Paragraph, Section
from kammil.evaluation.report.sections import training

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
    section = training.data(found, texts=100, source="FILE")
    shown = cells(section)
    assert shown["texts"] == "31" and shown["exact repeats of an earlier text"] == "1 (3.2 %)"
    assert shown["shortest"] == f"{min(map(len, texts[:30]))}"
    assert "31 of the 100 texts" in section.lead
    assert training.data(found, texts=31, source="FILE").lead.count("31 of") == 0


def test_a_split_says_what_leaks() -> None:
    leaks = {"exact": 2, "near": 5}
    base = {"source": "big", "texts": 9000, "base": None}
    data = {"texts": 1000, "characters": 5, "validation_texts": 100, "validation_leaks": leaks, "base": base}
    section = training.split({"data": data})
    assert section is not None
    shown = cells(section)
    assert shown["validation texts that stand in the training part"] == "2"
    assert shown["validation texts that are near-duplicates of a training text"] == "5"
    assert shown["texts of the model that it goes on from, big"] == "9,000"
    assert training.split({}) is None


def test_curves_go_through_every_epoch_and_name_the_one_that_was_kept() -> None:
    history = [EPOCH, EPOCH | {"epoch": 2, "validation_bits": 2.5}, EPOCH | {"epoch": 3, "best": False}]
    section = training.curves(history)
    (drawn,) = (block for block in section.blocks if isinstance(block, Charts))
    assert [len(line.dots) for chart in drawn.charts if isinstance(chart, LineChart) for line in chart.lines] == [3] * 4
    (table,) = tables_of(section)
    assert [row[0] for row in table.rows] == ["1", "2 (kept)", "3"] and table.rows[1][2] == "2.500"
    members = training.curves([], [history, history])
    assert [table.caption for table in tables_of(members)] == ["Every epoch, member 1", "Every epoch, member 2"]


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [EPOCH | {"train_bits": float("nan")}], [3]])
def test_what_is_no_history_has_no_curves(history: list[Any]) -> None:
    section = training.curves(history)
    assert section.blocks == [] and section.lead


def test_a_counter_that_took_the_place_of_a_network_says_so() -> None:
    warnings = [b for b in training.curves([EPOCH], counter=True).blocks if isinstance(b, Paragraph) and b.warning]
    assert len(warnings) == 1 and not training.curves([], counter=True).blocks
