"""Openings: the words that a text may begin with, where nothing is typed yet.

A model has read reviews and posts, so its surest first words are those that stand everywhere. A bundled model has
counts of the words with which messages open (`openings.txt`, made by `recipes/openings.py`), beside its own
probabilities; and first words of texts that it was taught are counted, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from kammil.completion.unsolicited import is_religious
from kammil.language_model import Ids
from kammil.text import open_word
from kammil.vocabulary import SPECIALS, CharacterVocabulary

WORTH = 10
"""Learnt texts that count as much as the openings before them."""
TWICE = 2
"""Minimum number of learnt texts that a word opens."""


class Openings(NamedTuple):
    """Words that a text may begin with."""

    words: Mapping[tuple[int, ...], float]
    """Ids of a word -> probability that a text begins with it."""
    others: float
    """Probability that a text begins as the model says."""
    vocabulary: CharacterVocabulary

    def is_religious(self, before: str, ids: Ids) -> bool:
        """Return whether ids make a religious word of the letters before them."""
        return is_religious(open_word(before + self.vocabulary.decode(ids)))

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, learnt: Mapping[str, int], *, counted: bool) -> Openings:
        """Return the openings of a vocabulary.

        Args:
            vocabulary: of the model.
            learnt: first word of learnt texts -> how many begin with it.
            counted: whether messages were counted for the model; their openings are worth as much as its own.
        """
        texts, counts = sum(learnt.values()), _counts() if counted else {}
        known, total = WORTH / (WORTH + texts), sum(counts.values())
        own = known / 2 if counted else known
        shares = {word: own * count / total for word, count in counts.items()}
        for word, count in learnt.items():
            if count >= TWICE:
                shares[word] = shares.get(word, 0.0) + count / (WORTH + texts)
        words = {tuple(vocabulary.encode(word).tolist()): share for word, share in shares.items()}
        words = {ids: share for ids, share in words.items() if min(ids, default=0) >= SPECIALS}
        return cls(words, own, vocabulary)


@cache
def _counts() -> dict[str, int]:
    lines = resources.files("kammil.completion").joinpath("openings.txt").read_text("utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {word: int(count) for word, count in pairs}
