"""Render a report: sections of tables, texts and figures, as one HTML page.

The template escapes every value by itself (Jinja's autoescape), and no value is ever markup. A content security policy
allows the page's own style sheet and nothing else: no script, no picture, no font, no request.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from kammil.evaluation.report.charts import IntervalChart, LineChart
from kammil.text import visible
from kammil.views.page import DARK, LIGHT

if TYPE_CHECKING:
    from jinja2 import Template

REPORT = "report.html"
"""Name of the file in the folder of a model or of a comparison."""


@dataclass(frozen=True)
class Table:
    """A table: a heading, then rows, the first cell of each being its name."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: bool = False
    """Whether the cells are words or texts, and not numbers."""
    folded: bool = False
    """Whether the table is closed until a reader opens it; in print it is open, if it is `printed`."""
    printed: bool = True
    first: bool = False
    """Whether the first column of figures is that of the model itself, set in bold beside others."""
    kind: str = "table"


@dataclass(frozen=True)
class Tables:
    """Small tables, beside one another where there is room."""

    tables: Sequence[Table]
    kind: str = "tables"


@dataclass(frozen=True)
class Charts:
    """Figures, beside one another where there is room."""

    charts: Sequence[LineChart | IntervalChart]
    kind: str = "charts"


@dataclass(frozen=True)
class Word:
    """A piece of a text: a word with its level of surprise and its mean bits, or what stands between two words."""

    text: str
    level: int | None = None
    bits: str = ""


@dataclass(frozen=True)
class HeatMap:
    """A text whose words are coloured by the bits they cost."""

    title: str
    mean: str
    words: Sequence[Word]
    kind: str = "heat map"


@dataclass(frozen=True)
class Scale:
    """The colours of heat maps."""

    kind: str = "scale"


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several."""

    text: str
    warning: bool = False
    kind: str = "paragraph"


@dataclass(frozen=True)
class Code:
    """A command, or the content of a file."""

    text: str
    what: str
    kind: str = "code"


Block = Table | Tables | Charts | HeatMap | Scale | Paragraph | Code


@dataclass(frozen=True)
class Section:
    """A section of a report."""

    id: str
    """Name of its anchor: letters and hyphens."""
    title: str
    lead: str
    """The sentences that say how to read it."""
    blocks: Sequence[Block]


def render(name: str, what: str, sections: Sequence[Section]) -> str:
    """Return the page; `name` is that of the model or comparison, `what` says what kind of report it is."""
    style = _levels() + _resource("style.css")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    return _template().render(
        name=name, what=what, sections=sections, style=style, policy=policy, levels=range(len(LIGHT))
    )


@cache
def _template() -> Template:
    """Compile the template, once."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["visible"] = visible
    environment.filters["visible_lines"] = _visible_lines
    return environment.from_string(_resource("page.html"))


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _levels() -> str:
    """Return the style rules of the levels of surprise: light, and dark on a screen."""

    def rules(shades: Sequence[str]) -> str:
        return "".join(f".l{n} {{ background: {shade} }}\n" for n, shade in enumerate(shades))

    return f"{rules(LIGHT)}@media screen and (prefers-color-scheme: dark) {{\n{rules(DARK)}}}\n"


def _resource(name: str) -> str:
    return resources.files("kammil.evaluation.report").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    """Return the hash by which a content security policy allows an inline style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
