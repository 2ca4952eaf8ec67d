"""Segmentation of texts into units before a network learns from them: the part that words and subwords share.

A text is split into *pretokens*: runs of letters, of digits, or of signs, with the space before them. No unit crosses
the border of a pretoken. Each is then segmented into one unit or several, by the rule of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.models.subwords.trie import UnitVocabulary
from kammil.vocabulary import SPECIALS, CharacterVocabulary

Pretoken = tuple[int, ...]
"""The character ids of a pretoken."""

_PIECES = regex.compile(r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s")


def pretokens(ids: Ids, vocabulary: CharacterVocabulary) -> list[Pretoken]:
    """Split a text into pretokens, in order; joined they are the text."""
    text = vocabulary.decode(ids)  # one character an id: a text has no PAD, BOS or EOS
    values = ids.tolist()
    return [tuple(values[match.start() : match.end()]) for match in _PIECES.finditer(text)]


class Segmenter:
    """Segments texts into units.

    Args:
        units: all units.
        vocabulary: of characters.
        cut: returns the unit ids of a pretoken.
    """

    def __init__(
        self, units: UnitVocabulary, vocabulary: CharacterVocabulary, cut: Callable[[Pretoken], Sequence[int]]
    ) -> None:
        self.units, self._vocabulary, self._cut = units, vocabulary, cut
        self._cache: dict[Pretoken, Sequence[int]] = {}

    def encode(self, ids: Ids) -> Ids:
        """Convert the character ids of a text to unit ids that spell the same characters."""
        units: list[int] = []
        for piece in pretokens(ids, self._vocabulary):
            if piece not in self._cache:
                self._cache[piece] = self._cut(piece)
            units += self._cache[piece]
        return np.array(units, np.int64)


def joinable_characters(texts: Sequence[Ids], size: int) -> NDArray[np.bool_]:
    """Return which characters, (V,), occur in two texts or more: only these may be part of a longer unit.

    A rarer one is replaced by UNK half of the time in training, so it must stay a unit by itself, as UNK is.
    """
    in_texts = np.bincount(np.concatenate([np.unique(text) for text in texts]), minlength=size)
    in_texts[:SPECIALS] = 0
    return in_texts > 1
