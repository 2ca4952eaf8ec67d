"""Where a search for words begins: after prefixes as they were typed, and after what begun words may be meant for.

Shapes: N roots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.begun_word import BegunWord
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.lattice import fitting_states
from kammil.decoding.refusals import Refusals, States
from kammil.language_model import LanguageModel, State, concat_states, select_rows
from kammil.text import ends_unspaced, open_word

_Floats = NDArray[np.float32]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SearchRoots:
    """Where a search begins, N rows of the model."""

    prefix: NDArray[np.int64]
    """(N,): which prefix each belongs to."""
    weight: NDArray[np.float64]
    """(N,): probability of each, given the prefix."""
    p: _Floats
    """(N, V): probabilities of what follows."""
    state: State
    allowed: _Flags
    """(N, V): ids that may come first."""
    is_piece: _Flags
    """(N,): whether it ends in an unspaced letter, to which marks may belong."""
    refusal_states: list[States]
    replacement: list[tuple[int, ...]]
    """Ids that a meaning puts in the place of what was typed; none for the prefix as it was typed."""
    num_replaced: list[int]
    """How many ids it takes the place of."""

    @classmethod
    def as_typed(
        cls,
        prefixes: Sequence[str],
        begun: Sequence[BegunWord | None],
        p: _Floats,
        state: State,
        classes: CharacterClasses,
        refusals: Refusals,
    ) -> Self:
        """Return the prefixes as they were typed: `p`, (N, V), follows them."""
        return cls(
            prefix=np.arange(len(prefixes)),
            weight=np.array([1.0 if each is None else each.posterior[0] for each in begun]),
            p=p,
            state=state,
            allowed=np.stack([_first_ids(prefix, row, classes) for prefix, row in zip(prefixes, p, strict=True)]),
            is_piece=np.array([ends_unspaced(prefix) for prefix in prefixes]),
            refusal_states=[refusals.start(prefix) for prefix in prefixes],
            replacement=[()] * len(prefixes),
            num_replaced=[0] * len(prefixes),
        )

    @classmethod
    def of_meanings(
        cls,
        word: BegunWord,
        number: int,
        prefix: str,
        classes: CharacterClasses,
        refusals: Refusals,
        threshold: float,
    ) -> Self | None:
        """Return where words begin that the begun one of a prefix may be meant for, other than as it was typed, and
        that may be written; None if there are none."""
        before = {n: refusals.start(prefix[: len(prefix) - n]) for n in {*word.num_replaced, len(word.typed)}}
        states = {
            row: states
            for row in range(1, len(word.intended))
            if word.posterior[row] >= threshold
            and (states := _refusal_states(word, row, before, classes.space, refusals)) is not None
        }
        if not (rows := list(states)):
            return None
        replacement = [word.intended[row] for row in rows]
        return cls(
            prefix=np.full(len(rows), number),
            weight=word.posterior[rows],
            p=word.p[rows],
            state=select_rows(word.state, np.array(rows)),
            allowed=np.stack([classes.begin if ids[-1] == classes.space else classes.continues for ids in replacement]),
            is_piece=np.zeros(len(rows), np.bool_),
            refusal_states=list(states.values()),
            replacement=replacement,
            num_replaced=[word.num_replaced[row] for row in rows],
        )

    @classmethod
    def joined(cls, model: LanguageModel, parts: Sequence[Self]) -> Self:
        """Join several; see `fitting_states`."""
        if len(parts) == 1:
            return parts[0]
        states = fitting_states(model, [part.state for part in parts])
        parts = [parts[i] for i in states]
        return cls(
            prefix=np.concatenate([part.prefix for part in parts]),
            weight=np.concatenate([part.weight for part in parts]),
            p=np.concatenate([part.p for part in parts]),
            state=concat_states([*states.values()]),
            allowed=np.concatenate([part.allowed for part in parts]),
            is_piece=np.concatenate([part.is_piece for part in parts]),
            refusal_states=[states for part in parts for states in part.refusal_states],
            replacement=[ids for part in parts for ids in part.replacement],
            num_replaced=[number for part in parts for number in part.num_replaced],
        )

    def before_space(self, rows: Sequence[int], space: int) -> Self:
        """Return some of the prefixes, behind each of which a space comes first."""
        size = len(rows), self.p.shape[1]
        return replace(
            self,
            prefix=np.arange(len(rows)),
            weight=self.weight[list(rows)],
            p=self.p[list(rows)],
            state=select_rows(self.state, np.array(rows)),
            allowed=np.broadcast_to(np.arange(size[1]) == space, size),
            is_piece=np.zeros(len(rows), np.bool_),
            refusal_states=[self.refusal_states[row] for row in rows],
            replacement=[()] * len(rows),
            num_replaced=[0] * len(rows),
        )


def _first_ids(prefix: str, p: _Floats, classes: CharacterClasses) -> _Flags:
    """Return which ids may come first, (V,): those that continue the current word, or else begin a word, or the space.

    After a sign it is the space if that is more probable than a word without one: after a comma, but not after a
    bracket. Both are never allowed, so no word is suggested twice. An unspaced letter may get a mark.
    """
    if word := open_word(prefix):  # digits behind a number say nothing
        return (classes.continues & ~(classes.digits & word.isdecimal())) | classes.unspaced
    space = np.arange(len(p)) == classes.space
    first = space if prefix and not prefix[-1].isspace() and p @ space > p @ classes.begin else classes.begin
    return first | (classes.extends & classes.continues) if ends_unspaced(prefix) else first


def _refusal_states(
    word: BegunWord, row: int, before: Mapping[int, States], space: int | None, refusals: Refusals
) -> States | None:
    """Return the states of the refusals after a meaning; None for one that must not be written. Words in Latin letters
    before the last one count as they are meant and as they were typed."""
    ids = word.intended[row]
    last = len(ids) - ids[::-1].index(space) if space in ids else 0
    states = refusals.after_ids(before[word.num_replaced[row]], ids[:last])
    if states is not None and last:
        states = refusals.either(states, before[len(word.typed)])
    return states if states is None else refusals.after_ids(states, ids[last:])
