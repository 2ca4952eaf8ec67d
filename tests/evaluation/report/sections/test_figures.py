"""The figures of a report are those of the evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.evaluation.report.conftest import tables_of

from kammil import model_folder as folders
from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.model_card import show
from kammil.evaluation.report.charts import LineChart
from kammil.evaluation.report.model import stored_evaluation
from kammil.evaluation.report.page import Charts, Paragraph
from kammil.evaluation.report.sections import figures
from kammil.evaluation.slices import Slice


def test_figures_are_those_of_the_card(folder_of: Callable[[str], Path]) -> None:
    evaluation = stored_evaluation(folders.read(folder_of("gru")).metrics)
    stored = folders.read(folder_of("gru")).metrics["validation"]
    assert evaluation is not None and json.loads(json.dumps(evaluation.to_dict())) == stored
    section = figures.figures(evaluation, "me", on="texts", chosen=True)
    table, terms = tables_of(section)
    assert list(table.head) == ["", "me", *evaluation.baselines]
    assert {row[0]: row[1] for row in table.rows}["perplexity"] == show(evaluation.model.perplexity)
    said = " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))
    assert "expect a little less" in said
    explained = {row[0] for row in terms.rows}
    assert {f"baseline “{name}”" for name in evaluation.baselines} <= explained


def test_accuracy_by_position_is_that_of_the_evaluation(folder_of: Callable[[str], Path]) -> None:
    evaluation = stored_evaluation(folders.read(folder_of("gru")).metrics)
    assert evaluation is not None
    section = figures.positions(evaluation)
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
    (drawn,) = (block for block in section.blocks if isinstance(block, Charts))
    assert isinstance(drawn.charts[0], LineChart)
    assert [len(line.points.split(" ")) for line in drawn.charts[0].lines] == [len(places)] * 2
    assert figures.positions(replace(evaluation, by_position=())) is None


def test_a_slice_of_too_few_texts_says_so() -> None:
    bits = Interval(2.5, 2.25, 2.75)
    found = [
        Slice("emoji", "with emoji", 3, None, None, None),
        Slice("emoji", "without emoji", 97, bits, Interval(-0.5, -0.625, -0.375), Interval(0.5, 0.25, 0.75)),
    ]
    section = figures.by_slice(found, 100)
    assert section is not None
    (table,) = tables_of(section)
    assert table.rows[0] == ["emoji: with emoji", "3", "too few", "too few", "too few"]
    assert table.rows[1][2:] == ["2.500 (2.250-2.750)", "-0.500 (-0.625..-0.375)", "50.0 % (25.0-75.0)"]
    assert figures.by_slice([], 0) is None
