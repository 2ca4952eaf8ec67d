"""docs/embed.md is followed: its commands, and its pages in Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import needs
from tests.pages import ROOT, Files, Reader, chromium, served
from tests.phone import OPTIONS, Phone

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

GUIDE = ROOT / "docs" / "embed.md"
TYPED = "شو رأيكم نطلع على البح"
PAGES = ["site/page.html", "site/attached.html", "page.html"]


Open = Callable[..., "Page"]


class UnderPolicy(Files):
    """A host that sends the policy of the guide, and lets pages ask the server."""

    def end_headers(self) -> None:
        (policy,) = re.findall(r"`Content-Security-Policy: ([^`]+)`", GUIDE.read_text("utf-8"))
        assert re.findall(r"'(?:unsafe|wasm)-[^']+'", policy) == ["'wasm-unsafe-eval'"]
        self.send_header("Content-Security-Policy", policy.replace("connect-src", "connect-src http://127.0.0.1:*"))
        super().end_headers()


@pytest.fixture(scope="module")
def followed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of the folder in which somebody followed the page, a server of Kammil running."""
    if not shutil.which("npm"):
        pytest.skip(needs.NPM)
    del site  # skips where there is no build of the engine
    folder = tmp_path_factory.mktemp("embed")
    page = folder / "guide.md"
    with pytest.MonkeyPatch.context() as patch, served(folder, UnderPolicy) as address, chromium() as browser:
        reader = Reader(folder, patch, {})
        page.write_text(GUIDE.read_text("utf-8").replace("http://localhost:9000", address.rstrip("/")), "utf-8")
        try:
            assert reader.follow(page) == 4
            built = folder / "suggestions.js"
            built.write_text(built.read_text("utf-8").replace("http://127.0.0.1:8000", reader.address), "utf-8")
            yield browser, address
        finally:
            reader.close()


@pytest.fixture
def visit(followed: tuple[Browser, str]) -> Iterator[Open]:
    """Open a page of the guide; in the end the console is empty."""
    browser, address = followed
    wrong: list[str] = []

    def go(name: str, **options: Any) -> Page:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text + message.location["url"]))
        page.goto(address + name)
        return page

    yield go
    for context in browser.contexts:
        context.close()
    assert not [message for message in wrong if "favicon" not in message]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_guide_suggests_accepts_and_undoes(visit: Open, name: str) -> None:
    page = visit(name)
    field = page.get_by_role("textbox", name=re.compile("Message|Text"))
    field.press_sequentially(TYPED)
    chip = page.get_by_role("button").first
    chip.wait_for()
    word = chip.inner_text()
    chip.click()
    assert field.input_value() == f"{TYPED.rpartition(' ')[0]} {word} "
    page.keyboard.press("Control+z")
    assert field.input_value() == TYPED
    assert page.locator("html").get_attribute("lang") and page.locator("html").get_attribute("dir")


def test_the_box_of_the_chat_reads_the_bubbles(visit: Open) -> None:
    page = visit("site/chat.html", viewport={"width": 390, "height": 800})
    field, chips = page.get_by_role("textbox", name="رسالة"), page.locator("kammil-text").get_by_role("button")
    name = chips.get_by_text("رندلى", exact=True)
    field.press_sequentially("انا بخبر الدكتورة ")
    name.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    name.click()
    assert field.input_value() == "انا بخبر الدكتورة رندلى "
    page.get_by_role("button", name="إرسال").click()
    assert page.locator("#thread li").count() == 4 and field.input_value() == ""
    page.evaluate("document.getElementById('thread').replaceChildren()")
    field.press_sequentially("انا بخبر الدكتورة ")
    chips.first.wait_for()
    name.wait_for(state="hidden")


@pytest.mark.parametrize("name", PAGES)
def test_no_key_of_a_phone_is_lost_in_a_page_of_the_guide(visit: Open, name: str) -> None:
    page = visit(name, **OPTIONS)
    phone, button = Phone(page, "textarea", "button"), page.locator("button").locator("visible=true").first
    phone.compose("مرح")
    button.wait_for()
    assert phone.tap_suggestion()
    phone.compose("ك")
    phone.delete()
    phone.compose("شو")
    phone.space()
