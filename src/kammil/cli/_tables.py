"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


def print_table(rows: Sequence[Sequence[str]], *, foot: str = "", numbers: bool = False, stderr: bool = False) -> None:
    """Print rows, the first being the heading, on stdout, or stderr.

    `numbers` puts all but the first column to the right.
    """
    console = Console(markup=False, highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = 160
    table = Table(box=SIMPLE, pad_edge=False, caption=foot or None, caption_justify="left")
    for i, title in enumerate(rows[0]):
        table.add_column(title, justify="right" if numbers and i else "left")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
