"""One table for a terminal, for Markdown and for HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from kammil.text import visible

COMMAND = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tabs and line feeds, and bidirectional controls."""
_PIPE_WIDTH = 160


def harmless(text: str) -> str:
    """Replace what could command a terminal by U+FFFD."""
    return COMMAND.sub("\N{REPLACEMENT CHARACTER}", text)


def markup(text: str) -> str:
    """Escape a text for HTML, its invisible and bidirectional controls replaced."""
    return escape(visible(text))


@dataclass(frozen=True)
class Table:
    """A head, then rows, each beginning with its name."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    note: str = ""
    """Sentence below the table."""
    words: bool = False
    """Whether cells are words; numbers stand at the right."""
    folded: bool = False
    """Whether a reader opens it; print shows it open, if `printed`."""
    printed: bool = True
    first: bool = False
    """Whether the first column of figures is bold."""

    def print(self, *, stderr: bool = False) -> None:
        """Print the table."""
        from rich.box import SIMPLE
        from rich.console import Console
        from rich.table import Table as RichTable

        console = Console(markup=False, highlight=False, stderr=stderr)
        if not console.is_terminal:
            console.width = _PIPE_WIDTH
        table = RichTable(box=SIMPLE, pad_edge=False, caption=harmless(self.note) or None, caption_justify="left")
        for i, title in enumerate(map(harmless, self.head)):
            table.add_column(title, justify="left" if self.words or not i else "right")
        for row in self.rows:
            table.add_row(*map(harmless, row))
        console.print(table)

    def markdown(self) -> str:
        """Return the table in Markdown."""
        lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (self.head, *self.rows)]
        lines.insert(1, "---|" * len(self.head))
        return "\n".join(f"| {line} |" if i != 1 else f"|{line}" for i, line in enumerate(lines))

    def html(self) -> str:
        """Return the table for a page."""
        name = markup(self.caption)
        kinds = ["words" if self.words else "numbers"] + ["first"] * self.first + ["dense"] * (len(self.head) > 5)
        note = f'<p class="note">{markup(self.note)}</p>\n' if self.note else ""
        found = (
            f'<div class="wide" role="region" aria-label="{name}" tabindex="0">\n<table class="{" ".join(kinds)}">\n'
            f"<caption>{name}</caption>\n{self._body(markup if self.words else _number)}\n</table>\n</div>\n{note}"
        )
        unprinted = "" if self.printed else ' class="unprinted"'
        return f"<details{unprinted}><summary>{name}</summary>\n{found}</details>" if self.folded else found

    def fragment(self) -> str:
        """Return the table for a notebook."""
        return "<table>" + self._body(markup, ' style="text-align: start"') + "</table>"

    def _body(self, cell: Callable[[str], str], style: str = "") -> str:
        head = "".join(f'<th scope="col" dir="auto"{style}>{markup(c)}</th>' if c else "<td></td>" for c in self.head)
        lines = "\n".join(
            f'<tr><th scope="row" dir="auto"{style}>{markup(name)}</th>'
            + "".join(f'<td dir="auto"{style}>{cell(each)}</td>' for each in cells)
            + "</tr>"
            for name, *cells in self.rows
        )
        return f"<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>"


def _number(cell: str) -> str:
    """Bounds may stand on their own line."""
    value, bracket, bounds = cell.partition(" (")
    return markup(value) + (f'<span class="bounds"> ({markup(bounds)}</span>' if bracket else "")
