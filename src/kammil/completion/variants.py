"""What the writer of a begun word may have wanted to type: variants of it, each with its probability.

A *variant* is a text u of which the channel made the typed beginning x of a word. Its weight is P_model(u | c) times
P_channel(x | u) (`channel`); the weights of all variants, the beginning as it was typed among them, add up to the
probability of x, so that a weight divided by their sum is the probability that u is meant.

Variants are searched letter by letter from the start of the word, whose state all of them share, in a beam: after each
letter those of the highest weights remain. Every letter may be another spelling of the one that is wanted, and at most
one is a slip. A letter that was dropped is read in a step of its own before the next; two that were exchanged are a
dropped letter and, if the next key is that letter, a superfluous one. A key too many leaves a variant as it is.

The beam after a text is also where that of the next letter begins, so a key costs one or two steps of the model.

Shapes: N variants, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.channel import Channel
from kammil.language_model import Ids, LanguageModel, State, concat_states, select_rows

MAX_VARIANTS = 8
"""Most variants, the word as it was typed among them."""
MAX_DROPPED = 2
"""Most letters that are tried as dropped before each letter."""
OTHERWISE = 0.1
"""How much less probable it is than the channel says that a writer means anything else than a word they typed: it is
estimated from pairs of writers, and who writes ا for أ mostly means to (docs/log.md#what-do-corrections-bring)."""
LEAST_SHARE = 1e-3
"""Least weight of a variant, as a share of the highest. On 60 texts of lev30/validation with 3 % slips a list of three
saves 24.7 % with 6 variants and this share, 24.8 % with 12 or 24 variants and a smaller one."""

UNLIKELY, NEVER = 3e-4, 1e-4
"""Probability of a letter, given what stands before it, with which no word is begun that the model knows: then nothing
is less probable than the channel says. Of the words of lev30/validation one in a hundred has such a letter, and every
second word with a key too many. With less than the other one no word is a correction: موعدغ is none."""

_Floats = NDArray[np.float64]
_NONE = -1


@dataclass(frozen=True)
class Variants:
    """The variants of a begun word. The first one is the word as it was typed."""

    typed: tuple[int, ...]
    """Ids as they were typed."""
    wanted: list[tuple[int, ...]]
    """Ids of each variant, N."""
    weights: _Floats
    """(N,): the weight of each."""
    p: NDArray[np.float32]
    """(N, V): probabilities of what follows each."""
    state: State
    """State of the model after each, N rows."""
    slipped: NDArray[np.bool_]
    """(N,): whether it takes a slip."""
    inserted: Ids
    """(N,): the letter that was dropped before the last one, or -1."""
    superfluous: NDArray[np.bool_]
    """(N,): whether the last typed letter repeats one that is wanted once."""
    least: NDArray[np.float32]
    """(N,): the probability of its least probable letter."""

    @classmethod
    def start(cls, p: NDArray[np.float32], state: State) -> Self:
        """Return the variants before the first letter: `p`, (1, V), follows the text, of which this is the state."""
        no = np.zeros(1, np.bool_)
        return cls((), [()], np.ones(1), p, state, no, np.array([_NONE]), no, np.ones(1, np.float32))

    @property
    def otherwise(self) -> float:
        """Return how much less probable any other word than the typed one is than the channel says."""
        return max(OTHERWISE, min(1.0, UNLIKELY / max(float(self.least[0]), UNLIKELY)))

    def after(self, model: LanguageModel, channel: Channel, id: int) -> Variants:
        """Return the variants after one more typed letter."""
        ids, likelihood, spellings = channel.wanted(id)
        p_of = self.p[:, ids]
        least_letter = np.minimum(self.least[:, None], p_of)  # (N, A)
        reach = self.weights[:, None] * p_of * likelihood * (least_letter >= NEVER)  # (N, A)
        reach[0, 0] = self.weights[0] * self.p[0, id]
        reach[:, spellings:] *= ~self.slipped[:, None]
        least = LEAST_SHARE * reach.max()
        order = np.argsort(-reach.ravel(), kind="stable")[:MAX_VARIANTS]
        order = order[(order != 0) & (reach.ravel()[order] >= least)][: MAX_VARIANTS - 1]
        parent, column = np.divmod(np.concatenate([[0], order]), len(ids))  # first, the word as it was typed
        # Letters that may have been dropped before this one are read in the same step, and this one after them.
        letters = channel.letter_ids[channel.letter_ids != id] if channel.letters[id] else channel.letter_ids[:0]
        p_of = np.where((self.least >= NEVER)[:, None] & (self.p[:, letters] >= NEVER), self.p[:, letters], 0)  # (N, L)
        left_out = self.weights[:, None] * channel.dropped * p_of * ~self.slipped[:, None]
        order = np.argsort(-left_out.ravel(), kind="stable")[:MAX_DROPPED]
        order = order[left_out.ravel()[order] >= least]
        left_out = left_out.ravel()[order]
        dropped_parent, dropped = order // max(1, len(letters)), letters[order % max(1, len(letters))]
        rows = np.concatenate([parent, dropped_parent])
        step, state = model.step(np.concatenate([ids[column], dropped]), select_rows(self.state, rows))
        p, read = np.exp(step), np.arange(len(parent))
        parts: list[Variants] = [
            replace(
                self,
                wanted=[(*self.wanted[r], int(a)) for r, a in zip(parent.tolist(), ids[column], strict=True)],
                weights=reach[parent, column],
                p=p[read],
                state=select_rows(state, read),
                slipped=self.slipped[parent] | (column >= spellings),
                inserted=np.full(len(parent), _NONE),
                superfluous=np.zeros(len(parent), np.bool_),
                least=least_letter[parent, column],
            )
        ]
        following = p[len(parent) :, id]
        weights = left_out * following
        kept = np.flatnonzero((weights >= least) & (following >= NEVER))
        if len(kept):
            step, state = model.step(np.full(len(kept), id), select_rows(state, len(parent) + kept))
            parts.append(
                replace(
                    self,
                    wanted=[(*self.wanted[dropped_parent[i]], int(dropped[i]), id) for i in kept.tolist()],
                    weights=weights[kept],
                    p=np.exp(step),
                    state=state,
                    slipped=np.ones(len(kept), np.bool_),
                    inserted=dropped[kept],
                    superfluous=np.zeros(len(kept), np.bool_),
                    least=np.minimum.reduce([self.least[dropped_parent], self.p[dropped_parent, dropped], following])[
                        kept
                    ],
                )
            )
        parts += self._unread(channel, id, least)
        return replace(_joined(model, parts), typed=(*self.typed, id))

    def _unread(self, channel: Channel, id: int, least: float) -> list[Variants]:
        """Return the variants to which the letter adds nothing: it is doubled, or was read already, as dropped."""
        repeats = next((n for n, typed in enumerate(reversed(self.typed)) if typed != id), len(self.typed))
        weights = np.zeros(len(self.weights))
        if repeats == 1 and channel.letters[id]:
            weights = self.weights * ~self.slipped * channel.doubled
        elif repeats > 1:
            weights = self.weights * self.superfluous * (channel.stretched / channel.doubled if repeats == 2 else 1)
        superfluous = weights > 0
        if repeats == 0 and channel.letters[id] and self.typed:
            weights = self.weights * ~self.slipped * channel.inserted
        weights = np.where(self.inserted == id, self.weights * channel.swapped / channel.dropped, weights)
        rows = np.flatnonzero((weights > 0) & (weights >= least) & (self.least >= NEVER))
        if len(rows) == 0:
            return []
        return [
            replace(
                self,
                wanted=[self.wanted[row] for row in rows.tolist()],
                weights=weights[rows],
                p=self.p[rows],
                state=select_rows(self.state, rows),
                slipped=np.ones(len(rows), np.bool_),
                inserted=np.full(len(rows), _NONE),
                superfluous=superfluous[rows],
                least=self.least[rows],
            )
        ]


def _joined(model: LanguageModel, parts: Sequence[Variants]) -> Variants:
    """Join variants that were read in different steps: of equal ones the first, and of all the most probable."""
    padded = fitting_states(model, [part.state for part in parts])
    if len(padded) == 1:
        return parts[0]
    parts = [parts[i] for i in padded]
    wanted = [ids for part in parts for ids in part.wanted]
    weights = np.concatenate([part.weights for part in parts])
    row_of: dict[tuple[int, ...], int] = {}
    for row, ids in enumerate(wanted):
        if row_of.setdefault(ids, row) != row:
            weights[row_of[ids]] += weights[row]
    _, *others = row_of.values()
    rows = np.array([0, *sorted(others, key=lambda row: -weights[row])[: MAX_VARIANTS - 1]])
    state = concat_states([*padded.values()])
    return replace(
        parts[0],
        wanted=[wanted[row] for row in rows.tolist()],
        weights=weights[rows],
        p=np.concatenate([part.p for part in parts])[rows],
        state=select_rows(state, rows),
        slipped=np.concatenate([part.slipped for part in parts])[rows],
        inserted=np.concatenate([part.inserted for part in parts])[rows],
        superfluous=np.concatenate([part.superfluous for part in parts])[rows],
        least=np.concatenate([part.least for part in parts])[rows],
    )


def fitting_states(model: LanguageModel, states: Sequence[State]) -> dict[int, State]:
    """Return those of some states that fit into one batch with the first, padded, by their number.

    Where a state grows with the text and cannot be padded (a transformer's) these are the states after texts as long as
    the first: only letters that take the place of others are corrected there.
    """
    padded = model.pad_states(states)
    shapes = [[array.shape[1:] for array in state] for state in padded]
    return {i: state for i, state in enumerate(padded) if shapes[i] == shapes[0]}
