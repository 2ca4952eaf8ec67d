"""A page parsed as a browser parses it, and a report of a small model."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import kammil
from kammil import model_folder as folders
from kammil.evaluation.report.model import model_report, stored_evaluation
from kammil.evaluation.report.page import Section, Table, Tables

VOID = {"meta", "br", "link", "img", "input", "hr", "base"}


class ParsedPage(HTMLParser):
    """Tags with their attributes, in order, and the text of each kind of element; every tag that opens is closed."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def attributes(self, tag: str, name: str) -> list[str | None]:
        """The values of an attribute of all elements of a kind."""
        return [attributes.get(name) for kind, attributes in self.tags if kind == tag]


def tables_of(section: Section) -> list[Table]:
    """All tables of a section."""
    found: list[Table] = []
    for block in section.blocks:
        found += block.tables if isinstance(block, Tables) else [block] if isinstance(block, Table) else []
    return found


@pytest.fixture(scope="session")
def page(folder_of: Callable[[str], Path], texts: list[str]) -> str:
    """The report of a blend on texts that it has not seen, all its sections included."""
    folder = folder_of("blend")
    model, files = kammil.load(folder), folders.read(folder)
    return model_report(
        "my-model",
        files,
        stored_evaluation(files.metrics),
        model=model,
        texts=texts[240:254],
        trained_on=texts[:240],
        command="kammil train FILE",
        seconds=1e6,
    )
