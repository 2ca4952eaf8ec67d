"""Suggestions: the most probable next words, or endings of the current word, with exact probabilities; their options,
and those of ghost text, of which flags and fields of the API are made.

Probabilities sum to one or less; otherwise the word is complete, or no word follows. A replacement has the posterior of
the intended word: model times channel, normalised. Shapes: T characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypedDict

import numpy as np

from kammil.completion.begun_word import MAX_RUN, MAX_TYPED
from kammil.completion.ghost_text import GHOST, GHOST_RULES, MAX_WORDS, GhostLevel
from kammil.completion.word_search import MAX_CHARACTERS, MIN_PROBABILITY, FoundWord
from kammil.decoding.constraints import Constraints
from kammil.decoding.options import DecodingOptions, FrozenOptions, option
from kammil.decoding.refusals import Refusals
from kammil.language_model import Ids
from kammil.text import ends_unspaced, graphemes, open_word, role
from kammil.vocabulary import BOS, CharacterVocabulary

MAX_REPLACED = (MAX_RUN + 1) * (MAX_TYPED + 1)
"""Maximum number of characters that a suggestion replaces."""


class ListKeywords(TypedDict, total=False):
    """Fields of a list, beside `k`, for type checkers."""

    threshold: float
    correct: bool
    forbid: Sequence[str]
    allow_offensive: bool


class GhostKeywords(TypedDict, total=False):
    """Fields of ghost text."""

    words: int
    ghost: GhostLevel
    forbid: Sequence[str]
    allow_offensive: bool


class SuggestOptions(FrozenOptions):
    """Options of lists of suggestions and of ghost text."""

    k: int = option(3, "Maximum number of suggestions.", ge=1, le=32)
    threshold: float = option(MIN_PROBABILITY, "Minimum probability of a suggestion.", ge=0, le=1)
    correct: bool = option(
        True,
        "Also suggest words in place of the begun one, if it may have a slip of a key or another spelling, or be "
        "Arabic in Latin letters.",
    )
    words: int = option(MAX_WORDS, "Maximum number of words of ghost text.", ge=1)
    ghost: GhostLevel = option(
        GHOST, "How readily ghost text is shown.", reason=f"it must be one of: {', '.join(GHOST_RULES)}"
    )
    forbid: tuple[str, ...] = option((), "Suggest no word that writes this string.")
    allow_offensive: bool = option(False, "Suggest words of the list of offensive words too.")

    @classmethod
    def of(cls, **options: object) -> Self:
        """Return checked options; `OptionError` for the first that is wrong."""
        made = cls.checked(options)
        if made.forbid:
            DecodingOptions.of(forbid=made.forbid)
        return made


class EditorOptions(SuggestOptions):
    """Options of the language server."""

    learn: bool = option(False, "Learn the lines that are new in a saved document, into the profile.")


@dataclass(frozen=True)
class Suggestion:
    """A next word, or the current word completed; in scripts without spaces the next letters."""

    text: str
    """The whole word, or the piece; beyond `text.MAX_OPEN_WORD` characters its end."""
    added: str
    """Text to append where the replaced characters stood: a word, its ending, or a space and a word."""
    probability: float
    """Probability that exactly `added` comes next, and then the word or letter ends."""
    replaces: int = 0
    """Number of characters at the end of the prefix that `added` replaces: of a corrected word, or words in Latin
    letters."""

    def appended_to(self, prefix: str) -> str:
        """Return the text with the suggestion taken."""
        return prefix[: len(prefix) - self.replaces] + self.added


def to_suggestions(vocabulary: CharacterVocabulary, prefix: str, found: Sequence[FoundWord]) -> list[Suggestion]:
    """Convert what a search found after a prefix."""
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
    """A text as typed, and as a model sees it."""

    seen: str
    """The normalised text."""
    ids: Ids
    """(T,), BOS first."""
    letters: int
    """Number of characters of its open word; 0 where normalisation changed it: replaced characters count as typed."""
    as_typed: int
    """Number of last characters, up to `MAX_REPLACED`, kept by normalisation."""

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, text: str, seen: str) -> Self:
        """Return a typed text and its normalised form."""
        word = open_word(seen)
        alike = [a == b for a, b in zip(text[: -MAX_REPLACED - 1 : -1], seen[: -MAX_REPLACED - 1 : -1], strict=False)]
        ids = np.concatenate([[BOS], vocabulary.encode(seen)])
        return cls(seen, ids, len(word) * text.endswith(word), [*alike, False].index(False))


@dataclass(frozen=True)
class Query:
    """A request after a text."""

    text: TypedText
    options: SuggestOptions
    refusals: Refusals
    stock: Constraints | None = None
    """Constraints of stock phrases as ghost text."""
