"""`kammil plot`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, refused


def test_plot(run: Run, network: Path, counter: Path, tmp_path: Path) -> None:
    for name, start in (("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml"), ("curves.pdf", b"%PDF")):
        assert run("plot", network, "--out", name) == Result(0, f"{name}\n", "")
        assert (tmp_path / name).read_bytes().startswith(start)
    copied = shutil.copytree(network, tmp_path / "model")
    assert run("plot", "model") == Result(0, "model/training.png\n", "")
    assert (copied / "training.png").is_file()
    refused(run("plot", "levantine"), "--out")
    refused(run("plot", counter, "--out", "none.png"), "keeps no history of its training")
    refused(run("plot", network, "--out", "curves.txt"), "cannot write the figure curves.txt")
    refused(run("plot", network, "--out", "no/such/folder.png"), "cannot write the figure no/such/folder.png")
    assert not (tmp_path / "none.png").exists() and not (tmp_path / "curves.txt").exists()


@pytest.mark.parametrize("history", ["3", "[1]", '[{"epoch": 1}]', '"ab"', "{}"])
def test_a_foreign_history_is_said(run: Run, network: Path, tmp_path: Path, history: str) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    (copied / "metrics.json").write_text(f'{{"history": {history}}}')
    refused(run("plot", "model", "--out", "x.png"))
