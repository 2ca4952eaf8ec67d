"""Words by which a source was collected, and a corpus without most of their texts.

Who searches for a word gets a source full of it, and a model that learns the source writes the word unasked: one that
stood in 24 % of the texts of one of 40 sources, 0.6 % of all texts, came up in 7 % of a model's completions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import regex

SHARE = 1 / 10
"""Share of its source's texts that hold a keyword, at least."""
OWN = 2 / 3
"""Share of all texts with a keyword that are of its source, at least: a word of everybody's is no keyword."""
TIMES = 2
"""How many times as frequent as elsewhere a keyword is in its source, at least: a large one has most of all words."""
TEXTS = 500
"""Texts that a source must have: of fewer, a share says little."""
KEPT = 1 / 100
"""Share of a source's texts that hold a keyword when `thinned` is done."""
_WORD = regex.compile(r"\w{5,}")  # what is searched for is seldom shorter


@dataclass(frozen=True)
class Keyword:
    """A word that stands in a tenth of a source's texts or more, and seldom elsewhere."""

    word: str
    source: str
    texts: int
    """Texts of the source that hold the word."""
    share: float
    """The same as a share of the source's texts, 0 to 1."""


def keywords(texts: Sequence[str], sources: Sequence[str]) -> list[Keyword]:
    """Return the keywords of all sources, the largest shares first; none where all texts are of one source.

    `sources` names the source of each text.
    """
    sizes, everywhere = Counter(sources), Counter[str]()
    by_source = Counter[tuple[str, str]]()
    for text, source in zip(texts, sources, strict=True):
        found = set(_WORD.findall(text))
        everywhere.update(found)
        by_source.update((source, word) for word in found)
    kept = (
        Keyword(word, source, n, n / sizes[source])
        for (source, word), n in by_source.items()
        if TEXTS <= sizes[source] < len(texts)
        and n >= SHARE * sizes[source]
        and n >= OWN * everywhere[word]
        and n * (len(texts) - sizes[source]) >= TIMES * (everywhere[word] - n) * sizes[source]
    )
    return sorted(kept, key=lambda one: (-one.share, one.source, one.word))


def thinned(texts: Sequence[str], sources: Sequence[str]) -> list[int]:
    """Return the indices of the texts that stay: of those with a keyword about as many as `KEPT`, evenly spread.

    A text with several keywords counts for the one of the largest share.
    """
    every: dict[tuple[str, str], int] = {}
    for one in keywords(texts, sources):
        every[one.source, one.word] = max(1, round(one.share / KEPT))
    seen, kept = Counter[tuple[str, str]](), list[int]()
    for i, (text, source) in enumerate(zip(texts, sources, strict=True)):
        own = [(source, word) for word in sorted(set(_WORD.findall(text))) if (source, word) in every]
        if own:
            keyword = max(own, key=lambda one: every[one])
            seen[keyword] += 1
            if seen[keyword] % every[keyword]:
                continue
        kept.append(i)
    return kept
