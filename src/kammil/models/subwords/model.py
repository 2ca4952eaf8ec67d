"""Words and subwords as a character model: a network over units that gives the probabilities of the next character.

A text can be cut into units in many ways, so several *hypotheses* are kept: which units are complete, and which
beginning of the next has been read. A character that ends a unit splits a hypothesis in two. With all of them this is
the exact sum over all cuts (Cao & Rimell 2021); with the M heaviest it is still a causal distribution over characters.

Shapes: B batch, T time, V vocabulary, U units, M hypotheses, K network steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Artifacts, Ids, LanguageModel, LogProbabilities, SavedModel, State
from kammil.models.gru.model import SinglePrecisionGRU
from kammil.models.subwords.trie import NONE, ROOT, Trie, UnitVocabulary

HYPOTHESES = 8
"""Maximum number of hypotheses, M. Bits a character and end of text of a model of words, on half of the validation
tweets of the benchmark, by M: 2: 3.346, 4: 3.305, 8: 3.291, 16: 3.290; each doubling takes twice the time."""
MIN_SHARE = 1e-5
"""Minimum weight of a hypothesis that is kept."""
_BOUNDARY = 1e-9
"""Minimum weight of the best hypothesis at a new unit: only there may the text end, or any character follow."""
_EVEN = 1e-6
"""Weight of the uniform distribution in a mixture with every distribution over units: smaller probabilities would be
lost in cumulative sums. It costs at most 1.5e-6 bits a unit."""

_Numbers = NDArray[np.float64]


class UnitModel(SavedModel):
    """Runs a network over units, one character at a time.

    The state holds for each row and hypothesis: its weight (B, M), 0 for none; its node in the trie of units (B, M);
    the cumulative unit probabilities after its complete units (B, M, U + 1); the network's own state there (B, M, ...).

    Args:
        network: over the units.
        units: of the network.
        hypotheses: M, at least two.
        min_share: minimum weight of a hypothesis that is kept.

    Raises: `ValueError` if the units are not those of the network, or if its state grows.
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
        self._max_hypotheses, self._min_share = hypotheses, min_share

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a network over units, and the units."""
        del settings
        return cls(SinglePrecisionGRU(artifacts.weights), UnitVocabulary.from_arrays(artifacts.weights))

    @property
    def vocabulary_size(self) -> int:
        """Return V, the number of character ids."""
        return self._units.characters

    def initial_state(self, batch: int) -> State:
        """Return one hypothesis a row, at a new unit with uniform probabilities: the first id read, BOS, is a unit."""
        weights = np.zeros((batch, self._max_hypotheses))
        weights[:, 0] = 1
        nodes = np.full((batch, self._max_hypotheses), ROOT, np.int64)
        sums = np.zeros((batch, self._max_hypotheses, self._units.size + 1))
        sums[:, 0] = np.arange(self._units.size + 1) / self._units.size
        network_state = self._network.initial_state(batch * self._max_hypotheses)
        return weights, nodes, sums, *(a.reshape(batch, self._max_hypotheses, *a.shape[1:]) for a in network_state)

    def state_size(self, length: int) -> int:
        """Return the numbers of a row, mostly the cumulative unit probabilities of its hypotheses."""
        return self._max_hypotheses * (self._units.size + 3 + self._network.state_size(length))

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read one character after the other; see `LanguageModel.forward`."""
        wanted = ids.shape[1] if last is None else last
        weights, nodes, sums, *network_state = state
        beam = Beam(self._network, self._trie, self._min_share, weights, nodes, sums, network_state)
        rows = np.empty((len(ids), wanted, self.vocabulary_size), np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 and NaN only come from a foreign network
            for t in range(ids.shape[1]):
                beam.read(ids[:, t])
                at = t - ids.shape[1] + wanted
                if at >= 0:
                    rows[:, at] = np.log(beam.next())
        return rows, beam.state


class Beam:
    """The hypotheses while texts are read: copies of the arrays of the state, changed in place.

    Args:
        network: over the units; stepped once for each hypothesis that begins a new unit.
        trie: of the units.
        min_share: minimum weight of a hypothesis that is kept.
        weights, nodes, sums, network_state: the state of `UnitModel`.
    """

    def __init__(
        self,
        network: LanguageModel,
        trie: Trie,
        min_share: float,
        weights: NDArray[np.generic],
        nodes: NDArray[np.generic],
        sums: NDArray[np.generic],
        network_state: Sequence[NDArray[np.generic]],
    ) -> None:
        self.network, self.trie, self.min_share = network, trie, min_share
        self.weights: _Numbers = weights.astype(np.float64)  # `astype` copies
        self.nodes: Ids = nodes.astype(np.int64)
        self.sums: _Numbers = sums.astype(np.float64)
        self.network_state = [array.copy() for array in network_state]

    @property
    def state(self) -> State:
        """Return the arrays, as the state of `UnitModel` has them."""
        return self.weights, self.nodes, self.sums, *self.network_state

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
        """Read one character in each row, (B,): follow the trie, split hypotheses, prune them, step the network."""
        trie, (batch, num_slots) = self.trie, self.weights.shape
        row, slot = np.arange(batch)[:, None], np.arange(num_slots)
        child = trie.child(self.nodes, ids[:, None])  # (B, M)
        possible = (child != NONE) & (self.weights > 0)
        child[~possible] = ROOT
        mass = self._mass(row, slot, trie.first[child], trie.stop[child])
        share = self.weights / self._mass(row, slot, trie.below[self.nodes], trie.stop[self.nodes])
        share = np.where(possible, share, 0)
        share /= (share * mass).sum(-1, keepdims=True)  # weight per probability mass, normalised
        continuing = share * self._mass(row, slot, trie.below[child], trie.stop[child])
        unit = np.where(possible, trie.unit[child], NONE)
        completing = np.where(unit != NONE, share * self._mass(row, slot, trie.first[child], trie.below[child]), 0)

        stays, spawns = self._heaviest(continuing, completing)
        free = np.argsort(stays, axis=-1, kind="stable")  # (B, M): free slots first
        row, slot = np.nonzero(spawns)  # (K,)
        to = free[row, (spawns.cumsum(-1) - 1)[row, slot]]
        sums, network_state = self._step(unit[row, slot], tuple(a[row, slot] for a in self.network_state))
        self.nodes = child
        self.weights = np.where(stays, continuing, 0)
        self.nodes[row, to], self.weights[row, to], self.sums[row, to] = ROOT, completing[row, slot], sums
        for kept_array, new_array in zip(self.network_state, network_state, strict=True):
            kept_array[row, to] = new_array
        self.weights /= self.weights.sum(-1, keepdims=True)

    def _heaviest(self, continuing: _Numbers, completing: _Numbers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Choose M of the 2M hypotheses: which (B, M) continue their unit, and which begin a new one.

        The one of the largest weight that begins a new unit is always chosen, and gets a minimum weight.
        """
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

    def _step(self, unit: Ids, network_state: State) -> tuple[_Numbers, State]:
        log_probabilities, network_state = self.network.step(unit, network_state)  # (K, U)
        return cumulative(log_probabilities, self.trie), network_state


def cumulative(log_probabilities: LogProbabilities, trie: Trie) -> NDArray[np.float64]:
    """Return the cumulative probabilities (K, U + 1) of units (K, U) in the order of the trie, none of them zero."""
    p = np.exp(log_probabilities[:, trie.order].astype(np.float64))
    p *= (1 - _EVEN) / p.sum(-1, keepdims=True)
    p += _EVEN / p.shape[1]
    sums = np.zeros((len(p), p.shape[1] + 1))
    np.cumsum(p, axis=-1, out=sums[:, 1:])
    return sums
