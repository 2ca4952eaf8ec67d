"""Flags that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from kammil.cli._options import ReadingFlags, RecipeFlags, TextFlags, training_options, with_flag_groups
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
    def command(*, before: int = 1, texts: TextFlags, after: int = 2) -> None: ...

    flags = [word for word in ran(command, "--help").split() if word.startswith("--") and word != "--help"]
    reading = ["--column", "--where", "--encoding", "--delimiter", "--from"]
    assert flags == ["--before", *reading, "--raw", "--without", "--with", "--after"]


def test_values_come_back_in_the_group_that_declares_them() -> None:
    called: list[Any] = []

    @with_flag_groups
    def command(name: str, *, reading: ReadingFlags, before: int = 1) -> None:
        called.append((name, reading, before))

    ran(command, "a", "--column", "b", "--from", "c", "--before", "3")
    ran(command, "a")
    assert called == [("a", ReadingFlags(column="b", sender="c"), 3), ("a", ReadingFlags(), 1)]
    assert [reading.given() for _, reading, _ in called] == [{"column": "b", "sender": "c"}, {}]


def test_the_flags_of_reading_go_on_from_text_flags_without_the_text_rules() -> None:
    texts = TextFlags(where="n > 1", encoding="", raw=True, without=["urls"])
    assert texts.given() == {"where": "n > 1", "encoding": ""}  # an empty value was given, so it is refused later


def test_flags_win_over_assignments_and_rules_are_merged() -> None:
    def train(*, out: str) -> None: ...

    assigned = ["encoding=utf-16", "seed=3", "rules={tatweel=false}", "raw=true", "base=x"]
    flags = RecipeFlags(encoding="cp1256", without=["urls"], with_=["numbers"], epochs=2, set_=assigned)
    options = training_options(train, flags, base=None, objective="text")
    rules = {"tatweel": False, "urls": False, "numbers": True}
    assert (options.pop("base"), options.pop("objective")) == ("x", "text")
    assert options == {"encoding": "cp1256", "seed": 3, "epochs": 2, "rules": rules, "raw": True}
    with pytest.raises(OptionError, match="out is no option for --set"):
        training_options(train, RecipeFlags(set_=["out=x"]))
