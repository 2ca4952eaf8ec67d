"""The vocabulary of units, and the trie of their beginnings.

A unit is a character or a run of characters that a network reads and writes in one step: a word, or a part of one.

Shapes: V characters (the vocabulary's ids), U units, N nodes, L ids of all longer units together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.vocabulary import CODE_POINTS, SPECIALS

CHARACTERS, IDS, OFFSETS = "units.characters", "units.ids", "units.offsets"
"""Names of the arrays: V, (1,); the concatenated ids of all longer units, (L,); where each begins, and the end,
(U - V + 1,)."""

ROOT = 0
"""Node of the empty beginning."""
NONE = -1
"""Stands for a node or unit that does not exist."""

_MAX_IDS = 1 << 22
"""Maximum number of ids of all longer units together: a foreign folder must not keep the machine busy."""


class UnitVocabulary:
    """The vocabulary of units: ids 0 to V - 1 are the characters themselves, specials included; longer units follow.

    Every character is a unit, so that units can spell any text.

    Args:
        characters: V.
        longer: units of two characters or more, each given by character ids; all different, without specials.

    Raises: `ValueError` for anything else.
    """

    def __init__(self, characters: int, longer: Sequence[tuple[int, ...]]) -> None:
        if not SPECIALS <= characters <= SPECIALS + CODE_POINTS:
            raise ValueError(f"{characters} is no size of a vocabulary")
        if any(len(unit) < 2 or min(unit) < SPECIALS or max(unit) >= characters for unit in longer):
            raise ValueError("a unit is no run of characters")
        if len(set(longer)) != len(longer):
            raise ValueError("a unit is listed twice")
        self.characters, self.longer = characters, tuple(longer)

    @property
    def size(self) -> int:
        """Return U, the number of units."""
        return self.characters + len(self.longer)

    @property
    def widths(self) -> NDArray[np.int64]:
        """Return the number of characters of each unit, (U,); one for a special."""
        return np.array([1] * self.characters + [len(unit) for unit in self.longer], np.int64)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Convert the units to arrays, for the model folder."""
        lengths = [0, *(len(unit) for unit in self.longer)]
        return {
            CHARACTERS: np.array([self.characters], np.int64),
            IDS: np.array([id for unit in self.longer for id in unit], np.int32),
            OFFSETS: np.cumsum(lengths).astype(np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> UnitVocabulary:
        """Convert the arrays of `arrays` back; `KeyError` or `ValueError` for anything else."""
        ids, offsets = whole_numbers(arrays[IDS]), whole_numbers(arrays[OFFSETS])
        (characters,) = whole_numbers(arrays[CHARACTERS]).tolist()
        if len(ids) > _MAX_IDS or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise ValueError("the units are not consistent")
        if ((offsets < 0) | (offsets > len(ids))).any() or (np.diff(offsets) < 2).any():
            raise ValueError("the units are not consistent")
        flat, at = ids.tolist(), offsets.tolist()
        return cls(characters, [tuple(flat[a:b]) for a, b in pairwise(at)])


class Trie:
    """The trie of the beginnings of units: reading a character goes from a node to a child.

    Units are sorted by their characters, so the units below a node are a range: the probability mass of a node is the
    difference of two cumulative sums. A unit that ends at a node is the first in that node's range.
    """

    def __init__(self, units: UnitVocabulary) -> None:
        # Nodes are built level by level, those of one level in the order of their characters.
        characters_of = [(id,) for id in range(units.characters)] + list(units.longer)
        order = sorted(range(units.size), key=characters_of.__getitem__)
        self.order: Ids = np.array(order, np.int64)
        """(U,): units, sorted by their characters."""
        lengths = np.array([len(characters_of[u]) for u in order], np.int64)  # (U,)
        starts = lengths.cumsum() - lengths
        flat = np.array([id for u in order for id in characters_of[u]], np.int64)
        first, stop = [np.array([0])], [np.array([units.size])]
        parents, characters = list[Ids](), list[Ids]()
        unit = [np.array([NONE])]
        at = np.full(units.size, ROOT)  # the node above each unit
        nodes = 1
        for depth in range(int(lengths.max())):
            alive = np.flatnonzero(lengths > depth)
            here, character = at[alive], flat[starts[alive] + depth]
            begins = np.flatnonzero(np.append(True, (np.diff(here) != 0) | (np.diff(character) != 0)))
            ends = np.append(begins[1:], len(alive)) - 1
            first.append(alive[begins])
            stop.append(alive[ends] + 1)
            unit.append(np.where(lengths[first[-1]] == depth + 1, self.order[first[-1]], NONE))
            parents.append(here[begins])
            characters.append(character[begins])
            at[alive] = nodes + np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(alive))))
            nodes += len(begins)
        self.first: Ids = np.concatenate(first)
        """(N,): begin of the range of each node."""
        self.stop: Ids = np.concatenate(stop)
        """(N,): end of the range, exclusive."""
        self.unit: Ids = np.concatenate(unit)
        """(N,): the unit that ends at the node, or NONE."""
        self.below: Ids = self.first + (self.unit != NONE)
        """(N,): begin of the range of units that are longer than the path to the node."""
        self.characters: Ids = np.concatenate([[NONE], *characters])
        """(N,): the last character of each node."""
        above = np.concatenate(parents)
        self.children: Ids = np.searchsorted(above, np.arange(nodes + 1)) + 1
        """(N + 1,): the children of node n are the nodes children[n] to children[n + 1] - 1."""
        self.heads = units.characters
        """V: the root's children are all characters, in order."""
        self.bounds: Ids = np.append(self.first[1 : self.heads + 1], units.size)
        """(V + 1,): begin of the range of units with each first character, and the end."""
        self._keys = above * self.heads + self.characters[1:]  # ascending: node n has key n - 1

    def child(self, nodes: Ids, characters: Ids) -> Ids:
        """Return the child of each node for a character, or NONE; shapes are broadcast."""
        wanted = nodes * self.heads + characters
        found = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        return np.where(self._keys[found] == wanted, found + 1, NONE)


def whole_numbers(array: NDArray[np.generic]) -> Ids:
    """Convert one row of whole numbers to int64; `ValueError` for anything else."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("the units are not whole numbers")
    return array.astype(np.int64)
