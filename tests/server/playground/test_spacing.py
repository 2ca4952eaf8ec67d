"""The space that the page types after an accepted word, and that gives way to signs that stand close to a word."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from kammil.evaluation.keystrokes import Help, type_texts
from kammil.text import gives_way, space_after, stays, words

if TYPE_CHECKING:
    from tests.server.playground.conftest import Api, Playground

MID = "شو حلو الشعور لما تك"
WORD = "ون"
CHIP = {"text": "تكون", "completion": WORD, "probability": 0.68}
DONE = MID + WORD


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts = {MID: "ون مع اصحابك"}
    api.suggestions = {MID: [CHIP]}


@pytest.fixture(params=["chip", "word of the ghost"])
def accepted(page: Playground, request: pytest.FixtureRequest) -> Playground:
    """A page on which a word was accepted, in one of the two ways."""
    page.type(MID)
    if request.param == "chip":
        page.one("#chips button:visible").first.click()
    else:
        page.has_ghost("ون مع اصحابك")
        page.keyboard.press("Control+ArrowLeft")
    page.has_text(DONE + " ")
    return page


def test_the_space_gives_way_to_a_sign(accepted: Playground) -> None:
    for key in "،؟.,!)»…":
        accepted.keyboard.type(key)
        accepted.has_text(DONE + key)
        accepted.keyboard.press("Control+z")
        accepted.has_text(DONE + " ")
    accepted.keyboard.type("؛ شو")
    accepted.has_text(DONE + "؛ شو")


def test_the_space_stays_before_anything_else(accepted: Playground) -> None:
    for key in 'مx7(«-"😂':
        accepted.keyboard.type(key)
        accepted.has_text(DONE + " " + key)
        accepted.keyboard.press("Backspace")
        accepted.has_text(DONE + " ")


def test_a_space_out_of_habit_does_not_make_two(accepted: Playground) -> None:
    accepted.keyboard.press("Space")
    accepted.has_text(DONE + " ")
    # It is an ordinary space now: in "word ،" the space is meant.
    accepted.keyboard.type("،")
    accepted.has_text(DONE + " ،")


def test_a_new_line_has_no_space_before_it(accepted: Playground) -> None:
    accepted.keyboard.press("Enter")
    accepted.has_text(DONE + "\n")


def test_undo_goes_back_step_by_step(accepted: Playground) -> None:
    accepted.keyboard.type("،")
    accepted.has_text(DONE + "،")
    accepted.keyboard.press("Control+z")
    accepted.has_text(DONE + " ")
    accepted.keyboard.type("!")  # the caret is behind the space again, which is still the automatic one
    accepted.has_text(DONE + "!")
    accepted.keyboard.press("Control+z")
    accepted.keyboard.press("Control+z")
    accepted.has_text(MID)
    accepted.keyboard.press("Control+y")
    accepted.has_text(DONE + " ")


def test_a_letter_after_undo_keeps_the_space(accepted: Playground) -> None:
    accepted.keyboard.type("،")
    accepted.keyboard.press("Control+z")
    accepted.has_text(DONE + " ")
    accepted.keyboard.type("م")
    accepted.has_text(DONE + " م")


def test_a_space_of_ones_own_stays(accepted: Playground) -> None:
    accepted.keyboard.press("Backspace")
    accepted.has_text(DONE)
    accepted.keyboard.type(" ،")
    accepted.has_text(DONE + " ،")


def test_elsewhere_in_the_text_nothing_gives_way(accepted: Playground) -> None:
    accepted.keyboard.press("Home")
    accepted.keyboard.type("!")
    accepted.has_text("!" + DONE + " ")
    accepted.keyboard.press("End")
    accepted.keyboard.type("!")
    accepted.has_text("!" + DONE + " !")


def test_what_an_on_screen_keyboard_composes_is_mended(accepted: Playground) -> None:
    """Such input cannot be prevented, only replaced: here it changes the field without a `beforeinput` event."""
    accepted.ask(
        """() => { const field = document.getElementById("text"); field.addEventListener("beforeinput",
          (event) => event.stopImmediatePropagation(), { capture: true, once: true }) }"""
    )
    accepted.keyboard.type("،")
    accepted.has_text(DONE + "،")


def test_a_finished_text_is_kept_without_the_space(accepted: Playground) -> None:
    accepted.one("#done").click()
    expect(accepted.one("#written p")).to_have_text(DONE, use_inner_text=False)
    assert accepted.one("#written p").evaluate("(p) => p.textContent") == DONE


@pytest.mark.parametrize(("typed", "piece"), [("我", "们在"), ("コ", "ーヒー"), ("ที", "่นี่")])
def test_a_piece_of_a_script_without_spaces_gets_none(page: Playground, api: Api, typed: str, piece: str) -> None:
    api.suggestions = {typed: [{"text": typed + piece, "completion": piece, "probability": 0.5}]}
    api.ghosts = {}
    page.type(typed)
    page.one("#chips button:visible").first.click()
    page.has_text(typed + piece)
    page.keyboard.type("a")
    page.has_text(typed + piece + "a")


def test_the_page_and_the_simulator_have_one_rule(page: Playground) -> None:
    characters = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")
    ]
    gives, spaces = page.ask(
        """(all) => import('./spacing.js').then(({ givesWay, spaceAfter }) =>
          [all.map(givesWay), all.map(spaceAfter)])""",
        characters,
    )
    # A browser may have an older or a newer Unicode, so recently added signs may differ.
    differ = [c for c, g, s in zip(characters, gives, spaces, strict=True) if (g, s) != rule(c)]
    assert [unicodedata.name(c) for c in differ if unicodedata.ucd_3_2_0.category(c) != "Cn"] == []
    assert sum(gives) > 200


def rule(character: str) -> tuple[bool, str]:
    return gives_way(character), space_after(character)


@pytest.mark.parametrize(
    "text",
    ["شو حلو", "شو حلو، كتير !", "شو (حلو) كتير.", "شو-حلو 😂", "شو  حلو", "see you, all of them."],
)
def test_keys_that_the_simulator_counts_write_the_text(page: Playground, api: Api, text: str) -> None:
    """Accept every word before its first letter, and press only the keys that are counted."""
    whole = np.ones(len(text) + 1, np.bool_)
    begins = np.array([any(at == begin for begin, _ in words(text)) for at in range(len(text) + 1)], np.bool_)
    (counted,) = type_texts([text], [Help.of(text, begins, whole, whole)])[:, 0].tolist()
    api.suggestions = {}
    for begin, end in words(text):
        one = {"text": text[begin:end], "completion": text[begin:end], "probability": 0.5}
        api.suggestions[text[:begin]] = [one]
    pressed, at, ends = 0, 0, dict(words(text))
    page.one("#text").focus()
    while (stands := page.one("#text").input_value()) != text:
        assert pressed < counted, stands
        pressed += 1
        if text.startswith(stands) and len(stands) == at and at in ends:
            page.one("#chips button:visible").click()
            at = ends[at]
            page.has_text(text[:at] + " ")
            at += stays(text, at)
        elif len(stands) == at or gives_way(text[at : at + 1]):
            page.keyboard.insert_text(text[at])
            at += 1
        else:
            page.keyboard.press("Backspace")
    assert pressed == counted
