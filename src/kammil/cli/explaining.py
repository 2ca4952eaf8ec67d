"""`kammil explain`, and what `kammil complete --show-probabilities` shows."""

from __future__ import annotations

import json as json_
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from kammil.cli._options import opened
from kammil.cli._tables import print_table
from kammil.completion.completer import load
from kammil.completion.explain.attribution import Explanation, explain, temperature_sweep
from kammil.completion.explain.display import LEVELS, LIGHT, level, visible_label
from kammil.errors import OptionError
from kammil.text import visible, words

_LRM = "\N{LEFT-TO-RIGHT MARK}"
"""Behind a letter in a table: in a terminal that orders Arabic, it keeps the figures after it where they are."""


def run(
    folder: Path,
    text: str,
    *,
    given: str,
    profile: Path | None,
    k: int,
    png: Path | None,
    html: Path | None,
    temperatures: str | None,
    json: bool,
) -> None:
    """Explain the text: to the files that were named, else on stdout; as JSON if asked."""
    if temperatures is not None and png is None:
        raise OptionError("--temperatures is drawn into a figure; name its file with --png.")
    values = _numbers(temperatures) if temperatures is not None else None
    if png is not None:
        from kammil.evaluation import plots

        plots.ready()
    model = load(folder, profile=opened(profile))
    made = explain(model, text, given=given, k=k)
    if png is not None:
        from kammil.evaluation import plots

        drawn = temperature_sweep(model, given + text, values) if values is not None else None
        plots.save(plots.explained(made) if drawn is None else plots.temperatures(drawn), png)
    if html is not None:
        from kammil.completion.explain import html as explanation_html

        explanation_html.save(made, folder.resolve().name, html)
    if json:
        typer.echo(json_.dumps(asdict(made), ensure_ascii=False))
        return
    for path in (png, html):
        if path is not None:
            typer.echo(path)
    if png is None and html is None:
        show(made)


_WIDE = 110
"""Columns of a terminal in which a row of the table has room; a narrower one gets the most believed expert alone."""


def show(explanation: Explanation, *, stderr: bool = False) -> None:
    """The text coloured word by word (letters of one word must not be parted, or they do not join), then the table."""
    console = Console(markup=False, highlight=False, stderr=stderr)
    line = Text().append(visible(explanation.given), style="dim")
    text, done = explanation.text, 0
    for begin, end in words(text):
        bits = sum(place.bits for place in explanation.places[begin:end]) / (end - begin)
        line.append(visible(text[done:begin]))
        line.append(visible(text[begin:end]), style=f"black on {LIGHT[level(bits)]}")
        done = end
    line.append(visible(text[done:]))
    console.print(line, soft_wrap=True)
    narrow = console.is_terminal and console.width < _WIDE
    rows = [["", "bits", "", "probability", "rank", "what was likely", "believed: bits saved"]]
    for place in explanation.places:
        rows.append(
            [
                visible_label(place.text) + _LRM,
                f"{place.bits:5.2f}",
                "█" * min(round(place.bits), LEVELS),
                f"{100 * place.probability:5.1f} %",
                "unknown" if place.rank is None else str(place.rank),
                ", ".join(f"{visible_label(o.text)}{_LRM} {100 * o.probability:.0f} %" for o in place.alternatives),
                "; ".join(f"{c.expert} {c.bits:+.1f}" for c in place.credits[: 1 if narrow else None]),
            ]
        )
    if not any(place.credits for place in explanation.places):
        rows = [row[:-1] for row in rows]
    if narrow:
        short = {"probability": "chance", "believed: bits saved": "believed"}
        rows = [[short.get(cell, cell) for cell in row[:2] + row[3:]] for row in rows]  # without the bars
    each = explanation.bits_per_character
    foot = "" if each is None else f"{each:.2f} bits a character, without the end of text"
    print_table(rows, foot=foot, stderr=stderr)


def _numbers(listed: str) -> list[float]:
    """`0.5,1,1.5` as numbers."""
    try:
        return [float(value) for value in listed.split(",")]
    except ValueError as error:
        raise OptionError(f"--temperatures {listed!r} is no list of numbers; write it like 0.5,1,1.5.") from error
