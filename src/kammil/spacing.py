"""The space after an accepted word: one rule for the page, which types it, and the simulator, which counts keys.

After a word is accepted, as a button or as ghost text, the page types a space. The space *gives way*: it is removed if
the next thing typed is white space or a sign that is written without a space before it (a comma, a full stop, a closing
bracket). So a space typed out of habit does not make two, and a comma follows the word directly; to get a space before
a comma, type the space. Before anything else (a letter, an emoji, an opening bracket, a hyphen, a quote that may open
or close) the space stays. A word of a script that is written without spaces gets none.

The page gets the two patterns from here (`kammil.server.playground` serves them as a script), in a syntax that Python's
`regex` and a browser read alike; `kammil.evaluation.keystrokes` counts the keys.
"""

from __future__ import annotations

import regex

from kammil.text import UNSPACED_COMMON, UNSPACED_SCRIPTS

GIVES_WAY = r"^[\p{White_Space}\p{Terminal_Punctuation}\p{Pe}\p{Pf}…%٪]"
"""Pattern of text before which the space is removed: Unicode's Terminal_Punctuation holds . , ! ? : ; and those of all
scripts (، ؛ ؟ 。), Pe the closing brackets, Pf the quotes that can only close (» ”)."""
UNSPACED = "(?:" + "|".join(rf"\p{{Script={script}}}" for script in UNSPACED_SCRIPTS) + f"|[{UNSPACED_COMMON}ﾞﾟ])$"
"""Pattern of words that get no space. No class of characters: at the end of a string, Chromium 156 does not match one
with characters beyond 16 bits."""

_GIVES_WAY, _UNSPACED = regex.compile(GIVES_WAY), regex.compile(UNSPACED)


def space_after(word: str) -> str:
    """Return what is typed after an accepted word: a space, or "" in a script without spaces."""
    return "" if _UNSPACED.search(word) else " "


def keys_saved(added: str) -> int:
    """Return the keys that a suggestion saves which adds this text: its characters without a space before them, less
    one for the key that takes it, unless the space that comes with it pays for that key: of a letter alone, not."""
    return (letters := len(added.lstrip(" "))) - (letters == 1 or not space_after(added))


def gives_way(typed: str) -> bool:
    """Return whether the space is removed when `typed` follows it."""
    return bool(_GIVES_WAY.match(typed))


def stays(text: str, end: int) -> bool:
    """Return whether the space typed after an accepted word, which ends at `end`, is the text's next character.

    Where a space and then a sign follow to which it gives way, the space must be typed by hand.
    """
    return text.startswith(" ", end) and not gives_way(text[end + 1 : end + 2])
