"""`kammil suggest`."""

from __future__ import annotations

import json as json_
import sys
from dataclasses import asdict
from pathlib import Path

import typer

from kammil.cli._options import opened
from kammil.cli.completing import lines
from kammil.completion.completer import load
from kammil.completion.suggestions import MIN_PROBABILITY, checked


def run(text: str | None, folder: Path, *, profile: Path | None, k: int, threshold: float | None, json: bool) -> None:
    """Suggest after the text, or after every line of stdin, with one loaded model.

    For people the words as they would stand, one a line, on a terminal with their probabilities; an empty line stands
    between the lists of two lines of stdin. For programs one array a line.
    """
    least = checked(MIN_PROBABILITY if threshold is None else threshold)
    model = load(folder, profile=opened(profile))
    for i, prefix in enumerate([text] if text is not None else lines()):
        found = model.suggest(prefix, k, threshold=least)
        if json:
            typer.echo(json_.dumps([asdict(suggestion) for suggestion in found], ensure_ascii=False))
            continue
        if i:
            typer.echo("")
        for suggestion in found:
            chance = f"{suggestion.probability:6.1%}  " if sys.stdout.isatty() else ""
            typer.echo(chance + suggestion.text)
