"""Commands that go on with a text; `kammil type` on a pipe, and on a pseudo-terminal as a person has it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import typer
import typer.main
from tests.cli.conftest import Result, Run, on_terminal, process, refused

import kammil
from kammil.cli import complete as commands
from kammil.completion.completer import Session
from kammil.completion.ghost_text import Phrase
from kammil.completion.suggestions import SuggestOptions
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.decoding.options import PRESETS, DecodingOptions, Options, nth_seed
from kammil.model_folder import METRICS, write_metrics


def test_every_decoding_option_has_a_flag() -> None:
    assert list(commands.decoding_rows()) == ["preset", *DecodingOptions.model_fields]


def test_every_option_of_suggestions_has_a_flag() -> None:
    fields = {*SuggestOptions.model_fields}
    group: Any = typer.main.get_command(commands.app)
    for name, left_out in (("suggest", {"words"}), ("type", {"k", "threshold", "correct", "words", "forbid"})):
        command = group.commands[name]
        assert {param.name for param in command.get_params(typer.Context(command))} & fields == fields - left_out


def test_complete_prints_what_follows_and_nothing_else(run: Run, trained: Path, texts: list[str]) -> None:
    prompt = texts[0][:12]
    expected = kammil.load(trained).complete(prompt, preset="sensible", length=20, temperature=0.9, top_k=5, seed=4)
    arguments = ["--length", "20", "--temperature", "0.9", "--top-k", "5", "--seed", "4"]
    result = run("complete", prompt, "--model", trained, *arguments)
    assert (result.code, result.out) == (0, expected.text + "\n")
    assert result.err == "" or ("worse" in result.err and result.err.count("\n") == 1)


def test_every_line_of_stdin_is_a_prompt(run: Run, counter: Path) -> None:
    model = kammil.load(counter)
    prompts = ["شو", "", "ما في ", "\ufffd x"]
    result = run("complete", "--model", counter, stdin="شو\r\n\nما في \n".encode() + b"\xff x")
    assert result.err.count("\n") == 1 and "x" in result.err
    answers = [model.complete(prompt, preset="sensible", seed=nth_seed(0, i)).text for i, prompt in enumerate(prompts)]
    assert result.out.split("\n") == [*answers, ""]


@pytest.mark.parametrize("command", ["complete", "suggest"])
def test_a_prompt_of_unknown_letters_is_told_of(run: Run, counter: Path, command: str) -> None:
    told = run(command, "привет!", "--model", counter)
    assert (told.code, told.err.count("\n")) == (0, 1) and "no letter" in told.err
    assert all(run(command, prompt, "--model", counter).err == "" for prompt in ("شو", "شو привет", "!", ""))


def test_several_completions(run: Run, counter: Path) -> None:
    answers: list[str] = []
    for more, preset in (((), "sensible"), (("--preset", "plain"), "plain")):
        answers = [answer.text for answer in kammil.load(counter).samples("شو", 4, seed=9, preset=preset)]
        assert run("complete", "شو", "--model", counter, "-n", 4, "--seed", 9, *more).out.splitlines() == answers
    plain = run("complete", "شو", "--model", counter, "--seed", 9, "--preset", "plain").out
    assert plain == answers[0] + "\n" == kammil.load(counter).complete("شو", seed=9).text + "\n"  # the notebook's draw


def test_json_for_programs(run: Run, counter: Path) -> None:
    result = run("complete", "--model", counter, "-n", 2, "--json", "--seed", 3, stdin="شو\nما\n".encode())
    wanted = partial(kammil.load(counter).samples, n=2, preset="sensible")
    lines = [json.loads(line) for line in result.out.splitlines()]
    prompts = (("شو", 3), ("ما", nth_seed(3, 1)))
    assert lines == [json.loads(json.dumps([asdict(a) for a in wanted(p, seed=seed)])) for p, seed in prompts]
    assert set(lines[0][0]) == {"prompt", "text", "finish_reason", "bits", "mean_bits", "reading", "replaces", "stock"}


def test_arabic_in_latin_letters_is_printed_as_it_was_read(run: Run) -> None:
    arabic = run("complete", "hey كيفك شو", "--best-of", 4).out
    assert run("complete", "hey kifak shu", "--best-of", 4).out == "كيفك شو" + arabic
    shown = on_terminal("complete", "hey kifak shu", "--best-of", 4, "--seed", 0)
    assert shown == "hey كيفك شو" + arabic.replace("\n", "\r\n")
    for unread in ("--no-read-latin", "--preset=plain"):
        assert "كيفك" not in run("complete", "hey kifak shu", unread, "--length", 5).out


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--typical-p", "0.3", "-n", "2"], {"typical_p": 0.3}),
        (["--best-of", "4", "--temperature", "1", "-n", "2"], {"best_of": 4, "temperature": 1.0}),
        (
            ["--forbid", "ا", "--forbid", "ي", "--min-length", "12", "-n", "2"],
            {"forbid": ["ا", "ي"], "min_length": 12},
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
    assert run(*arguments, "-n", 70).out.splitlines() == [one.text for one in model.samples("شو", 70, seed=5)]


def test_help_tells_the_defaults(run: Run) -> None:
    said = " ".join(run("complete", "--help").out.split())
    assert "sensible, predictive, creative, plain; other options win over it. [default: sensible]" in said
    assert "--best-of <int>" in said and "write no word twice. [default: 64]" in said


def test_seeds(run: Run, counter: Path) -> None:
    outs = [run("complete", "شو", "--model", counter, "--temperature", 1, "--seed", seed).out for seed in (1, 1, 2, 3)]
    assert outs[0] == outs[1]
    assert len(set(outs)) > 1
    greedy = {run("complete", "شو", "--model", counter, "--temperature", 0, "--seed", seed).out for seed in (1, 2)}
    assert len(greedy) == 1


def test_a_model_that_counting_beats_says_so(run: Run, counter: Path, tmp_path: Path) -> None:
    figures = json.loads((counter / METRICS).read_text("utf-8"))
    shutil.copytree(counter, behind := tmp_path / "behind")
    for own, counted in ((2.0, 3.0), (3.0, 2.0), (2.0, None)):
        rows = {"model": own, "3-gram": counted}
        model, gram = ({"target_bits_per_character": bits and {"value": bits}} for bits in rows.values())
        changed = {"validation": {**figures["validation"], "model": model, "baselines": {"3-gram": gram}}}
        write_metrics(behind, figures | changed)
        told = run("complete", "شو", "--model", behind)
        assert (told.code, "worse" in told.err) == (0, own == 3.0)
    for damaged in ("x", {"model": {"target_bits_per_character": 3}}, {"baselines": ["x"]}):
        write_metrics(behind, {"validation": damaged})
        refused(run("complete", "شو", "--model", behind), "copy the folder again")


@pytest.mark.parametrize("preset", ["sensible", "plain"])
def test_equal_lines_are_drawn_apart(run: Run, counter: Path, preset: str) -> None:
    arguments = ("complete", "--model", counter, "--preset", preset, "--temperature", 1.5, "--seed", 3)
    first, *others = run(*arguments, stdin="شو\n".encode() * 4).out.splitlines()
    assert [first] == run(*arguments, "شو").out.splitlines()
    assert len({first, *others}) == 4


@pytest.mark.parametrize("prompt", ["", " ", "\udcff\udcfe", "\ud800", "a\x01b", "🇱🇧👩‍👧", "x" * 5000, "شو\nما"])
def test_any_prompt_is_completed(run: Run, trained: Path, prompt: str) -> None:
    result = run("complete", "--model", trained, "--length", 5, "--", prompt)
    assert result.code == 0 and all("no letter" in line or "worse" in line for line in result.err.splitlines())
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
        (["--temperature", "-1"], "temperature is -1.0, but it must be 0 or more"),
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
        (["--no-copy", "5"], "no_copy is 5, but it must be a whole number from 12"),
        (["--best-of", "0"], "best_of is 0, but it must be a whole number from 1 to 64"),
        (["--best-of", "2", "-n", "3"], "n is 3, but best_of is 2; it must be at least n"),
        (["--min-length", "31"], "min_length is 31, but length is 30"),
        (["--repetition-penalty", "0"], "repetition_penalty is 0.0, but it must be above 0"),
        (["--presence-penalty", "3"], "presence_penalty is 3.0, but it must be between -2 and 2"),
        (["--frequency-penalty", "-3"], "frequency_penalty is -3.0, but it must be between -2 and 2"),
        (["--preset", "best"], "preset is 'best', but it must be one of: sensible, predictive, creative, plain"),
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


@pytest.mark.parametrize("options", [["--temperature", "0"], ["--preset", "predictive"], ["--json"]])
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
    refused(run("suggest", "شو ", "--model", counter, "--block", tmp_path / "none.txt"), "none.txt")


def test_suggest_may_have_nothing_to_say(run: Run, counter: Path) -> None:
    assert run("suggest", "شو ", "--model", counter, "--threshold", 1) == Result(0, "", "")
    assert run("suggest", "شو ", "--model", counter, "--threshold", 1, "--json") == Result(0, "[]\n", "")


@pytest.mark.parametrize("text", ["بدي انتحر ", "kos ", "nayyake "])
def test_nothing_is_printed_after_self_harm_or_a_slur(run: Run, text: str) -> None:
    for command in (("complete",), ("complete", "-n", 3), ("suggest", "--ghost=eager")):
        assert set(run(*command, text).out) <= {"\n"}
    assert run("suggest", text).out == ""
    assert on_terminal("complete", text, "--seed", 0) == f"{text}\r\n"


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
    assert result.code == 0 and (result.err == "" or "no letter" in result.err)
    assert len(result.out.splitlines()) <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "0"], "k is 0, but it must be"),
        (["-k", "33"], "k is 33"),
        (["--block", "nofile"], "there is no list of words at nofile"),
        (["--threshold", "1.5"], "threshold is 1.5, but it must be between 0 and 1"),
        (["--threshold", "nan"], "threshold is nan, but"),
        (["--model", "missing"], "there is no model folder"),
        (["--model", "."], "kammil train"),
    ],
)
def test_suggest_says_what_is_wrong(run: Run, counter: Path, options: list[str], message: str) -> None:
    refused(run("suggest", "شو", "--model", counter, *options), message)


@pytest.mark.parametrize("command", ["suggest", "evaluate"])
def test_the_threshold_is_one_everywhere(run: Run, command: str) -> None:
    stated = " ".join(run(command, "--help").out.replace("│", " ").split())
    assert re.search(rf"--threshold <float> [^\[]*probab[^\[]*\[default: {MIN_PROBABILITY:g}\]", stated)
    schemas = pytest.importorskip("kammil.server.api.schemas")
    assert schemas.SuggestRequest(prefix="").threshold == MIN_PROBABILITY


def test_a_pipe_gets_ghost_text_line_by_line(run: Run, counter: Path) -> None:
    texts = ["صباح الخي", "", "شو "]
    result = run("type", "--model", counter, "--ghost", "eager", stdin="\n".join(texts).encode())
    assert result.code == 0 and result.err == ""
    model = kammil.load(counter)
    assert result.out.splitlines() == [model.phrase(text, ghost="eager").added for text in texts]


def test_what_is_learnt_is_known_in_the_next_line(run: Run) -> None:
    text, begun = "بكرا منطلع عالجبل ومنتغدى سوا", "بكرا منطلع عالج"
    model = kammil.load()
    unknown = model.phrase(begun).added
    for each in (begun, text):
        model.learn(each)
    known = model.phrase(begun).added
    assert unknown != known
    lines = f"{begun}\n{text}\n{begun}\n".encode()
    before, _, after = run("type", "--learn", stdin=lines).out.splitlines()
    assert (before, after) == (unknown, known)


def test_the_texts_before_are_the_context_of_the_next(run: Run, counter: Path) -> None:
    texts = ["رودي رجع من السفر مبارح", "", "بدنا نعزم رودي عالعشا", "حكيت مع رودي رجع من ال"]
    model, lines = kammil.load(), "\n".join(texts).encode()
    expected = [model.phrase(text, ghost="eager", context=texts[:i]).added for i, text in enumerate(texts)]
    assert run("type", "--ghost", "eager", stdin=lines).out.splitlines() == expected
    assert expected[-1] != model.phrase(texts[-1], ghost="eager").added
    assert run("type", "--model", counter, stdin=lines).code == 0  # which cannot read one


SAID = ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا", "وين رودي؟"]


def test_messages_before_the_text_count_for_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_text("\n".join(SAID), "utf-8")
    model, text = kammil.load(), "حكيت مع رو"
    words = [word.text for word in model.suggest(text, context=SAID)]
    assert "رودي" in words and "رودي" not in run("suggest", text).out
    assert run("suggest", text, "--context", "chat.txt").out.splitlines() == words
    assert run("suggest", "--context", "chat.txt", stdin=text.encode()).out.splitlines() == words
    assert run("suggest", text, "--context", "-", stdin="\n".join(SAID).encode()).out.splitlines() == words
    written = model.complete(text, context=SAID, preset="sensible", seed=2).text
    assert run("complete", text, "--seed", 2, "--context", "chat.txt").out == written + "\n"
    assert [file.name for file in tmp_path.iterdir()] == ["chat.txt"]


def test_a_context_that_cannot_be_read_is_said(run: Run, counter: Path, tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text("\n \n", "utf-8")
    (tmp_path / "chat.txt").write_text("\n".join(SAID), "utf-8")
    for command in ("suggest", "complete", "explain"):
        refused(run(command, "شو", "--context", "nowhere.txt"), "nowhere.txt does not exist")
        refused(run(command, "شو", "--context", "blank.txt"), "no text")
        refused(run(command, "شو", "--context", "-", stdin=b"\xff"), "stdin")
        refused(run(command, "شو", "--context", "chat.txt", "--model", counter), "cannot learn")
    for command in ("suggest", "complete"):
        refused(run(command, "--context", "-", stdin=b"a"), "--context -")


def test_learnt_words_are_named_in_the_end(run: Run) -> None:
    texts = "رودي جاي بكرا\nوين رودي؟\n".encode()
    assert "رودي 2" in run("type", "--learn", stdin=texts).err
    assert run("type", stdin=texts).err == ""


def test_learning_begins_a_profile(run: Run, tmp_path: Path) -> None:
    profile = tmp_path / "me.jsonl"
    refused(run("type", "--profile", profile), "there is no profile at")
    assert run("type", "--profile", profile, "--learn", stdin="حكيت مع رودي\n".encode()).code == 0
    assert "رودي" in run("profile", "show", profile).out


def test_what_cannot_be_done_is_said(run: Run, counter: Path) -> None:
    refused(run("type", "--model", counter, "--learn"), "this model cannot learn while it runs")
    refused(run("type", "--model", "nowhere"), "there is no model folder at nowhere")


def test_what_a_model_writes_commands_no_terminal(run: Run, counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ghost text of ours holds no such character; a filter stands before the terminal all the same, as everywhere."""

    def phrase(*_: object, **__: object) -> Phrase:
        return Phrase("\x1b]0;A\x07", 1.0)

    monkeypatch.setattr(Session, "phrase", phrase)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("type", "--model", counter, stdin=b"a\n").out == "\ufffd]0;A\ufffd\n"


def test_a_missing_library_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "kammil.cli._terminal", raising=False)
    monkeypatch.delattr("kammil.cli._terminal", raising=False)
    monkeypatch.setattr(commands, "_interactive", lambda: True)
    refused(run("type", "--model", "nowhere"), "[type]")


def test_a_missing_library_of_the_language_server_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    monkeypatch.delitem(sys.modules, "kammil.lsp", raising=False)
    refused(run("lsp", "--model", "nowhere"), "[lsp]")


def test_the_language_server_refuses_wrong_flags_before_it_starts(run: Run) -> None:
    refused(run("lsp", "-k", 0), "k is 0")
    refused(run("lsp", "--learn"), "--profile")
    refused(run("lsp", "--profile", "nowhere.jsonl"), "nowhere.jsonl")
    refused(run("lsp", "--model", "nowhere"), "nowhere")


def typed(arguments: list[str], keys: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command on a pseudo-terminal: wait until it shows each text, then send the keys beside it."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    environment = os.environ | {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    command = [sys.executable, "-m", "kammil", *arguments]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown, end = b"", time.monotonic() + 60
        for awaited, sent in keys:
            fresh = len(shown)
            while awaited not in (
                plain(shown[fresh:]) if awaited.isprintable() else shown[fresh:].decode(errors="replace")
            ):
                if time.monotonic() > end:
                    process.kill()
                    pytest.fail(f"{awaited!r} never came: {plain(shown)!r}")
                if select.select([controller], [], [], 0.5)[0]:
                    shown += os.read(controller, 65536)
            os.write(controller, sent.encode())
        code = process.wait(60)
        while select.select([controller], [], [], 0.1)[0]:
            try:
                if not (piece := os.read(controller, 65536)):
                    break
            except OSError:  # Linux: the other end is closed
                break
            shown += piece
    os.close(controller)
    return code, plain(shown)


def plain(screen: bytes) -> str:
    """What a terminal was sent, without its sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode("utf-8", "replace"))


@pytest.mark.parametrize("leave", ["\x1b", "\x03"])
def test_a_word_is_taken_on_a_terminal(tmp_path: Path, leave: str) -> None:
    profile, begun = tmp_path / "me.jsonl", "بكرا منطلع عالج"
    kammil.Profile(profile).learn("بكرا منطلع عالجبل ومنتغدى سوا")
    ghost = kammil.load(profile=profile).phrase(begun).added
    first = ghost.split(" ")[0]
    assert first != ghost
    keys = [("Esc: leave", begun), (ghost, "\t"), (first, "تمام\r"), ("\x1b[?2004h", leave)]
    code, shown = typed(["type", "--profile", str(profile), "--learn"], keys)
    assert code == 0 and "Traceback" not in shown, shown
    assert kammil.Profile(profile).texts[1:] == (f"{begun}{first} تمام",)
