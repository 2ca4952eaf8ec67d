"""An explanation as one HTML file that needs nothing else: to be opened, sent, put anywhere.

Letters of a word are never parted by markup, which would break how Arabic joins: the script lays colours over the text
with the CSS Custom Highlight API (W3C), a browser without it, or without scripts, colours whole words. All that is
known of a character stands in one row of a table, which needs no script; the script only finds the row of the character
that is pointed at, or reached with the arrow keys. A policy in the page lets this one script run and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources
from pathlib import Path

from kammil.completion.explain.attribution import CharacterScore, Explanation
from kammil.completion.explain.display import DARK, LIGHT, level, visible_label
from kammil.errors import FolderError
from kammil.text import visible, words


def page(explanation: Explanation, name: str) -> str:
    """The file's content; `name` is that of the model."""
    style = colours() + _part("style.css")
    script = letters() + _part("script.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    each = explanation.bits_per_character
    mean = "" if each is None else f"{each:.2f} bits a character"
    values = {
        "POLICY": escape(policy),
        "STYLE": style,
        "NAME": escape(visible(name)),
        "MEAN": mean,
        "SCALE": "".join(
            f'<span class="l{n}">{n}{"+" if n == len(LIGHT) - 1 else ""}</span>' for n in range(len(LIGHT))
        ),
        "GIVEN": escape(visible(explanation.given)),
        "TEXT": _text(explanation),
        "ROWS": "\n".join(_row(place) for place in explanation.places),
        "SCRIPT": script,
    }
    # Split first: what is filled in may itself look like a place to fill in.
    pieces = _part("page.html").rstrip("\n").split("@@")
    return "".join(values[piece] if i % 2 else piece for i, piece in enumerate(pieces)) + "\n"


def save(explanation: Explanation, name: str, path: Path) -> None:
    """Write the file; `FolderError` where that cannot be."""
    try:
        path.write_text(page(explanation, name), "utf-8")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FolderError(f"cannot write the page {path}: {reason}; name another file.") from error


def colours() -> str:
    """Style rules for all levels of surprise, light and dark, by class and by highlight."""

    def rules(shades: tuple[str, ...]) -> str:
        return "".join(
            f".l{n} {{ background: {shade} }}\n::highlight(l{n}) {{ background-color: {shade} }}\n"
            for n, shade in enumerate(shades)
        )

    return f"{rules(LIGHT)}@media (prefers-color-scheme: dark) {{\n{rules(DARK)}}}\n"


def letters() -> str:
    """A module of JavaScript: colours over a text whose letters stay joined; see `letters.js`."""
    return _part("letters.js")


def _text(explanation: Explanation) -> str:
    """The text, its words marked with the level of their mean."""
    text, done, made = explanation.text, 0, list[str]()
    for begin, end in words(text):
        bits = sum(place.bits for place in explanation.places[begin:end]) / (end - begin)
        made.append(escape(visible(text[done:begin])))
        made.append(f'<span class="word l{level(bits)}">{escape(visible(text[begin:end]))}</span>')
        done = end
    return "".join([*made, escape(visible(text[done:]))])


def _row(place: CharacterScore) -> str:
    """What is known of a character."""
    others = ", ".join(
        f'<span class="one"><bdi>{escape(visible_label(o.text))}</bdi> {100 * o.probability:.1f} %</span>'
        for o in place.alternatives
    )
    saved = "; ".join(f"{escape(c.expert)} {c.bits:+.1f}".replace("-", "\N{MINUS SIGN}") for c in place.credits)
    rank = "unknown" if place.rank is None else str(place.rank)
    of = level(place.bits)
    return (
        f'<tr data-level="{of}"><th scope="row"><bdi>{escape(visible_label(place.text))}</bdi></th><td class="l{of}">'
        f"{place.bits:.2f}</td><td>{100 * place.probability:.1f}&nbsp;%</td><td>{rank}</td><td>{others}</td>"
        f"<td>{saved}</td></tr>"
    )


def _part(name: str) -> str:
    return resources.files("kammil.completion.explain").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    """By which a policy names a script or a style that stands in the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
