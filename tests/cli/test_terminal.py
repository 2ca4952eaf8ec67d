"""Keys on a terminal with ghost text that is known, through prompt_toolkit's own input and output."""

from __future__ import annotations

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from kammil.cli._terminal import Typing, first_word

TAB, RIGHT, LEFT, END, ENTER, ESCAPE = "\t", "\x1b[C", "\x1b[D", "\x1b[F", "\r", "\x1b"
GHOSTS = {"صباح": " الخير يا حلو", "صباح الخير ": "يا حلو", "صباح الخير يا ": "حلو", "天": "气好"}


def typed(keys: str, *more: str) -> list[str | None]:
    """What `read` returns for each of some lines of keys."""
    with create_pipe_input() as pipe:
        line = Typing(lambda text: GHOSTS.get(text, ""), input=pipe, output=DummyOutput())
        results: list[str | None] = []
        for each in (keys, *more):
            pipe.send_text(each)
            results.append(line.read())
        return results


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (f"صباح{ENTER}", "صباح"),
        (f"صباح{TAB}{ENTER}", "صباح الخير "),
        (f"صباح{RIGHT}{RIGHT}{ENTER}", "صباح الخير يا "),
        (f"صباح{TAB}{TAB}{TAB}{ENTER}", "صباح الخير يا حلو "),
        (f"صباح{END}{ENTER}", "صباح الخير يا حلو "),
        (f"صباح{TAB}،{ENTER}", "صباح الخير،"),  # the space gives way to a comma
        (f"صباح{TAB} {ENTER}", "صباح الخير "),  # and to a space typed out of habit
        (f"صباح{TAB}و،{ENTER}", "صباح الخير و،"),
        (f"صباح ،{ENTER}", "صباح ،"),  # a space that was typed stays
        (f"صباح{LEFT}{TAB}{ENTER}", "صباح"),  # inside a text there is no ghost
        (f"صباح{LEFT}{RIGHT}{ENTER}", "صباح"),  # the arrow moves the caret
        (f"لا{TAB}{RIGHT}{ENTER}", "لا"),
        (f"{TAB}{ENTER}", ""),
        (f"天{END}{ENTER}", "天气好"),  # no space where none is written
        ("صباح\x1b[200~ النور، \x1b[201~" + ENTER, "صباح النور، "),  # pasted
    ],
)
def test_keys(keys: str, text: str) -> None:
    assert typed(keys) == [text]


@pytest.mark.parametrize("leave", [ESCAPE, "\x03", "\x04"])
def test_ways_out(leave: str) -> None:
    assert typed(f"صباح{ENTER}", leave) == ["صباح", None]
    if leave != "\x04":  # Ctrl-D in a text deletes
        assert typed(f"صباح{leave}") == [None]


def test_texts_follow_one_another() -> None:
    assert typed(f"صباح{TAB}{ENTER}", f"،{ENTER}", ESCAPE) == ["صباح الخير ", "،", None]


@pytest.mark.parametrize(
    ("ghost", "taken"),
    [
        (" الخير يا", " الخير "),
        ("ير", "ير "),
        ("ير يا", "ير "),
        (" ", " "),
        ("ير، يا", "ير"),
        ("好吗", "好"),
        ("好", "好"),
    ],
)
def test_one_key_takes_one_word(ghost: str, taken: str) -> None:
    assert first_word(ghost) == taken
