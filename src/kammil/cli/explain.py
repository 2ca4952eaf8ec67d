"""`kammil explain`, and the table of `kammil complete --show-probabilities`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kammil.cli._options import BUNDLED, Json, ProfileFile, open_profile
from kammil.cli._output import print_json, print_table

if TYPE_CHECKING:
    from kammil.completion.explain.attribution import Explanation

_LRM = "\N{LEFT-TO-RIGHT MARK}"
"""Follows a letter in a table: in a terminal that orders Arabic, it keeps the figures after the letter in place."""
_WIDE, _NARROW = 130, 70
"""Columns of a terminal that hold a row of the table; a narrower one shows only the expert that was believed most, and
the narrowest neither probability nor rank."""


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
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a figure into this file (png, svg or pdf).")
    ] = None,
    temperatures: Annotated[
        str | None,
        typer.Option(metavar="T,...", help="With --png: draw instead what may follow the text, at these temperatures."),
    ] = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show how surprising each character of a text is to a model. Beside it stand what else was likely, and which part
    of a blend raised it: its network, or the counts of what followed so many letters."""
    from dataclasses import asdict

    from kammil.completion.completer import load
    from kammil.completion.explain import attribution
    from kammil.errors import OptionError

    *first, text = texts
    if len(first) > (model is None):
        raise OptionError(f"there are {len(texts)} texts; give one, in quotes if it has spaces.")
    folder = Path(first[0]) if first else model or BUNDLED
    if temperatures is not None and png is None:
        raise OptionError("--temperatures is drawn into a figure; name its file with --png.")
    values = _numbers(temperatures) if temperatures is not None else None
    if png is not None:
        from kammil.evaluation import plots

        plots.ready()
    completer = load(folder, profile=open_profile(profile))
    explanation = attribution.explain(completer, text, given=given, k=k)
    if png is not None:
        from kammil.evaluation import plots

        tempered = attribution.temperature_sweep(completer, given + text, values) if values is not None else None
        plots.save(plots.explained(explanation) if tempered is None else plots.temperatures(tempered), png)
    if html is not None:
        from kammil.completion.explain.html import save

        save(explanation, folder.resolve().name, html)
    if json:
        print_json(asdict(explanation), indent=None)
        return
    for path in (png, html):
        if path is not None:
            typer.echo(path)
    if png is None and html is None:
        print_explanation(explanation)


def print_explanation(explanation: Explanation, *, stderr: bool = False) -> None:
    """Print the text coloured word by word (the letters of a word join only within one colour), then the table."""
    from rich.console import Console
    from rich.text import Text

    from kammil.completion.explain.display import LEVELS, LIGHT, believed, level, visible_label
    from kammil.text import visible, words

    console = Console(markup=False, highlight=False, stderr=stderr)
    line = Text().append(visible(explanation.given), style="dim")
    text, end_before = explanation.text, 0
    for begin, end in words(text):
        bits = sum(place.bits for place in explanation.places[begin:end]) / (end - begin)
        line.append(visible(text[end_before:begin]))
        line.append(visible(text[begin:end]), style=f"black on {LIGHT[level(bits)]}")
        end_before = end
    line.append(visible(text[end_before:]))
    console.print(line, soft_wrap=True)
    narrow = console.is_terminal and console.width < _WIDE
    rows = [["", "bits", "", "probability", "rank", "what was likely", "believed, the most first"]]
    for place in explanation.places:
        rows.append(
            [
                visible_label(place.text) + _LRM,
                f"{place.bits:5.2f}",
                "█" * min(round(place.bits), LEVELS) if place.text else "",  # a text may be shown before it is finished
                f"{100 * place.probability:5.1f} %",
                "unknown" if place.rank is None else str(place.rank),
                ", ".join(f"{visible_label(o.text)}{_LRM} {100 * o.probability:.0f} %" for o in place.alternatives),
                believed(place.credits, 1).partition(",")[0] if narrow else believed(place.credits, 2),
            ]
        )
    credited = any(place.credits for place in explanation.places)
    if not credited:
        rows = [row[:-1] for row in rows]
    if narrow:
        short = {"probability": "chance", "believed, the most first": "believed most"}
        first = 3 if console.width >= _NARROW else 5
        rows = [[short.get(cell, cell) for cell in row[:2] + row[first:]] for row in rows]  # without the bars
    print_table(rows, stderr=stderr)
    mean = explanation.bits_per_character
    if mean is not None:
        meaning = "yes/no questions to name it; fewer is better; the end does not count."
        print(f"{mean:.2f} bits a character: {meaning}", file=console.file)
    if credited:
        print(
            "Believed: the part of the model that raised the character most, its network or counts.", file=console.file
        )


def _numbers(listed: str) -> list[float]:
    """Parse numbers like `0.5,1,1.5`."""
    from kammil.errors import OptionError

    try:
        return [float(value) for value in listed.split(",")]
    except ValueError as error:
        raise OptionError(f"--temperatures {listed!r} is no list of numbers; write it like 0.5,1,1.5.") from error
