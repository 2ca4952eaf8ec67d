"""English: how probable it is that a word in Latin letters is written in a text of English.

`english.txt` has words that are frequent in messages, the commonest first; by Zipf's law a word's rank says about how
frequent it is. Every other word is spelt letter by letter, each as probable as it is after the two before it in these
words.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import resources

LISTED = 0.8
"""Share of the words of a text that the list holds."""
_ODD = 1e-4
"""Probability of a character that no word of the list has, such as a digit."""
_END = " "


def english_probability(word: str, *, whole: bool) -> float:
    """Return how probable a word is, in lower case, or, if it is not `whole`, all words that begin so."""
    listed, letters = _listed(), _letters()
    spelt, text = 1.0, _END * 2 + word + _END * whole
    for i in range(2, len(text)):
        followers = letters.get(text[i - 2 : i], Counter())
        spelt *= (followers[text[i]] + 0.5) / (followers.total() + 14) if text[i] in letters else _ODD
    return LISTED * listed.get(word + _END * whole, 0.0) + (1 - LISTED) * spelt


def is_listed(word: str) -> bool:
    """Return whether the list has a word."""
    return word + _END in _listed()


@cache
def _words() -> list[str]:
    lines = resources.files("kammil.completion").joinpath("english.txt").read_text("utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


@cache
def _listed() -> dict[str, float]:
    """Beginning of a word, its end included -> probability of the words of the list that begin so."""
    weights = {word: 1 / (rank + 2.7) for rank, word in enumerate(_words(), 1)}
    total, found = sum(weights.values()), dict[str, float]()
    for word, weight in weights.items():
        for end in range(len(word) + 2):
            begin = (word + _END)[:end]
            found[begin] = found.get(begin, 0.0) + weight / total
    return found


@cache
def _letters() -> dict[str, Counter[str]]:
    """Two characters -> how many words of the list have which one after them; and each character of the words."""
    found: dict[str, Counter[str]] = {}
    for word in _words():
        text = _END * 2 + word + _END
        for i in range(2, len(text)):
            found.setdefault(text[i - 2 : i], Counter())[text[i]] += 1
            found.setdefault(text[i], Counter())
    return found
