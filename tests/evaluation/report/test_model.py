"""The report of a model: every section has its place, and what is missing is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.evaluation.report.conftest import ParsedPage

from kammil import model_folder as folders
from kammil.evaluation.report.model import model_report, stored_evaluation


def test_a_report_has_every_section_and_each_says_how_to_read_it(page: str) -> None:
    document = ParsedPage(page)
    assert document.attributes("section", "id") == [
        *("summary", "data", "split", "curves", "figures", "positions"),
        *("typing", "calibration", "slices", "completions", "surprise", "settings", "machine", "reproduce"),
    ]
    leads = [attributes for _, attributes in document.tags if attributes.get("class") == "lead"]
    assert len(leads) == len(document.texts["h2"])


def test_a_report_without_texts_quotes_none(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    files = folders.read(folder_of("blend"))
    page = model_report("m", files, stored_evaluation(files.metrics))
    found = ParsedPage(page).attributes("section", "id")
    assert {"typing", "slices", "completions", "surprise", "data", "reproduce"}.isdisjoint(found)
    assert {"figures", "curves", "split", "settings", "machine"} <= set(found)
    assert not any(text in page for text in texts) and "quotes" not in page


def test_a_report_without_figures_is_a_page(folder_of: Callable[[str], Path]) -> None:
    files = folders.read(folder_of("ngram"))
    page = model_report("m", replace(files, metrics={}), None)
    assert "figures" not in ParsedPage(page).attributes("section", "id")
    assert stored_evaluation({"validation": {"texts": "many"}}) is None and stored_evaluation({}) is None
    assert stored_evaluation({"validation": 3}) is None


def test_figures_of_an_older_version_are_read(folder_of: Callable[[str], Path]) -> None:
    new = json.loads((folder_of("gru") / "metrics.json").read_text("utf-8"))["validation"]
    old = {name: value for name, value in new.items() if name not in ("by_position", "target")}
    del old["model"]["chrf"], old["model"]["first_word"]
    found = stored_evaluation({"validation": old})
    assert found is not None and found.by_position == () and found.model.chrf is None
    assert found.model.top1 is not None and found.model.top1.value == new["model"]["top1"]["value"]
