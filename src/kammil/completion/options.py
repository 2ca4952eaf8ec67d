"""The options of suggestions and ghost text: checked, frozen; flags and fields of the API are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, TypedDict

from kammil.completion.ghost_text import GHOST, GHOST_RULES, MAX_WORDS, GhostLevel
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.decoding.options import DecodingOptions, FrozenOptions, option


class RefusalKeywords(TypedDict, total=False):
    """Options of refusals, for type checkers."""

    forbid: Sequence[str]
    allow_offensive: bool


class ListKeywords(RefusalKeywords, total=False):
    """Fields of a list, beside `k`."""

    threshold: float
    correct: bool


class GhostKeywords(RefusalKeywords, total=False):
    """Fields of ghost text."""

    words: int
    ghost: GhostLevel


class SuggestOptions(FrozenOptions):
    """Options of lists of suggestions and of ghost text."""

    k: int = option(3, "Maximum number of suggestions.", ge=1)
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
