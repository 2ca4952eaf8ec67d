"""One self-contained HTML page, whose policy allows only its own style and script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from kammil.views.tables import markup

LIGHT = ("#ffffff", "#fff5d6", "#ffe9ad", "#ffd98a", "#ffc27a", "#ffa873", "#fb8d72", "#f27274")
DARK = ("#1b1b1d", "#2e2a1c", "#42361a", "#57401b", "#6d461f", "#844727", "#994432", "#ad3f41")
"""Backgrounds of 0 to 7 bits and more: black text is readable on `LIGHT`, white on `DARK`."""


class Block(Protocol):
    """A part of a section."""

    def html(self) -> str:
        """Return HTML with all text escaped."""
        ...


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str
    warning: bool = False

    def html(self) -> str:
        """Return a paragraph."""
        return f'<p dir="auto"{" class=warning" if self.warning else ""}>{markup(self.text)}</p>'


@dataclass(frozen=True)
class Code:
    """A command or file."""

    text: str
    what: str

    def html(self) -> str:
        """Return the lines."""
        lines = "\n".join(map(markup, self.text.split("\n")))
        return f'<pre role="region" aria-label="{markup(self.what)}" tabindex="0"><code dir="auto">{lines}</code></pre>'


@dataclass(frozen=True)
class Figure:
    """A drawing."""

    title: str
    svg: str
    """With alternative text."""

    def html(self) -> str:
        """Return the titled drawing."""
        return f"<figure>\n<figcaption>{markup(self.title)}</figcaption>\n{self.svg}\n</figure>"


@dataclass(frozen=True)
class Beside:
    """Blocks beside one another."""

    blocks: Sequence[Block]

    def html(self) -> str:
        """Return a row of boxes."""
        kind = "charts" if all(isinstance(block, Figure) for block in self.blocks) else "tables"
        return f'<div class="{kind}">\n' + "\n".join(f"<div>{b.html()}</div>" for b in self.blocks) + "\n</div>"


@dataclass(frozen=True)
class Section:
    """A section of a report."""

    id: str
    title: str
    lead: str
    """How to read it."""
    blocks: Sequence[Block]

    def html(self) -> str:
        """Return the section."""
        blocks = "\n".join(block.html() for block in self.blocks)
        return (
            f'<section id="{self.id}" aria-labelledby="{self.id}-title">\n<h2 id="{self.id}-title">'
            f'{markup(self.title)}</h2>\n<p class="lead">{markup(self.lead)}</p>\n{blocks}\n</section>'
        )


def report(name: str, what: str, sections: Sequence[Section]) -> str:
    """Return the page of a report; `what` is its kind."""
    links = "\n".join(f'<li><a href="#{section.id}">{markup(section.title)}</a></li>' for section in sections)
    main = "\n".join(section.html() for section in sections)
    header = f"<header>\n<h1><bdi>{markup(name)}</bdi>: {markup(what)}</h1>\n</header>"
    contents = f'<nav aria-label="Contents">\n<ul>\n{links}\n</ul>\n</nav>'
    return page(f"{name}: {what}", f"{header}\n{contents}\n<main>\n{main}\n</main>")


def page(title: str, body: str, *, script: str = "") -> str:
    """Return a page with a JavaScript module, if any."""
    style = colours() + resource("style.css")
    policy = f"default-src 'none'; style-src '{_csp_hash(style)}'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src '{_csp_hash(script)}'"
        body += f'\n<script type="module">{script}</script>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{markup(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def colours() -> str:
    """Return the style rules of all colour levels."""

    def rules(shades: Sequence[str]) -> str:
        return "".join(
            f".l{n} {{ background: {shade} }}\n::highlight(l{n}) {{ background-color: {shade} }}\n"
            for n, shade in enumerate(shades)
        )

    return f"{rules(LIGHT)}@media screen and (prefers-color-scheme: dark) {{\n{rules(DARK)}}}\n"


def resource(name: str) -> str:
    """Return a file of this package."""
    return resources.files("kammil.views").joinpath(name).read_text("utf-8")


def _csp_hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
