"""`kammil complete`."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from tests.cli.conftest import Result, Run, on_terminal, process, refused

import kammil
from kammil.cli._decoding import decoding_flags
from kammil.decoding import PRESETS, DecodingOptions
from kammil.decoding.options import Options


def test_every_decoding_option_has_a_flag() -> None:
    assert [flag.name for flag in decoding_flags()] == ["preset", *DecodingOptions.model_fields]


def test_complete_prints_what_follows_and_nothing_else(run: Run, trained: Path, texts: list[str]) -> None:
    prompt = texts[0][:12]
    expected = kammil.load(trained).complete(prompt, preset="sensible", length=20, temperature=0.9, top_k=5, seed=4)
    arguments = ["--length", "20", "--temperature", "0.9", "--top-k", "5", "--seed", "4"]
    assert run("complete", prompt, "--model", trained, *arguments) == Result(0, expected.text + "\n", "")


def test_every_line_of_stdin_is_a_prompt(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    prompts = ["شو", "", "ما في ", "\ufffd x"]
    result = run("complete", "--model", counter, stdin="شو\r\n\nما في \n".encode() + b"\xff x")
    assert result.err == ""
    assert result.out.split("\n") == [*(model.complete(prompt, preset="sensible").text for prompt in prompts), ""]


def test_several_completions(run: Run, counter: Path) -> None:
    answers: list[str] = []
    for more, preset in (((), "sensible"), (("--preset", "plain"), "plain")):
        answers = [answer.text for answer in kammil.load(counter).samples("شو", 4, seed=9, preset=preset)]
        assert run("complete", "شو", "--model", counter, "-n", 4, "--seed", 9, *more).out.splitlines() == answers
    plain = run("complete", "شو", "--model", counter, "--seed", 9, "--preset", "plain").out
    assert plain == answers[0] + "\n" == kammil.load(counter).complete("شو", seed=9).text + "\n"  # the notebook's draw


def test_json_for_programs(run: Run, counter: Path) -> None:
    result = run("complete", "--model", counter, "-n", 2, "--json", "--seed", 3, stdin="شو\nما\n".encode())
    wanted = partial(kammil.load(counter).samples, n=2, preset="sensible", seed=3)
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert lines == [json.loads(json.dumps([asdict(a) for a in wanted(p)])) for p in ("شو", "ما")]
    assert set(lines[0][0]) == {"prompt", "text", "finish_reason", "bits", "mean_bits", "reading", "replaces", "stock"}


def test_arabic_in_latin_letters_is_printed_as_it_was_read(run: Run) -> None:
    arabic = run("complete", "ok كيفك شو", "--best-of", 4).out
    assert run("complete", "ok kifak shu", "--best-of", 4).out == "كيفك شو" + arabic
    shown = on_terminal("complete", "ok kifak shu", "--best-of", 4, "--seed", 0)
    assert shown == "ok كيفك شو" + arabic.replace("\n", "\r\n")
    for unread in ("--no-read-latin", "--preset=plain"):
        assert "كيفك" not in run("complete", "ok kifak shu", unread, "--length", 5).out


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--beams", "3", "-n", "2"], {"beams": 3}),
        (["--typical-p", "0.3", "-n", "2"], {"typical_p": 0.3}),
        (["--best-of", "4", "--temperature", "1", "-n", "2"], {"best_of": 4, "temperature": 1.0}),
        (
            ["--forbid", "ا", "--forbid", "ي", "--force", "شو", "--min-length", "12", "-n", "2"],
            {"forbid": ["ا", "ي"], "force": ["شو"], "min_length": 12},
        ),
        (
            ["--repetition-penalty", "1.3", "--presence-penalty", "0.2", "--frequency-penalty", "-0.1", "-n", "2"],
            {"repetition_penalty": 1.3, "presence_penalty": 0.2, "frequency_penalty": -0.1},
        ),
        (["--no-copy", "12", "--temperature", "0", "-n", "2"], {"no_copy": 12, "temperature": 0.0}),
        (["--preset", "creative", "--length", "20", "-n", "2"], {"preset": "creative", "length": 20}),
        (["--whole-words", "--preset", "plain", "-n", "2"], {"whole_words": True, "preset": "plain"}),
        (["--no-whole-words", "-n", "2"], {"whole_words": False}),
    ],
)
def test_every_flag_reaches_the_model(
    run: Run, counter: Path, arguments: list[str], options: dict[str, object]
) -> None:
    asked = cast(Options, {"preset": "sensible"} | options)
    answers = [answer.text for answer in kammil.load(counter).samples("شو", 2, **asked)]
    assert run("complete", "شو", "--model", counter, *arguments).out.splitlines() == answers


def test_a_flag_wins_over_a_preset(run: Run, counter: Path) -> None:
    plain = kammil.load(counter).complete("شو", temperature=1, seed=2).text + "\n"
    for preset, options in PRESETS.items():
        defaults = {name: DecodingOptions.model_fields[name].default for name in options if name != "temperature"}
        reset = [
            f"--no-{name.replace('_', '-')}" if value is False else f"--{name.replace('_', '-')}={value}"
            for name, value in defaults.items()
        ]
        chosen = ["--preset", preset, *reset, "--temperature", 1, "--seed", 2]
        assert run("complete", "شو", "--model", counter, *chosen).out == plain


def test_without_flags_it_chooses(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    drawn = model.samples("شو", 64, seed=5, whole_words=True, clause=True)
    text = run("complete", "شو", "--model", counter, "--seed", 5).out.removesuffix("\n")
    assert text in [one.text for one in drawn]
    assert text == run("complete", "شو", "--model", counter, "--seed", 5, "--best-of", 64).out.removesuffix("\n")
    assert text != model.complete("شو", seed=5).text
    # What is given wins, and what it leaves no room for gives way.
    arguments = ("complete", "شو", "--model", counter, "--seed", 5, "--no-whole-words", "--no-clause")
    assert run(*arguments, "--best-of", 1).out == model.complete("شو", seed=5).text + "\n"
    assert run(*arguments, "--beams", 3).out == model.complete("شو", beams=3).text + "\n"
    assert run(*arguments, "-n", 70).out.splitlines() == [one.text for one in model.samples("شو", 70, seed=5)]


def test_help_tells_the_defaults(run: Run) -> None:
    said = " ".join(run("complete", "--help").out.split())
    assert "sensible, predictive, creative, exact, plain; other options win over it. [default: sensible]" in said
    assert "--best-of <int>" in said and "write no word twice. [default: 64]" in said


def test_seeds(run: Run, counter: Path) -> None:
    outs = [run("complete", "شو", "--model", counter, "--temperature", 1, "--seed", seed).out for seed in (1, 1, 2, 3)]
    assert outs[0] == outs[1]
    assert len(set(outs)) > 1
    greedy = {run("complete", "شو", "--model", counter, "--temperature", 0, "--seed", seed).out for seed in (1, 2)}
    assert len(greedy) == 1


@pytest.mark.parametrize("prompt", ["", " ", "\udcff\udcfe", "\ud800", "a\x01b", "🇱🇧👩‍👧", "x" * 5000, "شو\nما"])
def test_any_prompt_is_completed(run: Run, trained: Path, prompt: str) -> None:
    result = run("complete", "--model", trained, "--length", 5, "--", prompt)
    assert result.code == 0 and result.err == ""
    assert result.out.endswith("\n") and len(result.out) <= 6
    (answer,) = json.loads(run("complete", "--model", trained, "--json", "--length", 5, "--", prompt).out)
    assert answer["text"] == result.out[:-1]


def test_bytes_that_are_no_text(counter: Path) -> None:
    done = process("complete", b"\xff\xfe \xd8", "--model", counter, stdin=subprocess.DEVNULL)
    out, err = done.communicate()
    assert (done.returncode, err) == (0, b"")
    assert out.decode() == kammil.load(counter).complete("\udcff\udcfe \udcd8", preset="sensible").text + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "-1"], "temperature is -1.0, but it must be 0 (always the most probable) or more"),
        (["--temperature", "nan"], "temperature is nan, but"),
        (["--top-p", "0"], "top_p is 0.0, but it must be above 0 and at most 1"),
        (["--top-p", "1.01"], "top_p is 1.01, but it must be above 0 and at most 1"),
        (["--top-p", "nan"], "top_p is nan, but"),
        (["--min-p", "2"], "min_p is 2.0, but it must be between 0 and 1"),
        (["--typical-p", "0"], "typical_p is 0.0, but it must be above 0 and at most 1"),
        (["--top-k", "0"], "top_k is 0, but it must be a whole number of at least 1"),
        (["--length", "-1"], "length is -1, but it must be a whole number from 0"),
        (["--seed", "-1"], "seed is -1, but it must be a whole number from 0"),
        (["--stop", ""], "a stop string is empty"),
        (["--forbid", ""], "a forbidden string is empty"),
        (["--force", "ش" * 40], "which needs 40 characters, but length is 30"),
        (["--no-copy", "5"], "no_copy is 5, but it must be a whole number of at least 12"),
        (["--beams", "0"], "beams is 0, but it must be a whole number from 1 to 64"),
        (["--beams", "2", "-n", "3"], "n is 3, but 2 beams find no more than 2"),
        (["--best-of", "2", "-n", "3"], "n is 3, but best_of is 2; it must be at least n"),
        (["--min-length", "31"], "min_length is 31, but length is 30"),
        (["--repetition-penalty", "0"], "repetition_penalty is 0.0, but it must be above 0"),
        (["--presence-penalty", "3"], "presence_penalty is 3.0, but it must be from -2 to 2"),
        (["--frequency-penalty", "-3"], "frequency_penalty is -3.0, but it must be from -2 to 2"),
        (["--preset", "best"], "preset is 'best', but it must be one of: sensible, predictive, creative, exact, plain"),
        (["-n", "0"], "n is 0, but"),
        (["-n", "1001"], "n is 1001, but"),
        (["-n", "-3"], "n is -3, but"),
        (["-n", "0", "--json"], "n is 0, but"),
    ],
)
def test_complete_says_what_is_wrong(run: Run, counter: Path, options: list[str], message: str) -> None:
    refused(run("complete", "شو", "--model", counter, *options), message)


def test_a_person_sees_the_whole_text(counter: Path) -> None:
    shown = on_terminal("complete", "شو في", "--model", counter, "--seed", 3)
    assert shown == "شو في" + kammil.load(counter).complete("شو في", preset="sensible", seed=3).text + "\r\n"


def test_a_person_sees_another_text_at_each_call_and_its_seed(counter: Path) -> None:
    seeds: set[int] = set()
    for _ in range(3):
        text, said = on_terminal("complete", "شو في", "--model", counter, "--temperature", 1).splitlines()
        seeds.add(seed := int(said.removeprefix("drawn with --seed ")))
        wanted = kammil.load(counter).complete("شو في", preset="sensible", temperature=1, seed=seed)
        assert text == "شو في" + wanted.text
    assert len(seeds) > 1


@pytest.mark.parametrize("options", [["--temperature", "0"], ["--preset", "exact"], ["--json"]])
def test_no_seed_is_drawn_where_nothing_is_or_for_programs(counter: Path, options: list[str]) -> None:
    assert "--seed" not in on_terminal("complete", "شو في", "--model", counter, *options)


def test_probabilities_of_a_completion_leave_stdout_alone(run: Run, counter: Path) -> None:
    for n in (1, 2):
        plain = run("complete", "شو", "--model", counter, "-n", n)
        shown = run("complete", "شو", "--model", counter, "-n", n, "--show-probabilities")
        assert shown.out == plain.out and shown.code == 0
        assert shown.err.count("bits a character") == n
    (answer,) = json.loads(run("complete", "شو", "--model", counter, "--show-probabilities", "--json").out)
    assert [place["text"] for place in answer["places"]] == [*answer["text"], ""]
    assert [place["bits"] for place in answer["places"][:-1]] == pytest.approx(answer["bits"], abs=1e-3)


def test_a_foreign_model_sends_a_terminal_no_commands(run: Run, tmp_path: Path) -> None:
    clear = "\x1b[2J"
    texts = [f"{letter}{clear}{letter.upper() * 9}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    folder = kammil.train(texts, out=tmp_path / "foreign", model="ngram", raw=True).folder
    prompt = ("complete", "a", "--model", folder, "--preset", "plain", "--temperature", 0, "--length", 8)
    assert run(*prompt).out.startswith(clear)  # a pipe gets what the model wrote
    shown = on_terminal(*prompt)
    assert "\x1b" not in shown and clear.replace("\x1b", "\ufffd") in shown
    card = folder / "README.md"
    card.write_text(f"{card.read_text('utf-8')}\n{clear}\n", "utf-8")
    assert "\x1b" not in on_terminal("info", folder)
