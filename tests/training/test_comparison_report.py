"""The report of a comparison: its standings, and the command that makes it again."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.views.conftest import ParsedPage

from kammil.evaluation.ranking import RANKED_BY, Ranking
from kammil.progress import Event, Notice
from kammil.training.comparison_report import repeat_command
from kammil.training.recipe import options_toml
from kammil.training.record import without_folders
from kammil.training.suite import compare

TINY: dict[str, Any] = {"families": ["ngram", "gru"], "minutes": 1.0, "embedding": 8, "hidden": 16, "epochs": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> tuple[Ranking, Path, list[str]]:
    place = tmp_path_factory.mktemp("a-place-of-the-machine")
    (place / "posts.txt").write_text("\n".join(texts[:160]), "utf-8")
    heard: list[Event] = []
    ranking = compare(place / "posts.txt", out=place / "results", listen=heard.append, device="cpu", threads=1, **TINY)
    return ranking, place / "results", [event.sentence for event in heard if isinstance(event, Notice)]


@pytest.mark.long
def test_a_report_stands_beside_the_results(made: tuple[Ranking, Path, list[str]]) -> None:
    ranking, folder, said = made
    content = (folder / "report.html").read_text("utf-8")
    document = ParsedPage(content)
    assert not any("no report" in line for line in said)
    assert not any((folder / row.name / "report.html").exists() for row in ranking.rows)
    typed = "could be typed in the time" not in content  # a slow machine has no time for it
    assert document.attributes("section", "id") == [
        *("summary", "data", "split", "curves", "figures", "keystrokes", "costs", "typing"),
        *(("calibration",) if typed else ()),
        *("slices", "completions", "surprise", "settings", "machine", "reproduce"),
    ]
    for row in ranking.rows:
        assert row.name in document.texts["th"]
        figure = ranking.figures[row.name].get(RANKED_BY)
        assert figure is None or any(cell.startswith(f"{figure.value:.3f}") for cell in document.texts["td"])
    assert f"The best family is {ranking.best}" in content
    assert "a-place-of-the-machine" not in content and "kammil compare posts.txt --minutes 1" in content
    assert not {"script", "link", "img"} & {tag for tag, _ in document.tags}


@pytest.mark.long
def test_a_comparison_that_is_done_gets_its_report_anew(made: tuple[Ranking, Path, list[str]]) -> None:
    _, folder, _ = made
    (folder / "report.html").unlink()
    compare(folder.parent / "posts.txt", out=folder, device="cpu", threads=1, report=False, **TINY)
    assert not (folder / "report.html").exists()
    compare(folder.parent / "posts.txt", out=folder, device="cpu", threads=1, **TINY)
    assert (folder / "report.html").exists()


def test_the_command_by_hand(tmp_path: Path) -> None:
    command = repeat_command(tmp_path / "a b.txt", 0.5, ["gru", "blend"], None, "lev30/test")
    assert shlex.split(command) == [
        *("kammil", "compare", "a b.txt", "--minutes", "0.5", "--families", "gru,blend", "--test", "lev30/test"),
        *("--config", "recipe.toml"),
    ]
    options: dict[str, Any] = {
        "seed": 3,
        "rules": {"urls": False},
        "exclude": (str(tmp_path / "b.txt"),),
        "where": None,
    }
    found = tomllib.loads(options_toml(without_folders(options)))
    assert found == {"seed": 3, "rules": {"urls": False}, "exclude": ["b.txt"]}
