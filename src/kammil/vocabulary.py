"""Characters to ids and back; every text can be encoded, none to PAD, BOS or EOS."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kammil.errors import FolderError

PAD = 0
"""Padding of a batch; never a target, never produced."""
UNK = 1
"""Any character outside the vocabulary."""
BOS = 2
"""Before the first character of every text."""
EOS = 3
"""After the last character of every text; a model produces it to end one."""
SPECIALS = 4
"""Number of special ids, and the first character's id."""

CODE_POINTS = sys.maxunicode + 1
"""Number of Unicode code points, 1,114,112."""

_TYPE = "characters"
_BLOCK = 10_000


class EncodedTexts(Sequence[NDArray[np.int64]]):
    """Texts as ids in one array of the smallest type: 130 MB for a million texts of 60 characters.

    Each text comes as 64-bit ids, (T,); a slice, of step 1, shares the memory.

    Args:
        ids: (N,), of all texts, one behind the other.
        ends: (texts,), the place in `ids` behind each text, ascending.
        begin: the place of the first text.
    """

    def __init__(self, ids: NDArray[np.unsignedinteger], ends: NDArray[np.int64], begin: int = 0) -> None:
        self._ids, self._ends, self._begin = ids, ends, begin

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            first, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"a slice of texts has step 1, not {step}")
            return EncodedTexts(self._ids, self._ends[first : max(first, stop)], self._start(first))
        number = range(len(self))[index]
        return self._ids[self._start(number) : int(self._ends[number])].astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of all ids and ends."""
        return self._ids.nbytes + self._ends.nbytes

    def _start(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else self._begin


class CharacterVocabulary:
    """An id for each code point of `characters`, sorted, after the specials; others encode as UNK."""

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters: tuple[str, ...] = tuple(sorted(set(characters)))
        if any(len(c) != 1 for c in self.characters):
            raise ValueError("a character vocabulary holds single code points")
        self._ids = {c: i for i, c in enumerate(self.characters, SPECIALS)}

    @classmethod
    def from_texts(cls, texts: Sequence[str], *, least: int = 1) -> CharacterVocabulary:
        """Build the vocabulary of the characters of at least `least` of the texts."""
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
        """Ids that no completion may hold: PAD, UNK, BOS, and lone surrogates, which UTF-8 cannot encode."""
        surrogates = (id for id, c in enumerate(self.characters, SPECIALS) if "\ud800" <= c <= "\udfff")
        return (PAD, UNK, BOS, *surrogates)

    @property
    def unknown_bits(self) -> float:
        """Bits of an unknown character beyond UNK's: uniform over the code points not covered."""
        return math.log2(CODE_POINTS - len(self.characters))

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the ids of a text, (len(text),)."""
        return np.fromiter(map(self._ids.get, text, repeat(UNK)), np.int64, len(text))

    def encode_all(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the ids of many texts."""
        kind = np.uint16 if self.size <= 1 << 16 else np.uint32
        id_of = np.full(CODE_POINTS, UNK, kind)
        id_of[[ord(character) for character in self.characters]] = np.arange(SPECIALS, self.size)
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        ids = np.empty(int(ends[-1]) if len(ends) else 0, kind)
        at = 0
        for begin in range(0, len(texts), _BLOCK):
            joined = "".join(texts[begin : begin + _BLOCK]).encode("utf-32-le", "surrogatepass")
            block = id_of[np.frombuffer(joined, "<u4")]
            ids[at : at + len(block)] = block
            at += len(block)
        return EncodedTexts(ids, ends)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids: U+FFFD for UNK, "" for PAD, BOS and EOS. Raises `ValueError` outside [0, V)."""
        return "".join(self.piece(int(i)) for i in ids)

    def piece(self, id: int) -> str:
        """Return the text of one id, as `decode`."""
        if not 0 <= id < self.size:
            raise ValueError(f"id {id} is outside the vocabulary of {self.size}")
        return self.pieces[id]

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of every id, (V,)."""
        return ("", "\N{REPLACEMENT CHARACTER}", "", "", *self.characters)

    @cached_property
    def writable_pieces(self) -> tuple[str, ...]:
        """The text of every id, (V,), but "" for those that no completion may hold."""
        never = {*range(SPECIALS), *self.unwritable}
        return tuple("" if id in never else piece for id, piece in enumerate(self.pieces))

    def to_json(self) -> str:
        """Return the content of `vocabulary.json`."""
        return json.dumps({"type": _TYPE, "characters": list(self.characters)}, ensure_ascii=True, indent=0)

    @classmethod
    def from_json(cls, content: str) -> CharacterVocabulary:
        """Read `vocabulary.json`; `FolderError` for content that `to_json` does not write."""
        try:
            data: Any = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise FolderError(f"vocabulary.json is not JSON ({error}); copy the model folder again.") from error
        fields = cast(dict[str, Any], data) if isinstance(data, dict) else {}
        listed = fields.get("characters")
        items = cast(list[Any], listed) if isinstance(listed, list) and fields.get("type") == _TYPE else [None]
        characters = [c for c in items if isinstance(c, str) and len(c) == 1]
        if len(characters) != len(items) or sorted(set(characters)) != characters:
            raise FolderError("vocabulary.json holds no sorted characters; copy the model folder again.")
        return cls(characters)


def rare_characters(texts: Sequence[str]) -> frozenset[str]:
    """Return the characters that exactly one text has: read as UNK at times, they teach its probability (Good 1953)."""
    counts = Counter(c for text in texts for c in set(text))
    return frozenset(c for c, n in counts.items() if n == 1)
