"""The pages of docs/ link to what is there, and code links to entries of the log that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_links_to_what_is_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), anchor


def test_a_constant_that_the_log_names_is_where_it_says() -> None:
    linked = re.findall(r"\[(`[^\]]*`)\]\(\.\./([^)]+\.py)\)", (ROOT / "docs" / "log.md").read_text("utf-8"))
    assert len(linked) > 30
    for names, path in linked:
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", names.replace(".py`", "/`")):  # not the names of files
            assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), f"{name} in {path}"


def test_code_links_to_entries_of_the_log_that_exist() -> None:
    known = anchors(ROOT / "docs" / "log.md")
    sources = [path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")]
    linked = {anchor for source in sources for anchor in re.findall(r"docs/log\.md#([\w-]+)", source)}
    assert len(linked) >= 3
    assert linked <= known


def test_the_index_of_the_log_has_a_row_for_each_entry() -> None:
    log = (ROOT / "docs" / "log.md").read_text("utf-8")
    entries = re.findall(r"^### (.*?)\n.*?2026-(\d\d-\d\d)", log, re.MULTILINE | re.DOTALL)
    assert len(entries) > 100
    assert [(title, date) for date, title in re.findall(r"^\| (\S+) \| \[(.*)\]\(#", log, re.MULTILINE)] == entries


def test_the_tree_of_the_architecture_is_the_tree() -> None:
    """Every module is named in it, and every module that it names is there."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = page.split("```")[3]
    modules = {path.name for path in (ROOT / "src" / "kammil").rglob("*.py") if not path.name.startswith("_")}
    assert set(re.findall(r"\b[a-z]\w*\.py\b", tree)) == modules
    assert len(page.splitlines()) <= 250
