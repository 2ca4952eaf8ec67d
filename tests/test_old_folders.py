"""Folders and files that an earlier version wrote still open, and still say the same (`fixtures/README.md`)."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil.completion.completer import Completer

FIXTURES = Path(__file__).parent / "fixtures"
FOLDERS = FIXTURES / "folders"
EXPECTED: dict[str, Any] = json.loads((FOLDERS / "expected.json").read_text("utf-8"))
COMPARE = [
    *("compare", "texts.txt", "--minutes", "0.05", "--families", "ngram,gru", "--out", "comparison", "--no-report"),
    *("--set", "embedding=4", "--set", "hidden=8", "--set", "order=3", "--set", "epochs=1"),
]


def log_probability(model: Completer, text: str) -> float:
    return -sum(model.score(text).bits) * math.log(2)


@pytest.mark.parametrize("name", [name for name in EXPECTED if (FOLDERS / name).is_dir()])
def test_an_old_model_computes_what_it_did(name: str) -> None:
    model, expected = kammil.load(FOLDERS / name), EXPECTED[name]
    found = {text: log_probability(model, text) for text in expected["log_probability"]}
    assert found == pytest.approx(expected["log_probability"], abs=1e-4)
    assert model.complete("شو ", length=12, temperature=0).text == expected["greedy"]
    assert model.complete("شو ", length=12, temperature=0.9, seed=3).text == expected["sampled"]
    suggested = model.suggest("شو ص", k=2, threshold=0)
    assert [each.added for each in suggested] == [added for added, _ in expected["suggestions"]]
    assert [each.probability for each in suggested] == pytest.approx([p for _, p in expected["suggestions"]], abs=1e-4)


def test_an_old_profile_is_learnt(tmp_path: Path) -> None:
    """At least as well as by the version that wrote it."""
    shutil.copy(FIXTURES / "profile.jsonl", tmp_path)
    model = kammil.load(FOLDERS / "blend", profile=tmp_path / "profile.jsonl")
    assert (
        log_probability(model, "دوار الياسمينة") > EXPECTED["profile"] > log_probability(model.fork(), "دوار الياسمينة")
    )


def again(folder: Path, *command: str) -> str:
    """Repeat a command in a copy of its folder; returns what it prints."""
    shutil.copy(FIXTURES / "texts.txt", folder)
    out = command[command.index("--out") + 1]
    shutil.copytree(FOLDERS / out, folder / out)
    done = subprocess.run([sys.executable, "-m", "kammil", *command], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.skipif(kammil.__version__ != "0.1.0", reason="a row is kept by the same version alone")
def test_an_old_comparison_is_gone_on_with(tmp_path: Path) -> None:
    compared = json.loads(again(tmp_path, *COMPARE, "--json"))
    stored = json.loads((FOLDERS / "comparison" / "results.json").read_text("utf-8"))
    for name in ("bits_per_character_with_end", "target_top1"):
        figures = ({row["name"]: row["figures"].get(name) for row in each["rows"]} for each in (compared, stored))
        assert next(figures) == next(figures)
    for name in ("ngram", "gru"):  # nothing was trained
        before, after = (folder / "comparison" / name / "model.json" for folder in (FOLDERS, tmp_path))
        assert after.read_bytes() == before.read_bytes()
