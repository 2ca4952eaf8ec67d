"""A page parsed as a browser parses it, and a report of a small model."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import kammil
from kammil import model_folder as folders
from kammil.evaluation.report import model_report, stored_evaluation
from kammil.views.page import Beside, Section
from kammil.views.tables import Table

VOID = {"meta", "br", "link", "img", "input", "hr", "base"}


class ParsedPage(HTMLParser):
    """Tags with their attributes, and the text of elements by tag, `.class` and `#id`; every tag is closed."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[tuple[str, list[str]]] = []
        self.feed(content)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            keys = [tag, *(f".{name}" for name in (attributes.get("class") or "").split())]
            keys += [f"#{attributes['id']}"] if "id" in attributes else []
            self._open.append((tag, keys))
            for key in keys:
                self.texts.setdefault(key, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for key in {key for _, keys in self._open for key in keys}:
            self.texts[key][-1] += data

    def attributes(self, tag: str, name: str) -> list[str | None]:
        """The values of an attribute of all elements of a kind."""
        return [attributes.get(name) for kind, attributes in self.tags if kind == tag]


def tables_of(section: Section) -> list[Table]:
    """All tables of a section."""
    found = [each for block in section.blocks for each in (block.blocks if isinstance(block, Beside) else [block])]
    return [block for block in found if isinstance(block, Table)]


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
