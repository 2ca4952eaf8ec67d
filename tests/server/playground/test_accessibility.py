"""Other programs' checks of the page: axe-core's rules, and how far things move while it opens."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from tests import needs
from tests.pages import TOOLS
from tests.server.playground.conftest import CHROMIUM

if TYPE_CHECKING:
    from tests.server.conftest import Running
    from tests.server.playground.conftest import Api, Playground

MID = "شو حلو الشعور لما تك"
CHIP = {"text": "تكون", "completion": "ون", "probability": 0.68}
OPENINGS = [{"text": word, "completion": word, "probability": 0.03} for word in ("مرحبا", "كيفك", "صباح")]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
SCREENS = pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
SCHEMES = pytest.mark.parametrize("color_scheme", ["light", "dark"])
SHIFT = """() => new Promise((tell) => {
  let sum = 0;
  const seen = [];
  const note = (list) => list.getEntries().filter((one) => !one.hadRecentInput).forEach((one) => {
    sum += one.value;
    seen.push([one.value, one.sources.map(({ node }) => node?.id || node?.className || node?.nodeName)]);
  });
  const observer = new PerformanceObserver(note);
  observer.observe({ type: "layout-shift", buffered: true });
  setTimeout(() => tell([sum, seen]), 300);
})"""
"""How far things have moved since the page was opened (Cumulative Layout Shift, one session), and what moved."""


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts = {MID: "ون مع اصحابك كل"}
    api.suggestions = {"": OPENINGS, MID: [CHIP]}


@pytest.fixture(scope="module")
def axe() -> str:
    file = TOOLS / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip(needs.PAGE_TOOLS)
    return file.read_text("utf-8")


@SCREENS
@SCHEMES
def test_axe_finds_nothing(
    visit: Callable[..., Playground], axe: str, color_scheme: str, screen: dict[str, Any]
) -> None:
    page = visit(color_scheme=color_scheme, bypass_csp=True, **screen)  # the checker itself writes markup
    expect(page.one("#card dt")).to_have_count(6)
    said = [violations(page, axe)]
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    expect(page.one("#chips button:visible")).to_have_count(1)
    page.one("#colour").press("Enter")
    page.one("#write").press("Enter")
    expect(page.one("#completions .row:visible")).to_have_count(1)
    page.one("#heat p").focus()
    page.one("#teach").press("Enter")
    expect(page.one("#lesson .named")).to_be_visible()
    page.one("#compare").press("Enter")
    expect(page.one("#rivals li")).to_have_count(2)
    said.append(violations(page, axe))
    page.one("#settings").press("Enter")
    expect(page.one("#temperature")).to_be_visible()
    said.append(violations(page, axe))
    assert said == [[], [], []]


def violations(page: Playground, axe: str) -> list[tuple[str, list[Any]]]:
    """Return the rules that are violated, and the elements."""
    page.ask(f"() => {{ {axe} }}")
    found = page.ask("() => axe.run(document, { resultTypes: ['violations'] })")
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]


@SCREENS
@pytest.mark.parametrize("locale", ["ar", "en"])
def test_nothing_moves_while_the_page_is_opened(
    visit: Callable[..., Playground], api: Api, locale: str, screen: dict[str, Any]
) -> None:
    held = api.held = []  # the models arrive after everything else
    api.holding = "v1/models"
    page = visit(locale, **screen)
    page.until(lambda: len(held) == 1)
    page.page.wait_for_timeout(100)
    api.held = None
    api.answer(held[0], "v1/models", None)
    expect(page.one("#card dt")).to_have_count(6)
    moved, what = page.ask(SHIFT)
    assert moved < 0.05, what


@SCREENS
def test_the_models_have_a_name_for_everybody(visit: Callable[..., Playground], screen: dict[str, Any]) -> None:
    page = visit(**screen)
    expect(page.page.get_by_role("combobox", name="النموذج", exact=True)).to_be_visible()


@SCREENS
def test_the_ring_around_the_text_is_whole(visit: Callable[..., Playground], screen: dict[str, Any]) -> None:
    page = visit(**screen)
    page.one("#text").focus()
    editor, below = page.one("#editor").bounding_box(), page.one(".on").bounding_box()
    assert editor and below
    ring = page.one("#editor").evaluate(
        "(one) => parseFloat(getComputedStyle(one).boxShadow.match(/([\\d.]+)px( inset)?$/)[1])"
    )
    assert ring >= 1
    assert below["y"] >= editor["y"] + editor["height"] + ring


def test_lighthouse_finds_nothing(server: Running, tmp_path: Path) -> None:
    """Lighthouse on its default, a phone: every rule of accessibility, and how far things move."""
    lighthouse = TOOLS / ".bin" / "lighthouse"
    if CHROMIUM is None or not lighthouse.exists() or not shutil.which("node"):
        pytest.skip(needs.PAGE_TOOLS)
    report = tmp_path / "report.json"
    options = ["--only-categories=accessibility", "--only-audits=cumulative-layout-shift", "--quiet"]
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-background-networking"
    subprocess.run(
        [
            str(lighthouse),
            server.url,
            *options,
            flags,
            "--output=json",
            f"--output-path={report}",
            "--no-enable-error-reporting",
        ],
        env={**os.environ, "CHROME_PATH": CHROMIUM},
        check=True,
        timeout=300,
    )
    said = json.loads(report.read_text("utf-8"))
    failed = [name for name, audit in said["audits"].items() if audit["score"] not in (None, 1)]
    assert said["categories"]["accessibility"]["score"] == 1.0, failed
    assert said["audits"]["cumulative-layout-shift"]["numericValue"] < 0.05
