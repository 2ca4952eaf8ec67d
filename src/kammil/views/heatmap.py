"""A text with each word coloured by its bits: on a terminal, in a notebook, on a page.

Markup inside a word would break how Arabic letters join, so a script of the page colours single characters with the CSS
Custom Highlight API (W3C).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kammil import storage
from kammil.completion.explain import Attribution, CharacterScore, Explanation
from kammil.errors import FolderError
from kammil.text import visible, visible_label
from kammil.views.page import LIGHT, page, resource
from kammil.views.tables import Table, markup

_LRM = "\N{LEFT-TO-RIGHT MARK}"
"""Keeps figures after a letter in a terminal that orders Arabic."""
_WIDE, _NARROW = 130, 70
"""Minimum columns of a terminal for a whole row, and for probability and rank."""
_MAX_ROWS = 200
"""Maximum number of rows in a notebook, which stores them."""
_HEAD = ("character", "bits", "probability", "rank", "what was likely", "believed, and the bits that it saved")


def level(bits: float) -> int:
    """Return the colour level of bits."""
    return min(max(int(bits), 0), len(LIGHT) - 1)


def print_explanation(explanation: Explanation, *, stderr: bool = False) -> None:
    """Print the text, coloured by word since letters join only within one colour, then the table."""
    from rich.console import Console
    from rich.text import Text

    console = Console(markup=False, highlight=False, stderr=stderr)
    line = Text().append(visible(explanation.given), style="dim")
    for text, bits in explanation.words():
        line.append(visible(text), style=None if bits is None else f"black on {LIGHT[level(bits)]}")
    console.print(line, soft_wrap=True)
    narrow, credited = console.is_terminal and console.width < _WIDE, any(place.credits for place in explanation.places)
    rows = [
        [
            visible_label(place.text) + _LRM,
            f"{place.bits:5.2f}",
            "█" * min(round(place.bits), len(LIGHT)) if place.text else "",  # a text may be unfinished
            f"{100 * place.probability:5.1f} %",
            _rank(place),
            ", ".join(f"{visible_label(o.text)}{_LRM} {100 * o.probability:.0f} %" for o in place.alternatives),
            believed(place.credits, 1).partition(",")[0] if narrow else believed(place.credits, 2),
        ]
        for place in explanation.places
    ]
    head = ["", "bits", "", "chance" if narrow else "probability", "rank", "what was likely"]
    head.append("believed most" if narrow else "believed, the most first")
    hidden = ({6} if not credited else set()) | ({2} if narrow else set())
    hidden |= {3, 4} if narrow and console.width < _NARROW else set()
    head, *rows = ([cell for i, cell in enumerate(row) if i not in hidden] for row in (head, *rows))
    Table(head, rows, words=True).print(stderr=stderr)
    if (mean := explanation.bits_per_character) is not None:
        meaning = "yes/no questions to name it; fewer is better; the end does not count."
        print(f"{mean:.2f} bits a character: {meaning}", file=console.file)
    if credited:
        meaning = "the part of the model that raised the character most, its network or counts."
        print(f"Believed: {meaning}", file=console.file)


def believed(credits: Sequence[Attribution], most: int) -> str:
    """Name at most `most` experts that raised a character, strongest first; else the strongest opponent."""
    raised = [credit.expert for credit in credits if credit.bits > 0]
    if raised:
        return ", then ".join(raised[:most])
    return f"none; {credits[0].expert} spoke against it" if credits else ""


@dataclass(frozen=True)
class HeatMap:
    """A text in a report, with the `scale` of colours."""

    title: str
    explanation: Explanation
    scale: bool = False

    def html(self) -> str:
        """Return the text and its mean bits."""
        text = marked_words(self.explanation, lambda bits: f'class="word l{level(bits)}" title="{_mean(bits)}"')
        mean = self.explanation.bits_per_character
        scale = f"{_scale()} bits a character</p>\n" if self.scale else ""
        note = "" if mean is None else f"{_mean(mean)} on average"
        return (
            f'{scale}<h3>{markup(self.title)}</h3>\n<p class="heat" dir="auto">{text}</p>\n<p class="note">{note}</p>'
        )


def fragment(explanation: Explanation) -> str:
    """Return the text and a table of characters, for a notebook of any theme."""

    def attributes(bits: float) -> str:
        return f'title="{_mean(bits)}" style="background: {LIGHT[level(bits)]}; color: #111; border-radius: .2em"'

    mean, hidden = explanation.bits_per_character, len(explanation.places) - _MAX_ROWS
    table = _table(explanation, ' style="text-align: start"')
    return (
        '<div><p dir="auto" style="font-size: 1.5em; line-height: 2; white-space: pre-wrap; text-align: start">'
        f'<span style="opacity: .6">{markup(explanation.given)}</span>{marked_words(explanation, attributes)}</p>'
        + ("" if mean is None else f"<p>{_mean(mean)}</p>")
        + f"<details><summary>every character</summary>{table}"
        + (f"<p>... and {hidden:,} more</p>" if hidden > 0 else "")
        + "</details></div>"
    )


def explanation_page(explanation: Explanation, name: str) -> str:
    """Return the page of an explanation of the model `name`."""
    mean = explanation.bits_per_character
    text = marked_words(explanation, lambda bits: f'class="word l{level(bits)}"')
    body = (
        f"<h1>How surprised was <bdi>{markup(name)}</bdi>?</h1>\n"
        f"{_scale()} bits{'' if mean is None else f'; on average {_mean(mean)}'}</p>\n"
        f'<p class="given" dir="auto">{markup(explanation.given)}</p>\n'
        f'<p id="text" dir="auto">{text}</p>\n'
        '<div id="detail" role="status" hidden></div>\n'
        '<div class="wide" role="region" aria-label="Every character" tabindex="0">\n'
        f"{_table(explanation)}\n</div>"
    )
    return page(f"{name} explains", body, script=resource("letters.js") + resource("script.js"))


def save(explanation: Explanation, name: str, path: Path) -> None:
    """Write the page; `FolderError` if that fails, with the file unchanged."""
    content = explanation_page(explanation, name).encode("utf-8")
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # such as /dev/stdout
            path.write_bytes(content)
        else:
            storage.write_atomic(path, content)
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot write {path}: {storage.reason(error)}; name another file.") from error


def marked_words(explanation: Explanation, attributes: Callable[[float], str]) -> str:
    """Return the text with a `span` for each word, whose attributes follow its mean bits."""
    return "".join(
        markup(text) if bits is None else f"<span {attributes(bits)}>{markup(text)}</span>"
        for text, bits in explanation.words()
    )


def _table(explanation: Explanation, style: str = "") -> str:
    head = "".join(f'<th scope="col"{style}>{title}</th>' for title in _HEAD)
    rows = "\n".join(_row(place, style) for place in explanation.places[: _MAX_ROWS if style else None])
    caption = "Every character in reading order, then the end of the text"
    body = "<tbody>" if style else '<tbody id="rows">'
    return f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n{body}\n{rows}\n</tbody>\n</table>"


def _row(place: CharacterScore, style: str) -> str:
    alternatives = ", ".join(
        f'<span class="one"><bdi>{markup(visible_label(o.text))}</bdi> {100 * o.probability:.1f} %</span>'
        for o in place.alternatives
    )
    saved = "; ".join(f"{markup(c.expert)} {c.bits:+.1f}".replace("-", "\N{MINUS SIGN}") for c in place.credits)
    shade = level(place.bits) if place.text else 0  # unpainted end: a text may be unfinished
    cells = (f"{100 * place.probability:.1f}&nbsp;%", _rank(place), alternatives, saved)
    return (
        f'<tr data-level="{shade}"><th scope="row"{style}><bdi>{markup(visible_label(place.text))}</bdi></th>'
        f'<td class="l{shade}"{style}>{place.bits:.2f}</td>{"".join(f"<td{style}>{cell}</td>" for cell in cells)}</tr>'
    )


def _scale() -> str:
    last = len(LIGHT) - 1
    shades = "".join(f'<span class="l{n}">{n}{"+" * (n == last)}</span>' for n in range(last + 1))
    label = f"Colours from 0 bits, without colour, to {last} bits and more, red"
    return f'<p class="scale"><span role="img" aria-label="{label}">{shades}</span>'


def _rank(place: CharacterScore) -> str:
    return "unknown" if place.rank is None else str(place.rank)


def _mean(bits: float) -> str:
    return f"{bits:.2f} bits a character"
