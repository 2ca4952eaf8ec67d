"""The running side of words and subwords: a network over units, asked for the next character.

The idea: the network says how probable each unit is after the units before it, but nobody sees the units of a text; its
characters can be cut in many ways. What has been read is therefore kept as several *hypotheses*: which units are
complete, and which beginning of the next one stands there. The next character's probability is the mean over hypotheses
of the share of units that go on with it; a character that ends a unit splits a hypothesis in two, one that is at a new
unit and one that waits for a longer one. With all hypotheses kept this is the exact sum over all ways to cut the text
(Cao & Rimell 2021, "You should evaluate your language model on marginal likelihood over tokenisations"); with the
heaviest M it is still a distribution over characters that looks at nothing but the past, so its bits per character are
bits that it truly needs, and comparable with those of any other family.

Reading in characters also means that a prompt may end anywhere in a word: nothing has to be taken back or healed.

Shapes: B batch, T time, V vocabulary, U units, M hypotheses, K network steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Artifacts, Ids, LanguageModel, LogProbabilities, SavedModel, State
from kammil.models.gru.model import SinglePrecisionGRU
from kammil.models.subwords.trie import NONE, ROOT, Trie, UnitVocabulary

HYPOTHESES = 8
"""M. Bits a character and end of text of a model of words, on half of the validation tweets of the benchmark, by M: 2:
3.346, 4: 3.305, 8: 3.291, 16: 3.290; each doubling takes twice the time."""
LEAST_SHARE = 1e-5
"""Hypotheses below this share are dropped."""
_BOUNDARY = 1e-9
"""Least share of the best hypothesis that is at a new unit: it alone may end the text, or go on with anything."""
_EVEN = 1e-6
"""Share of an even choice among units in every distribution: cumulative sums keep no smaller unit apart. It costs at
most 1.5e-6 bits a unit."""

_Numbers = NDArray[np.float64]


class UnitModel(SavedModel):
    """Runs a network over units, one character at a time.

    The state holds for each row and hypothesis: its weight (B, M), 0 for none; its node in the tree of units (B, M);
    the cumulative unit probabilities after its complete units (B, M, U + 1); the network's own state there (B, M, ...).

    Args:
        network: over the units.
        units: the inventory.
        hypotheses: M, two at least.
        least_share: hypotheses below it are dropped.

    `ValueError` if the units are not those of the network, or if its state grows.
    """

    def __init__(
        self,
        network: LanguageModel,
        units: UnitVocabulary,
        *,
        hypotheses: int = HYPOTHESES,
        least_share: float = LEAST_SHARE,
    ) -> None:
        """Build the tree."""
        if network.vocabulary_size != units.size:
            raise ValueError(f"{units.size} units, {network.vocabulary_size} outputs")
        if any(array.size == 0 for array in network.initial_state(1)):
            raise ValueError("the state of a network over units may not grow")
        if hypotheses < 2:
            raise ValueError("one hypothesis is at a new unit, so there must be another")
        self._network, self._units, self._trie = network, units, Trie(units)
        self._most, self._least = hypotheses, least_share

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a network over units, and the units."""
        del settings
        return cls(SinglePrecisionGRU(artifacts.weights), UnitVocabulary.from_arrays(artifacts.weights))

    @property
    def vocabulary_size(self) -> int:
        """V: of characters."""
        return self._units.characters

    def initial_state(self, batch: int) -> State:
        """One hypothesis a row: at a new unit, whichever; the first id read is BOS, which is one by itself."""
        weights = np.zeros((batch, self._most))
        weights[:, 0] = 1
        nodes = np.full((batch, self._most), ROOT, np.int64)
        sums = np.zeros((batch, self._most, self._units.size + 1))
        sums[:, 0] = np.arange(self._units.size + 1) / self._units.size
        own = self._network.initial_state(batch * self._most)
        return weights, nodes, sums, *(a.reshape(batch, self._most, *a.shape[1:]) for a in own)

    def state_size(self, length: int) -> int:
        """Mostly the cumulative unit probabilities of each hypothesis."""
        return self._most * (self._units.size + 3 + self._network.state_size(length))

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read one character after the other."""
        wanted = ids.shape[1] if last is None else last
        beam = _Beam(self._network, self._trie, self._least, list(state))
        rows = np.empty((len(ids), wanted, self.vocabulary_size), np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 and NaN only come from a foreign network
            for t in range(ids.shape[1]):
                beam.read(ids[:, t])
                at = t - ids.shape[1] + wanted
                if at >= 0:
                    rows[:, at] = np.log(beam.next())
        return rows, beam.state


class _Beam:
    """The hypotheses while texts are read; the arrays of the state, changed in place."""

    def __init__(self, network: LanguageModel, trie: Trie, least: float, arrays: list[NDArray[np.generic]]) -> None:
        self.network, self.trie, self.least = network, trie, least
        self.weights: _Numbers = arrays[0].astype(np.float64)  # copies, all four: no caller's array is changed
        self.nodes: Ids = arrays[1].astype(np.int64)
        self.sums: _Numbers = arrays[2].astype(np.float64)
        self.own = [array.copy() for array in arrays[3:]]

    @property
    def state(self) -> State:
        """All of it."""
        return self.weights, self.nodes, self.sums, *self.own

    def next(self) -> _Numbers:
        """Probabilities of the next character, (B, V)."""
        trie = self.trie
        p = np.zeros((len(self.weights), trie.heads))
        row, slot = np.nonzero((self.weights > 0) & (self.nodes == ROOT))  # (K,)
        heads = np.diff(self.sums[row[:, None], slot[:, None], trie.bounds])  # (K, V)
        np.add.at(p, row, self.weights[row, slot, None] * heads)
        row, slot = np.nonzero((self.weights > 0) & (self.nodes != ROOT))  # (K,)
        node = self.nodes[row, slot]
        share = self.weights[row, slot] / self._mass(row, slot, trie.below[node], trie.stop[node])
        many = trie.children[node + 1] - trie.children[node]
        row, slot, share = (np.repeat(a, many) for a in (row, slot, share))  # (children of all K,)
        child = np.arange(len(row)) + np.repeat(trie.children[node] - (many.cumsum() - many), many)
        mass = share * self._mass(row, slot, trie.first[child], trie.stop[child])
        np.add.at(p, (row, trie.characters[child]), mass)
        return p

    def read(self, ids: Ids) -> None:
        """Read one character in each row, (B,): move, split, drop, step."""
        trie, (batch, most) = self.trie, self.weights.shape
        row, slot = np.arange(batch)[:, None], np.arange(most)
        child = trie.child(self.nodes, ids[:, None])  # (B, M)
        possible = (child != NONE) & (self.weights > 0)
        child[~possible] = ROOT
        mass = self._mass(row, slot, trie.first[child], trie.stop[child])
        share = self.weights / self._mass(row, slot, trie.below[self.nodes], trie.stop[self.nodes])
        share = np.where(possible, share, 0)
        share /= (share * mass).sum(-1, keepdims=True)  # what each unit of mass weighs now
        going_on = share * self._mass(row, slot, trie.below[child], trie.stop[child])
        unit = np.where(possible, trie.unit[child], NONE)
        ending = np.where(unit != NONE, share * self._mass(row, slot, trie.first[child], trie.below[child]), 0)

        stays, spawns = self._heaviest(going_on, ending)
        free = np.argsort(stays, axis=-1, kind="stable")  # (B, M): slots that nobody stays in come first
        row, slot = np.nonzero(spawns)  # (K,)
        to = free[row, (spawns.cumsum(-1) - 1)[row, slot]]
        sums, own = self._step(unit[row, slot], tuple(a[row, slot] for a in self.own))
        self.nodes = child
        self.weights = np.where(stays, going_on, 0)
        self.nodes[row, to], self.weights[row, to], self.sums[row, to] = ROOT, ending[row, slot], sums
        for mine, new in zip(self.own, own, strict=True):
            mine[row, to] = new
        self.weights /= self.weights.sum(-1, keepdims=True)

    def _heaviest(self, going_on: _Numbers, ending: _Numbers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which hypotheses (B, M) go on, and which begin a new unit: M of the 2M in all.

        The heaviest of those that begin a new unit always stays, and is given a least weight.
        """
        rows = np.arange(len(ending))
        best = ending.argmax(-1)  # (B,)
        ending[rows, best] = np.maximum(ending[rows, best], _BOUNDARY)
        both = np.concatenate([going_on, ending], axis=-1)  # (B, 2M)
        kept = both >= self.least
        both[rows, best + going_on.shape[1]] = np.inf
        kept[rows, best + going_on.shape[1]] = True
        lighter = np.argsort(-both, axis=-1, kind="stable")[:, going_on.shape[1] :]  # (B, M)
        np.put_along_axis(kept, lighter, False, axis=-1)
        return kept[:, : going_on.shape[1]], kept[:, going_on.shape[1] :]

    def _mass(self, row: Ids, slot: Ids, first: Ids, stop: Ids) -> _Numbers:
        """Probability of the units in a range of the tree's order, after the complete units of a hypothesis."""
        return self.sums[row, slot, stop] - self.sums[row, slot, first]

    def _step(self, unit: Ids, own: State) -> tuple[_Numbers, State]:
        """Cumulative unit probabilities (K, U + 1) after one more unit (K,), in the tree's order, and the new state."""
        log_probabilities, own = self.network.step(unit, own)  # (K, U)
        p = np.exp(log_probabilities[:, self.trie.order].astype(np.float64))
        p *= (1 - _EVEN) / p.sum(-1, keepdims=True)
        p += _EVEN / p.shape[1]
        sums = np.zeros((len(p), p.shape[1] + 1))
        np.cumsum(p, axis=-1, out=sums[:, 1:])
        return sums, own
