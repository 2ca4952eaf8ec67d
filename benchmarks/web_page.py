"""What somebody waits for who opens a page without a server: Chromium, an empty cache, files from this machine.

Each visit is of a new profile of the browser. A key counts from the page's questions to the worker to its last answer,
three suggestions and ghost text; what is seen counts from the key to the change of the suggestions, and holds the pause
of 60 ms for which the page waits whether another key follows. Texts are typed key by key, with pauses after which all
is answered.

Run: `python benchmarks/web_page.py` (needs the extra `dev` and Chromium; two minutes). Writes web_page.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

import kammil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.pages import chromium, served  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VISITS = 5
TEXTS = 20
PAUSE = 250
"""Milliseconds after a key: about a fast typist's."""
WATCH = """(() => {
  const seen = (window.seen = { first: 0, shift: 0, sent: [], answered: [], keys: [], chips: [] });
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) seen.shift += one.value;
  }).observe({ type: "layout-shift", buffered: true });
  const post = Worker.prototype.postMessage, known = new WeakSet();
  Worker.prototype.postMessage = function (...message) {
    if (!known.has(this)) this.addEventListener("message", () => seen.answered.push(performance.now()));
    known.add(this);
    seen.sent.push(performance.now());
    post.apply(this, message);
  };
  addEventListener("beforeinput", () => seen.keys.push(performance.now()), true);
  new MutationObserver(() => {
    const chips = document.querySelector("#chips")?.innerText.trim();
    if (chips && chips !== seen.text) seen.chips.push(performance.now());
    seen.first ||= chips ? performance.now() : 0;
    seen.text = chips;
  }).observe(document, { subtree: true, childList: true, characterData: true });
})()"""


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    texts = (ROOT / "benchmarks" / "prompts-daily.txt").read_text("utf-8").splitlines()[:TEXTS]
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        kammil.export("levantine", "web", site)
        with served(site) as address, chromium() as browser:
            visits = [visit(browser, address, site) for _ in range(VISITS)]
            page = opened(browser, address)
            keys = [one for text in texts for one in typed(page, text)]
            version = browser.version
    result = {
        "chromium": version,
        "load": round(os.getloadavg()[0], 1),
        "visits": visits,
        "first_suggestion_seconds": summary([one["seconds"] for one in visits]),
        "keys": len(keys),
        "key_ms": summary([ms for ms, _ in keys]),
        "seen_ms": summary([seen for _, seen in keys if seen]),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


def opened(browser: Browser, address: str, asked: list[str] | None = None) -> Page:
    """A page whose first suggestions are there, in a new profile; adds the paths of what it fetched to `asked`."""
    page = browser.new_context(locale="ar", bypass_csp=True).new_page()  # for `wait_for_function`
    page.add_init_script(WATCH)
    if asked is not None:
        page.on("request", lambda request: asked.append(urlsplit(request.url).path.lstrip("/") or "index.html"))
    page.goto(address)
    page.wait_for_function("seen.first")
    return page


def visit(browser: Browser, address: str, site: Path) -> dict[str, Any]:
    """A first visit: seconds from the navigation to the first suggestion, movement, and bytes as a host sends them."""
    asked: list[str] = []
    page = opened(browser, address, asked)
    page.wait_for_timeout(3000)  # what is kept for later is fetched
    first, shift = page.evaluate("[seen.first, seen.shift]")
    page.context.close()
    files = {name: (site / name).read_bytes() for name in asked if (site / name).is_file()}
    sizes = {name: min(len(content), len(gzip.compress(content))) for name, content in files.items()}
    model = sum(size for name, size in sizes.items() if name.startswith("model/"))
    return {
        "seconds": round(first / 1000, 2),
        "layout_shift": round(shift, 4),
        "code_bytes": sum(sizes.values()) - model,
        "model_bytes": model,
    }


def typed(page: Page, text: str) -> list[tuple[float, float | None]]:
    """The figures of each key of a text, in an empty field."""
    page.locator("#text").fill("")
    page.wait_for_timeout(2 * PAUSE)
    return [key(page, character) for character in text]


def key(page: Page, character: str) -> tuple[float, float | None]:
    """Milliseconds of a key for the worker, and until the suggestions changed; None if they did not."""
    page.evaluate("seen.sent = []; seen.answered = []; seen.chips = []; seen.keys = []")
    page.keyboard.type(character)
    page.wait_for_timeout(PAUSE)
    page.wait_for_function("seen.sent.length === seen.answered.length")
    seen = page.evaluate("seen")
    busy = sum(end - begin for begin, end in zip(seen["sent"], seen["answered"], strict=True))
    return busy, seen["chips"][-1] - seen["keys"][0] if seen["chips"] and seen["keys"] else None


def summary(values: list[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    return {"median": round(float(np.median(values)), 2), "p99": round(float(np.percentile(values, 99)), 2)}


if __name__ == "__main__":
    main()
