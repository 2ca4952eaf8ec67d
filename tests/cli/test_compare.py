"""`kammil compare`."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.cli.conftest import NETWORK, Run, process, refused

import kammil

COMPARED = ["--minutes", "1", "--set", "epochs=2", *NETWORK[4:]]


@pytest.mark.long
def test_compare_twice(run: Run, file: Path, tmp_path: Path) -> None:
    first = run("compare", file, "--families", "ngram,gru", "--out", "both", *COMPARED)
    assert first.code == 0, first.err
    assert "epoch 2: train" in first.err and "gru: at work" in first.err
    for word in ("ngram", "PPMd", "LZMA", "best", "tok:intl"):
        assert word in first.out
    assert first.out.endswith("comparison: both\n")
    made = {path.name for path in (tmp_path / "both").iterdir()}
    split = {"train.txt", "validation.txt", "test.txt"}
    results = {"suite.json", "results.json", "README.md", "comparison.png", "report.html"}
    assert {"ngram", "gru"} | split | results <= made
    assert kammil.load(tmp_path / "both" / "gru").complete("شو").text is not None
    again = run("compare", file, "--families", "ngram", "--families", "gru", "--out", "both", "--json", *COMPARED)
    assert again.code == 0 and "at work" not in again.err
    assert json.loads(again.out) == json.loads((tmp_path / "both" / "results.json").read_text("utf-8"))
    refused(run("compare", file, "--families", "gru", "--out", "both", *COMPARED, "--seed", "4"), "give --replace")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--families", "gpt"], "model is 'gpt', but it must be one of"),
        (["--set", "hiden=3"], "there is no option 'hiden'"),
        (["--set", "out=x"], "out is no option for --set"),
        (["--test", "missing.txt"], "missing.txt does not exist"),
        (["--minutes", "0"], "minutes is 0, but"),
        (["--without", "links"], "there is no text rule 'links'"),
    ],
)
def test_a_wrong_comparison(run: Run, file: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("compare", file, "--minutes", "1", "--out", "both", *options), message)
    assert not (tmp_path / "both").exists()


@pytest.mark.long
def test_compare_goes_on_after_ctrl_c(file: Path, tmp_path: Path) -> None:
    arguments = ["compare", str(file), "--families", "gru", "--out", "both", "--minutes", "1", *NETWORK[4:]]
    with process(*arguments, "--set", "epochs=4000", "--set", "patience=4000", cwd=tmp_path) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith(b"epoch 1:"):
                break
        running.send_signal(signal.SIGINT)
        assert b"the same command goes on from there" in running.stderr.read()
    assert running.returncode == 130
    assert (tmp_path / "both" / ".gru.training").is_dir() and not (tmp_path / "both" / "gru").exists()
