"""Characters to ids and back. Nothing is unencodable, and no text can produce a special id."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kammil.errors import FolderError

PAD = 0
"""Fills rows of a batch; never a target, never produced, no character's id (a space is a character like any other)."""
UNK = 1
"""Stands for every character outside the vocabulary."""
BOS = 2
"""Begins every text."""
EOS = 3
"""Ends every text; producing it is how a model says that it has finished."""
SPECIALS = 4
"""Characters begin at this id."""

CODE_POINTS = sys.maxunicode + 1
"""1,114,112: what an unknown character may be."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_TYPE = "characters"


class _Ids(dict[str, int]):
    """Ids of characters; one that is not covered has UNK."""

    def __missing__(self, character: str) -> int:
        return UNK


class CharacterVocabulary:
    """One id for each character (code point) of the training texts, in code-point order after the four specials.

    Args:
        characters: the covered characters; order and repeats do not matter.

    `decode(encode(s)) == s` for every s whose characters are covered; any other character encodes as UNK.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        """Build the tables in both directions."""
        self.characters: tuple[str, ...] = tuple(sorted(set(characters)))
        if any(len(c) != 1 for c in self.characters):
            raise ValueError("a character vocabulary holds single code points")
        self._ids = _Ids({c: i + SPECIALS for i, c in enumerate(self.characters)})

    @classmethod
    def from_texts(cls, texts: Sequence[str], *, least: int = 1) -> CharacterVocabulary:
        """The vocabulary that covers every character that stands in at least `least` of the texts."""
        if least == 1:
            return cls(set("").union(*texts))
        counts = Counter(c for text in texts for c in set(text))
        return cls(c for c, n in counts.items() if n >= least)

    @property
    def size(self) -> int:
        """Number of ids, V: the specials and the characters."""
        return SPECIALS + len(self.characters)

    @cached_property
    def unwritable(self) -> tuple[int, ...]:
        """Ids that no completion holds: PAD, UNK, BOS, and lone surrogates, which no file could hold as text."""
        surrogates = (id for id, c in enumerate(self.characters, SPECIALS) if "\ud800" <= c <= "\udfff")
        return (PAD, UNK, BOS, *surrogates)

    @property
    def unknown_bits(self) -> float:
        """What an unknown character costs beside its UNK: the even choice among all code points not covered.

        With it bits per character mean the same for any two vocabularies.
        """
        return math.log2(CODE_POINTS - len(self.characters))

    def encode(self, text: str) -> NDArray[np.int64]:
        """Ids of the characters of a text, shape (len(text),); UNK for a character that is not covered."""
        return np.fromiter(map(self._ids.__getitem__, text), np.int64, len(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids. UNK shows as U+FFFD; PAD, BOS and EOS have no text. `ValueError` outside [0, V)."""
        return "".join(self.piece(int(i)) for i in ids)

    def piece(self, id: int) -> str:
        """The text of one id."""
        if id >= SPECIALS and id < self.size:
            return self.characters[id - SPECIALS]
        if id == UNK:
            return _REPLACEMENT
        if id in (PAD, BOS, EOS):
            return ""
        raise ValueError(f"id {id} is outside the vocabulary of {self.size}")

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of every id, (V,)."""
        return tuple(self.piece(id) for id in range(self.size))

    def to_json(self) -> str:
        """The content of `vocabulary.json`."""
        return json.dumps({"type": _TYPE, "characters": list(self.characters)}, ensure_ascii=True, indent=0)

    @classmethod
    def from_json(cls, content: str) -> CharacterVocabulary:
        """Read `vocabulary.json`; `FolderError` if it is anything else than `to_json` writes."""
        try:
            data: Any = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise FolderError(f"vocabulary.json is not JSON ({error}); copy the model folder again.") from error
        fields = cast(dict[str, Any], data) if isinstance(data, dict) else {}
        listed = fields.get("characters")
        items = cast(list[Any], listed) if isinstance(listed, list) else None
        if fields.get("type") != _TYPE or items is None:
            raise FolderError("vocabulary.json holds no character vocabulary; copy the model folder again.")
        characters = [c for c in items if isinstance(c, str) and len(c) == 1]
        if len(characters) != len(items) or sorted(set(characters)) != characters:
            raise FolderError("vocabulary.json lists something else than sorted characters; copy the folder again.")
        return cls(characters)


def rare_characters(texts: Sequence[str]) -> frozenset[str]:
    """Characters that stand in exactly one text.

    They are the best stand-in for characters yet unseen (Good 1953): learning to expect UNK in their place now and
    then is what makes an unknown character cost a fair number of bits instead of a ruinous one.
    """
    counts = Counter(c for text in texts for c in set(text))
    return frozenset(c for c, n in counts.items() if n == 1)
