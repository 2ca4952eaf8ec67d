"""A beam over texts u that a writer may intend, given what was typed, x.

A *channel*, a weighted transducer, says by its arcs how a typed letter can be made of intended ones. A text's weight is
P_model(u) times P_channel(x | u). Each beam begins with the last: a key costs one or two steps of the model. Shapes: N
texts, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import LanguageModel, State, concat_states, select_rows
from kammil.vocabulary import BOS

WIDTH = 8
"""Maximum number of texts."""
MIN_SHARE = 1e-3
"""Minimum weight of a text, as a share of the highest."""


class Memory(Protocol):
    """State of a channel after typed letters."""

    def joined(self, other: Self) -> Self:
        """Return the memory of a text found in two ways."""
        ...


M = TypeVar("M", bound=Memory)
Typed = TypeVar("Typed")


class Arc(NamedTuple, Generic[M]):
    """One way to continue a text."""

    row: int
    letter: int
    """Id that is added to it, or `NO_LETTER`."""
    weight: float
    memory: M

    def joined(self, other: Arc[M]) -> Arc[M]:
        """Merge an arc to the same text."""
        return self._replace(weight=self.weight + other.weight, memory=self.memory.joined(other.memory))


NO_LETTER = -1


class Arcs(NamedTuple, Generic[M]):
    """Arcs of a channel for one typed letter."""

    read: list[Arc[M]]
    unwritten: list[Arc[M]]
    """Intended letters before it that were not typed."""
    behind: Callable[[Beam[M], range], list[Arc[M]]]
    """Maps a beam with these in some rows to the arcs behind them."""


@dataclass(frozen=True)
class Beam(Generic[M]):
    """Texts that may be intended."""

    intended: list[tuple[int, ...]]
    weights: NDArray[np.float64]
    memory: list[M]
    p: NDArray[np.float32]
    """(N, V): of what follows each."""
    state: State

    @classmethod
    def start(cls, p: NDArray[np.float32], state: State, memory: M) -> Beam[M]:
        """Return the beam before the first letter; `p`, (1, V), follows the text."""
        return Beam([()], np.ones(1), [memory], p, state)

    def after(
        self,
        model: LanguageModel,
        channel: Callable[[Beam[M], Typed], Arcs[M]],
        typed: Typed,
        kept: tuple[int, ...] | None = None,
    ) -> Beam[M]:
        """Return the beam after one more typed letter; a `kept` text stands first."""
        read, unwritten, behind = channel(self, typed)
        if not is_padded(model):  # only letters are exchanged
            read, unwritten = [arc for arc in read if arc.letter != NO_LETTER], []
        sources, found = self, dict[tuple[int, ...], Arc[M]]()
        self._join(found, read)
        if unwritten:  # one step reads them with those that the beam will probably have
            likely = [arc for ids, arc in self._best(found, kept) if ids not in self.intended]
            sources = self._with(model, [*unwritten, *likely])
            begin = len(self.intended)
            sources._join(found, behind(sources, range(begin, begin + len(unwritten))))
        best = dict(self._best(found, kept))
        # A channel that keeps a text has left out what is too improbable.
        least = 0.0 if kept else MIN_SHARE * max((arc.weight for arc in best.values()), default=0.0)
        return sources._step(model, {ids: arc for ids, arc in best.items() if arc.weight >= least})

    def _join(self, found: dict[tuple[int, ...], Arc[M]], arcs: Sequence[Arc[M]]) -> None:
        for arc in arcs:
            ids = self.intended[arc.row]
            ids = ids if arc.letter == NO_LETTER else (*ids, arc.letter)
            old = found.get(ids)
            found[ids] = arc if old is None else old.joined(arc)

    @staticmethod
    def _best(
        found: dict[tuple[int, ...], Arc[M]], kept: tuple[int, ...] | None
    ) -> list[tuple[tuple[int, ...], Arc[M]]]:
        best = sorted(found.items(), key=lambda each: (each[0] != kept, -each[1].weight))[:WIDTH]
        return [(ids, arc) for ids, arc in best if arc.weight > 0 or ids == kept]

    def _with(self, model: LanguageModel, unwritten: Sequence[Arc[M]]) -> Beam[M]:
        rows, letters, weights, memory = zip(*unwritten, strict=True)
        step, state = model.step(np.array(letters), select_rows(self.state, np.array(rows)))
        return Beam(
            self.intended + [(*self.intended[arc.row], arc.letter) for arc in unwritten],
            np.concatenate([self.weights, weights]),
            [*self.memory, *memory],
            np.concatenate([self.p, np.exp(step)]),
            concat_states(model.pad_states([self.state, state])),
        )

    def _step(self, model: LanguageModel, found: dict[tuple[int, ...], Arc[M]]) -> Beam[M]:
        known = {ids: row for row, ids in enumerate(self.intended)}
        new = [arc for ids, arc in found.items() if ids not in known]
        p, state = self.p, self.state
        if new:
            letters, parents = np.array([arc.letter for arc in new]), np.array([arc.row for arc in new])
            step, state = model.step(letters, select_rows(self.state, parents))
            p = np.exp(step)
        if len(new) < len(found):
            if new:
                p, state = np.concatenate([self.p, p]), concat_states(model.pad_states([self.state, state]))
            at = iter(range(len(self.intended), len(self.intended) + len(new)))
            rows = np.array([known[ids] if ids in known else next(at) for ids in found])
            p, state = p[rows], select_rows(state, rows)
        elif not new:
            p, state = p[:0], select_rows(state, np.zeros(0, np.int64))
        weights = np.array([arc.weight for arc in found.values()], np.float64)
        return Beam([*found], weights, [arc.memory for arc in found.values()], p, state)


_PADDED: WeakKeyDictionary[LanguageModel, bool] = WeakKeyDictionary()


def is_padded(model: LanguageModel) -> bool:
    """Return whether states after texts of different lengths fit into one batch; a transformer's do not."""
    if model not in _PADDED:
        initial = model.initial_state(1)
        _, after = model.step(np.array([BOS]), initial)
        _PADDED[model] = len(fitting_states(model, [initial, after])) > 1
    return _PADDED[model]


def fitting_states(model: LanguageModel, states: Sequence[State]) -> dict[int, State]:
    """Return the padded states that fit into one batch with the first, by index."""
    padded = model.pad_states(states)
    shapes = [[array.shape[1:] for array in state] for state in padded]
    return {i: state for i, state in enumerate(padded) if shapes[i] == shapes[0]}
