"""`kammil curve`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Run, refused


def test_curve_twice(run: Run, file: Path, tmp_path: Path) -> None:
    options = ["--model", "ngram", "--shares", "1/4,1", "--out", "made"]
    first = run("curve", file, *options)
    assert first.code == 0, first.err
    for words in ("training texts", "random", "keystrokes saved", "gain", "From "):
        assert words in first.out
    assert first.out.endswith("curve: made\n")
    made = {path.name for path in (tmp_path / "made").iterdir() if path.is_file()}
    assert {"curve.json", "curve.png", "suite.json", "test.txt", "validation.txt"} <= made
    again = run("curve", file, *options, "--json")
    assert again.code == 0 and "at work" not in again.err
    assert json.loads(again.out) == json.loads((tmp_path / "made" / "curve.json").read_text("utf-8"))
    refused(run("curve", file, *options, "--seed", "4"), "give --replace")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shares", "1/0"], "--shares has '1/0', but a share is written as 1/8"),
        (["--shares", "half"], "--shares has 'half'"),
        (["--shares", "2"], "shares is [2.0]"),
        (["--model", "gpt"], "model is 'gpt', but"),
        (["--set", "out=x"], "out is no option for --set"),
        (["--set", "hiden=3"], "there is no option 'hiden'"),
    ],
)
def test_a_wrong_curve(run: Run, file: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("curve", file, "--out", "made", *options), message)
    assert not (tmp_path / "made").exists()
