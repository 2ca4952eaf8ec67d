"""Flags that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from kammil.cli._flags import ReadingFlags, RecipeFlags, TrainingFlags, training_options, with_flag_groups
from kammil.errors import OptionError


def ran(command: Callable[..., None], *arguments: str) -> str:
    """Run a command as a program of its own; return what it printed."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_a_group_of_flags_stands_in_the_place_of_its_parameter() -> None:
    @with_flag_groups
    def command(*, before: int = 1, reading: ReadingFlags, after: int = 2) -> None: ...

    flags = [word for word in ran(command, "--help").split() if word.startswith("--") and word != "--help"]
    assert flags == ["--before", "--column", "--where", "--encoding", "--delimiter", "--from", "--after"]


def test_values_come_back_in_the_group_that_declares_them() -> None:
    called: list[Any] = []

    @with_flag_groups
    def command(name: str, *, reading: ReadingFlags, before: int = 1) -> None:
        called.append((name, reading, before))

    ran(command, "a", "--column", "b", "--from", "c", "--before", "3")
    ran(command, "a", "--encoding", "")
    assert called == [("a", ReadingFlags(column="b", sender="c"), 3), ("a", ReadingFlags(encoding=""), 1)]
    # An empty value was given, so it is refused later.
    assert [reading.given() for _, reading, _ in called] == [{"column": "b", "sender": "c"}, {"encoding": ""}]


def test_flags_win_over_assignments_and_rules_are_merged() -> None:
    def train(*, out: str) -> None: ...

    assigned = ["encoding=utf-16", "seed=3", "rules={tatweel=false}", "raw=true", "base=x"]
    flags = TrainingFlags(encoding="cp1256", without=["urls"], with_=["numbers"], epochs=2, set_=assigned)
    options = training_options(train, flags, base=None, objective="text")
    rules = {"tatweel": False, "urls": False, "numbers": True}
    assert (options.pop("base"), options.pop("objective")) == ("x", "text")
    assert options == {"encoding": "cp1256", "seed": 3, "epochs": 2, "rules": rules, "raw": True}
    with pytest.raises(OptionError, match="out is no option for --set"):
        training_options(train, RecipeFlags(set_=["out=x"]))
