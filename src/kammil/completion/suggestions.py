"""Suggestions: the most probable next words, or endings of the current word, with their exact probabilities.

Those of all suggestions after a text sum to one or less; the rest is that the word is complete already, or that
something else than a word comes next. Of a suggestion that replaces what was typed it is the probability that the word
is intended, given what was typed: model times channel, divided by the sum over all. Shapes: T characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from kammil.completion.begun_word import MAX_RUN, MAX_TYPED
from kammil.completion.options import SuggestOptions
from kammil.completion.word_search import MAX_CHARACTERS, FoundWord
from kammil.decoding import Constraints
from kammil.decoding.refusals import Refusals
from kammil.language_model import Ids
from kammil.text import ends_unspaced, graphemes, open_word, role
from kammil.vocabulary import BOS, CharacterVocabulary

MAX_REPLACED = (MAX_RUN + 1) * (MAX_TYPED + 1)
"""Maximum number of characters that a suggestion replaces."""


@dataclass(frozen=True)
class Suggestion:
    """A suggested word: a next word, or the current word completed; in a script without spaces, the next letters."""

    text: str
    """The whole word as it would stand, or the piece; of a word beyond `text.MAX_OPEN_WORD` characters its end."""
    added: str
    """Text to append to the prefix, or to what stands before the letters that it replaces: the word, its ending, or a
    space and the word; for words in Latin letters all of these in Arabic."""
    probability: float
    """Probability that exactly `added` comes next, and then no character that continues the word or the letter."""
    replaces: int = 0
    """Characters at the end of the prefix that `added` replaces: the begun word, if it is corrected, and words in Latin
    letters before it or before a next word; else 0."""

    def appended_to(self, prefix: str) -> str:
        """Return the text after the suggestion is taken."""
        return prefix[: len(prefix) - self.replaces] + self.added


def to_suggestions(vocabulary: CharacterVocabulary, prefix: str, found: Sequence[FoundWord]) -> list[Suggestion]:
    """Convert the results of a search after a prefix to suggestions."""
    suggestions: list[Suggestion] = []
    open_part = open_word(prefix)
    last_letter = graphemes(prefix[-MAX_CHARACTERS:])[-1] if ends_unspaced(prefix) else ""
    for ids, p, replaced, _ in found:
        added = vocabulary.decode(ids)
        if replaced:
            suggestions.append(Suggestion(open_word(added), added, p, replaced))
            continue
        first = role(added[0])
        before = "" if first == "unspaced" else last_letter if first == "mark" and last_letter else open_part
        suggestions.append(Suggestion(added[1:] if added.startswith(" ") else before + added, added, p))
    return suggestions


@dataclass(frozen=True)
class TypedText:
    """A text while it is typed, as a model sees it."""

    seen: str
    """The text after normalisation."""
    ids: Ids
    """(T,): its ids, BOS first."""
    letters: int
    """Characters of its open word; 0 where the model has not seen the word as it was typed, in which replaced
    characters are counted."""
    as_typed: int
    """Characters at its end, at most `MAX_REPLACED`, that stand there as they were typed."""

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, text: str, seen: str) -> Self:
        """Return a text that was typed and is `seen` after normalisation."""
        word = open_word(seen)
        alike = [a == b for a, b in zip(text[: -MAX_REPLACED - 1 : -1], seen[: -MAX_REPLACED - 1 : -1], strict=False)]
        ids = np.concatenate([[BOS], vocabulary.encode(seen)])
        return cls(seen, ids, len(word) * text.endswith(word), [*alike, False].index(False))


@dataclass(frozen=True)
class Query:
    """What is asked for after a text that is being typed."""

    text: TypedText
    options: SuggestOptions
    refusals: Refusals
    """What is not suggested, nor shown as ghost text."""
    stock: Constraints | None = None
    """What holds for stock phrases as ghost text; None for none."""
