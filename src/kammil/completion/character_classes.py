"""Which characters of a vocabulary begin, continue and end words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.text import open_word, role
from kammil.vocabulary import EOS, SPECIALS, CharacterVocabulary

MIN_UNSPACED_LETTERS = 0.1
"""Least share of the letters of a vocabulary that are of scripts without spaces, for pieces to be searched. Of Arabic
posts the letters of a few emoticons are."""

_Floats = NDArray[np.float32]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class CharacterClasses:
    """Classes of the ids of a vocabulary by their role in words, (V,) each."""

    begin: _Flags
    """Ids that may begin a word: letters, digits, underscores."""
    continues: _Flags
    """Ids that may continue a word: those, marks and joiners; no unspaced letters."""
    words: _Flags
    """Ids that a word may end in: letters, digits, underscores and marks, no joiners."""
    close: _Floats
    """1 for ids that end a word: EOS, characters outside words, and unspaced letters. UNK may be inside or outside, and
    is neither."""
    unspaced: _Flags
    """Ids of letters of scripts without spaces; none where they are too few (`MIN_UNSPACED_LETTERS`)."""
    extends: _Flags
    """Ids that belong to the character before them: marks, joiners, and what extends a grapheme."""
    space: int | None
    """Id of the space; None if the vocabulary has none."""

    def complete(self, prefixes: Sequence[str], p: _Floats) -> NDArray[np.float64]:
        """Return for each of R prefixes the probability that its last word is complete, (R,); 0 outside words.

        `p` are the probabilities of what follows them, (R, V).
        """
        inside = np.array([bool(open_word(prefix)) for prefix in prefixes])
        return np.where(inside, p.astype(np.float64) @ self.close, 0.0)

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary) -> Self:
        """Classify the ids of a vocabulary."""
        roles = np.array([*[""] * SPECIALS, *map(role, vocabulary.characters)])
        letters, unspaced, marks, joiners, outside = (
            roles == name for name in ("letter", "unspaced", "mark", "joiner", "outside")
        )
        begin = letters | unspaced
        if unspaced.sum() < MIN_UNSPACED_LETTERS * begin.sum():
            letters, unspaced = begin, np.zeros_like(begin)
        outside |= unspaced
        outside[EOS] = True
        space = vocabulary.characters.index(" ") + SPECIALS if " " in vocabulary.characters else None
        extends = marks | joiners | (roles == "neither")
        close = outside.astype(np.float32)
        return cls(begin, letters | marks | joiners, begin | marks, close, unspaced, extends, space)
