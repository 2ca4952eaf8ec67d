"""`kammil explain`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, on_terminal, refused

import kammil

_INVISIBLE = 5 * "\N{LEFT-TO-RIGHT MARK}"
"""Marks in a row of the table, which take no column."""


def test_explain_for_people(run: Run, trained: Path) -> None:
    made = kammil.explain(kammil.load(trained), "شو رأيك", given="يلا ")
    result = run("explain", trained, "شو رأيك", "--given", "يلا ")
    assert result.code == 0 and result.err == ""
    title, *lines = result.out.splitlines()
    assert title == "يلا شو رأيك" and "\033" not in result.out
    shown = [line for line in lines if "%" in line]
    assert len(shown) == 8
    for place, line in zip(made.places, shown, strict=True):
        assert f"{place.bits:.2f}" in line
    assert any(f"{made.bits_per_character:.2f} bits a character" in line for line in lines)
    credited = any(place.credits for place in made.places)
    assert ("believed" in result.out) == ("Believed: the part of the model" in result.out) == credited


def test_the_model_is_an_option_or_stands_first(run: Run, counter: Path) -> None:
    first, second = run("explain", counter, "شو رأيك"), run("explain", "شو رأيك", "--model", counter)
    assert first == second and first.code == 0
    refused(run("explain", "شو", "رأيك", "--model", counter), "2 texts")
    assert json.loads(run("explain", "شو رأيك", "--json").out)["text"] == "شو رأيك"  # by the bundled model


def test_explain_for_programs(run: Run, trained: Path) -> None:
    made = kammil.explain(kammil.load(trained), "شو ☃", k=5)
    result = run("explain", trained, "شو ☃", "-k", 5, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == json.loads(json.dumps(asdict(made)))
    assert json.loads(run("explain", trained, "", "--json").out)["bits_per_character"] is None


def test_explain_into_a_page(run: Run, network: Path, tmp_path: Path) -> None:
    assert run("explain", network, "شو رأيك", "--html", "a.html") == Result(0, "a.html\n", "")
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "text", ["", "\udcff", "\u202eabc\u2066", "a\x1b[31mb\x07\r\n", "🇱🇧👩‍👧\u2028", "[bold]$x$<b>"]
)
def test_any_text_is_explained_harmlessly(run: Run, raw_counter: Path, tmp_path: Path, text: str) -> None:
    result = run("explain", raw_counter, "--html", "a.html", "--", text)
    assert (result.code, result.err) == (0, "")
    result = run("explain", raw_counter, "--", text)
    assert (result.code, result.err) == (0, "")
    for out in (result.out, (tmp_path / "a.html").read_text("utf-8")):
        odd = {c for c in out if not c.isprintable()} - set("\n\u200d\u200e\xa0")
        assert not odd, odd


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "0"], "k is 0, but at least one"),
        (["--html", "missing/a.html"], "cannot write missing/a.html"),
    ],
)
def test_explain_says_what_is_wrong(run: Run, counter: Path, tmp_path: Path, options: list[str], message: str) -> None:
    refused(run("explain", counter, "شو", *options), message)
    assert not list(tmp_path.iterdir())


def test_a_person_sees_colours_word_by_word(counter: Path) -> None:
    title = on_terminal("explain", counter, "شو رأيك").splitlines()[0]
    assert "شو\033" in title and "رأيك\033" in title and title.count("\033[") >= 4


@pytest.mark.parametrize("columns", [64, 80, 130])
def test_a_terminal_has_a_line_for_each_character(columns: int) -> None:
    shown = re.sub(r"\033\[[\d;]*m", "", on_terminal("explain", "levantine", "شو حلو", COLUMNS=str(columns)))
    rows = [line for line in shown.splitlines() if " %" in line]
    assert len(rows) == len("شو حلو") + 1 and max(map(len, rows)) <= columns + len(_INVISIBLE)
    assert "network" in shown
    assert "👤" not in shown and "🔗" not in shown
    assert "█" not in rows[-1]
    assert any("█" in row for row in rows) == (columns == 130)
    assert not any("+" in row for row in rows)  # who was believed stands there in words
