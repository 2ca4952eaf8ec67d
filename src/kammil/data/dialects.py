"""Guess the dialects of Arabic texts by their words with a log-linear model, for the audit of a corpus.

`dialects.json` (`recipes/dialects.py`) holds the weights of some 2,500 words, and precision and recall on other
sources. Half of all short texts have no telling word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kammil.languages import known, script
from kammil.text import fold_spelling, words

_LANGUAGE = next(language for language in known().values() if language.dialects)
DIALECTS = tuple(_LANGUAGE.dialects)
UNCLEAR = "unclear"
"""No dialect reaches `THRESHOLD`."""
THRESHOLD = 0.5


class Counts(NamedTuple):
    """Weights, and figures of held-out texts."""

    words: Mapping[str, NDArray[np.float64]]
    """(6,) of each of `keys`, added to the log-probabilities of `DIALECTS`."""
    bias: NDArray[np.float64]
    precision: Mapping[str, float]
    """Precision with equally many texts of each dialect."""
    recall: Mapping[str, float]


@cache
def counts() -> Counts:
    """Return the counts of the language."""
    stored = _LANGUAGE.table("dialects")
    words = {word: stored["scale"] * np.array(row, np.float64) for word, row in stored["words"].items()}
    bias = stored["scale"] * np.array(stored["bias"], np.float64)
    return Counts(words, bias, stored["precision"], stored["recall"])


_key = lru_cache(1 << 16)(fold_spelling)


def keys(text: str) -> set[str]:
    """Return the words of a text in the language's letters, spelling folded."""
    is_letter = script(_LANGUAGE.script)
    return {key for begin, end in words(text) if is_letter.search(key := _key(text[begin:end]))}


def likely(text: str, known: Counts | None = None) -> str:
    """Return the likely dialect of a text, or `UNCLEAR`."""
    known = known or counts()
    found = [weights for key in keys(text) if (weights := known.words.get(key)) is not None]
    if not found:
        return UNCLEAR
    scores = known.bias + np.sum(found, 0)
    shares = np.exp(scores - scores.max())
    best = int(shares.argmax())
    return DIALECTS[best] if shares[best] >= THRESHOLD * shares.sum() else UNCLEAR


def likely_shares(texts: Iterable[str]) -> dict[str, float]:
    """Return the share of texts by likely dialect and `UNCLEAR`; 0 for no texts."""
    found = Counter(map(likely, texts))
    return {name: found[name] / max(found.total(), 1) for name in (*DIALECTS, UNCLEAR)}
