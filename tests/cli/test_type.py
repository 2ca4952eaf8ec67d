"""`kammil type`: on a pipe, and on a pseudo-terminal as a person has it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Run, refused

import kammil
from kammil.cli.type import _typing  # pyright: ignore[reportPrivateUsage]
from kammil.completion.completer import Session
from kammil.completion.ghost_text import Phrase


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
    before, _, after = run("type", stdin=lines).out.splitlines()
    assert (before, after) == (unknown, unknown)


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


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "kammil.cli._terminal", raising=False)
    with pytest.raises(kammil.KammilError, match=r"needs prompt_toolkit; run: pip install .*\[type\]"):
        _typing()


def on_terminal(arguments: list[str], keys: list[tuple[str, str]]) -> tuple[int, str]:
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
    code, shown = on_terminal(["type", "--profile", str(profile), "--learn"], keys)
    assert code == 0 and "Traceback" not in shown, shown
    assert kammil.Profile(profile).texts[1:] == (f"{begun}{first} تمام",)
