"""The page with a real server, which answers like the `Api` of the other tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import Browser, expect

if TYPE_CHECKING:
    from tests.server.conftest import Running

TEXT = "شو حلو الشعور لما تك"


def test_everything_once(browser: Browser, server: Running) -> None:
    page = browser.new_page(locale="ar")
    heard: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    expect(page.locator("#model option")).to_have_text(["levantine"])
    expect(page.locator("#card")).to_contain_text("levantine")
    expect(page.locator("#chips button:visible")).not_to_have_count(0)  # openings of messages
    page.locator("#text").focus()
    page.keyboard.insert_text(TEXT)
    page.wait_for_selector(".ghosted", state="attached")
    expect(page.locator("#chips button:visible")).to_have_count(3)
    page.keyboard.press("Tab")
    expect(page.locator("#text")).not_to_have_value(TEXT)
    page.locator("#text").fill(TEXT)
    page.locator("#write").press("Enter")
    cards = page.locator("#completions li")
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#completions .row:visible")).not_to_have_count(0)
    texts = cards.locator("p[dir]").all_text_contents()
    assert all(text.startswith(TEXT) for text in texts) and 1 < len(set(texts)) == len(texts)
    page.locator("#text").fill("bukra rayi7 3al")
    page.locator("#write").press("Enter")
    expect(page.locator("#stop")).to_be_hidden()
    expect(cards.first.locator("p[dir]")).to_have_text(re.compile("^بكرا رايح عال[^a-z]+$"))
    cards.first.get_by_role("button").first.click()
    expect(page.locator("#text")).to_have_value(re.compile("^بكرا رايح عال[^a-z]+$"))
    page.locator("#text").fill(TEXT)
    page.locator("#colour").press("Enter")
    expect(page.locator("#heat p")).to_have_text(TEXT)
    page.locator("#heat p").focus()
    expect(page.locator("#detail li")).to_have_count(5)
    page.locator("#teach").press("Enter")
    expect(page.locator("#learnt")).to_contain_text("١")
    expect(page.locator("#lesson .named")).to_be_visible()
    page.locator("#wipe").press("Enter")
    expect(page.locator("#learnt")).to_have_text("مُحي ما تعلّمه.")
    assert heard == []
    assert all(url.startswith(server.url) for url in asked)
    page.close()
