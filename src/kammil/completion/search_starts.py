"""Where a search for words begins: after prefixes as they were typed, and after what begun words may be meant for.

Shapes: N starts, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.begun_word import BegunWord
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.variants import fitting_states
from kammil.decoding.refusals import Refusals
from kammil.language_model import LanguageModel, State, concat_states, select_rows

_REFUSED = object()
"""In place of the state of the refusals after a text that must not be written."""


@dataclass
class Starts:
    """Where a search begins, N rows of the model."""

    root: NDArray[np.int64]
    """(N,): which prefix each belongs to."""
    weight: NDArray[np.float64]
    """(N,): probability of each, given the prefix."""
    p: NDArray[np.float32]
    """(N, V): probabilities of what follows."""
    state: State
    allowed: NDArray[np.bool_]
    """(N, V): ids that may come first."""
    piece: NDArray[np.bool_]
    """(N,): whether it ends in an unspaced letter, to which marks may belong."""
    marks: list[Any]
    """States of the refusals."""
    wanted: list[tuple[int, ...]]
    """Ids that a meaning puts in the place of what was typed; none for the prefix as it was typed."""
    replaced: list[int]
    """How many ids it takes the place of."""

    @classmethod
    def of_meanings(
        cls,
        word: BegunWord,
        root: int,
        prefix: str,
        classes: CharacterClasses,
        refusals: Refusals,
        threshold: float,
    ) -> Self | None:
        """Return where words begin that the begun one of a prefix may be meant for, other than as it was typed: those
        of a probability that may be written. None if there are none."""
        marks = _marks(word, prefix, classes.space, refusals)
        rows = [row for row in range(1, len(marks)) if marks[row] is not _REFUSED and word.shares[row] >= threshold]
        if not rows:
            return None
        p, wanted = word.p[rows], [word.wanted[row] for row in rows]
        return cls(
            np.full(len(rows), root),
            word.shares[rows],
            p,
            select_rows(word.state, np.array(rows)),
            np.stack([classes.begin if ids[-1] == classes.space else classes.continues for ids in wanted]),
            np.zeros(len(rows), np.bool_),
            [marks[row] for row in rows],
            wanted,
            [word.replaces[row] for row in rows],
        )

    @classmethod
    def joined(cls, model: LanguageModel, parts: Sequence[Self]) -> Self:
        """Join several; see `fitting_states`."""
        if len(parts) == 1:
            return parts[0]
        states = fitting_states(model, [part.state for part in parts])
        parts = [parts[i] for i in states]
        return cls(
            np.concatenate([part.root for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.p for part in parts]),
            concat_states([*states.values()]),
            np.concatenate([part.allowed for part in parts]),
            np.concatenate([part.piece for part in parts]),
            [mark for part in parts for mark in part.marks],
            [ids for part in parts for ids in part.wanted],
            [number for part in parts for number in part.replaced],
        )


def _marks(word: BegunWord, prefix: str, space: int | None, refusals: Refusals) -> list[Any]:
    """Return the state of the refusals after each meaning, `_REFUSED` for one that must not be written.

    Words in Latin letters before the last one count as they are meant and as they were typed.
    """
    marks: list[Any] = []
    before = {n: refusals.start(prefix[: len(prefix) - n]) for n in {*word.replaces, len(word.typed)}}
    for ids, replaced in zip(word.wanted, word.replaces, strict=True):
        mark, spaces = before[replaced], ids.count(space) if space is not None else 0
        for id in ids:
            refused = refusals.refused(mark)
            if refused is not None and id in refused:
                mark = _REFUSED
                break
            mark = refusals.after_id(mark, id)
            spaces -= id == space
            if id == space and not spaces:
                mark = refusals.either(mark, before[len(word.typed)])
        marks.append(mark)
    return marks
