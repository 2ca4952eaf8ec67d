"""The playground page, without a build step; rules shared with Python become JavaScript modules here."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from kammil import text
from kammil.completion import context, learning, own_words
from kammil.completion.ghost_text import GHOST, GHOST_RULES, MAX_WORDS
from kammil.decoding.options import PRESETS
from kammil.models.blend.model import HEARD
from kammil.views.page import colours, resource

_MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}

HEADERS: Mapping[str, str] = {
    # No inline or foreign scripts or styles, and no text can become markup.
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Headers of every file."""


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    content: bytes
    media: str
    """`Content-Type`."""

    @cached_property
    def packed(self) -> bytes:
        """The content, compressed with gzip if that helps."""
        packed = gzip.compress(self.content, mtime=0)
        return packed if len(packed) < 0.9 * len(self.content) else self.content

    def answer(self, accepted: str) -> tuple[bytes, dict[str, str]]:
        """Return body and headers for a client's `Accept-Encoding`."""
        takes_gzip = re.search(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", accepted)
        body = self.packed if takes_gzip else self.content
        tag = hashlib.sha256(body).hexdigest()[:16]
        headers = {**HEADERS, "Content-Type": self.media, "ETag": f'"{tag}"', "Vary": "Accept-Encoding, Origin"}
        return body, headers if body is self.content else {**headers, "Content-Encoding": "gzip"}


@cache
def assets() -> Mapping[str, Asset]:
    """Return all files by path, empty for index.html."""
    found: dict[str, Asset] = {
        "letters.js": Asset(resource("letters.js").encode(), _MEDIA["js"]),
        "levels.css": Asset(colours().encode(), _MEDIA["css"]),
        "spacing.js": Asset(_spacing_module().encode(), _MEDIA["js"]),
        "facts.js": Asset(_facts_module().encode(), _MEDIA["js"]),
    }
    for file in resources.files(__name__).iterdir():
        media = _MEDIA.get(file.name.rpartition(".")[2])
        if media:
            found["" if file.name == "index.html" else file.name] = Asset(file.read_bytes(), media)
    return found


def _spacing_module() -> str:
    return f"""// The space after an accepted word. Written by kammil.views.playground from the rule in kammil.text.

/** Return the space that follows an accepted word, or nothing in a script without spaces. */
export const spaceAfter = (word) => (/{text.UNSPACED}/u.test(word) ? "" : " ");
/** Whether the space is removed when this is typed right after it. */
export const givesWay = (typed) => /{text.GIVES_WAY}/u.test(typed);
"""


def _facts_module() -> str:
    # `plain` is for programs.
    facts = {
        "GHOST": GHOST,
        "GHOST_LEVELS": list(GHOST_RULES),
        "GHOST_WORDS": MAX_WORDS,
        "OWN_WORDS": [own_words.BEGUN, own_words.UNEXPECTED, own_words.NAMED],
        "PROFILE": learning.HEAD,
        "PROFILE_LIMITS": [learning.MAX_TEXTS, learning.MAX_CHARACTERS, learning.MAX_TOTAL_CHARACTERS],
        "CONTEXT": [context.MAX_MESSAGES, context.MAX_CHARACTERS, context.MAX_HEARD, context.STOPS, HEARD],
        "PRESETS": {
            name: {"temperature": options["temperature"], "top_p": 1}
            for name, options in PRESETS.items()
            if name != "plain"
        },
    }
    return "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in facts.items())
