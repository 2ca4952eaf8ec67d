"""docs/embed.md is followed: its commands, and its pages in Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import needs
from tests.pages import ROOT, Reader, chromium, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

GUIDE = ROOT / "docs" / "embed.md"
TYPED = "شو رأيكم نطلع على البح"


@pytest.fixture(scope="module")
def followed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of the folder in which somebody followed the page, a server of Kammil running."""
    if not shutil.which("npm"):
        pytest.skip(needs.NPM)
    del site  # skips where there is no build of the engine
    folder = tmp_path_factory.mktemp("embed")
    page = folder / "guide.md"
    with pytest.MonkeyPatch.context() as patch, served(folder) as address, chromium() as browser:
        reader = Reader(folder, patch, {})
        page.write_text(GUIDE.read_text("utf-8").replace("http://localhost:9000", address.rstrip("/")), "utf-8")
        try:
            assert reader.follow(page) == 4
            built = folder / "page.html"
            built.write_text(built.read_text("utf-8").replace("http://127.0.0.1:8000", reader.address), "utf-8")
            yield browser, address
        finally:
            reader.close()


@pytest.mark.parametrize("name", ["site/page.html", "site/attached.html", "page.html"])
def test_a_page_of_the_guide_suggests_and_accepts(followed: tuple[Browser, str], name: str) -> None:
    browser, address = followed
    page, wrong = browser.new_page(), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.route("**/site/page.html", under_policy)
    page.goto(address + name)
    field = page.get_by_role("textbox", name=re.compile("Message|Text"))
    field.press_sequentially(TYPED)
    chip = page.get_by_role("button").first
    chip.wait_for(timeout=60_000)
    word = chip.inner_text()
    chip.click()
    assert field.input_value() == f"{TYPED.rpartition(' ')[0]} {word} "
    assert not [message for message in wrong if "favicon" not in message]


def under_policy(route: Route) -> None:
    """Answer as a host that sends the policy of the guide."""
    (policy,) = re.findall(r"`Content-Security-Policy: ([^`]+)`", GUIDE.read_text("utf-8"))
    assert re.findall(r"'(?:unsafe|wasm)-[^']+'", policy) == ["'wasm-unsafe-eval'"]
    response = route.fetch()
    route.fulfill(response=response, headers={**response.headers, "Content-Security-Policy": policy})
