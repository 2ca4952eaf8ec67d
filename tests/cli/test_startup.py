"""What a command imports, and what works where only the base is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kammil

EXTRAS = ("torch", "accelerate", "polars", "matplotlib", "onnx", "onnxruntime", "sacrebleu", "pyppmd")
BUT_BLEU = [name for name in EXTRAS if name != "sacrebleu"]
"""Extras that the figures of a model do not need."""

SOURCES = str(Path(kammil.__file__).parents[1])

BLOCKED = """
import importlib.abc, os, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in os.environ["BLOCKED"].split():
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

sys.meta_path.insert(0, Finder())
"""
"""A `sitecustomize` that makes packages look as if they were not installed."""

Done = subprocess.CompletedProcess[str]


def python(*arguments: str | Path, folder: Path, **variables: str) -> Done:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, encoding="utf-8", check=False
    )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A folder with a file of texts, a table, a model of each family, and the block."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "texts.txt").write_text("".join(f"{text}\n" for text in texts[:60]), "utf-8")
    rows = "".join(f"{text}\t1\n" for text in texts[:60])
    (folder / "table.tsv").write_text(f"text\tn\n{rows}", "utf-8")
    (folder / "table.parquet").write_bytes(b"PAR1....PAR1")
    kammil.train(folder / "texts.txt", out=folder / "counter", model="ngram")
    kammil.train(
        folder / "texts.txt", out=folder / "network", model="gru", hidden=16, epochs=1, threads=1, device="cpu"
    )
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(BLOCKED)
    return folder


def imported(done: Done) -> set[str]:
    """Top-level packages in the output of `-X importtime`."""
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["-c", "import kammil"], [*EXTRAS, "numpy", "typer", "pydantic"]),
        (["-m", "kammil", "--help"], [*EXTRAS, "numpy", "pooch", "requests"]),
        (["-m", "kammil", "train", "--help"], [*EXTRAS, "numpy", "pooch", "requests"]),
        (["-m", "kammil", "complete", "شو", "--model", "network"], [*EXTRAS, "pooch", "requests"]),
        (["-m", "kammil", "complete", "شو", "--model", "counter"], [*EXTRAS, "pooch", "requests"]),
        (["-m", "kammil", "suggest", "شو", "--model", "counter"], [*EXTRAS, "pooch", "requests"]),
        (["-m", "kammil", "explain", "counter", "شو"], [*EXTRAS, "pooch", "requests"]),
        (["-m", "kammil", "evaluate", "network", "texts.txt"], [*BUT_BLEU]),
        (["-m", "kammil", "train", "texts.txt", "--model", "ngram", "--no-report", "--replace"], [*BUT_BLEU]),
    ],
    ids=[
        "import",
        "help",
        "train --help",
        "complete network",
        "complete counter",
        "suggest",
        "explain",
        "evaluate",
        "train ngram",
    ],
)
def test_what_is_not_needed_is_not_imported(shelf: Path, arguments: list[str], absent: list[str]) -> None:
    found = imported(python("-X", "importtime", *arguments, folder=shelf))
    assert "kammil" in found
    assert found.isdisjoint(absent), sorted(found & set(absent))


def without(shelf: Path, *arguments: str) -> Done:
    """A command where none of the extra `train` is installed."""
    variables = {
        "PYTHONPATH": os.pathsep.join((str(shelf / "site"), SOURCES)),
        "BLOCKED": " ".join(EXTRAS),
    }
    return python("-m", "kammil", *arguments, folder=shelf, **variables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("missing.csv", "exist"), ("texts.txt --minutes 0", "minutes"), ("texts.txt --out counter", "--replace")],
)
def test_what_is_wrong_is_said_before_pytorch_is_imported(shelf: Path, arguments: str, message: str) -> None:
    done = without(shelf, "train", *arguments.split())
    assert done.returncode == 2 and message in done.stderr and "torch" not in done.stderr


@pytest.mark.long
def test_the_base_completes_evaluates_and_counts(shelf: Path) -> None:
    for name in ("network", "counter"):
        done = without(shelf, "complete", "شو", "--model", name)
        assert done.returncode == 0 and ("guesses worse" in done.stderr) == (name == "network")
        assert done.stdout == kammil.load(shelf / name).complete("شو", preset="sensible").text + "\n"
    done = without(shelf, "evaluate", "network", "texts.txt", "--samples", "1")
    assert (done.returncode, done.stderr) == (0, "")
    for number, files in enumerate((["texts.txt"], ["table.tsv", "--where", "n = 1"])):
        done = without(shelf, "train", *files, "--model", "ngram", "--out", f"counted-{number}")
        assert done.returncode == 0, done.stderr
        assert (shelf / f"counted-{number}-report.html").is_file()
        assert (shelf / f"counted-{number}" / "weights.safetensors").read_bytes() == (
            shelf / "counter" / "weights.safetensors"
        ).read_bytes()


NEEDS_THE_EXTRA = {
    "train texts.txt --model gru --out learnt": "torch",
    "train texts.txt --out learnt": "torch",
    "evaluate counter table.parquet": "polars",
    "plot network --out curves.png": "matplotlib",
    "evaluate counter texts.txt --typing --plot curves.png": "matplotlib",
    "evaluate counter texts.txt --plot-positions curves.png": "matplotlib",
    "compare texts.txt --minutes 1 --out compared": "sacrebleu",
}
"""Command -> the package that it misses first."""

ONE_BY_ONE = """
import contextlib, io, json, sys
from pathlib import Path
from kammil.cli import main

results = []
for command in sys.argv[1:]:
    sys.argv = ["kammil", *command.split()]
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sorted(Path().rglob("*"))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    results.append([code, out.getvalue(), err.getvalue(), sorted(Path().rglob("*")) == before])
print(json.dumps(results))
"""
"""Runs commands in one process; each leaves its status, stdout, stderr, and whether it left all files as they were."""


@pytest.fixture(scope="module")
def without_the_extra(shelf: Path) -> dict[str, tuple[int, str, str, bool]]:
    """Results of the commands that need the extra, where it is not installed."""
    variables = {
        "PYTHONPATH": os.pathsep.join((str(shelf / "site"), SOURCES)),
        "BLOCKED": " ".join(EXTRAS),
    }
    done = python("-c", ONE_BY_ONE, *NEEDS_THE_EXTRA, folder=shelf, **variables)
    assert done.returncode == 0, done.stderr
    return dict(zip(NEEDS_THE_EXTRA, map(tuple, json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize(("command", "package"), NEEDS_THE_EXTRA.items())
def test_what_needs_the_extra_says_so(
    without_the_extra: dict[str, tuple[int, str, str, bool]], command: str, package: str
) -> None:
    code, out, err, as_before = without_the_extra[command]
    assert (code, out, as_before) == (2, "", True)
    assert err.startswith("kammil: ") and err.count("\n") == 1
    assert package in err and ("[tables]" if package == "polars" else "[train]") in err


def test_a_part_of_the_extra_is_not_enough(
    shelf: Path, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)  # as if it were not installed
    for module in ("descent", "loop", "optim"):  # loaded by an earlier test
        monkeypatch.delitem(sys.modules, f"kammil.training.{module}", raising=False)
        monkeypatch.delattr(f"kammil.training.{module}", raising=False)
    with pytest.raises(kammil.KammilError, match=r"training needs accelerate; run: pip install .*\[train\]"):
        kammil.train(texts[:60], out=tmp_path / "model", hidden=8, epochs=1)
    assert not list(tmp_path.iterdir())


def test_a_network_is_trained_without_its_figure(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kammil.cli import main

    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    options = ["--epochs", "1", "--set", "hidden=8", "--set", "threads=1", "--set", "device=cpu"]
    arguments = ["train", str(shelf / "texts.txt"), "--out", str(tmp_path / "model"), *options]
    monkeypatch.setattr(sys, "argv", ["kammil", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    streams = capsys.readouterr()
    assert not left.value.code
    assert any(line.startswith("no figure") and "matplotlib" in line for line in streams.err.splitlines())
    assert (tmp_path / "model" / "model.json").exists() and not (tmp_path / "model" / "training.png").exists()
