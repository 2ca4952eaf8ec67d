"""The README is followed: its commands, in order, and its Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.pages import ROOT, Reader

README = ROOT / "README.md"


def test_what_it_says_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(tmp_path, monkeypatch, {})
    try:
        assert reader.follow(README) >= 12
    finally:
        reader.close()
    assert {"texts", "my-model", "me.jsonl"} <= {path.name for path in tmp_path.iterdir()}


def test_what_it_says_of_links_and_handles() -> None:
    """A page says how they are kept, and is tested: here stands where."""
    page = " ".join(README.read_text("utf-8").split())
    assert "links become 🔗, handles and e-mail addresses 👤" in page
    assert "(docs/train.md#what-the-model-sees)" in page


def test_its_table_is_of_the_bundled_model_and_of_those_that_anybody_can_train() -> None:
    table = re.findall(r"^\| (.*?) \|", README.read_text("utf-8"), re.MULTILINE)
    assert [row for row in table if row.startswith("`")] == [
        "`--model ngram`",
        "`--model gru`",
        "`--model blend`, the default",
        "`levantine`, bundled",
    ]
