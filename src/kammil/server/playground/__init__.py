"""The page on which people type: HTML, CSS and JavaScript modules as they are, no build step, nothing from elsewhere.

How letters are coloured is the business of
`kammil.completion.explain.html`, which lends its script (`letters.js`) and its colours; when
the space after an accepted word goes, that of `kammil.spacing` (`spacing.js`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from kammil import spacing
from kammil.completion.explain.html import colours, letters

_MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        # Scripts and styles from this server alone, none inside of the page, and no text may ever become markup.
        "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
)
"""To be sent with every file of the page."""


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    content: bytes
    media: str
    """For the header `Content-Type`."""


@cache
def assets() -> Mapping[str, Asset]:
    """All files by their path below the page's address; the page itself is ""."""
    found: dict[str, Asset] = {
        "letters.js": Asset(letters().encode(), _MEDIA["js"]),
        "levels.css": Asset(colours().encode(), _MEDIA["css"]),
        "spacing.js": Asset(_spacing().encode(), _MEDIA["js"]),
    }
    for file in resources.files(__name__).iterdir():
        media = _MEDIA.get(file.name.rpartition(".")[2])
        if media:
            found["" if file.name == "index.html" else file.name] = Asset(file.read_bytes(), media)
    return MappingProxyType(found)


def _spacing() -> str:
    """The rule of `kammil.spacing` for the page."""
    return f"""// The space after an accepted word: written by kammil.spacing, which says what it is.

/** What is typed behind an accepted word. */
export const spaceAfter = (word) => (/{spacing.UNSPACED}/u.test(word) ? "" : " ");
/** Whether the space goes when this is typed right after it. */
export const givesWay = (typed) => /{spacing.GIVES_WAY}/u.test(typed);
"""
