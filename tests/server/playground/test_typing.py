"""Ghost text, caret and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, expect
from tests.phone import OPTIONS, Phone

if TYPE_CHECKING:
    from tests.server.playground.conftest import Api, Playground

MID, LATIN = "شو حلو الشعور لما تك", "see you to"
GHOSTS = {MID: "ون مع اصحابك كل", LATIN: "morrow at the"}
"""The model's ghost text and suggestions."""
SEAM = """([first, last]) => {
  const range = new Range(), node = document.getElementById("mirror").firstChild;
  range.setStart(node, first);
  range.setEnd(node, last);
  const { left, right, top, bottom } = range.getBoundingClientRect();
  return { left, right, top, bottom };
}"""
"""The positions of characters in the mirror."""


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts = GHOSTS


def test_a_ghost_appears_and_is_joined_to_the_typed_letters(page: Playground) -> None:
    page.type(MID)
    # The last word was cut by the length, so it is not offered.
    page.has_ghost("ون مع اصحابك كل")
    # One text node, so the letters are shaped as one word.
    assert page.ask("document.getElementById('mirror').firstChild.data") == MID + "ون مع اصحابك كل"
    joined = page.ask(SEAM, [len(MID) - 1, len(MID)])
    page.keyboard.press("Escape")
    alone = page.ask(SEAM, [len(MID) - 1, len(MID)])
    # A kaf in the middle of a word is narrower than one at its end.
    assert joined["right"] - joined["left"] < alone["right"] - alone["left"]


@pytest.mark.parametrize(("text", "rtl"), [(MID, True), (LATIN, False)])
def test_the_caret_stands_at_the_seam(page: Playground, text: str, rtl: bool) -> None:
    page.type(text)
    page.page.wait_for_selector(".ghosted")
    last, next = page.ask(SEAM, [len(text) - 1, len(text)]), page.ask(SEAM, [len(text), len(text) + 1])
    caret = page.one("#caret").bounding_box()
    assert caret is not None
    middle = caret["x"] + caret["width"] / 2
    seam = last["left"] if rtl else last["right"]
    assert middle == pytest.approx(seam, abs=1.5)
    assert middle == pytest.approx(next["right"] if rtl else next["left"], abs=1.5)
    assert last["top"] - 1 <= caret["y"] and caret["y"] + caret["height"] <= last["bottom"] + 1


def test_text_and_mirror_break_their_lines_alike(visit: Callable[..., Playground], api: Api) -> None:
    page = visit(viewport={"width": 360, "height": 740})
    before = "كتبت نص طويل لحتى شوف كيف السطر بينكسر لما يوصل لآخر الصفحة\n\nhello "
    page.type(before)
    field, mirror = page.one("#text"), page.one("#mirror")
    box, drawn = field.bounding_box(), mirror.bounding_box()
    assert box and drawn and box["height"] >= drawn["height"]
    assert [box[side] for side in ("x", "y", "width")] == [drawn[side] for side in ("x", "y", "width")]
    # The text area has nothing to scroll: all of its text is visible.
    assert field.evaluate("(field) => field.scrollHeight - field.clientHeight") == 0
    assert field.evaluate("(field) => field.scrollWidth - field.clientWidth") == 0
    assert page.ask("document.documentElement.scrollWidth") <= 360


def test_tab_accepts_all_and_undo_takes_it_back(page: Playground) -> None:
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    page.keyboard.press("Tab")
    page.has_text(MID + "ون مع اصحابك كل ")
    assert page.ghost() == ""
    page.keyboard.press("Control+z")
    page.has_text(MID)


@pytest.mark.parametrize(
    ("text", "forward", "backward", "first", "rest"),
    [
        (MID, "ArrowLeft", "ArrowRight", "ون ", "مع اصحابك كل"),
        (LATIN, "ArrowRight", "ArrowLeft", "morrow ", "at the"),
    ],
)
def test_control_and_the_arrow_onwards_accept_a_word(
    page: Playground, text: str, forward: str, backward: str, first: str, rest: str
) -> None:
    page.type(text)
    page.page.wait_for_selector(".ghosted")
    page.keyboard.press(f"Control+{forward}")
    page.has_text(text + first)
    page.has_ghost(rest)
    # In the other direction the caret moves back as usual; the ghost is hidden until the caret is at the end again.
    page.keyboard.press(f"Control+{backward}")
    page.has_text(text + first)
    page.has_ghost("")
    page.keyboard.press("Control+End")
    page.has_ghost(rest)


def test_escape_dismisses_and_tab_is_free_again(page: Playground) -> None:
    page.type(MID)
    page.page.wait_for_selector(".ghosted")
    page.keyboard.press("Escape")
    page.has_ghost("")
    page.keyboard.press("Tab")
    page.has_text(MID)
    expect(page.one("#text")).not_to_be_focused()


@pytest.mark.parametrize("text", [MID, LATIN])
@pytest.mark.parametrize("on_ghost", [False, True])  # not one after the other: two quick taps select a word
def test_a_tap_on_the_ghost_accepts_it(visit: Callable[..., Playground], text: str, on_ghost: bool) -> None:
    page = visit("en", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.type(text)
    page.has_ghost(GHOSTS[text])
    expect(page.one("#tap")).to_be_visible()
    begin = len(text) if on_ghost else 0
    place = page.ask(SEAM, [begin, begin + 2])
    page.page.touchscreen.tap((place["left"] + place["right"]) / 2, (place["top"] + place["bottom"]) / 2)
    if on_ghost:
        page.has_text(text + GHOSTS[text] + " ")
    else:
        page.has_ghost("")  # the caret has moved
        page.has_text(text)


def test_letters_that_agree_keep_the_ghost_and_others_end_it(page: Playground, api: Api) -> None:
    page.type(MID)
    page.page.wait_for_selector(".ghosted")
    asked = len(api.ghosts_asked())
    page.one("#text").press_sequentially("ون م")
    assert page.ghost() == "ع اصحابك كل"
    assert len(api.ghosts_asked()) == asked
    page.type("ب")
    assert page.ghost() == ""


def test_every_rest_asks_once_and_a_stale_answer_is_dropped(page: Playground, api: Api) -> None:
    held = api.held = []
    page.type(MID)
    page.until(lambda: len(held) == 1)
    page.one("#text").press_sequentially(" xy")
    page.until(lambda: api.ghosts_asked()[-1] == MID + " xy")
    for route, text in ((held[0], "ون"), (held[-1], "lophone")):
        try:
            route.fulfill(json={"suggestions": [], "phrase": {"completion": text, "probability": 0.2}})
        except Error:
            assert route is held[0]  # it was aborted
    page.has_ghost("lophone")


def test_an_input_method_is_left_alone(page: Playground) -> None:
    page.type(MID)
    page.page.wait_for_selector(".ghosted")
    keyboard = page.page.context.new_cdp_session(page.page)
    keyboard.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    assert page.ghost() == ""
    page.has_text(MID + "に")
    keyboard.send("Input.insertText", {"text": "日"})
    page.has_text(MID + "日")


@pytest.fixture
def phone(visit: Callable[..., Playground], api: Api) -> Phone:
    """Somebody who composed مرح, for which there is مرحبا."""
    api.ghosts = {"مرح": "بتين", "مرحبا ك": "يفك"}
    begun = {"مرح": "با", "شو مرح": "با", "مرحبا ك": "يفك"}
    api.suggestions = {
        before: [{"text": before.split()[-1] + end, "completion": end, "probability": 0.5}]
        for before, end in begun.items()
    }
    phone = Phone(visit(**OPTIONS).page, "#text", "#chips button", "#mirror")
    phone.compose("مرح")
    return phone


def test_no_letter_is_lost_after_a_suggestion_is_tapped_within_a_word(phone: Phone) -> None:
    assert phone.tap_suggestion() and phone.before == "مرحبا "
    phone.compose("ك")
    assert phone.tap_suggestion() and phone.before == "مرحبا كيفك "
    phone.delete()
    phone.compose("م")
    phone.delete()
    phone.move(0)
    phone.compose("شو")
    phone.space()
    assert phone.value == "شو مرحبا كيفك"


def test_no_letter_is_lost_after_ghost_text_is_tapped_within_a_word(phone: Phone) -> None:
    assert phone.tap_ghost() and phone.before == "مرحبتين "
    phone.compose("ك")
    phone.commit()


def test_the_page_hears_that_a_composition_ends_but_not_that_the_field_is_left(phone: Phone) -> None:
    heard = """() => {
      window.heard = [];
      const [field, own] = [document.getElementById("text"), ["compositionend", "input", "blur", "focus"]];
      for (const kind of own) field.addEventListener(kind, () => heard.push(kind + " " + field.value));
      for (const kind of ["focusin", "focusout"]) document.addEventListener(kind, () => heard.push(kind));
    }"""
    phone.page.evaluate(heard)
    assert phone.tap_suggestion()
    assert phone.page.evaluate("heard") == ["compositionend مرح", "input مرحبا "]
    assert phone.page.evaluate("document.activeElement.id") == "text"
    phone.page.evaluate("document.activeElement.blur()")
    assert phone.page.evaluate("heard").count("focusout") == 1  # only once it is true


def test_undo_takes_back_what_was_tapped_within_a_word(phone: Phone) -> None:
    assert phone.tap_suggestion()
    phone.page.keyboard.press("Control+z")
    expect(phone.page.locator("#text")).to_have_value("مرح")


def test_a_composed_comma_takes_the_place_of_the_space(phone: Phone) -> None:
    assert phone.tap_suggestion()
    keys = phone.page.context.new_cdp_session(phone.page)
    keys.send("Input.imeSetComposition", {"text": "،", "selectionStart": 1, "selectionEnd": 1})
    expect(phone.page.locator("#text")).to_have_value("مرحبا،")


def test_a_word_for_another_text_than_an_input_method_shows_is_not_inserted(page: Playground, api: Api) -> None:
    api.suggestions = {MID: [{"text": "تكون", "completion": "ون", "probability": 0.5}]}
    page.type(MID)
    page.one("#chips button:visible").wait_for()
    keyboard = page.page.context.new_cdp_session(page.page)
    keyboard.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    page.one("#chips button").first.evaluate("(button) => button.click()")
    page.has_text(MID + "に")


def test_the_dial_goes_with_every_request_and_stays(page: Playground, api: Api) -> None:
    page.type(MID)
    page.page.wait_for_selector(".ghosted")
    assert {body["ghost"] for body in api.of("POST v1/suggest") if "phrase" in body} == {"balanced"}
    page.one("#settings").press("Enter")
    page.one("#ghost-level").select_option("eager")
    page.until(lambda: [body["ghost"] for body in api.of("POST v1/suggest") if "phrase" in body][-1] == "eager")
    page.has_ghost("ون مع اصحابك كل")
    assert page.ask("localStorage.getItem('kammil.ghost')") == "eager"
    page.one("#ghost-level").select_option("balanced")


def test_the_ghost_law(page: Playground) -> None:
    """After any input, text and remaining ghost make the same whole text as before, or no ghost remains."""
    strings = ["", "ش", "شو", "شو ", "شو حلو", "a", "ab", "a\u064e", "👍", "👍🏽"]
    cases = [(b, a, g) for b in strings for a in strings for g in strings]
    left = page.ask(
        "(cases) => import('./ghost.js').then(({ remainingGhost }) => cases.map((one) => remainingGhost(...one)))",
        cases,
    )
    for (before, after, ghost_), rest in zip(cases, left, strict=True):
        if after.startswith(before) and (before + ghost_).startswith(after):
            assert after + rest == before + ghost_
        else:
            assert rest == ""
