"""`kammil export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import typer

from kammil.exporting import Part, export


def run(folder: Path, *, format: str, out: Path | None, part: str, replace: bool) -> None:
    """Export, and print the names of the two files; what is not in them goes to stderr."""
    made = export(folder, format, out, part=cast(Part, part), replace=replace)
    if made.warning is not None:
        print(f"kammil: {made.warning}", file=sys.stderr)
    typer.echo(made.file)
    typer.echo(made.example)
