"""Words of a list: the best words of a search in one spelling each, openings, and the pieces that save most keys.

A word (قهوة, قهوه) is listed in its most probable spelling, or, where the writer uses ta marbuta or hamza, in the one
that has them, unless it is much less probable: كتابه, his book, is no كتابة. A doubled vowel about as probable makes
another word: تغيير is not تغير. Scripts without spaces get *pieces*, the next letters as far as the model is certain,
then single letters.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import regex

from kammil.completion.unsolicited import is_religious
from kammil.language_model import Ids
from kammil.languages import known, pooled
from kammil.text import open_word
from kammil.vocabulary import SPECIALS, CharacterVocabulary

WORTH = 10
"""Number of learnt texts that count as much as the openings."""
TWICE = 2
"""Minimum number of learnt texts that a word opens."""
MAX_PIECE = 8
"""Maximum number of characters of a piece; in Japanese 4 save 30.0 % of the keystrokes, 8 save 32.0 %."""
SINGLE = 0.01
"""Keys that a single letter saves; with 0.5 five Chinese suggestions save 8.8 % of the keys, not 10.3 %."""
MIN_OF_BEST = 0.2
"""Minimum probability of a careful spelling, or a doubled vowel, as a share of the other one."""
_REPEATED, _STRETCHED = regex.compile(r"(.)\1"), regex.compile(r"(\p{L})\1{2,}")


class FoundWord(NamedTuple):
    """A word that was found."""

    ids: Ids
    """Ids to append, the open word included if it is replaced."""
    probability: float
    replaced: int = 0
    """Number of ids that it replaces; 0 if it continues them."""
    best: float = 0.0
    """Probability of its most probable spelling; 0 before a list takes it."""


class _Entry(NamedTuple):
    word: FoundWord
    plain: str
    """Its letters without doubled vowels."""
    careful: int
    """Number of letters in the writer's careful spelling."""


class WordList:
    """The k most probable words, each in one spelling.

    Args:
        k: maximum number of words.
        folds: letters by which each id is compared.
        careful: ids of careful spellings in the text.
        typed: ids of its last word.
    """

    def __init__(self, k: int, folds: Sequence[str], careful: Collection[int] = (), typed: Sequence[int] = ()) -> None:
        self._k, self._folds, self._careful = k, folds, careful
        self._typed = _letters(typed, folds)
        _, self._typed_plain = _unstretched(self._typed)
        self._entries: dict[str, _Entry] = {}
        self.to_beat = 0.0
        """Probability of the last of k words; 0 while there are fewer."""

    @property
    def words(self) -> list[FoundWord]:
        """Return the words, most probable first."""
        return [entry.word for entry in sorted(self._entries.values(), key=lambda entry: -entry.word.probability)]

    def take(self, word: FoundWord) -> None:
        """Take a word, unless k others are more probable or one is better spelled."""
        ids, p = word.ids.tolist(), word.probability
        written = _letters(ids, self._folds) if word.replaced else self._typed + _letters(ids, self._folds)
        letters, plain = _unstretched(written)
        if not word.replaced and plain == self._typed_plain != written and len(plain) > 1:
            return  # laughter, of one letter, may grow
        new = _Entry(word, plain, sum(id in self._careful for id in ids) if self._careful else 0)
        if letters != plain and plain in self._entries and p < MIN_OF_BEST * self._entries[plain].word.probability:
            return
        if letters == plain:
            doubled = [key for key, entry in self._entries.items() if entry.plain == plain and key != plain]
            for key in doubled:
                if self._entries[key].word.probability < MIN_OF_BEST * p:
                    del self._entries[key]
        old = self._entries.get(letters, new)
        shown = new if _is_better(new, old) else old
        best = max(p, word.best, old.word.probability, old.word.best)
        self._entries[letters] = shown._replace(word=shown.word._replace(best=best))
        if len(self._entries) > self._k:
            del self._entries[min(self._entries, key=lambda key: self._entries[key].word.probability)]
        full = len(self._entries) == self._k
        self.to_beat = min(entry.word.probability for entry in self._entries.values()) if full else 0.0


def is_stretched(typed: Sequence[int], ids: Sequence[int], folds: Sequence[str]) -> bool:
    """Return whether typed ids are a word with stretched letters or doubled vowels."""
    if len(typed) <= len(ids):
        return False
    return _unstretched(_letters(typed, folds))[1] == _unstretched(_letters(ids, folds))[1]


def _unstretched(letters: str) -> tuple[str, str]:
    if _REPEATED.search(letters) is None:
        return letters, letters
    letters = _STRETCHED.sub(r"\1", letters)
    return letters, _doubled().sub(r"\1", letters)


@pooled
def _doubled() -> re.Pattern[str]:
    vowels = "".join(language.long_vowels for language in known().values())
    return re.compile(rf"(?<=.)([{vowels}])\1" if vowels else "(?!)")


def _letters(ids: Sequence[int], folds: Sequence[str]) -> str:
    return "".join([folds[id] for id in ids])


def _is_better(one: _Entry, other: _Entry) -> bool:
    # A continuation, or a careful spelling, is better unless it is much less probable.
    ranks = [(not entry.word.replaced, entry.careful) for entry in (one, other)]
    if ranks[0] != ranks[1]:
        more, less = (one, other) if ranks[0] > ranks[1] else (other, one)
        return (more.word.probability >= MIN_OF_BEST * less.word.probability) == (more is one)
    return one.word.probability > other.word.probability


Pieces = Mapping[tuple[int, ...], float]
"""Ids of a piece -> its probability."""


def choose_pieces(candidates: Pieces, k: int) -> tuple[list[tuple[Ids, float]], float]:
    """Choose the k pieces that save most keys together.

    A writer takes the longest right piece, for one key. So a piece adds its letters, less those of the longest
    chosen piece that it begins with, times the probability that the text goes on with it and with no longer chosen one.
    The saving is
    submodular: greedy choice reaches 1 - 1/e of the maximum (Nemhauser, Wolsey & Fisher 1978), and old gains are upper
    bounds, renewed only at the top of the heap.

    Returns:
        ids and probabilities in the order of the choice, and the gain of the last of k pieces, else 0.
    """
    chosen: dict[tuple[int, ...], float] = {}

    def gain(path: tuple[int, ...]) -> float:
        shorter = max((len(other) for other in chosen if path[: len(other)] == other), default=1 - SINGLE)
        longer = [other for other in chosen if other[: len(path)] == path]
        nearest = [one for one in longer if not any(one != other and one[: len(other)] == other for other in longer)]
        return (candidates[path] - sum(chosen[one] for one in nearest)) * (len(path) - shorter)

    bounds = [(-p * (len(path) - 1 + SINGLE), path) for path, p in candidates.items()]
    heapq.heapify(bounds)
    last_gain = 0.0
    while bounds and len(chosen) < k:
        _, path = heapq.heappop(bounds)
        last_gain = gain(path)
        if bounds and -last_gain > bounds[0][0]:
            heapq.heappush(bounds, (-last_gain, path))
        elif last_gain > 0:
            chosen[path] = candidates[path]
    return [(np.array(path, np.int64), p) for path, p in chosen.items()], last_gain if len(chosen) == k else 0.0


class Openings(NamedTuple):
    """Words that a text may begin with, counted in messages (`openings.txt`, made by `recipes/openings.py`) and learnt
    texts: models of reviews are surest of words that stand everywhere."""

    words: Mapping[tuple[int, ...], float]
    """Ids of a word -> probability."""
    others: float
    """Probability that a text begins as the model says."""
    vocabulary: CharacterVocabulary

    def is_religious(self, before: str, ids: Ids) -> bool:
        """Return whether ids complete a religious word."""
        return is_religious(open_word(before + self.vocabulary.decode(ids)))

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, learnt: Mapping[str, int], *, counted: bool) -> Openings:
        """Return the openings: `learnt` counts the texts that each word begins, and counts of messages, if `counted`,
        are worth as much as the model."""
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
