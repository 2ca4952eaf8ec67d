"""Slips and spellings: with what probability a writer who intends one letter types another.

*Spellings* (ا for أ, ه for ة, ي for ى) are estimated from all pairs of spellings of one word in corpora. *Slips* (a
neighbour on the keyboard, a letter dropped, doubled, or exchanged with the next, a key too many) are as frequent among
each other as in corpora, where few are left, and `SLIPS` of the letters together. `recipes/channel.py` counts both into
`channel.json`. Every probability is divided by that of typing each letter as it is intended: what was typed costs
nothing. Shapes: N texts, A letters that may be intended, L letters, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.lattice import MIN_SHARE, NO_LETTER, WIDTH, Arc, Arcs, Beam
from kammil.completion.transliteration import Transliteration
from kammil.keyboard import NEIGHBOURS
from kammil.language_model import Ids
from kammil.vocabulary import SPECIALS, CharacterVocabulary

FILE = "channel.json"
SLIPS = 0.023
"""Share of the letters that are slips when a word is typed: of 37,370 people on phones, those errors that they left
(Palin et al. 2019, "How do people type on mobile devices?")."""

MAX_DROPPED = 2
"""Maximum number of letters that are tried as dropped before each letter."""
CORRECTION_PRIOR = 0.1
"""Prior of a correction, a factor on the channel's probability: that is estimated from pairs of writers, and who writes
ا for أ mostly means to (docs/log.md#what-do-corrections-bring)."""
UNLIKELY, NEVER = 3e-4, 1e-4
"""Probability of a letter, given what stands before it, with which no word is begun that the model knows: there the
prior is 1. Of the words of lev30/validation one in a hundred has such a letter, and every second word with a key too
many. With less than the other one no word is a correction: موعدغ is none."""

_Floats = NDArray[np.float64]


class Edits(NamedTuple):
    """What is remembered of how an intended text was typed."""

    typed: tuple[int, ...] = ()
    """Ids as they were typed."""
    is_slip: bool = False
    """Whether the text takes a slip; none takes two."""
    dropped: int = NO_LETTER
    """The letter that was dropped before the last one."""
    repeats: bool = False
    """Whether the last typed letter repeats one that is intended once."""
    least: float = 1.0
    """Probability of its least probable letter."""

    def joined(self, other: Edits) -> Edits:
        """Return what is remembered of the first way."""
        del other
        return self

    @property
    def prior(self) -> float:
        """Return the prior of any other text than this one, the one that was typed."""
        return max(CORRECTION_PRIOR, min(1.0, UNLIKELY / max(self.least, UNLIKELY)))


@dataclass(frozen=True)
class Channel:
    """The channel for the ids of a vocabulary; every probability is relative to typing what is wanted."""

    exchanges: Mapping[int, tuple[Ids, _Floats, int]]
    """Typed id -> ids that may be wanted, (A,), their weights, (A,), and how many of them are spellings: these come
    first, the id itself before all, which costs nothing; then the keys beside it."""
    letters: NDArray[np.bool_]
    """(V,): ids that may have been dropped: letters of a keyboard."""
    letter_ids: Ids
    """(L,): the same."""
    dropped: float
    """Weight of a letter that is wanted and was not typed."""
    doubled: float
    """Weight of a letter typed twice that is wanted once."""
    stretched: float
    """The same of one typed three times or more."""
    swapped: float
    """Weight of two letters in the wrong order."""
    inserted: float
    """Weight of a letter of the keyboard that is typed and not wanted."""
    latin: Transliteration | None = None
    """How Arabic is typed in Latin letters; None where it is not read."""

    @classmethod
    def of(
        cls, vocabulary: CharacterVocabulary, slips: float = SLIPS, foreign: NDArray[np.bool_] | None = None
    ) -> Self:
        """Return the channel of a vocabulary, with so large a share of slips.

        Latin letters are read as Arabic too if they are among those of foreign scripts, (V,), and Arabic ones are not.
        """
        counts = _counts()
        id_of = {character: id for id, character in enumerate(vocabulary.characters, SPECIALS)}
        spellings: dict[str, dict[str, int]] = counts["spellings"]
        kept = {a: row[a] / sum(row.values()) for a, row in spellings.items()}  # P(a | a)
        rates = {kind: n / counts["slips"]["letters"] for kind, n in counts["slips"].items()}
        kinds = ("neighbour", "dropped", "doubled", "swapped", "inserted")
        scale = slips / sum(rates[kind] for kind in kinds)
        exchanges: dict[int, tuple[Ids, _Floats, int]] = {}
        for typed, id in id_of.items():
            wanted_ids, weights = [id], [1.0]
            for wanted, row in spellings.items():
                if wanted != typed and typed in row and wanted in id_of:
                    wanted_ids.append(id_of[wanted])
                    weights.append(row[typed] / sum(row.values()) / kept.get(typed, 1.0))
            same = len(wanted_ids)
            for wanted in NEIGHBOURS.get(typed, ""):
                if id_of.get(wanted, id) not in wanted_ids:
                    wanted_ids.append(id_of[wanted])
                    weights.append(scale * rates["neighbour"] / len(NEIGHBOURS[wanted]))
            exchanges[id] = np.array(wanted_ids, np.int64), np.array(weights), same
        letters = np.zeros(vocabulary.size, np.bool_)
        letters[[id for character, id in id_of.items() if character in NEIGHBOURS]] = True
        dropped, doubled, swapped, inserted = (float(scale * rates[kind]) for kind in kinds[1:])
        stretched = counts["slips"]["stretched"] / counts["slips"]["all_letters"]
        latin = None if foreign is None else Transliteration.of(vocabulary, foreign)
        any_key = inserted / max(1, letters.sum())
        return cls(exchanges, letters, np.flatnonzero(letters), dropped, doubled, stretched, swapped, any_key, latin)

    def intended(self, id: int) -> tuple[Ids, _Floats, int]:
        """Return what may be intended by a typed id; see `exchanges`."""
        return self.exchanges.get(id) or (np.array([id]), np.ones(1), 1)

    def corrects(self, ids: Ids) -> bool:
        """Return whether any of these ids, (T,), may have been typed in place of another; not where one is unknown."""
        return bool((ids >= SPECIALS).all()) and any(len(self.intended(id)[0]) > 1 for id in ids.tolist())

    def arcs(self, beam: Beam[Edits], id: int) -> Arcs[Edits]:
        """Return the arcs of a typed letter: any letter may be another spelling, and one may be a slip. A letter that
        was dropped is intended before this one; two that were exchanged are a dropped letter, and then a superfluous
        one. The first arc is that of the text as it was typed, which stands first in the beam."""
        typed = (*beam.memory[0].typed, id)
        is_slip, least = (
            np.array([each.is_slip for each in beam.memory]),
            np.array([each.least for each in beam.memory]),
        )
        ids, likelihood, spellings = self.intended(id)
        p = beam.p[:, ids]
        least_letter = np.minimum(least[:, None], p)  # (N, A)
        reach = beam.weights[:, None] * p * likelihood * (least_letter >= NEVER)  # (N, A)
        reach[0, 0] = beam.weights[0] * beam.p[0, id]
        reach[:, spellings:] *= ~is_slip[:, None]
        floor = MIN_SHARE * reach.max()
        exchanged: list[Arc[Edits]] = []
        for row, column in [(0, 0), *_best(reach, WIDTH, floor)]:
            if (row, column) != (0, 0) or not exchanged:
                edits = Edits(typed, bool(is_slip[row] or column >= spellings), least=float(least_letter[row, column]))
                exchanged.append(Arc(row, int(ids[column]), float(reach[row, column]), edits))
        letters = self.letter_ids[self.letter_ids != id] if self.letters[id] else self.letter_ids[:0]
        p = np.where((least >= NEVER)[:, None] & (beam.p[:, letters] >= NEVER), beam.p[:, letters], 0)  # (N, L)
        left_out = beam.weights[:, None] * self.dropped * p * ~is_slip[:, None]
        dropped = [
            Arc(
                row,
                letter,
                float(left_out[row, column]),
                Edits(typed, True, letter, least=min(least[row], p[row, column])),
            )
            for row, column in _best(left_out, MAX_DROPPED, floor)
            for letter in [int(letters[column])]
        ]

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
        """Return the arcs by which the letter adds nothing: it is doubled, or was read already, as dropped."""
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


def _best(weights: _Floats, number: int, floor: float) -> list[tuple[int, int]]:
    flat = weights.ravel()
    order = np.argsort(-flat, kind="stable")[:number]
    rows, columns = np.divmod(order[flat[order] >= floor], max(1, weights.shape[1]))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


@cache
def _counts() -> dict[str, Any]:
    return json.loads(resources.files("kammil.completion").joinpath(FILE).read_text("utf-8"))
