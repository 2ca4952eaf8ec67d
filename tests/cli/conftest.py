"""Commands called as a person or a program calls them, and small models to call them with."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import kammil
from kammil.cli import main
from kammil.views import progress

NETWORK = [
    *("--model", "gru", "--epochs", "2", "--set", "embedding=16", "--set", "hidden=32"),
    *("--set", "device=cpu", "--set", "threads=1"),
]
"""A network that learns in a moment."""
TABLE = "Tweet\tCountry\nشو في اليوم\tlebanon\nما في شي\tjordan\n"
"""A table of texts, as a tsv file holds it."""


@dataclass(frozen=True)
class Result:
    """Exit status and output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def process(
    *arguments: str | bytes | Path, cwd: Path | None = None, stdin: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own."""
    command = [sys.executable, "-m", "kammil", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def on_terminal(*arguments: object, **variables: str) -> str:
    """Run a command on a pseudo-terminal and return what it shows there."""
    terminal, end = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        command = [sys.executable, "-m", "kammil", *map(str, arguments)]
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"} | variables
        done = subprocess.run(command, stdout=end, stderr=end, check=False, env=environment)
        os.close(end)
        shown = screen.read(65536).decode("utf-8", "replace")
    assert done.returncode == 0, shown
    return shown


def refused(result: Result, message: str = "") -> None:
    """Assert that a command failed with one sentence on stderr, exit status 2, and nothing on stdout."""
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("kammil: ") and result.err.count("\n") == 1, result.err
    assert message in result.err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the real entry point in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "QUIET", float("inf"))  # on a slow machine stderr would have a line more

    def call(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["kammil", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        streams = capsys.readouterr()
        return Result(int(left.value.code or 0), streams.out, streams.err)

    return call


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A file of the beginnings of 120 texts: a network is as slow as its texts are long."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"{text[:48].strip()}\n" for text in texts[:120]), "utf-8")
    return path


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """Texts that are not in `file`: as many as an interval needs, short ones."""
    path = tmp_path_factory.mktemp("texts") / "held-out.txt"
    path.write_text("".join(f"{text}\n" for text in sorted(texts[400:], key=len)[:12]), "utf-8")
    return path


@pytest.fixture(scope="session")
def counter(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    """A model of family ngram, trained on `file`."""
    return kammil.train(file, out=tmp_path_factory.mktemp("models") / "counter", model="ngram").folder


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    """A model of family gru, trained on `file`."""
    sizes: dict[str, Any] = {"model": "gru", "embedding": 16, "hidden": 32, "epochs": 2, "device": "cpu", "threads": 1}
    return kammil.train(file, out=tmp_path_factory.mktemp("models") / "network", **sizes).folder


@pytest.fixture(scope="session")
def raw_counter(tmp_path_factory: pytest.TempPathFactory, few: list[str]) -> Path:
    """A model of family ngram without text rules."""
    return kammil.train(few, out=tmp_path_factory.mktemp("models") / "raw", model="ngram", raw=True).folder
