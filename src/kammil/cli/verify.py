"""`kammil verify`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kammil.cli._options import Folder, Json, file_names
from kammil.cli._output import for_stdout, print_json
from kammil.views.tables import Table

_SHOWN = 40
"""Maximum number of figures that are listed: one wrong validation file makes them all differ."""


def verify(
    folder: Folder,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="The training texts.  [default: what the folder names, read from here]"),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="The texts that it was validated with, if those were a second file; enough by themselves."),
    ] = None,
    json: Json = False,
) -> None:
    """Compute every figure of a model's folder again, from its texts, and say which differ. Exit status 1 if
    any does."""
    from kammil.progress import listening
    from kammil.training import verify as verifying
    from kammil.views.progress import progress

    with progress() as listen, listening(listen):
        result = verifying.verify(folder, file_names(files) if files else None, validation=validation)
    if json:
        print_json(result.to_dict())
    else:
        _print(result)
    if result.differing:
        raise typer.Exit(1)


def _print(result: Any) -> None:
    """Print the figures that differ, what was not verified, and the verdict."""
    differing = result.differing
    if differing:
        rows = [[check.name, str(check.recorded), str(check.found)] for check in differing[:_SHOWN]]
        more = f"and {len(differing) - _SHOWN:,} more: --json" if len(differing) > _SHOWN else ""
        Table(["figure", "recorded", "found"], rows, note=more, words=True).print()
    for what in result.not_verified:
        typer.echo(for_stdout(f"not verified: {what}"))
    total = len(result.checks)
    typer.echo(f"{len(differing):,} of {total:,} figures differ" if differing else f"all {total:,} figures agree")
