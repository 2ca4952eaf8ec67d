"""HTML fragments for notebooks: with inline styles, without scripts, readable in light and dark themes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape

from kammil.completion.explain.attribution import CharacterScore, Explanation
from kammil.completion.explain.display import LIGHT, level, visible_label
from kammil.text import visible, words

_MAX_ROWS = 200
"""Most characters of a text that get a row: a notebook file stores its output."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Format a table; the first row is the heading, the first column names the rows."""
    heading, *lines = rows
    head = "".join(f'<th style="text-align: start">{escape(visible(cell))}</th>' for cell in heading)
    body = "".join(
        "<tr>"
        f'<th scope="row" style="text-align: start; font-weight: normal">{escape(visible(line[0]))}</th>'
        + "".join(f'<td style="text-align: start">{escape(visible(cell))}</td>' for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def sentences(texts: Sequence[str]) -> str:
    """Format each text as a paragraph."""
    return "".join(f"<p>{escape(visible(sentence))}</p>" for sentence in texts)


def picture(png: bytes, what: str) -> str:
    """Embed a PNG picture; `what` is its alternative text."""
    data = base64.b64encode(png).decode()
    return f'<img style="max-width: 100%" alt="{escape(what)}" src="data:image/png;base64,{data}">'


def mark_words(explanation: Explanation, attributes: Callable[[float], str]) -> str:
    """Format a text with each word in a `span`, whose attributes depend on the mean bits of the word."""
    text, done, parts = explanation.text, 0, list[str]()
    for begin, end in words(text):
        bits = sum(place.bits for place in explanation.places[begin:end]) / (end - begin)
        parts.append(escape(visible(text[done:begin])))
        parts.append(f"<span {attributes(bits)}>{escape(visible(text[begin:end]))}</span>")
        done = end
    return "".join([*parts, escape(visible(text[done:]))])


def heat_map(explanation: Explanation) -> str:
    """Format a text in its own direction, each word coloured by its mean bits, and below it a table of all characters.

    Letters are black on the light colours, whatever the theme of the notebook.
    """

    def attributes(bits: float) -> str:
        style = f"background: {LIGHT[level(bits)]}; color: #111; border-radius: .2em"
        return f'title="{bits:.2f} bits a character" style="{style}"'

    given = escape(visible(explanation.given))
    mean_bits = explanation.bits_per_character
    mean = "" if mean_bits is None else f"<p>{mean_bits:.2f} bits a character</p>"
    num_alternatives = max((len(place.alternatives) for place in explanation.places), default=0)
    rows = [["", "bits", "probability", "rank", *([f"{num_alternatives} most likely"] if num_alternatives else [])]]
    rows += [_row(place, alternatives=bool(num_alternatives)) for place in explanation.places[:_MAX_ROWS]]
    hidden = len(explanation.places) - _MAX_ROWS
    rest = f"<p>... and {hidden:,} more</p>" if hidden > 0 else ""
    return (
        f'<div><p dir="auto" style="font-size: 1.5em; line-height: 2; white-space: pre-wrap; text-align: start">'
        f'<span style="opacity: .6">{given}</span>{mark_words(explanation, attributes)}</p>{mean}'
        f"<details><summary>every character</summary>{table(rows)}{rest}</details></div>"
    )


def _row(place: CharacterScore, *, alternatives: bool) -> list[str]:
    """Format one character as a row of the table."""
    likely = "  ".join(f"\u2068{visible_label(o.text)}\u2069 {100 * o.probability:.0f} %" for o in place.alternatives)
    rank = "unknown" if place.rank is None else str(place.rank)
    row = [visible_label(place.text), f"{place.bits:.2f}", f"{100 * place.probability:.1f} %", rank]
    return [*row, likely] if alternatives else row
