"""`kammil suggest`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, on_terminal, refused

import kammil
from kammil.completion.word_search import MIN_PROBABILITY


def test_suggest_prints_words_the_best_first(run: Run, trained: Path) -> None:
    expected = kammil.load(trained).suggest("شو ", 4, threshold=0.001)
    assert expected
    result = run("suggest", "شو ", "--model", trained, "-k", 4, "--threshold", 0.001)
    assert result == Result(0, "".join(f"{s.text}\n" for s in expected), "")


def test_a_person_sees_how_probable_a_word_is(counter: Path) -> None:
    shown = on_terminal("suggest", "شو ", "--model", counter)
    expected = kammil.load(counter).suggest("شو ")
    assert shown == "".join(f"{s.probability:6.1%}  {s.text}\r\n" for s in expected)


def test_words_of_a_list_are_not_suggested(run: Run, counter: Path, tmp_path: Path) -> None:
    first, *others = [one.text for one in kammil.load(counter).suggest("شو ", 3)]
    (tmp_path / "words.txt").write_text(first, encoding="utf-8")
    shown = run("suggest", "شو ", "--model", counter, "--block", tmp_path / "words.txt").out.splitlines()
    assert first not in shown and shown[: len(others)] == others
    assert first not in run("suggest", "شو ", "--model", counter, "--forbid", first).out.splitlines()
    refused(run("suggest", "شو ", "--model", counter, "--block", tmp_path / "none.txt"), "cannot be read")


def test_suggest_may_have_nothing_to_say(run: Run, counter: Path) -> None:
    assert run("suggest", "شو ", "--model", counter, "--threshold", 1) == Result(0, "", "")
    assert run("suggest", "شو ", "--model", counter, "--threshold", 1, "--json") == Result(0, "[]\n", "")


def test_suggest_for_every_line_of_stdin(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    prefixes = ["شو", "", "ما في "]
    result = run("suggest", "--model", counter, "--json", "-k", 2, stdin="شو\r\n\nما في \n".encode())
    assert result.err == ""
    assert [json.loads(line) for line in result.out.splitlines()] == [
        json.loads(json.dumps([asdict(s) for s in model.suggest(prefix, 2)])) for prefix in prefixes
    ]
    people = run("suggest", "--model", counter, "-k", 2, stdin="شو\r\n\nما في \n".encode())
    lists = ["".join(f"{s.text}\n" for s in model.suggest(prefix, 2)) for prefix in prefixes]
    assert people.out == "\n".join(lists)


def test_ghost_text_is_a_line_for_every_text(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    prefixes = ["شو حل", "شو ", "كتير"]
    for level in ("quiet", "eager"):
        result = run("suggest", "--model", counter, "--ghost", level, stdin="\n".join(prefixes).encode())
        expected = [model.phrase(prefix, ghost=level) for prefix in prefixes]
        assert result == Result(0, "".join(f"{phrase.added}\n" for phrase in expected), "")
    surely = run("suggest", "شو ", "--model", counter, "--ghost", "quiet", "--threshold", 0.001, "--json")
    assert json.loads(surely.out) == json.loads(json.dumps(asdict(model.phrase("شو ", threshold=0.001))))
    assert json.loads(surely.out)["added"]


def test_a_step_that_the_dial_does_not_have(run: Run, counter: Path) -> None:
    result = run("suggest", "شو", "--model", counter, "--ghost", "loud")
    assert result.code == 2 and "'loud' is not one of 'quiet', 'balanced', 'eager'" in " ".join(result.err.split())


@pytest.mark.parametrize("prefix", ["", " ", "\udcff\udcfe", "\ud800", "a\x01b", "🇱🇧👩‍👧", "x" * 5000, "شو\nما"])
def test_any_prefix_is_answered(run: Run, counter: Path, prefix: str) -> None:
    result = run("suggest", "--model", counter, "--", prefix)
    assert result.code == 0 and result.err == ""
    assert len(result.out.splitlines()) <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "0"], "k is 0, but at least one"),
        (["--threshold", "1.5"], "threshold is 1.5, but it must be between 0 and 1"),
        (["--threshold", "nan"], "threshold is nan, but"),
        (["--model", "missing"], "there is no model folder"),
    ],
)
def test_suggest_says_what_is_wrong(run: Run, counter: Path, options: list[str], message: str) -> None:
    refused(run("suggest", "شو", "--model", counter, *options), message)


@pytest.mark.parametrize("command", ["suggest", "evaluate"])
def test_the_threshold_is_one_everywhere(run: Run, command: str) -> None:
    stated = " ".join(run(command, "--help").out.replace("│", " ").split())
    assert f"less probable than this. [default: {MIN_PROBABILITY:g}]" in stated
    schemas = pytest.importorskip("kammil.server.api.schemas")
    assert schemas.SuggestRequest(prefix="").threshold == MIN_PROBABILITY
