"""The space after an accepted word: one rule for the page, which types it, and for the simulated writer, who pays.

Whoever accepts a word, as a button or as ghost text, gets a space behind it. It is the page's own as long as nothing
else is typed, and *gives way* to what is typed next if that is white space or a sign that stands close to a word: a
comma, a full stop, a closing bracket. So a space that is typed out of habit does not make two, and a comma after a word
stands right behind it. Who wants a space before the comma types that space, which is theirs then. Before anything else
(a letter, an emoji, an opening bracket, a hyphen, a quote that may open or close) the space stays, and who does not
want it deletes it. A word of a script that is written without spaces gets none.

The page gets the two patterns from here (`kammil.server.playground` serves them as a script), in a syntax that Python's
`regex` and a browser read alike; `kammil.evaluation.keystrokes` counts the keys.
"""

from __future__ import annotations

import regex

_UNSPACED_SCRIPTS = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")

GIVES_WAY = r"^[\p{White_Space}\p{Terminal_Punctuation}\p{Pe}\p{Pf}…%٪]"
"""What is typed that takes the space's place: Unicode's Terminal_Punctuation holds . , ! ? : ; and those of all scripts
(، ؛ ؟ 。), Pe the closing brackets, Pf the closing quotes that are only that (» ”)."""
UNSPACED = "(?:" + "|".join(rf"\p{{Script={script}}}" for script in _UNSPACED_SCRIPTS) + ")$"
"""How a word ends that gets no space. Not a class of characters: Chromium 156 does not find one beyond 16 bits at the
end of a string."""

_GIVES_WAY, _UNSPACED = regex.compile(GIVES_WAY), regex.compile(UNSPACED)


def space_after(word: str) -> str:
    """What is typed behind an accepted word: a space, or nothing in a script without spaces."""
    return "" if _UNSPACED.search(word) else " "


def gives_way(typed: str) -> bool:
    """Whether the space goes when this is typed right after it."""
    return bool(_GIVES_WAY.match(typed))


def stays(text: str, end: int) -> bool:
    """Whether the space behind an accepted word that ends there is one that a text goes on with, for no further key.

    A text that goes on with a space and then a sign to which it would give way needs that space typed.
    """
    return text.startswith(" ", end) and not gives_way(text[end + 1 : end + 2])
