"""Draw docs/playground.png and docs/ar/playground.png with Chromium: `kammil serve`, then `python docs/picture.py`."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

ADDRESS = "http://127.0.0.1:8000"
DOCS = Path(__file__).resolve().parent
TAUGHT, ARABIC, LATIN = "حكيت مع رودي مبارح", "رح نتأخر شوي لأنو الطري", "ya 7abi"
WIDTH, HEIGHT, SCALE, COLOURS = 410, 600, 1.75, 64


def main() -> None:
    """Draw both pictures, each of two phones: Arabic after a lesson, and Arabic typed in Latin letters."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        for locale, path in (("en", DOCS / "playground.png"), ("ar", DOCS / "ar" / "playground.png")):
            taught = opened(browser, locale, TAUGHT)
            taught.locator("#teach").click()
            expect(taught.locator("#lesson .after")).to_be_visible()
            taught.locator("#done").click()
            shots = [drawn(taught, ARABIC, "#phrase"), drawn(opened(browser, locale, ""), LATIN, "#chips .corrects")]
            picture = Image.new("RGB", (sum(shot.width for shot in shots), shots[0].height))
            for at, shot in enumerate(shots if locale == "en" else reversed(shots)):
                picture.paste(shot, (at * shot.width, 0))
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
            taught.locator("#wipe").click()
        browser.close()


def opened(browser: Browser, locale: str, text: str) -> Page:
    """A page of one language with a text."""
    size: ViewportSize = {"width": WIDTH, "height": HEIGHT}
    page = browser.new_page(locale=locale, reduced_motion="reduce", device_scale_factor=SCALE, viewport=size)
    page.goto(ADDRESS)
    expect(page.locator("#card dt").first).to_be_attached()
    page.locator("#text").focus()
    page.keyboard.insert_text(text)
    return page


def drawn(page: Page, text: str, wait: str) -> Image.Image:
    """What the page shows of a text."""
    page.locator("#text").focus()
    page.keyboard.insert_text(text)
    page.wait_for_selector(wait)
    expect(page.locator("#chips button:visible").first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    return Image.open(io.BytesIO(page.screenshot()))


if __name__ == "__main__":
    main()
