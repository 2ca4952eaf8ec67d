"""Slips and spellings: with what probability a writer who intends one letter types another.

`recipes/channel.py` counts *spellings* (ا for أ) in pairs of spellings of a word, and *slips* (a neighbour on the
keyboard, a letter dropped, doubled, exchanged, or too many), scaled to `SLIPS`; all are divided by the probability of
typing what is intended. Shapes: N texts, A letters that may be intended, L letters, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.lattice import MIN_SHARE, NO_LETTER, WIDTH, Arc, Arcs, Beam
from kammil.completion.transliteration import Transliteration, best_cells
from kammil.language_model import Ids
from kammil.languages import known, neighbours
from kammil.vocabulary import SPECIALS, CharacterVocabulary

SLIPS = 0.023
"""Share of slips among typed letters, from 37,370 people on phones (Palin et al. 2019)."""
KINDS = ("neighbour", "dropped", "doubled", "swapped", "inserted")
MAX_DROPPED = 2
"""Maximum number of dropped letters before each."""
CORRECTION_PRIOR = 0.1
"""Prior of a correction: who writes ا for أ mostly means to (docs/log.md#what-do-corrections-bring)."""
UNLIKELY, NEVER = 3e-4, 1e-4
"""Probability of a letter below which the model knows no such word, so the prior is 1; and below which no word is a
correction."""

_Floats = NDArray[np.float64]


class Edits(NamedTuple):
    """How an intended text was typed."""

    typed: tuple[int, ...] = ()
    is_slip: bool = False
    """Whether it has a slip; no text has two."""
    dropped: int = NO_LETTER
    """The letter dropped before the last one."""
    repeats: bool = False
    """Whether the last typed letter repeats one that is intended once."""
    least: float = 1.0
    """Minimum probability of its letters."""

    def joined(self, other: Edits) -> Edits:
        """Return the first way."""
        del other
        return self

    @property
    def prior(self) -> float:
        """Return the prior of a text other than this one, as typed."""
        return max(CORRECTION_PRIOR, min(1.0, UNLIKELY / max(self.least, UNLIKELY)))


@dataclass(frozen=True)
class Channel:
    """The channel for the ids of a vocabulary; weights are relative to correct typing."""

    exchanges: Mapping[int, tuple[Ids, _Floats, int]]
    """Typed id -> ids that may be intended, (A,), their weights, (A,), and number of spellings, which stand first."""
    letters: NDArray[np.bool_]
    """(V,): letters of a keyboard."""
    dropped: float
    doubled: float
    stretched: float
    """Weight of a letter typed three times or more for one."""
    swapped: float
    inserted: float
    """Weight of each superfluous letter."""
    latin: Transliteration | None = None
    """Table of Arabic in Latin letters; None where they are not read."""

    @classmethod
    def of(
        cls, vocabulary: CharacterVocabulary, slips: float = SLIPS, foreign: NDArray[np.bool_] | None = None
    ) -> Self:
        """Return a vocabulary's channel; Latin letters are read if `foreign`, (V,)."""
        spellings: dict[str, dict[str, int]] = {}
        counts = Counter[str]()  # fingers slip alike in all languages
        for table in (language.table("channel") for language in known().values()):
            spellings = {**table.get("spellings", {}), **spellings}
            counts.update(table.get("slips", {}))
        rate = {kind: counts[kind] / counts["letters"] for kind in KINDS}
        scale = slips / sum(rate.values())
        beside, exchanges = neighbours(), dict[int, tuple[Ids, _Floats, int]]()
        id_of = {character: id for id, character in enumerate(vocabulary.characters, SPECIALS)}
        total = {letter: sum(row.values()) for letter, row in spellings.items()}
        for typed, id in id_of.items():
            kept = spellings[typed][typed] / total[typed] if typed in spellings else 1.0
            intended = {id: 1.0}
            for letter, row in spellings.items():
                if letter != typed and typed in row and letter in id_of:
                    intended[id_of[letter]] = row[typed] / total[letter] / kept
            num_spellings = len(intended)
            for letter in beside.get(typed, ""):
                if letter in id_of:
                    intended.setdefault(id_of[letter], scale * rate["neighbour"] / len(beside[letter]))
            exchanges[id] = np.array([*intended], np.int64), np.array([*intended.values()]), num_spellings
        letters = np.zeros(vocabulary.size, np.bool_)
        letters[[id for character, id in id_of.items() if character in beside]] = True
        dropped, doubled, swapped, inserted = (float(scale * rate[kind]) for kind in KINDS[1:])
        stretched = counts["stretched"] / counts["all_letters"]
        latin = None if foreign is None else Transliteration.of(vocabulary, foreign)
        any_key = inserted / max(1, letters.sum())
        return cls(exchanges, letters, dropped, doubled, stretched, swapped, any_key, latin)

    def intended(self, id: int) -> tuple[Ids, _Floats, int]:
        """Return what may be intended by a typed id (`exchanges`)."""
        return self.exchanges.get(id) or (np.array([id]), np.ones(1), 1)

    def corrects(self, ids: Ids) -> bool:
        """Return whether any of some known ids, (T,), may stand for another."""
        return bool((ids >= SPECIALS).all()) and any(len(self.intended(id)[0]) > 1 for id in ids.tolist())

    def arcs(self, beam: Beam[Edits], id: int) -> Arcs[Edits]:
        """Return the arcs of a typed letter: any may be another spelling, one may be a slip; an exchange is a dropped
        and a superfluous letter. The text as typed comes first."""
        typed, memory, weights = (*beam.memory[0].typed, id), beam.memory, beam.weights[:, None]
        no_slip = np.array([not edits.is_slip for edits in memory])[:, None]
        least = np.array([edits.least for edits in memory])[:, None]
        ids, likelihood, num_spellings = self.intended(id)
        p = beam.p[:, ids]
        least_letter = np.minimum(least, p)  # (N, A)
        reach = weights * p * likelihood * (least_letter >= NEVER)  # (N, A)
        reach[0, 0] = beam.weights[0] * beam.p[0, id]
        reach[:, num_spellings:] *= no_slip
        floor = MIN_SHARE * reach.max()
        exchanged: list[Arc[Edits]] = []
        for row, column in dict.fromkeys([(0, 0), *best_cells(reach, WIDTH, floor)]):
            is_slip = memory[row].is_slip or column >= num_spellings
            edits = Edits(typed, is_slip, least=float(least_letter[row, column]))
            exchanged.append(Arc(row, int(ids[column]), float(reach[row, column]), edits))
        letters = np.flatnonzero(self.letters & self.letters[id])
        letters = letters[letters != id]
        p = np.where((least >= NEVER) & (beam.p[:, letters] >= NEVER), beam.p[:, letters], 0)  # (N, L)
        left_out = weights * self.dropped * p * no_slip
        dropped: list[Arc[Edits]] = []
        for row, column in best_cells(left_out, MAX_DROPPED, floor):
            edits = Edits(typed, True, int(letters[column]), least=min(memory[row].least, p[row, column]))
            dropped.append(Arc(row, edits.dropped, float(left_out[row, column]), edits))

        def behind(sources: Beam[Edits], rows: range) -> list[Arc[Edits]]:
            found: list[Arc[Edits]] = []
            for row in rows:
                following, edits = float(sources.p[row, id]), sources.memory[row]
                weight = float(sources.weights[row]) * following
                if weight >= floor and following >= NEVER:
                    found.append(Arc(row, id, weight, edits._replace(least=min(edits.least, following))))
            return found

        return Arcs([*exchanged[:WIDTH], *self._unread(beam, typed, floor)], dropped, behind)

    def _unread(self, beam: Beam[Edits], typed: tuple[int, ...], floor: float) -> list[Arc[Edits]]:
        """Return the arcs by which the letter adds nothing: doubled, superfluous, or read as dropped."""
        *before, id = typed
        times = next((n for n, other in enumerate(reversed(before)) if other != id), len(before))
        found: list[Arc[Edits]] = []
        for row, edits in enumerate(beam.memory):
            factor, repeats = 0.0, times > 0
            if times == 1 and self.letters[id]:
                factor = self.doubled * (not edits.is_slip)
            elif times > 1:
                factor = edits.repeats * (self.stretched / self.doubled if times == 2 else 1.0)
            elif before and self.letters[id]:
                factor = self.inserted * (not edits.is_slip)
            repeats = repeats and factor > 0
            if edits.dropped == id:
                factor = self.swapped / self.dropped
            weight = float(beam.weights[row]) * factor
            if weight > 0 and weight >= floor and edits.least >= NEVER:
                found.append(Arc(row, NO_LETTER, weight, Edits(typed, True, repeats=repeats, least=edits.least)))
        return found
