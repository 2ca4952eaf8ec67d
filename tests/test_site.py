"""The site as it is built: its links hold, nothing in it comes from another host, Arabic reads from right to left."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from tests import needs
from tests.pages import chromium, served

if TYPE_CHECKING:
    from playwright.sync_api import Request

ROOT = Path(__file__).parent.parent
SITE = ROOT / "build" / "site"
LOADS = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "form": ("action",),
    "use": ("href",),
    "image": ("href",),
}
"""Attributes that make a browser ask for something, or send something."""

FONTS = """() => [["sans-serif", document.body], ["monospace", document.querySelector("code")]]
  .filter(([, element]) => element).map(([kind, element]) => [kind, getComputedStyle(element).fontFamily])"""
"""The fonts of text and of code on a page, as the browser computes them, each with the kind that stands last."""


class Page(HTMLParser):
    """The anchors, the links and the loads of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links, self.loads = set[str](), list[str](), list[str]()
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.attributes.setdefault(tag, found)
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}
        if tag == "a" and (href := found.get("href")):
            self.links.append(href)
        self.loads += [value for name in LOADS.get(tag, ()) if (value := found.get(name))]
        self.loads += re.findall(r"url\(([^)]*)\)", found.get("style") or "")


@cache
def page(path: Path) -> Page:
    """A page, parsed once."""
    return Page(path)


def built(program: str, *arguments: str) -> None:
    """Build the site."""
    for module in (program, "mkdocstrings"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install '.[docs]', or [dev]")
    command = [sys.executable, ROOT / "docs" / "build.py", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    """All pages of the site, built anew."""
    built("zensical")
    found = sorted(path for path in SITE.rglob("*.html") if path.name != "404.html")
    found = [path for path in found if "data-md-component" in path.read_text("utf-8")]  # not what a lesson brings
    assert len(found) > 30
    return found


def test_every_link_leads_to_a_page_and_an_anchor(pages: list[Path]) -> None:
    wrong: list[str] = []
    for path in [*pages, *SITE.rglob("404.html")]:
        for link in page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            place = unquote(parts.path)
            at = SITE / place[1:] if place.startswith("/") else path.parent / place  # "/": of a page that is not there
            target = at.resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment) if target.suffix == ".html" else ""
            if not target.is_file() or (anchor and anchor not in page(target).anchors):
                wrong.append(f"{path.relative_to(SITE)}: {link}")
    assert not wrong, "\n".join(sorted(set(wrong))[:40])


def test_a_link_does_not_depend_on_the_name_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lessons").mkdir()
    monkeypatch.chdir(tmp_path / "lessons")
    linked = runpy.run_path(str(ROOT / "docs" / "build.py"))["_linked"]
    places = {"docs/lessons/README.md": "../lessons/README.md"}
    assert linked("[a](../lessons/README.md)", "docs/ar/lesson.md", "lesson.md", places, tmp_path) == (
        "[a](../lessons/index.html)"
    )


def test_no_line_begins_with_a_per_cent_sign(tmp_path: Path) -> None:
    linked = runpy.run_path(str(ROOT / "docs" / "build.py"))["_linked"]
    text = "## At 95 %\n\n95 % of it\n\n```\n95 % of it\n```\n"
    assert linked(text, "docs/faq.md", "faq.md", {}, tmp_path) == text.replace("\n\n95 ", "\n\n95\u00a0")


def test_nothing_is_loaded_from_another_host(pages: list[Path]) -> None:
    for path in SITE.rglob("*.html"):
        for load in page(path).loads:
            assert not urlsplit(load.strip("'\" ")).netloc, f"{path.relative_to(SITE)}: {load}"
        for script in re.findall(r"<script[^>]*>(.*?)</script>", path.read_text("utf-8"), re.DOTALL):
            assert not re.search(r"(?:fetch|import|src\s*=)\s*\(?[\"'](?:https?:)?//", script), path
    styles = list(SITE.rglob("*.css"))
    assert len(styles) >= 4
    for style in styles:
        text = style.read_text("utf-8")
        for load in [*re.findall(r"url\(([^)]*)\)", text), *re.findall(r"@import\s+([^;]*)", text)]:
            assert not re.match(r"[\"']?(?:https?:)?//", load.strip()), f"{style.name}: {load}"
    for name in SITE.rglob("*"):  # counters of visits, and the like
        assert "google" not in name.name


def test_a_load_from_another_host_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "page.html"
    for line in (
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<p style="background: url(https://a.example/b.png)">',
    ):
        wrong.write_text(line, "utf-8")
        assert any(urlsplit(load).netloc for load in Page(wrong).loads), line


def test_arabic_pages_read_from_right_to_left(pages: list[Path]) -> None:
    arabic = [path for path in pages if path.is_relative_to(SITE / "ar") and "source" not in path.parts]
    names = {path.relative_to(SITE / "ar").as_posix() for path in arabic}
    parts = {f"lessons/{path.stem}.html" for path in (ROOT / "docs" / "ar" / "lessons").glob("*.md")}
    others = {f"{name}.html" for name in ("index", "start", "context", "lesson", "you-have-the-notebook")}
    assert names == {*others, *parts} and len(parts) == 7
    for path in pages:
        language, direction = ("ar", "rtl") if path.is_relative_to(SITE / "ar") else ("en", "ltr")
        attributes = page(path).attributes
        assert (attributes["html"]["lang"], attributes["body"]["dir"]) == (language, direction), path
    for path in arabic:  # each leads to the other language, and back
        assert any(link.endswith(("../index.html", "../../index.html")) for link in page(path).links), path


def test_a_browser_asks_no_other_host_and_finds_all_it_asks_for(pages: list[Path]) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip(needs.CHROMIUM)
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width in (1280, 390):
            tab = browser.new_page(viewport={"width": width, "height": 844})
            tab.on("request", note)
            for name in ("index.html", "benchmarks.html", "python.html", "ar/index.html", "ar/start.html"):
                tab.goto((SITE / name).as_uri())  # from the disk: no server is needed to read
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
                assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)"), name
                for element, font in tab.evaluate(FONTS):  # not the browser's own, a serif
                    assert "Plex Arabic" in font and font.endswith(element), f"{name}: {font}"
        browser.close()
    assert len(asked) > 20
    assert all(urlsplit(url).scheme in {"file", "data", "blob"} for url in asked), asked


def test_every_line_of_an_output_can_be_scrolled_to_on_a_phone(pages: list[Path]) -> None:
    outside = """() => [...document.querySelectorAll("pre code")].filter((code) => {
      const range = new Range(), box = code.getBoundingClientRect();
      range.selectNodeContents(code);
      return [...range.getClientRects()].some((line) => line.width > 1 && line.left < box.left - 1);
    }).map((code) => code.textContent)"""
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 844})
        for name in ("lessons/2_pairs_and_padding.html", "ar/lessons/3_the_network.html"):
            tab.goto((SITE / name).as_uri())
            assert tab.evaluate(outside) == [], name
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_the_home_has_a_field_that_asks_for_nothing_before_it_is_touched(pages: list[Path]) -> None:
    if not (SITE / "try").is_dir():
        pytest.skip(needs.ZIG)
    with served(SITE) as address, chromium() as browser:
        for name, locale in (("index.html", "en"), ("ar/index.html", "ar")):
            tab = browser.new_page(viewport={"width": 320, "height": 800}, locale=locale)
            asked: list[str] = []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.goto(address + name)
            tab.wait_for_load_state("networkidle")
            assert not [url for url in asked if "/try/" in url]
            tab.locator("#try").focus()
            tab.keyboard.insert_text("صباح ال")
            tab.get_by_role("button", name="الخير", exact=True).wait_for(timeout=60_000)
            tab.keyboard.press("Tab")
            assert tab.locator("#try").input_value() == "صباح الخير "
            assert tab.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_navigation_names_every_page_once(pages: list[Path]) -> None:
    def named(entry: object) -> list[str]:
        if isinstance(entry, dict):
            return [name for value in entry.values() for name in named(value)]
        return [name for value in entry for name in named(value)] if isinstance(entry, list) else [str(entry)]

    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    names = named(yaml.safe_load(config[config.index("\nnav:") :])["nav"])
    assert len(set(names)) == len(names)
    gathered = ROOT / "build" / "pages"
    assert all((gathered / name).is_file() for name in names)
    docs = {path.relative_to(gathered).as_posix() for path in gathered.rglob("*.md")}
    assert {name for name in docs if not name.startswith("source/")} == set(names)


@pytest.mark.long
def test_material_for_mkdocs_builds_the_same_pages(pages: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is not installed: pip install '.[dev]'")
    for config, there in (("mkdocs.yml", SITE), ("mkdocs.ar.yml", SITE / "ar")):
        out = tmp_path / there.name
        command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "-q", "-f", ROOT / config, "-d", out]
        quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # of its makers, on what follows MkDocs
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=ROOT, env=quiet)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stderr, done.stderr
        mine = {path.relative_to(there) for path in pages if path.is_relative_to(there)}
        if there == SITE:
            mine = {path for path in mine if path.parts[0] != "ar"}
        assert mine <= {path.relative_to(out) for path in out.rglob("*.html")}
