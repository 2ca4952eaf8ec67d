"""Words and subwords as a character model: a network over units that predicts characters.

Several *hypotheses* of how a text is cut are kept: complete units, and the beginning of the next. A character that ends
a unit splits a hypothesis in two. All together are the sum over all cuts (Cao & Rimell 2021); the M heaviest still give
a causal distribution.

Shapes: B batch, T time, V characters, U units, M hypotheses, K network steps, N nodes, L ids of all longer units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Artifacts, Ids, LanguageModel, LogProbabilities, SavedModel, State
from kammil.models.gru.model import SinglePrecisionGRU
from kammil.models.ngram.model import whole_numbers
from kammil.vocabulary import CODE_POINTS, SPECIALS

HYPOTHESES = 8
"""Maximum M. Words have on validation tweets, for M of 2, 4, 8 and 16, 3.346, 3.305, 3.291 and 3.290 bits a character;
time grows with M."""
MIN_SHARE = 1e-5
"""Minimum weight of a hypothesis."""
_BOUNDARY = 1e-9
"""Minimum weight of the best hypothesis at a new unit, where alone the text may end or any character follow."""
_EVEN = 1e-6
"""Weight of a uniform distribution, since cumulative sums would lose smaller probabilities."""

CHARACTERS, IDS, OFFSETS = "units.characters", "units.ids", "units.offsets"
"""Arrays: V, (1,); ids of all longer units, (L,); their offsets, (U - V + 1,)."""
ROOT = 0
NONE = -1
"""No node or unit."""
_MAX_IDS = 1 << 22
"""Maximum L, so that a foreign folder cannot keep the machine busy."""

_Numbers = NDArray[np.float64]


class UnitVocabulary:
    """Units: ids 0 to V - 1 are the characters, specials included; longer units follow.

    Raises: `ValueError` unless `longer` has distinct units of two characters or more, without specials.
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
        """Number of units, U."""
        return self.characters + len(self.longer)

    @property
    def widths(self) -> NDArray[np.int64]:
        """Characters of each unit, (U,); 1 for a special."""
        return np.array([1] * self.characters + [len(unit) for unit in self.longer], np.int64)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Convert to arrays of a model folder."""
        ids, offsets = joined(self.longer)
        return {CHARACTERS: np.array([self.characters], np.int64), IDS: ids, OFFSETS: offsets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> UnitVocabulary:
        """Convert arrays back; `KeyError` or `ValueError` for invalid ones."""
        (characters,) = whole_numbers(arrays[CHARACTERS]).tolist()
        if arrays[IDS].size > _MAX_IDS:
            raise ValueError("the units are not consistent")
        return cls(characters, split(arrays[IDS], arrays[OFFSETS]))


def joined(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Concatenate rows of numbers; return them and their offsets."""
    flat = np.array([number for row in rows for number in row], np.int32)
    return flat, np.cumsum([0, *map(len, rows)]).astype(np.int32)


def split(flat: NDArray[np.generic], offsets: NDArray[np.generic]) -> list[tuple[int, ...]]:
    """Undo `joined`; `ValueError` for arrays that it cannot have returned."""
    numbers, at = whole_numbers(flat).tolist(), whole_numbers(offsets).tolist()
    if not at or at[0] != 0 or at[-1] != len(numbers) or any(b < a for a, b in pairwise(at)):
        raise ValueError("the units are not consistent")
    return [tuple(numbers[a:b]) for a, b in pairwise(at)]


class Trie:
    """The trie of units.

    Units are sorted by characters, so a node's units are a range, whose probability is the difference of two cumulative
    sums. A unit that ends at a node is the first of its range.
    """

    def __init__(self, units: UnitVocabulary) -> None:
        # Nodes are built level by level, in the order of their characters.
        characters_of = [(id,) for id in range(units.characters)] + list(units.longer)
        order = sorted(range(units.size), key=characters_of.__getitem__)
        self.order: Ids = np.array(order, np.int64)
        """(U,): units, sorted by characters."""
        lengths = np.array([len(characters_of[u]) for u in order], np.int64)  # (U,)
        starts = lengths.cumsum() - lengths
        flat = np.array([id for u in order for id in characters_of[u]], np.int64)
        first, stop = [np.array([0])], [np.array([units.size])]
        parents, characters = list[Ids](), list[Ids]()
        unit = [np.array([NONE])]
        at = np.full(units.size, ROOT)  # each unit's node
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
        """(N,): begin of each node's range."""
        self.stop: Ids = np.concatenate(stop)
        """(N,): end of the range, exclusive."""
        self.unit: Ids = np.concatenate(unit)
        """(N,): unit that ends here, or NONE."""
        self.below: Ids = self.first + (self.unit != NONE)
        """(N,): begin of the range of longer units."""
        self.characters: Ids = np.concatenate([[NONE], *characters])
        """(N,): last character of each node."""
        above = np.concatenate(parents)
        self.children: Ids = np.searchsorted(above, np.arange(nodes + 1)) + 1
        """(N + 1,): node n has children[n] to children[n + 1] - 1."""
        self.heads = units.characters
        """V: the root's children are all characters in order."""
        self.bounds: Ids = np.append(self.first[1 : self.heads + 1], units.size)
        """(V + 1,): offsets of units by first character."""
        self._keys = above * self.heads + self.characters[1:]  # ascending: node n has key n - 1

    def child(self, nodes: Ids, characters: Ids) -> Ids:
        """Return each node's child for a character, or NONE; shapes are broadcast."""
        wanted = nodes * self.heads + characters
        found = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        return np.where(self._keys[found] == wanted, found + 1, NONE)


class UnitModel(SavedModel):
    """Runs a network over units; `ValueError` for units of another network, or a network whose state grows.

    The state holds for each hypothesis: weight (B, M), 0 for none; node in the trie (B, M); cumulative unit
    probabilities (B, M, U + 1) and network state (B, M, ...) after its complete units.
    """

    def __init__(
        self,
        network: LanguageModel,
        units: UnitVocabulary,
        *,
        hypotheses: int = HYPOTHESES,
        min_share: float = MIN_SHARE,
    ) -> None:
        if network.vocabulary_size != units.size:
            raise ValueError(f"{units.size} units, {network.vocabulary_size} outputs")
        if any(array.size == 0 for array in network.initial_state(1)):
            raise ValueError("the state of a network over units may not grow")
        if hypotheses < 2:
            raise ValueError("one hypothesis is at a new unit, so there must be another")
        self._network, self._units, self._trie = network, units, Trie(units)
        self.vocabulary_size = units.characters
        self._max_hypotheses, self._min_share = hypotheses, min_share

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a network over units."""
        del settings
        return cls(SinglePrecisionGRU(artifacts.weights), UnitVocabulary.from_arrays(artifacts.weights))

    def initial_state(self, batch: int) -> State:
        """Return one hypothesis a row, with uniform probabilities of the first unit, BOS."""
        weights, nodes, *network_state = self._new_hypotheses(batch)
        sums = np.zeros((batch, self._max_hypotheses, self._units.size + 1))
        sums[:, 0] = np.arange(self._units.size + 1) / self._units.size
        return weights, nodes, sums, *network_state

    def _new_hypotheses(self, batch: int) -> State:
        weights = np.zeros((batch, self._max_hypotheses))
        weights[:, 0] = 1
        nodes = np.full((batch, self._max_hypotheses), ROOT, np.int64)
        network_state = self._network.initial_state(batch * self._max_hypotheses)
        return weights, nodes, *(a.reshape(batch, self._max_hypotheses, *a.shape[1:]) for a in network_state)

    def state_size(self, length: int) -> int:
        """Count the numbers of a row, mostly cumulative probabilities."""
        return self._max_hypotheses * (self._units.size + 3 + self._network.state_size(length))

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read one character after the other."""
        beam = self._beam(state)
        first = 0 if last is None else ids.shape[1] - last
        rows = np.empty((len(ids), ids.shape[1] - first, self.vocabulary_size), np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 and NaN of a foreign network
            for t in range(ids.shape[1]):
                beam.read(ids[:, t])
                self._after(beam, ids[:, t])
                if t >= first:
                    rows[:, t - first] = np.log(beam.next())
        return rows, self._state(beam)

    def _beam(self, state: State) -> Beam:
        return Beam(self._network, self._trie, self._min_share, state)

    def _after(self, beam: Beam, ids: Ids) -> None:
        """Let a family act once `ids`, (B,), were read."""

    def _state(self, beam: Beam) -> State:
        return beam.weights, beam.nodes, beam.sums, *beam.network_state


class Beam:
    """Hypotheses while texts are read: a copy of `UnitModel`'s state, changed in place."""

    def __init__(self, network: LanguageModel, trie: Trie, min_share: float, state: State) -> None:
        self.network, self.trie, self.min_share = network, trie, min_share
        weights, nodes, sums, *network_state = state
        self.weights: _Numbers = weights.astype(np.float64)  # `astype` copies
        self.nodes: Ids = nodes.astype(np.int64)
        self.sums: _Numbers = sums.astype(np.float64)
        self.network_state = [array.copy() for array in network_state]

    def next(self) -> _Numbers:
        """Return the probabilities of the next character, (B, V)."""
        trie = self.trie
        p = np.zeros((len(self.weights), trie.heads))
        row, slot = np.nonzero((self.weights > 0) & (self.nodes == ROOT))  # (K,)
        heads = np.diff(self.sums[row[:, None], slot[:, None], trie.bounds])  # (K, V)
        np.add.at(p, row, self.weights[row, slot, None] * heads)
        row, slot = np.nonzero((self.weights > 0) & (self.nodes != ROOT))  # (K,)
        node = self.nodes[row, slot]
        share = self.weights[row, slot] / self._mass(row, slot, trie.below[node], trie.stop[node])
        counts = trie.children[node + 1] - trie.children[node]
        row, slot, share = (np.repeat(a, counts) for a in (row, slot, share))  # (children of all K,)
        child = np.arange(len(row)) + np.repeat(trie.children[node] - (counts.cumsum() - counts), counts)
        mass = share * self._mass(row, slot, trie.first[child], trie.stop[child])
        np.add.at(p, (row, trie.characters[child]), mass)
        return p

    def read(self, ids: Ids) -> None:
        """Read a character in each row, (B,): split and prune hypotheses, and step the network."""
        trie, (batch, num_slots) = self.trie, self.weights.shape
        row, slot = np.arange(batch)[:, None], np.arange(num_slots)
        child = trie.child(self.nodes, ids[:, None])  # (B, M)
        possible = (child != NONE) & (self.weights > 0)
        child[~possible] = ROOT
        mass = self._mass(row, slot, trie.first[child], trie.stop[child])
        share = self.weights / self._mass(row, slot, trie.below[self.nodes], trie.stop[self.nodes])
        share = np.where(possible, share, 0)
        share /= (share * mass).sum(-1, keepdims=True)  # weight per mass
        continuing = share * self._mass(row, slot, trie.below[child], trie.stop[child])
        unit = np.where(possible, trie.unit[child], NONE)
        completing = np.where(unit != NONE, share * self._mass(row, slot, trie.first[child], trie.below[child]), 0)

        stays, spawns = self._heaviest(continuing, completing)
        free = np.argsort(stays, axis=-1, kind="stable")  # (B, M): free slots first
        row, slot = np.nonzero(spawns)  # (K,)
        to = free[row, (spawns.cumsum(-1) - 1)[row, slot]]
        scores, network_state = self.network.step(unit[row, slot], tuple(a[row, slot] for a in self.network_state))
        self.nodes = child
        self.weights = np.where(stays, continuing, 0)
        self.nodes[row, to], self.weights[row, to] = ROOT, completing[row, slot]
        self.sums[row, to] = cumulative(scores, trie)
        for kept_array, new_array in zip(self.network_state, network_state, strict=True):
            kept_array[row, to] = new_array
        self.weights /= self.weights.sum(-1, keepdims=True)

    def _heaviest(self, continuing: _Numbers, completing: _Numbers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Choose M of 2M hypotheses: which (B, M) continue their unit, and which (one or more) begin another."""
        rows = np.arange(len(completing))
        best = completing.argmax(-1)  # (B,)
        completing[rows, best] = np.maximum(completing[rows, best], _BOUNDARY)
        weights = np.concatenate([continuing, completing], axis=-1)  # (B, 2M)
        chosen = weights >= self.min_share
        weights[rows, best + continuing.shape[1]] = np.inf
        chosen[rows, best + continuing.shape[1]] = True
        lighter = np.argsort(-weights, axis=-1, kind="stable")[:, continuing.shape[1] :]  # (B, M)
        np.put_along_axis(chosen, lighter, False, axis=-1)
        return chosen[:, : continuing.shape[1]], chosen[:, continuing.shape[1] :]

    def _mass(self, row: Ids, slot: Ids, first: Ids, stop: Ids) -> _Numbers:
        return self.sums[row, slot, stop] - self.sums[row, slot, first]


def cumulative(log_probabilities: LogProbabilities, trie: Trie) -> _Numbers:
    """Return the cumulative probabilities (K, U + 1) of units (K, U) in the trie's order, none zero."""
    p = np.exp(log_probabilities[:, trie.order].astype(np.float64))
    p *= (1 - _EVEN) / p.sum(-1, keepdims=True)
    p += _EVEN / p.shape[1]
    sums = np.zeros((len(p), p.shape[1] + 1))
    np.cumsum(p, axis=-1, out=sums[:, 1:])
    return sums
