"""Keys on a terminal with ghost text and suggestions that are known, through prompt_toolkit's own input and output."""

from __future__ import annotations

import io

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from kammil.cli import _terminal
from kammil.cli._terminal import Offer, Typing, first_word
from kammil.completion.suggestions import Suggestion

TAB, RIGHT, LEFT, END, ENTER, ESCAPE = "\t", "\x1b[C", "\x1b[D", "\x1b[F", "\r", "\x1b"
F1, F2, F3, BACKSPACE = "\x1bOP", "\x1bOQ", "\x1bOR", "\x7f"
GHOSTS = {"صباح": " الخير يا حلو", "صباح الخير ": "يا حلو", "صباح الخير يا ": "حلو", "天": "气好"}
WORDS = {
    "": [("ما", "ما", 0), ("انا", "انا", 0)],
    "بك": [("بكرا", "را", 0), ("بكفي", "في", 0), ("بكل", "ل", 0)],
    "بكرا ": [("منطلع", "منطلع", 0), ("الساعة", "الساعة", 0), ("رح", "رح", 0)],
    "بكرا الساعة 1": [("12", "2", 0)],
    "خبير": [("خبر", "خبر", 4)],
    "mar": [("مرحبا", "مرحبا", 3), ("مرة", "مرة", 3), ("مرق", "مرق", 3)],
    "shu ": [("اخبارك", "شو اخبارك", 4)],
    "saat ": [("üçte", "üçte", 0)],
    "صباح": [("صباحك", "ك", 0)],
}


def offer(text: str) -> Offer:
    ghost = GHOSTS.get(text, "")
    return ghost, [Suggestion(word, added, 0.1, n) for word, added, n in WORDS.get(text, [])], ghost


def typed(keys: str, *more: str) -> list[str | None]:
    """What `read` returns for each of some lines of keys."""
    with create_pipe_input() as pipe:
        line = Typing(offer, input=pipe, output=DummyOutput())
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
        (f"{TAB}{ENTER}", "ما "),  # an opening
        (f"{F2}{ENTER}", "انا "),
        (f"بك2{ENTER}", "بكفي "),
        (f"بك{F3}{ENTER}", "بكل "),
        (f"بك{TAB}،{ENTER}", "بكرا،"),  # without ghost text the first suggestion
        (f"بك1{TAB}{ENTER}", "بكرا منطلع "),
        (f"بك{RIGHT}{ENTER}", "بك"),  # the arrow takes ghost text alone
        (f"بكرا 2{ENTER}", "بكرا الساعة "),
        (f"بك2{BACKSPACE}{ENTER}", "بك2"),  # the digit after all
        (f"بك2{BACKSPACE}{BACKSPACE}{ENTER}", "بك"),
        (f"بك2ق{BACKSPACE}{BACKSPACE}{ENTER}", "بكفي"),
        (f"بك{F2}{BACKSPACE}{ENTER}", "بكفي"),
        (f"بك4{ENTER}", "بك4"),
        (f"بك{LEFT}1{ENTER}", "ب1ك"),
        (f"123{ENTER}", "123"),  # nothing has been written that a number would follow
        (f"بكرا الساعة 12{ENTER}", "بكرا الساعة 12"),
        (f"خبير1{ENTER}", "خبر "),  # corrected
        (f"mar1{ENTER}", "mar1"),  # a letter
        (f"mar{F2}{ENTER}", "مرة "),
        (f"shu 3{F1}{ENTER}", "shu 3"),
        (f"shu {F1}{ENTER}", "شو اخبارك "),
        (f"saat 1{ENTER}", "saat üçte "),
        (f"بَ1{ENTER}", "بَ1"),  # where nothing is suggested
        (f"天{END}{ENTER}", "天气好"),  # no space where none is written
        ("صباح\x1b[200~ النور، \x1b[201~" + ENTER, "صباح النور، "),  # pasted
    ],
)
def test_keys(keys: str, text: str) -> None:
    assert typed(keys) == [text]


def shown(keys: str, offered: Offer) -> str:
    """What a terminal is sent while a person types some keys, each seen before the next, and leaves."""
    screen = io.StringIO()
    with create_pipe_input() as pipe:
        output = Vt100_Output(screen, lambda: Size(24, 80), term="xterm", enable_cpr=False)
        left = iter([*keys, ESCAPE])
        line = Typing(lambda _: offered, input=pipe, output=output)
        prompt = line._prompt  # pyright: ignore[reportPrivateUsage]

        def press(_: object) -> None:
            if prompt.default_buffer.suggestion is not None:  # and with it the line is shown
                pipe.send_text(next(left, ""))

        prompt.app.after_render += press
        line.read()
    return screen.getvalue()


def test_a_line_below_names_the_keys_of_suggestions() -> None:
    words = [Suggestion(word, word, 0.1, 0) for word in ("الباب", "البيت", "الباص")]
    said = shown("ب", ("", words, ""))
    for label in ("F1 الباب", "F3 الباص", "1 الباب"):  # before anything is written, and after a letter
        assert label in said
    assert "nothing sure enough" not in said and "nothing sure enough" in shown("ب", ("", [], ""))
    assert "nothing sure enough" not in shown("ب", ("اب", [], "اب"))


def test_a_stock_phrase_waits_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is shown it behind every key, or takes it before it is seen; once it is, End takes all of it."""
    offered: Offer = ("خير", [], "خير يا جماعة")
    assert "جماعة" not in shown("صباح ال", offered)  # each key comes at once
    with create_pipe_input() as pipe:
        line = Typing(lambda _: offered, input=pipe, output=DummyOutput())
        pipe.send_text(f"ال{END}{ENTER}")
        assert line.read() == "الخير "
    monkeypatch.setattr(_terminal, "_PAUSE_SECONDS", 0.0)
    with create_pipe_input() as pipe:
        line = Typing(lambda text: offered if text == "ال" else ("", [], ""), input=pipe, output=DummyOutput())
        prompt = line._prompt  # pyright: ignore[reportPrivateUsage]
        keys = iter([f"{END}{ENTER}"])

        def press(_: object) -> None:
            grey = prompt.default_buffer.suggestion
            if grey is not None and grey.text == offered[2]:
                pipe.send_text(next(keys, ""))

        prompt.app.after_render += press
        pipe.send_text("ال")
        assert line.read() == "الخير يا جماعة "


def test_what_a_model_writes_commands_no_terminal() -> None:
    ghost = "\x1b]0;A\x07"
    said = shown("ب", (ghost, [Suggestion("\x1b]0;B\x07\x9b31m", "", 0.1, 0)], ghost))
    assert "]0;A" in said and "]0;B" in said
    assert "\x1b]" not in said and "\x07" not in said and "\x9b" not in said


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
