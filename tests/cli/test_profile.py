"""`kammil profile`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, refused

import kammil


def test_a_profile_is_learnt_shown_used_forgotten_and_wiped(run: Run, folder_of: Callable[[str], Path]) -> None:
    model, text = folder_of("blend"), "قطايف بالجوز"
    refused(run("suggest", "قط", "--model", model, "--profile", "me"), "kammil profile learn me TEXT")
    asked = ("suggest", "قط", "--model", model, "--json", "--threshold", "0.0001")
    before = run(*asked)
    assert run("profile", "learn", "me", text, text, "هلا\x1b[2J") == Result(0, "me: 3 texts\n", "")
    assert run("profile", "learn", "me", stdin=f"{text}\r\n\n{text}\n".encode()) == Result(0, "me: 5 texts\n", "")
    after = run(*asked, "--profile", "me")
    assert after.out != before.out and "قطايف" in [word["text"] for word in json.loads(after.out)]
    bits = [
        sum(place["bits"] for place in json.loads(run("explain", model, text, "--json", *more).out)["places"])
        for more in ((), ("--profile", "me"))
    ]
    assert bits[1] < bits[0]
    *listed, said = run("profile", "show", "me", "--model", model).out.splitlines()
    assert listed == [f"   4  {text}", "   1  هلا␛[2J"] and "learnt" in said and "قطايف 4" in said
    shown = json.loads(run("profile", "show", "me", "--json").out)
    assert shown == [{"text": text, "learnt": 4}, {"text": "هلا\x1b[2J", "learnt": 1}]
    assert run("profile", "forget", "me", text, text, text, text) == Result(0, "me: 1 text\n", "")
    refused(run("profile", "forget", "me", "هلا\x1b[2J", text), "was not learnt")
    assert run("profile", "wipe", "me") == Result(0, "me: wiped\n", "")
    for command in ("show", "wipe", "forget"):
        refused(run("profile", command, "me"), "there is no profile at me")
    assert run(*asked) == before


def test_a_table_is_learnt_by_its_column(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,reply,n\nشو,منيح,1\nكيفك,تمام,2\n", "utf-8")
    assert run("profile", "learn", "me", "t.csv", "--column", "reply", "--where", "n = 2").code == 0
    assert kammil.Profile("me").texts == ("تمام",)
    refused(run("profile", "learn", "me", "شو", "--from", "Rana"), "--from")


def test_of_a_chat_one_sender_alone_is_learnt_and_reported(run: Run, tmp_path: Path) -> None:
    chat = "31/12/2023, 23:59 - Rana: كيفك\n31/12/2023, 23:59 - Samer: منيح\n"
    (tmp_path / "chat.txt").write_text(chat, "utf-8")
    for refusal in (run("profile", "learn", "me", "chat.txt"), run("profile", "learn", "me", stdin=chat.encode())):
        refused(refusal, "--from NAME")
    refused(run("profile", "report", "chat.txt"), "Rana (1) and Samer (1)")
    assert not Path("me").exists()
    assert run("profile", "learn", "me", "chat.txt", "--from", "rana").code == 0
    assert kammil.Profile("me").texts == ("كيفك",)


def test_what_stdin_holds_is_recognised(run: Run) -> None:
    table = "text,n\nشو,1\nكيفك,2\n".encode()
    assert run("profile", "learn", "me", "--where", "n = 2", stdin=table).out == "me: 1 text\n"
    assert run("profile", "learn", "me", stdin='{"text": "شو"}\n{"text": "a\\nb"}\n'.encode()).out == "me: 3 texts\n"
    assert kammil.Profile("me").texts == ("كيفك", "شو", "a\nb")
    assert run("profile", "forget", "me", stdin=run("profile", "show", "me", "--json").out.encode()).code == 0
    assert kammil.Profile("me").texts == ()
    refused(run("profile", "learn", "me"), "empty")
    refused(run("profile", "learn", "me", stdin=b"\xd4\xe6 \xca\xe3\xc7\xe3\n"), "--encoding")


def test_a_full_profile_says_that_the_oldest_went(run: Run) -> None:
    result = run("profile", "learn", "me", stdin="".join(f"{n}\n" for n in range(2003)).encode())
    assert result.code == 0 and result.out == "me: 2,000 texts\n"
    assert result.err.endswith("so the 3 oldest went.\n") and result.err.count("\n") == 1


@pytest.mark.long
def test_a_report_says_whether_learning_helped(run: Run) -> None:
    texts = [f"بكرا منطلع عالزعرورية {end}" for end in ("مع سامر", "سوا", "الصبح", "بكير", "كلنا")]
    refused(run("profile", "report", "me"), "me does not exist")
    run("profile", "learn", "me", *texts, texts[0])
    few = run("profile", "report", "me")
    assert few.code == 0 and few.err == ""
    assert few.out.startswith("5 texts, ") and "1 left out, which repeats an earlier one" in few.out
    assert few.out.endswith("Not yet known: the difference may be chance; more texts will tell.\n")
    more = [*texts, texts[0], *(f"{text} {end}" for text in texts for end in ("هلق", "يا زلمي"))]
    Path("mine.txt").write_text("\n".join(more), "utf-8")
    said = run("profile", "report", "mine.txt")
    assert said.out.endswith("Learning helped.\n") and "keystrokes saved" in said.out and "عالزعرورية" in said.out
    found = json.loads(run("profile", "report", "mine.txt", "--json").out)
    assert found == json.loads(json.dumps(kammil.learning_report(kammil.load(), more).to_dict()))
    assert {file.name for file in Path().iterdir()} <= {"me", ".me.lock", "mine.txt"}
    refused(run("profile", "report", "me", "--column", "text"), "--column")


def test_a_profile_needs_a_model_that_learns(run: Run, counter: Path) -> None:
    run("profile", "learn", "me", "شو")
    refused(run("complete", "شو", "--model", counter, "--profile", "me"), "train one with --model blend")
    Path("me").write_text("a diary\n")
    for command in ("learn", "forget", "show", "wipe"):
        refused(run("profile", command, "me", *(["شو"] if command in ("learn", "forget") else [])), "is no profile")


def test_a_file_that_is_named_is_read(run: Run) -> None:
    Path("mine.txt").write_text("شو الأخبار\n\nتمام\n", "utf-8")
    Path("rows.jsonl").write_text('{"text": "كيفك"}\n', "utf-8")
    learnt = run("profile", "learn", "more", "mine.txt", "txt", "rows.jsonl")
    assert (learnt.code, learnt.out) == (0, "more: 4 texts\n")
    assert "mine.txt is a file" in learnt.err and "rows.jsonl is a file" in learnt.err and " txt " not in learnt.err
    assert kammil.Profile("more").texts == ("شو الأخبار", "تمام", "txt", "كيفك")
    assert run("profile", "learn", "more", stdin=b"mine.txt\n") == Result(0, "more: 5 texts\n", "")
    assert run("profile", "learn", "me", "بكرا منطلع " * 60) == Result(0, "me: 1 text\n", "")
    refused(run("suggest", "شو", "--profile", "mine.txt"), "kammil profile learn PROFILE.jsonl")


@pytest.mark.parametrize("name", ["mesages.csv", "./a.txt", "/tmp/"])
def test_a_file_that_is_not_there_is_no_text(run: Run, name: str) -> None:
    refused(run("profile", "learn", "me.jsonl", "كيفك", name), name)
    assert not Path("me.jsonl").exists()
