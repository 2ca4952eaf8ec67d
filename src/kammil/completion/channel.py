"""The channel: with what probability a writer who wants one letter types another.

What is typed reaches the model through it (`variants`). For a word w with the prefix u of which x was typed, after the
text c:

    score(w) = P_model(w | c) * P_channel(x | u) / P_channel(x | x)

P_channel is a product over the letters. It is divided by the probability of typing each letter as it is wanted, so what
was typed as it is costs nothing.

*Spellings* (ا for أ, ه for ة, ي for ى): how probable it is that somebody writes one letter where another one writes the
other is estimated from all pairs of spellings of one word in corpora. *Slips* (a neighbour on the keyboard, a letter
dropped, doubled, or exchanged with the next, a key too many) are as frequent among each other as in the corpora. Few
are left there, since people correct what they publish; while they type, they are `SLIPS` of the letters.
`recipes/channel.py` counts both; the counts are in `channel.json`.

Shapes: V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.transliteration import Transliteration
from kammil.keyboard import NEIGHBOURS
from kammil.language_model import Ids
from kammil.vocabulary import SPECIALS, CharacterVocabulary

FILE = "channel.json"
SLIPS = 0.023
"""Share of the letters that are slips when a word is typed: of 37,370 people on phones, those errors that they left
(Palin et al. 2019, "How do people type on mobile devices?")."""

_Floats = NDArray[np.float64]


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

    def wanted(self, id: int) -> tuple[Ids, _Floats, int]:
        """Return what may be wanted by a typed id; see `exchanges`."""
        return self.exchanges.get(id) or (np.array([id]), np.ones(1), 1)

    def corrects(self, ids: Ids) -> bool:
        """Return whether any of these ids, (T,), may have been typed in place of another; not where one is unknown."""
        return bool((ids >= SPECIALS).all()) and any(len(self.wanted(id)[0]) > 1 for id in ids.tolist())


@cache
def _counts() -> dict[str, Any]:
    return json.loads(resources.files("kammil.completion").joinpath(FILE).read_text("utf-8"))
