"""Guess whether the first row of a table is a header."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import regex

from kammil.text import role, words

_SENTENCE = regex.compile(r"[.!?…؟。！？،,;؛](?:\s|\Z)|[@#]\w")
_LINK_OR_EMOJI = regex.compile(r"https?://|\p{Extended_Pictographic}")
_CHARACTERS_PER_WORD = 2  # in scripts that put no spaces between words


def looks_like_a_text(name: str, cells: Sequence[str]) -> bool:
    """Guess whether the name of a column is rather its first text; `cells` are the cells below it.

    A name is a text if a cell repeats it; if it holds a link or an emoji; if it has at least two words and the marks of
    a sentence, a hashtag or a handle; at least three words, and is no shorter than a quarter of the cells; or six.
    """
    cells = [cell for cell in cells if cell]
    if name in cells or _LINK_OR_EMOJI.search(name):
        return True
    found = words(name)
    unspaced = sum(role(name[begin]) == "unspaced" for begin, _ in found)
    count = len(found) - unspaced + unspaced // _CHARACTERS_PER_WORD
    if count >= 6 or (count >= 2 and _SENTENCE.search(name)):
        return True
    lengths = [len(cell) for cell in cells]
    first_quartile = statistics.quantiles(lengths, n=4)[0] if len(lengths) > 1 else sum(lengths)
    return count >= 3 and len(name) >= first_quartile
