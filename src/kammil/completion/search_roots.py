"""Where a search for words begins: after prefixes as they were typed, and after what begun words may be meant for.

Shapes: N roots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

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


class Root(NamedTuple):
    """A beginning of words."""

    prefix: int
    """Which prefix it belongs to."""
    weight: float
    """Its probability, given the prefix."""
    allowed: _Flags
    """(V,): ids that may come first."""
    refusal_states: States
    is_piece: bool = False
    """Whether it ends in an unspaced letter, to which marks may belong."""
    replacement: tuple[int, ...] = ()
    """Ids that a meaning puts in the place of what was typed."""
    num_replaced: int = 0


@dataclass(frozen=True)
class SearchRoots:
    """Where a search begins, N rows of the model."""

    roots: list[Root]
    p: _Floats
    """(N, V): probabilities of what follows each."""
    state: State

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return the weight of each, (N,)."""
        return np.array([root.weight for root in self.roots])

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
        roots = [
            Root(
                i,
                1.0 if word is None else float(word.posterior[0]),
                _first_ids(prefix, row, classes),
                refusals.start(prefix),
                ends_unspaced(prefix),
            )
            for i, (prefix, word, row) in enumerate(zip(prefixes, begun, p, strict=True))
        ]
        return cls(roots, p, state)

    @classmethod
    def of_meanings(
        cls,
        word: BegunWord,
        number: int,
        prefix: str,
        classes: CharacterClasses,
        refusals: Refusals,
        threshold: float,
    ) -> Self:
        """Return where words begin that the begun one of a prefix may be meant for, and that may be written."""
        before = {n: refusals.start(prefix[: len(prefix) - n]) for n in {*word.num_replaced, len(word.typed)}}
        roots: dict[int, Root] = {}
        for row, ids in enumerate(word.intended):
            if row == 0 or word.posterior[row] < threshold:
                continue
            states = _refusal_states(word, row, before, classes.space, refusals)
            if states is not None:
                allowed = classes.begin if ids[-1] == classes.space else classes.continues
                weight = float(word.posterior[row])
                roots[row] = Root(number, weight, allowed, states, False, ids, word.num_replaced[row])
        return cls([*roots.values()], word.p[[*roots]], select_rows(word.state, np.array([*roots], np.int64)))

    @classmethod
    def joined(cls, model: LanguageModel, parts: Sequence[Self]) -> Self:
        """Join several; see `fitting_states`."""
        if len(parts) == 1:
            return parts[0]
        states = fitting_states(model, [part.state for part in parts])
        parts = [parts[i] for i in states]
        roots = [root for part in parts for root in part.roots]
        return cls(roots, np.concatenate([part.p for part in parts]), concat_states([*states.values()]))

    def before_space(self, rows: Sequence[int], space: int) -> SearchRoots:
        """Return some of the prefixes, behind which a space comes first."""
        only, chosen = np.arange(self.p.shape[1]) == space, [self.roots[row] for row in rows]
        roots = [Root(i, root.weight, only, root.refusal_states) for i, root in enumerate(chosen)]
        return SearchRoots(roots, self.p[list(rows)], select_rows(self.state, np.array(rows)))


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
    """Return the states of the refusals after a meaning; None for one that must not be written. Words before the last
    one count as they are meant and as they were typed."""
    ids = word.intended[row]
    last = len(ids) - ids[::-1].index(space) if space in ids else 0
    states = refusals.after_ids(before[word.num_replaced[row]], ids[:last])
    if states is not None and last:
        states = refusals.either(states, before[len(word.typed)])
    return states if states is None else refusals.after_ids(states, ids[last:])
