"""The parts around the text: suggestions, completions, heat map, learning, the model's card."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, expect

if TYPE_CHECKING:
    from tests.server.playground.conftest import Api, Playground

MID, LATIN = "شو حلو الشعور لما تك", "see you to"
GHOSTS = {MID: "ون مع اصحابك كل", LATIN: "morrow at the"}
"""The model's ghost text and suggestions."""
SUGGESTIONS = [
    {"text": "تكون", "completion": "ون", "probability": 0.68},
    {"text": "تكوني", "completion": "وني", "probability": 0.06},
    {"text": "تكبر", "completion": "بر", "probability": 0.03},
]


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts = GHOSTS
    api.suggestions = {MID: SUGGESTIONS}


def test_chips_go_in_the_direction_of_the_text_and_are_used(visit: Callable[..., Playground], api: Api) -> None:
    page = visit("en")
    page.type(MID)
    chips = page.one("#chips button:visible")
    expect(chips).to_have_text([re.compile(f"^{s['text']} ") for s in SUGGESTIONS])
    places = [chips.nth(i).bounding_box() for i in range(3)]
    assert all(places)
    lefts = [place["x"] for place in places if place]
    assert lefts == sorted(lefts, reverse=True)
    assert page.ask("document.documentElement.dir") == "ltr"
    # By keyboard: down to the first, left to the next, and back into the text.
    page.keyboard.press("ArrowDown")
    expect(chips.nth(0)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(chips.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.has_text(MID + "وني ")
    expect(page.one("#text")).to_be_focused()
    expect(chips).to_have_count(0)
    assert len({body["session"] for body in api.of("POST v1/suggest")}) == 1


def test_chips_go_with_what_is_typed_since_they_were_asked_for(page: Playground, api: Api) -> None:
    page.type(MID)
    chips = page.one("#chips button:visible")
    expect(chips).to_have_count(3)
    api.held, api.holding = [], "v1/suggest"  # requests from now on are not answered
    page.type("ون")
    # The other two words no longer agree with the text.
    expect(chips).to_have_text([re.compile("^تكوني ")])
    chips.first.click()
    page.has_text(MID + "وني ")
    page.one("#text").press("Backspace")
    expect(chips).to_have_count(0)


def test_completions_stand_side_by_side(page: Playground, api: Api) -> None:
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    page.one("#length").focus()
    page.keyboard.press("Home")
    page.one("#write").press("Enter")
    cards = page.one("#completions li")
    expect(cards).to_have_count(3)
    # Markup in a text is shown as text.
    # The third is cut by its length within a word, which is left out.
    expect(cards.locator("p[dir]")).to_have_text([MID + "ون هون<b>", MID + "ون هون<b>", MID + "ون"])
    sent = api.written()[-1]
    assert (sent["prompt"], sent["n"], sent["max_tokens"], sent["temperature"]) == (MID, 3, 5, 0.7)
    cards.nth(1).get_by_role("button").first.press("Enter")
    page.has_text(MID + "ون هون<b>")


def test_presets_move_the_sliders_and_sliders_leave_the_preset(page: Playground, api: Api) -> None:
    page.one("input[value=creative]").press("Space")
    expect(page.one("#temperature")).to_have_value("1")
    page.one("#write").press("Enter")
    page.until(lambda: bool(api.written()))
    assert api.written()[-1]["preset"] == "creative"
    page.one("#temperature").press("End")
    expect(page.one("input[value=custom]")).to_be_checked()
    page.one("#reseed").press("Enter")
    expect(page.one("#seed")).to_have_value("1")
    page.until(lambda: api.written()[-1]["seed"] == 1)
    page.page.reload()
    expect(page.one("#temperature")).to_have_value("1.5")
    sent = api.written()[-1]
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent.get("preset")) == (1.5, 1, 1, None)


def test_the_heat_map_tells_of_each_character(page: Playground) -> None:
    text = "شو 👍🏽 ok"
    page.type(text)
    page.one("#colour").press("Enter")
    heat, detail = page.one("#heat p"), page.one("#detail")
    expect(heat).to_have_text(text)
    assert page.ask("[...CSS.highlights.keys()].filter((name) => /^l/.test(name)).sort()") == [
        f"l{n}" for n in range(8)
    ]
    heat.focus()
    expect(detail).to_contain_text("ش")
    for key, wanted in (("ArrowLeft", "و"), ("ArrowLeft", "فراغ"), ("ArrowRight", "و"), ("End", "نهاية النص")):
        page.keyboard.press(key)
        expect(detail.locator("p").first).to_contain_text(wanted)
    # Pointing works too, and each alternative is listed with its probability.
    spot = page.ask(
        "() => { const r = new Range(); r.setStart(document.querySelector('#heat .word').firstChild, 0);"
        "r.setEnd(document.querySelector('#heat .word').firstChild, 1);"
        "const b = r.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] }"
    )
    page.mouse.move(*spot)
    expect(detail.locator("li")).to_have_text([re.compile("^ش ١٠٠"), re.compile("^نهاية النص ١")])


def test_nothing_is_learnt_until_it_is_switched_on(page: Playground, api: Api) -> None:
    page.type(MID)
    page.one("#done").press("Enter")
    page.has_text("")
    expect(page.one("#written li p")).to_have_text([MID])
    assert api.of("POST v1/learn") == []
    page.one("#learn").press("Space")
    page.type(LATIN)
    page.one("#done").press("Enter")
    expect(page.one("#learnt")).to_contain_text("١")
    assert [body["text"] for body in api.of("POST v1/learn")] == [LATIN]
    page.one("#wipe").press("Enter")
    expect(page.one("#learnt")).to_have_text("مُحي ما تعلّمه.")
    assert len(api.of("DELETE v1/learn")) == 1
    # It is off after a reload, and with another model.
    page.page.reload()
    expect(page.one("#learn")).not_to_be_checked()
    expect(page.one("#learn")).to_be_enabled()
    page.one("#model").select_option("plain")
    expect(page.one("#learn")).to_be_disabled()


def test_the_card_shows_what_is_known(page: Playground) -> None:
    expect(page.one("#card")).to_contain_text("research use")
    expect(page.one("#card")).to_contain_text("٢٫٦٤")
    expect(page.one("#card dt")).to_have_count(6)  # entries that are null are left out


@pytest.mark.parametrize("locale", ["ar", "en"])
def test_the_card_can_be_read_on_a_phone(visit: Callable[..., Playground], locale: str) -> None:
    page = visit(locale, viewport={"width": 320, "height": 740})
    values = page.one("#card dd")
    expect(values).to_have_count(6)
    widths = [box["width"] for i in range(6) if (box := values.nth(i).bounding_box())]
    assert min(widths) > 100


def test_what_was_said_of_another_text_or_by_another_model_goes(page: Playground) -> None:
    for change in (lambda: page.one("#model").select_option("plain"), lambda: page.one("#done").press("Enter")):
        page.type(MID)
        page.one("#colour").press("Enter")
        page.one("#write").press("Enter")
        expect(page.one("#heat p")).to_have_count(1)
        expect(page.one("#completions li")).to_have_count(3)
        change()
        expect(page.one("#heat p")).to_have_count(0)
        expect(page.one("#completions li")).to_have_count(0)
        expect(page.one("#mean")).to_have_text("")


def test_a_score_that_comes_late_is_not_shown(page: Playground, api: Api) -> None:
    for change in (lambda: page.one("#model").select_option("plain"), lambda: page.one("#done").press("Enter")):
        page.type(MID)
        held = api.held = []
        api.holding = "v1/score"
        page.one("#colour").press("Enter")
        page.until(lambda held=held: len(held) == 1)
        api.held = None
        change()
        with contextlib.suppress(Error):  # it was aborted
            api.answer(held[0], "v1/score", {"text": MID})
        page.page.wait_for_timeout(100)
        expect(page.one("#heat p")).to_have_count(0)
        expect(page.one("#problem")).to_be_hidden()


def test_below_a_long_text_what_goes_on_with_it_stays_in_sight(visit: Callable[..., Playground]) -> None:
    page = visit("ar", viewport={"width": 390, "height": 500})
    page.type("هالنص طويل كتير، وبيطلع من الشاشة. " * 30 + MID)
    for part in ("#accept", "#chips"):
        box = page.one(part).bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 500
