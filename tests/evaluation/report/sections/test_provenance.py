"""Settings are put into words, and name no folder of a machine."""

from __future__ import annotations

from pathlib import Path

from tests.evaluation.report.conftest import tables_of

from kammil.evaluation.report.sections import provenance
from kammil.text import TextRules


def test_every_text_rule_is_put_into_words() -> None:
    rules = TextRules(numbers=True).to_dict()
    section = provenance.settings({"family": "gru", "settings": {}, "rules": rules, "training": {}}, {})
    (table,) = (table for table in tables_of(section) if table.head[0] == "rule")
    assert [row[0] for row in table.rows] == list(rules) and all(row[1] for row in table.rows)


def test_settings_name_no_folder(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("شو", "utf-8")
    recipe = {"exclude": [str(tmp_path / "test.txt"), "/nowhere/else.tsv", "lev30/test"], "base": str(tmp_path)}
    description = {"family": "gru", "settings": {"hidden": 8}, "rules": {}, "training": {"recipe": recipe}}
    section = provenance.settings(description, {"parameters": 12345})
    said = " ".join(cell for table in tables_of(section) for row in table.rows for cell in row)
    assert "test.txt, else.tsv, lev30/test" in said and str(tmp_path) not in said and "nowhere" not in said
    assert "12,345" in said and "hidden" in said
