"""An explanation as one HTML file without external resources.

Markup never separates the letters of a word, which would break how Arabic joins: the script lays colours over the text
with the CSS Custom Highlight API (W3C); a browser without it, or without scripts, colours whole words. Everything about
a character stands in one row of a table, which needs no script; the script only finds the row of the character under
the pointer, or reached with the arrow keys. A content security policy in the page allows this one script only.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources
from pathlib import Path

from kammil import files
from kammil.completion.explain.attribution import CharacterScore, Explanation
from kammil.completion.explain.display import DARK, LIGHT, level, visible_label
from kammil.completion.explain.fragments import mark_words
from kammil.errors import FolderError
from kammil.text import visible


def page(explanation: Explanation, name: str) -> str:
    """Build the content of the file; `name` is that of the model."""
    style = colours() + _resource("style.css")
    script = letters() + _resource("script.js")
    policy = f"default-src 'none'; style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'; base-uri 'none'"
    mean_bits = explanation.bits_per_character
    mean = "" if mean_bits is None else f"{mean_bits:.2f} bits a character"
    values = {
        "POLICY": escape(policy),
        "STYLE": style,
        "NAME": escape(visible(name)),
        "MEAN": mean,
        "SCALE": "".join(
            f'<span class="l{n}">{n}{"+" if n == len(LIGHT) - 1 else ""}</span>' for n in range(len(LIGHT))
        ),
        "GIVEN": escape(visible(explanation.given)),
        "TEXT": mark_words(explanation, lambda bits: f'class="word l{level(bits)}"'),
        "ROWS": "\n".join(_row(place) for place in explanation.places),
        "SCRIPT": script,
    }
    # Split before filling in: a value may itself look like a placeholder.
    pieces = _resource("page.html").rstrip("\n").split("@@")
    return "".join(values[piece] if i % 2 else piece for i, piece in enumerate(pieces)) + "\n"


def save(explanation: Explanation, name: str, path: Path) -> None:
    """Write the file, which stays as it was if that fails; `FolderError` then."""
    content = page(explanation, name).encode("utf-8")
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # such as /dev/stdout
            path.write_bytes(content)
        else:
            files.write_atomic(path, content)
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot write {path}: {files.reason(error)}; name another file.") from error


def colours() -> str:
    """Return the style rules of all levels of surprise, light and dark, by class and by highlight."""

    def rules(shades: tuple[str, ...]) -> str:
        return "".join(
            f".l{n} {{ background: {shade} }}\n::highlight(l{n}) {{ background-color: {shade} }}\n"
            for n, shade in enumerate(shades)
        )

    return f"{rules(LIGHT)}@media (prefers-color-scheme: dark) {{\n{rules(DARK)}}}\n"


def letters() -> str:
    """Return the JavaScript module that colours a text whose letters stay joined; see `letters.js`."""
    return _resource("letters.js")


def _row(place: CharacterScore) -> str:
    """Format one character as a row of the table."""
    alternatives = ", ".join(
        f'<span class="one"><bdi>{escape(visible_label(o.text))}</bdi> {100 * o.probability:.1f} %</span>'
        for o in place.alternatives
    )
    saved = "; ".join(f"{escape(c.expert)} {c.bits:+.1f}".replace("-", "\N{MINUS SIGN}") for c in place.credits)
    rank = "unknown" if place.rank is None else str(place.rank)
    # The end stays unpainted: a text may be shown before it is finished.
    shade = level(place.bits) if place.text else 0
    return (
        f'<tr data-level="{shade}"><th scope="row"><bdi>{escape(visible_label(place.text))}</bdi></th>'
        f'<td class="l{shade}">{place.bits:.2f}</td>'
        f"<td>{100 * place.probability:.1f}&nbsp;%</td><td>{rank}</td><td>{alternatives}</td>"
        f"<td>{saved}</td></tr>"
    )


def _resource(name: str) -> str:
    return resources.files("kammil.completion.explain").joinpath(name).read_text("utf-8")


def _csp_hash(content: str) -> str:
    """Return the hash by which a content security policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
