"""The page in a real browser, its API answered by the tests."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import needs

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Route, WebSocket, expect, sync_playwright

from kammil import model_folder as folders
from kammil.views.playground import HEADERS, assets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PATIENCE = 60
"""Seconds to wait for an expected change, so that no test depends on the speed of the machine."""
expect.set_options(timeout=1000 * PATIENCE)
ORIGIN = "http://playground.test/"
ARGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
CARD = {
    "name": "levantine",
    "family": "blend",
    "parameters": 6778529,
    "licence": "research use",
    "figures": {"bits_per_character": 2.64, "top1": 0.507, "top3": None},
    "faults": "It was raised on tweets: it can be rude.",
    "learns": True,
    "learning": "shared",
}


def bundled(name: str) -> dict[str, Any]:
    """What the card of a bundled model says of its terms and its faults."""
    about = folders.about(folders.locate(Path(name)))
    return {**CARD, "licence": about["licence"], "faults": about["faults"]}


class Api:
    """Answers the page as the API does, and records its requests; a request to any other server fails the test."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.ghosts: dict[str, str] = {}
        self.stock: dict[str, str] = {}
        """Stock phrases that stand in place of the ghosts."""
        self.suggestions: dict[str, list[dict[str, Any]]] = {}
        self.foreign: list[str] = []
        self.held: list[Route] | None = None
        self.holding = "ghost"
        """Which requests are put into `held`, if it is a list, and not answered: ghosts, or a path."""
        self.learnt: list[str] = []
        self.expired = False
        """Whether what was learnt has given way, and nobody has said that they know it."""
        self.failing: tuple[int, str] | None = None
        self.key: str | None = None

    def of(self, path: str) -> list[Any]:
        """Return the bodies that were sent to a path."""
        return [body for to, body in self.asked if to == path]

    def ghosts_asked(self) -> list[str]:
        """Return the prefixes for which ghost text was requested."""
        return [body["prefix"] for body in self.of("POST v1/suggest") if "phrase" in body]

    def written(self) -> list[Any]:
        """Return the requests for completions side by side."""
        return [body for body in self.of("POST v1/completions") if body.get("stream")]

    def __call__(self, route: Route) -> None:
        request = route.request
        if not request.url.startswith(ORIGIN):
            self.foreign.append(request.url)
            route.abort()
            return
        path = request.url.removeprefix(ORIGIN).partition("?")[0]
        if path in assets():
            asset = assets()[path]
            route.fulfill(body=asset.content, headers={**HEADERS, "Content-Type": asset.media})
            return
        body = json.loads(request.post_data) if request.post_data else None
        self.asked.append((f"{request.method} {path}", body))
        if self.failing:
            status, message = self.failing
            route.fulfill(status=status, json={"error": {"message": message}}, headers={"Retry-After": "1"})
        elif self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            route.fulfill(status=401, json={"error": {"message": "no key"}})
        elif self.expired and (body or path == "v1/learn") and request.method != "DELETE":
            route.fulfill(status=410, json={"error": {"message": "forgotten", "code": "session_expired"}})
        elif self.held is not None and self.holding == ("ghost" if body and "phrase" in body else path):
            self.held.append(route)
        else:
            self.answer(route, path, body)

    def answer(self, route: Route, path: str, body: Any) -> None:
        """Answer like a server with one model, and one that cannot learn."""
        if path == "v1/models":
            other = {**CARD, "name": "plain", "learns": False, "figures": {}}
            route.fulfill(json={"data": [{"id": "levantine", "card": CARD}, {"id": "plain", "card": other}]})
        elif path == "v1/suggest":
            said: dict[str, Any] = {"suggestions": self.suggestions.get(body["prefix"], []), "phrase": None}
            for text in self.learnt:  # a learnt text goes on as it did
                rest = text.removeprefix(body["prefix"])
                if rest and rest != text:
                    end = rest.split()[0] if rest.strip() else ""
                    begun = body["prefix"].rpartition(" ")[2]
                    said["suggestions"] = [{"text": begun + end, "completion": end, "probability": 0.9}]
            if "phrase" in body:
                ghost = self.ghosts.get(body["prefix"], "")
                stock = self.stock.get(body["prefix"], "")
                said["phrase"] = {"completion": stock or ghost, "stock": bool(stock), "sure": ghost if stock else ""}
            route.fulfill(json=said)
        elif path == "v1/score":
            route.fulfill(json=scored(body["text"]))
        elif path == "v1/learn" and route.request.method == "GET":
            route.fulfill(json={"learnt": len(self.learnt)})
        elif path == "v1/learn" and route.request.method == "DELETE":
            self.learnt.clear()
            self.expired = False
            route.fulfill(json={"forgotten": 1})
        elif path == "v1/learn":
            self.learnt.append(body["text"])
            route.fulfill(json={"learnt": len(self.learnt)})
        elif path == "v1/completions" and not body.get("stream"):
            route.fulfill(json={"choices": [{"index": 0, "text": " من " + body["model"], "finish_reason": "length"}]})
        elif path == "v1/completions":
            route.fulfill(body=streamed(body["n"]), headers={"Content-Type": "text/event-stream"})
        else:
            route.fulfill(status=404, json={"error": {"message": f"there is no {path}"}})


def scored(text: str) -> dict[str, Any]:
    """Score a text: each character costs one bit more than the last; the last entry is the end of the text."""
    places = [
        {"character": c, "bits": i % 9, "alternatives": [{"character": c, "probability": 2.0 ** -(i % 9)}, END]}
        for i, c in enumerate([*text, ""])
    ]
    return {"text": text, "bits_per_character": 1.5, "characters": places}


END = {"character": "", "probability": 0.01}


def streamed(n: int) -> str:
    """Stream the texts of several choices in turns, as server-sent events with comments between them."""
    made: list[str] = []
    for piece in ("ون ", "هون", "<b>"):
        for index in range(n):
            cut = "length" if (piece, index) == ("<b>", 2) else None
            choice = {"index": index, "text": piece, "finish_reason": cut}
            made.append(f"data: {json.dumps({'choices': [choice]})}\n\n")
        made.append(": ping\n\n")
    return "".join([*made, "data: [DONE]\n\n"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(needs.CHROMIUM)
    with sync_playwright() as started:
        try:
            opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        except Error as error:
            pytest.skip(f"Chromium does not start: {error.message.splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture
def api() -> Api:
    return Api()


class Playground:
    """An open page."""

    def __init__(self, page: Page) -> None:
        self.page, self.keyboard, self.mouse = page, page.keyboard, page.mouse

    def one(self, selector: str) -> Locator:
        """Find an element by a CSS selector."""
        return self.page.locator(selector)

    def ask(self, script: str, argument: Any = None) -> Any:
        """Evaluate JavaScript in the page."""
        return self.page.evaluate(script, argument)

    def type(self, text: str) -> None:
        """Insert a text at once, so that the speed of the machine does not matter."""
        self.one("#text").focus()
        self.keyboard.insert_text(text)

    def ghost(self) -> str:
        """Return the ghost that is visible after the typed text."""
        return self.ask(
            """() => document.querySelector(".ghosted") ? document.getElementById("mirror").textContent
              .slice(document.getElementById("text").value.length) : "" """
        )

    def has_ghost(self, wanted: str) -> None:
        """Wait until this is the visible ghost."""
        self.until(lambda: self.ghost() == wanted)

    def until(self, true: Callable[[], bool]) -> None:
        """Let the page run until a condition is true; fail if that never happens."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, f"it never came; the ghost is {self.ghost()!r}"
            self.page.wait_for_timeout(20)

    def has_text(self, wanted: str) -> None:
        """Wait until this is the typed text."""
        expect(self.one("#text")).to_have_value(wanted)


@pytest.fixture(scope="module")
def tabs(browser: Browser) -> dict[str, Page]:
    """Pages by their options; they are reused, since opening one takes as long as a test."""
    return {}


@pytest.fixture
def visit(browser: Browser, tabs: dict[str, Page], api: Api) -> Iterator[Callable[..., Playground]]:
    """Open the page; at the end of the test, no other server was contacted, and the console is empty."""
    heard: list[str] = []
    used: list[Page] = []

    def said(message: ConsoleMessage) -> None:
        heard.append(message.text)

    def failed(error: Error) -> None:
        heard.append(str(error))

    def connected(socket: WebSocket) -> None:
        api.foreign.append(socket.url)

    def go(locale: str = "ar", **options: Any) -> Playground:
        opened: dict[str, Any] = {"locale": locale, "reduced_motion": "reduce", "service_workers": "block", **options}
        key = repr(opened)
        if key not in tabs:
            tabs[key] = browser.new_context(**opened).new_page()
            tabs[key].set_default_timeout(1000 * PATIENCE)
        page = tabs[key]
        used.append(page)
        page.route("**/*", api)
        page.on("console", said)
        page.on("pageerror", failed)
        page.on("websocket", connected)
        page.goto(ORIGIN)
        return Playground(page)

    yield go
    for page in used:
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.unroute_all(behavior="ignoreErrors")
        page.goto("about:blank")
        page.remove_listener("console", said)
        page.remove_listener("pageerror", failed)
        page.remove_listener("websocket", connected)
    assert api.foreign == []
    # Chromium writes a line for every response with an error status, which are expected, and for a preloaded font that
    # is not used, where the system has a better one.
    expected = ("Failed to load resource", "The resource " + ORIGIN + "plex-arabic.woff2 was preloaded")
    assert [line for line in heard if not line.startswith(expected)] == []


@pytest.fixture
def page(visit: Callable[..., Playground]) -> Playground:
    return visit()
