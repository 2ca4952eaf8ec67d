"""Both languages, screen readers, colours, errors, and what a page must not do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from kammil.views.playground import HEADERS, assets

if TYPE_CHECKING:
    from tests.server.playground.conftest import Api, Playground

MID, LATIN = "شو حلو الشعور لما تك", "see you to"
GHOSTS = {MID: "ون مع اصحابك كل", LATIN: "morrow at the"}
"""The model's ghost text and suggestions."""


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts = GHOSTS


def test_the_language_is_switched_and_remembered(visit: Callable[..., Playground]) -> None:
    page = visit("en-GB")
    expect(page.one("html")).to_have_attribute("lang", "en")
    page.one("#language").press("Enter")
    expect(page.one("html")).to_have_attribute("dir", "rtl")
    expect(page.one("#compose-title")).to_have_text("نصّك")
    page.page.reload()
    expect(page.one("html")).to_have_attribute("lang", "ar")
    # A text has its own direction, whatever the language of the page.
    page.type(LATIN)
    assert page.one("#text").evaluate("(field) => field.matches(':dir(ltr)')")


def test_both_languages_say_the_same(page: Playground) -> None:
    said = page.ask("import('./messages.js').then((module) => module.MESSAGES)")
    for name, (phrase, arabic) in said.items():
        assert set(re.findall(r"\{\w+\}", phrase)) == set(re.findall(r"\{\w+\}", arabic)), name
        assert name == "otherLanguage" or re.search("[ء-ي]", arabic)
        assert name == "otherLanguage" or not re.search("[ء-ي]", phrase)


def test_what_is_said_to_screen_readers(page: Playground) -> None:
    page.type(MID)
    live = page.one("#live")
    expect(live).to_have_text("التكملة: ون مع اصحابك كل")
    expect(live).to_have_attribute("aria-live", "polite")
    expect(page.one("#mirror")).to_have_attribute("aria-hidden", "true")
    page.keyboard.press("Tab")
    expect(live).to_have_text("أُضيف: ون مع اصحابك كل")
    # Every control has a name.
    nameless = page.ask(
        """() => [...document.querySelectorAll("button, input, select, textarea")].filter((element) =>
          !element.hidden && !element.textContent.trim() && !element.labels?.length
          && !element.getAttribute("aria-label")).map((element) => element.id)"""
    )
    assert nameless == []


def test_every_control_is_reached_with_the_tab_key(page: Playground) -> None:
    page.type(MID)
    page.one("#colour").press("Enter")
    page.one("#write").press("Enter")
    expect(page.one("#completions .row:visible")).to_have_count(1)
    expect(page.one("#heat p")).to_be_visible()
    page.has_ghost("ون مع اصحابك كل")
    page.one("#text").press("Escape")
    all_of_them = page.ask(
        """() => { window.controls = [...document.querySelectorAll("button, input, select, textarea, [tabindex]")]
          .filter((one) => one.offsetParent && !one.disabled && !(one.type === "radio" && !one.checked));
          return window.controls.length }"""
    )
    page.one("#model").focus()
    reached: list[int] = []
    while (at := page.ask("() => window.controls.indexOf(document.activeElement)")) not in (-1, *reached):
        reached.append(at)
        page.keyboard.press("Tab")
    assert reached == list(range(all_of_them))


def test_what_goes_wrong_is_said_and_goes_away(page: Playground, api: Api) -> None:
    expect(page.one("#card dt")).to_have_count(6)
    api.failing = (400, "k is 0")
    page.type("شو")
    expect(page.one("#problem")).to_contain_text("k is 0")
    api.failing = None
    page.type(" ")
    expect(page.one("#problem")).to_be_hidden()


def test_a_key_is_asked_for_and_not_kept(visit: Callable[..., Playground], api: Api) -> None:
    api.key = "secret"
    page = visit()
    page.one("#secret").fill("wrong")
    expect(page.one("#problem")).to_be_hidden()
    page.one("#secret").press("Enter")
    expect(page.one("#problem")).to_have_text("هذا المفتاح غير صحيح.")
    page.one("#secret").fill("secret")
    page.one("#secret").press("Enter")
    expect(page.one("#card dt")).to_have_count(6)
    expect(page.one("#key")).to_be_hidden()
    expect(page.one("#problem")).to_be_hidden()
    expect(page.one("#text")).to_be_focused()
    assert "secret" not in page.ask("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")


def test_a_text_is_never_kept_in_the_browser(page: Playground) -> None:
    page.type(MID)
    page.page.wait_for_selector(".ghosted")
    assert MID not in page.ask("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(visit: Callable[..., Playground], scheme: str) -> None:
    """Every text colour, the ghost's included, has WCAG's contrast of 4.5 with its background."""
    page = visit(color_scheme=scheme)
    names = ["ink", "quiet", "ghost", "mark", "paper", "ground", "on-mark", "wrong", "wrong-tint", "tint"]
    colours = page.ask(
        """(names) => { const style = getComputedStyle(document.documentElement);
          return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name)])) }""",
        names,
    )
    pairs = [(ink, "paper") for ink in ("ink", "quiet", "ghost", "mark")]
    pairs += [("quiet", "ground"), ("on-mark", "mark"), ("wrong", "wrong-tint"), ("ink", "tint"), ("quiet", "tint")]
    for ink, paper in pairs:
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour.strip().lstrip("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_the_page_holds_no_script_no_style_and_nothing_from_elsewhere() -> None:
    for path, asset in assets().items():
        if path.endswith(".woff2"):
            continue
        content = asset.content.decode()
        assert not re.search(
            r"(?i)innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", content
        ), path
        assert not re.search(r"(?:https?:)?//[a-z0-9]", content.replace("http://www.w3.org/2000/svg", "")), path
    html = assets()[""].content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    assert "default-src 'self'" in HEADERS["Content-Security-Policy"]
