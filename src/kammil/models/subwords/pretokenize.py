"""How texts are cut into units before a network learns from them: what words and subwords share.

A text falls into *pieces*: a run of letters, of digits, or of signs, with the space before it. No unit crosses the
border of a piece. Each piece is then one unit or several, by the family's own rule.
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
"""Character ids."""

_PIECES = regex.compile(r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s")


def pretokens(ids: Ids, vocabulary: CharacterVocabulary) -> list[Pretoken]:
    """A text's pieces, in order; joined they are the text."""
    text = vocabulary.decode(ids)  # one character an id: no PAD, BOS or EOS stands in a text
    values = ids.tolist()
    return [tuple(values[match.start() : match.end()]) for match in _PIECES.finditer(text)]


class Segmenter:
    """A way to cut texts into units, made from the training texts.

    Args:
        units: the inventory.
        vocabulary: of characters.
        cut: the unit ids of a piece.
    """

    def __init__(
        self, units: UnitVocabulary, vocabulary: CharacterVocabulary, cut: Callable[[Pretoken], Sequence[int]]
    ) -> None:
        """Nothing is cut yet."""
        self.units, self._vocabulary, self._cut = units, vocabulary, cut
        self._known: dict[Pretoken, Sequence[int]] = {}

    def encode(self, ids: Ids) -> Ids:
        """Unit ids of a text of character ids; the same characters, in order."""
        found: list[int] = []
        for piece in pretokens(ids, self._vocabulary):
            if piece not in self._known:
                self._known[piece] = self._cut(piece)
            found += self._known[piece]
        return np.array(found, np.int64)


def most_common(texts: Sequence[Ids], size: int) -> NDArray[np.bool_]:
    """Which characters (V,) stand in two texts or more: only these may be part of a longer unit.

    A rarer one is taught as unknown half of the time, so it must stay a unit by itself; UNK is one anyway.
    """
    in_texts = np.bincount(np.concatenate([np.unique(text) for text in texts]), minlength=size)
    in_texts[:SPECIALS] = 0
    return in_texts > 1
