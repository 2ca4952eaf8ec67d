"""The options of suggestions and ghost text: checked, frozen; flags and fields of the API are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, TypedDict, Unpack

from kammil.completion.ghost_text import GHOST, GHOST_RULES, MAX_WORDS, GhostLevel
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.decoding.options import DecodingOptions, FrozenOptions, option


class RefusalKeywords(TypedDict, total=False):
    """The fields of `SuggestOptions` that say what is refused, for type checkers."""

    forbid: Sequence[str]
    allow_offensive: bool


class ListKeywords(RefusalKeywords, total=False):
    """Those for a list."""

    threshold: float
    correct: bool


class GhostKeywords(RefusalKeywords, total=False):
    """Those for ghost text."""

    words: int
    ghost: GhostLevel


class SuggestKeywords(ListKeywords, GhostKeywords, total=False):
    """All of them."""

    k: int


class SuggestOptions(FrozenOptions):
    """What is suggested, in a list and as ghost text."""

    k: int = option(3, "Maximum number of suggestions.", reason="at least one suggestion must be asked for", ge=1)
    threshold: float = option(
        MIN_PROBABILITY,
        "Minimum probability of a suggestion.",
        reason=f"it must be between 0 and 1, such as {MIN_PROBABILITY}",
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    correct: bool = option(
        True,
        "Also suggest words in place of the begun one, if it may have a slip of a key or another spelling, or be "
        "Arabic in Latin letters.",
        reason="it must be true or false",
    )
    words: int = option(MAX_WORDS, "Maximum number of words of ghost text.", reason="a phrase has at least one", ge=1)
    ghost: GhostLevel = option(
        GHOST, "How readily ghost text is shown.", reason=f"it must be one of: {', '.join(GHOST_RULES)}"
    )
    forbid: tuple[str, ...] = option(
        (), "Suggest no word that writes this string.", reason="it must be a list of strings"
    )
    allow_offensive: bool = option(
        False, "Suggest words of the list of offensive words too.", reason="it must be true or false"
    )

    @classmethod
    def of(cls, **options: Unpack[SuggestKeywords]) -> Self:
        """Return checked options; `OptionError` for the first that is wrong."""
        made = cls.checked(options)
        DecodingOptions.of(forbid=made.forbid)
        return made
