"""How probable a word is in a language of Latin letters, such as English.

`frequent.txt` has a language's commonest words first: by Zipf's law a word's rank says about how frequent it is. Every
other word is spelt letter by letter, each as probable as it is after the two before it in these words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain

from kammil.languages import known, pooled

LISTED = 0.8
"""Share of listed words in a text."""
_ODD = 1e-4
"""Probability of a character that no listed word has, such as a digit."""
_END = " "


def word_probability(word: str, *, whole: bool) -> float:
    """Return the probability of a word in lower case, or, if it is not `whole`, of all words that begin so."""
    listed, letters = _listed(), _letters()
    spelt, text = 1.0, _END * 2 + word + _END * whole
    for i in range(2, len(text)):
        followers = letters.get(text[i - 2 : i], Counter())
        spelt *= (followers[text[i]] + 0.5) / (followers.total() + 14) if text[i] in letters else _ODD
    return LISTED * listed.get(word + _END * whole, 0.0) + (1 - LISTED) * spelt


def is_listed(word: str) -> bool:
    """Return whether a list has a word."""
    return word + _END in _listed()


def _words() -> list[list[str]]:
    return [" ".join(language.entries("frequent")).split() for language in known().values()]


@pooled
def _listed() -> defaultdict[str, float]:
    """Beginning of a word, its end included -> probability of the listed words that begin so."""
    weights, found = defaultdict[str, float](float), defaultdict[str, float](float)
    for language in _words():
        for rank, word in enumerate(language, 1):
            weights[word] += 1 / (rank + 2.7)
    total = sum(weights.values())
    for word, weight in weights.items():
        for end in range(len(word) + 2):
            found[(word + _END)[:end]] += weight / total
    return found


@pooled
def _letters() -> dict[str, Counter[str]]:
    """Two characters -> how many listed words have which one after them; and each character of the words."""
    found = defaultdict[str, Counter[str]](Counter)
    for word in chain(*_words()):
        text = _END * 2 + word + _END
        for i in range(2, len(text)):
            found[text[i - 2 : i]][text[i]] += 1
            found[text[i]].update()
    return found
