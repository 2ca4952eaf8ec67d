"""Arabic words that a word begun in Latin letters may be meant for: its readings, each with its probability.

A *reading* is a text u of Arabic letters, the last of which the last typed letter belongs to. Its weight is P_model(u)
times the probability that a word with the prefix u is typed so (`transliteration`); the last typed letter belongs to
one Arabic letter only, so the weights of all readings add up to the probability of what was typed.

Readings are searched letter by letter, as `variants` are, in a beam. A typed letter goes on with what is written for
the last Arabic letter, or begins what is written for a new one; before that one, an Arabic letter may not be written at
all, which is read in a step of its own. So a key costs one or two steps of the model.

Shapes: N readings, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.transliteration import Transliteration
from kammil.language_model import LanguageModel, State, concat_states, select_rows

MAX_READINGS = 8
"""Most readings that are kept."""
MAX_SILENT = 3
"""Most letters that are tried as not written before each letter."""
LEAST_SHARE = 1e-3
"""Least weight of a reading, as a share of the highest."""


@dataclass(frozen=True)
class Readings:
    """The readings of a begun word."""

    wanted: list[tuple[int, ...]]
    """Ids of each reading, N."""
    begun: list[Mapping[str, float]]
    """For each reading what may be typed of its last letter -> weight."""
    p: NDArray[np.float32]
    """(N, V): probabilities of what follows each."""
    state: State
    """State of the model after each, N rows."""

    @classmethod
    def start(cls, p: NDArray[np.float32], state: State) -> Readings:
        """Return the readings before the first letter: `p`, (1, V), follows the text, of which this is the state."""
        return cls([()], [{"": 1.0}], p, state)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return the weight of each reading, (N,)."""
        return np.array([sum(begun.values()) for begun in self.begun])

    def after(self, model: LanguageModel, table: Transliteration, sign: str) -> Readings:
        """Return the readings after one more typed letter; there may be none."""
        closed = np.array([self._closed(table, row) for row in range(len(self.wanted))])
        rows, letters, weights = self._silent(table, closed)
        sources = self
        if len(rows):
            step, state = model.step(letters, select_rows(self.state, rows))
            silent = [(*self.wanted[row], int(a)) for row, a in zip(rows.tolist(), letters, strict=True)]
            sources = Readings(
                self.wanted + silent,
                self.begun + [{}] * len(silent),
                np.concatenate([self.p, np.exp(step)]),
                concat_states(model.pad_states([self.state, state])),
            )
            closed = np.concatenate([closed, weights])
        return sources._read(model, table, closed, sign)

    def _closed(self, table: Transliteration, row: int) -> float:
        """Return the weight of a reading whose last letter is typed to its end."""
        if not self.wanted[row]:
            return 1.0
        written = table.written[len(self.wanted[row]) == 1][self.wanted[row][-1]]
        return sum(weight * written[text][1] / written[text][0] for text, weight in self.begun[row].items())

    def _silent(
        self, table: Transliteration, closed: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the letters that may follow without being written: row, letter, and weight of each."""
        letters, probabilities = table.silent[self.wanted == [()]]
        weights = closed[:, None] * self.p[:, letters] * probabilities  # (N, L)
        order = np.argsort(-weights.ravel(), kind="stable")[:MAX_SILENT]
        order = order[weights.ravel()[order] >= LEAST_SHARE * closed.max(initial=0.0)]
        columns = max(1, len(letters))
        return order // columns, letters[order % columns], weights.ravel()[order]

    def _read(self, model: LanguageModel, table: Transliteration, closed: NDArray[np.float64], sign: str) -> Readings:
        """Return the readings after a letter that goes on with the last one, or begins a new one after any of these."""
        found: dict[tuple[int, ...], dict[str, float]] = {}
        known = {ids: row for row, ids in enumerate(self.wanted)}
        parents: dict[tuple[int, ...], int] = {}
        for ids, begun in zip(self.wanted, self.begun, strict=True):
            if ids:
                written = table.written[len(ids) == 1][ids[-1]]
                longer = {
                    text + sign: weight * written[text + sign][0] / written[text][0]
                    for text, weight in begun.items()
                    if text + sign in written
                }
                if longer:
                    found[ids] = longer
        for row, ids in enumerate(self.wanted):
            letters, probabilities = table.begun[not ids].get(sign, (np.zeros(0, np.int64), np.zeros(0)))
            weights = closed[row] * self.p[row, letters] * probabilities
            for letter, weight in zip(letters.tolist(), weights.tolist(), strict=True):
                begun = found.setdefault((*ids, letter), {})
                begun[sign] = begun.get(sign, 0.0) + weight
                parents[*ids, letter] = row
        weight_of = {ids: sum(begun.values()) for ids, begun in found.items()}
        best = sorted(weight_of, key=lambda ids: -weight_of[ids])[:MAX_READINGS]
        best = [ids for ids in best if weight_of[ids] > 0 and weight_of[ids] >= LEAST_SHARE * weight_of[best[0]]]
        old, new = [ids for ids in best if ids in known], [ids for ids in best if ids not in known]
        rows = np.array([known[ids] for ids in old], np.int64)
        p, state = self.p[rows], select_rows(self.state, rows)
        if new:
            step, after = model.step(
                np.array([ids[-1] for ids in new]), select_rows(self.state, np.array([parents[ids] for ids in new]))
            )
            p = np.concatenate([p, np.exp(step)])
            state = concat_states(model.pad_states([state, after])) if old else after
        return Readings(old + new, [found[ids] for ids in old + new], p, state)
