"""Pieces of HTML that a notebook shows: with their styles in them, no script, and readable in light and dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from kammil.completion.explain.attribution import CharacterScore, Explanation
from kammil.completion.explain.display import LIGHT, level, visible_label
from kammil.text import visible, words

_ROWS = 200
"""Characters of a text that get a row: a notebook keeps what it shows."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is the heading, the first column names the rows."""
    heading, *lines = rows
    made = "".join(f'<th style="text-align: start">{escape(visible(cell))}</th>' for cell in heading)
    body = "".join(
        "<tr>"
        f'<th scope="row" style="text-align: start; font-weight: normal">{escape(visible(line[0]))}</th>'
        + "".join(f'<td style="text-align: start">{escape(visible(cell))}</td>' for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{made}</tr></thead><tbody>{body}</tbody></table>"


def sentences(said: Sequence[str]) -> str:
    """Paragraphs."""
    return "".join(f"<p>{escape(visible(sentence))}</p>" for sentence in said)


def picture(png: bytes, what: str) -> str:
    """A picture, and what it shows for whom cannot see it."""
    data = base64.b64encode(png).decode()
    return f'<img style="max-width: 100%" alt="{escape(what)}" src="data:image/png;base64,{data}">'


def heat_map(explanation: Explanation) -> str:
    """A text in its own direction, each word whole and coloured by its bits, and below a table of all characters.

    Letters are black on the light colours, whatever the notebook's own are.
    """
    text, done, made = explanation.text, 0, list[str]()
    for begin, end in words(text):
        bits = sum(place.bits for place in explanation.places[begin:end]) / (end - begin)
        made.append(escape(visible(text[done:begin])))
        shade = f"background: {LIGHT[level(bits)]}; color: #111; border-radius: .2em"
        made.append(
            f'<span title="{bits:.2f} bits a character" style="{shade}">{escape(visible(text[begin:end]))}</span>'
        )
        done = end
    made.append(escape(visible(text[done:])))
    given = escape(visible(explanation.given))
    each = explanation.bits_per_character
    mean = "" if each is None else f"<p>{each:.2f} bits a character</p>"
    most = max((len(place.alternatives) for place in explanation.places), default=0)
    rows = [["", "bits", "probability", "rank", *([f"{most} most likely"] if most else [])]]
    rows += [_row(place, alternatives=bool(most)) for place in explanation.places[:_ROWS]]
    more = len(explanation.places) - _ROWS
    rest = f"<p>... and {more:,} more</p>" if more > 0 else ""
    return (
        f'<div><p dir="auto" style="font-size: 1.5em; line-height: 2; white-space: pre-wrap; text-align: start">'
        f'<span style="opacity: .6">{given}</span>{"".join(made)}</p>{mean}'
        f"<details><summary>every character</summary>{table(rows)}{rest}</details></div>"
    )


def _row(place: CharacterScore, *, alternatives: bool) -> list[str]:
    """One character, as a row."""
    others = "  ".join(f"\u2068{visible_label(o.text)}\u2069 {100 * o.probability:.0f} %" for o in place.alternatives)
    rank = "unknown" if place.rank is None else str(place.rank)
    row = [visible_label(place.text), f"{place.bits:.2f}", f"{100 * place.probability:.1f} %", rank]
    return [*row, others] if alternatives else row
