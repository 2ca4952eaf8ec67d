"""Flags that several commands share."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from kammil.cli import flags
from kammil.cli.flags import READING, RECIPE, Rows, training_options
from kammil.errors import OptionError


def ran(rows: Rows, *arguments: str) -> tuple[str, Any]:
    """Run a command as a program of its own; return what it printed, and what it was given."""
    app, called = typer.Typer(add_completion=False, rich_markup_mode=None), list[Any]()

    @app.command(cls=flags.command(rows))
    def command(context: typer.Context, name: str = "", before: int = 1) -> None:
        called.append((name, before, context.obj))

    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output, called


def test_flags_of_rows_stand_behind_those_of_the_command() -> None:
    shown, _ = ran(READING, "--help")
    flags = [word for word in shown.split() if word.startswith("--") and word != "--help"]
    assert flags == ["--name", "--before", "--column", "--where", "--encoding", "--delimiter", "--sheet", "--from"]


def test_the_context_holds_the_flags_that_were_given() -> None:
    _, called = ran(READING, "--name", "a", "--column", "b", "--from", "c", "--before", "3")
    assert called == [("a", 3, {"column": "b", "sender": "c"})]
    assert ran(READING, "--encoding", "")[1] == [("", 1, {"encoding": ""})]  # given, so it is refused later
    arguments = ["--raw", "--without", "urls", "--without", "nfc", "--set", "a=b", "--epochs", "0", "--config", "x"]
    given = {"raw": True, "without": ["urls", "nfc"], "set_": ["a=b"], "epochs": 0, "config": Path("x")}
    assert ran(RECIPE, *arguments)[1] == [("", 1, given)]


def test_a_switch_that_is_on_can_be_switched_off() -> None:
    rows: Rows = {
        "on": (bool, "", True),
        "off": (bool, "", False),
        "either": (bool | None, "", None),
        "k": (int, "", 3),
    }
    assert ran(rows, "--no-on", "--no-either", "-k", "2")[1] == [("", 1, {"on": False, "either": False, "k": 2})]
    assert "--no-off" not in ran(rows, "--help")[0] and "[default: 3]" in ran(rows, "--help")[0]


def test_flags_win_over_assignments_and_rules_are_merged() -> None:
    def train(*, out: str) -> None: ...

    assigned = ["encoding=utf-16", "seed=3", "rules={tatweel=false}", "raw=true", "base=x"]
    flags = {"encoding": "cp1256", "without": ["urls"], "with_": ["numbers"], "epochs": 2, "objective": "text"}
    options = training_options(train, {**flags, "set_": assigned})
    rules = {"tatweel": False, "urls": False, "numbers": True}
    assert (options.pop("base"), options.pop("objective")) == ("x", "text")
    assert options == {"encoding": "cp1256", "seed": 3, "epochs": 2, "rules": rules, "raw": True}
    with pytest.raises(OptionError, match="out is no option for --set"):
        training_options(train, {"set_": ["out=x"]})


def test_a_terminal_is_told_that_lines_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal in (True, False):
        stdin = io.TextIOWrapper(io.BytesIO("شو\n".encode()))
        monkeypatch.setattr(stdin, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr("sys.stdin", stdin)
        assert list(flags.texts_or_stdin(None)) == ["شو"]
        assert capsys.readouterr().err.count("\n") == terminal
