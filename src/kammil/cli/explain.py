"""`kammil explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import BUNDLED, Json, ProfileFile, open_profile
from kammil.cli._output import print_json


def explain(
    texts: Annotated[list[str], typer.Argument(metavar="TEXT", help="The text to explain (FOLDER TEXT works too).")],
    *,
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A model folder, or a bundled model.  [default: levantine]")
    ] = None,
    given: Annotated[str, typer.Option(metavar="TEXT", help="Text before TEXT, which is read but not explained.")] = "",
    k: Annotated[int, typer.Option("-k", help="Number of alternatives to show for each character.")] = 3,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one HTML page that needs no other file.")
    ] = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show how surprising each character of a text is to a model. Beside it stand what else was likely, and which part
    of a blend raised it: its network, or the counts of what followed so many letters."""
    from dataclasses import asdict

    from kammil.completion import explain as explaining
    from kammil.completion.completer import load
    from kammil.errors import OptionError
    from kammil.views import heatmap

    *first, text = texts
    if len(first) > (model is None):
        raise OptionError(f"there are {len(texts)} texts; give one, in quotes if it has spaces.")
    folder = Path(first[0]) if first else model or BUNDLED
    explanation = explaining.explain(load(folder, profile=open_profile(profile)), text, given=given, k=k)
    if html is not None:
        heatmap.save(explanation, folder.resolve().name, html)
    if json:
        print_json(asdict(explanation), indent=None)
    elif html is not None:
        typer.echo(html)
    else:
        heatmap.print_explanation(explanation)
