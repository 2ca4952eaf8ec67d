"""Whether the first row of a table is a header, as far as can be told from what stands in it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import regex

from kammil.text import words

_SENTENCE = regex.compile(r"[.!?…؟。！？،,;؛](?:\s|\Z)|[@#]\w")
_POSTED = regex.compile(r"https?://|\p{Extended_Pictographic}")
_UNSPACED = regex.compile(r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]")
_A_WORD = 2
"""Characters that count as a word where no spaces stand between words."""


def looks_like_a_text(name: str, cells: Sequence[str]) -> bool:
    """Whether the name of a column is rather its first text: `cells` are those below it.

    It is one that comes again below, or has a link or an emoji in it; one of several words with the marks of a
    sentence, a hashtag or a handle; one of three words or more that is no shorter than a quarter of the texts; or one
    of six words. A header of few words over longer texts is none.
    """
    cells = [cell for cell in cells if cell]
    if name in cells or _POSTED.search(name):
        return True
    spaced = _UNSPACED.sub(" ", name)
    count = len(words(spaced)) + len(_UNSPACED.findall(name)) // _A_WORD
    if count >= 6 or (count >= 2 and _SENTENCE.search(name)):
        return True
    lengths = [len(cell) for cell in cells]
    usual = statistics.quantiles(lengths, n=4)[0] if len(lengths) > 1 else sum(lengths)
    return count >= 3 and len(name) >= usual
