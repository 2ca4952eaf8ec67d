"""What commands print for people and for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
import typer.core

_COMMAND = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tabs and line feeds, and those that turn the direction of the text around them."""


class CommandGroup(typer.core.TyperGroup):
    """A group whose help breaks the summaries of its commands into lines, where Typer cuts them off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(1000)) for name, one in commands if one is not None])


def print_table(rows: Sequence[Sequence[str]], *, foot: str = "", numbers: bool = False, stderr: bool = False) -> None:
    """Print rows, the first being the heading, on stdout, or stderr.

    `numbers` aligns all but the first column to the right.
    """
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = 160
    table = Table(box=SIMPLE, pad_edge=False, caption=harmless(foot) or None, caption_justify="left")
    for i, title in enumerate(map(harmless, rows[0])):
        table.add_column(title, justify="right" if numbers and i else "left")
    for row in rows[1:]:
        table.add_row(*map(harmless, row))
    console.print(table)


def harmless(text: str) -> str:
    """Return a text for a terminal: what could command it, in the files of a stranger, becomes U+FFFD."""
    return _COMMAND.sub("\N{REPLACEMENT CHARACTER}", text)


def for_stdout(text: str) -> str:
    """Return what a model, its folder or a file says, to be printed: harmless on a terminal, unchanged on a pipe."""
    return harmless(text) if sys.stdout.isatty() else text


def tell(text: object) -> None:
    """Print a line for people on stderr."""
    print(harmless(str(text)), file=sys.stderr, flush=True)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON; without an indent on one line, where a command prints one value per prompt."""
    import json

    shown = json.dumps(value, ensure_ascii=False, indent=indent)
    typer.echo(_COMMAND.sub(lambda match: f"\\u{ord(match[0]):04x}", shown))


@contextmanager
def optional_figure() -> Generator[None]:
    """Turn the failure to draw or write a figure into a line on stderr: the results are complete without it."""
    from kammil.errors import FolderError, MissingExtraError

    try:
        yield
    except (MissingExtraError, FolderError) as error:
        tell(f"no figure: {error}")
