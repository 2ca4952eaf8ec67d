"""Arabic that is typed in Latin letters: with what probability each Arabic letter is written as what.

People write شو أخبارك as "shu a5barak" or "chou akhbarak". Each Arabic letter is written as a *sign*, one of several or
none, and behind it a short vowel, which Arabic does not write, or none. The table is learnt from pairs
(`recipes/transliteration.py`); its probabilities are in `transliteration.json`.

Shapes: L letters.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.lattice import MIN_SHARE, NO_LETTER, Arc, Arcs, Beam
from kammil.language_model import Ids
from kammil.vocabulary import SPECIALS, CharacterVocabulary

FILE = "transliteration.json"
FIRST = "^"
"""Before a letter that begins a word, which has a row of its own in the table."""
VOWELS: tuple[str, ...] = ("", "a", "e", "i", "o", "u", "é", "ou", "oo", "ee", "aa")
"""Vowels that stand behind a sign."""
BEFORE_ARTICLE = "وفبكلعه"
"""Letters that are joined to the article behind them; ل and ال become لل."""
ARTICLES = (*(before + "ال" for before in ("", *BEFORE_ARTICLE.replace("ل", ""), "وب", "وع", "وه")), "لل", "ولل")
"""Forms of the article, which Arabic joins to the next word, and people often part from it in Latin letters."""
Table = tuple[Mapping[str, Mapping[str, float]], Mapping[str, Mapping[str, float]]]
"""Letter, or `FIRST` and letter -> sign -> probability; letter -> vowel behind it -> probability."""

MAX_SILENT = 3
"""Maximum number of letters that are tried as not written before each letter."""

_Floats = NDArray[np.float64]
_NO_LETTERS = np.zeros(0, np.int64), np.zeros(0)
Written = Mapping[str, tuple[float, float]]
"""Begin of what is written for a letter -> probability of all that begins so, and of exactly that."""


class Begun(dict[str, float]):
    """What may be typed of the last letter of a text -> weight."""

    def joined(self, other: Begun) -> Begun:
        """Return what may be typed of it in either way."""
        return Begun({text: self.get(text, 0.0) + other.get(text, 0.0) for text in {**self, **other}})


@dataclass(frozen=True)
class Transliteration:
    """The table for the ids of a vocabulary. `first` tells that of letters that begin a word."""

    typed: Mapping[int, str]
    """Id of a Latin letter or digit -> it, in lower case, if an Arabic letter may be written with it."""
    characters: Mapping[int, str]
    """Id of a Latin letter, a digit or an apostrophe -> it, in lower case."""
    written: tuple[Mapping[int, Written], Mapping[int, Written]]
    """Id of an Arabic letter -> what is written for it, elsewhere and first."""
    begun: tuple[Mapping[str, tuple[Ids, _Floats]], Mapping[str, tuple[Ids, _Floats]]]
    """Latin letter -> Arabic letters (L,) that may begin with it, and their probabilities, elsewhere and first."""
    silent: tuple[tuple[Ids, _Floats], tuple[Ids, _Floats]]
    """Arabic letters (L,) that may not be written at all, and their probabilities, elsewhere and first."""
    articles: Mapping[tuple[int, ...], tuple[int, ...]]
    """Ids of each form of the article, and of a letter and the article behind it with a space between them -> ids of
    what they become."""

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, foreign: NDArray[np.bool_]) -> Self | None:
        """Return the table of a vocabulary; None unless Latin letters are among the foreign ones, (V,), and Arabic ones
        among the others."""
        id_of = {character: id for id, character in enumerate(vocabulary.characters, SPECIALS)}
        signs, vowels = _table()
        letters = {id_of[letter]: letter for letter in vowels if letter in id_of and not foreign[id_of[letter]]}
        latin = {sign for row in signs.values() for sign in "".join(row)} | set("".join(VOWELS))
        typed = {id: c.lower() for c, id in id_of.items() if c.lower() in latin and (foreign[id] or not c.isalpha())}
        if not letters or not any(c.isalpha() for c in typed.values()):
            return None
        elsewhere, first = (
            {id: _written(signs[mark + letter], vowels[letter]) for id, letter in letters.items()}
            for mark in ("", FIRST)
        )
        begun, silent = (_begun(elsewhere), _begun(first)), (_silent(elsewhere), _silent(first))
        characters = typed | {id: c.lower() for c, id in id_of.items() if c.isascii() and (c.isalnum() or c == "'")}
        return cls(typed, characters, (elsewhere, first), begun, silent, _articles(id_of))

    def signs(self, ids: Sequence[int]) -> str | None:
        """Return the letters of a begun word as the table has them; None if it cannot be Arabic: it has
        other characters, or no letter."""
        signs = [self.typed.get(id, "") for id in ids]
        return "".join(signs) if all(signs) and any(map(str.isalpha, signs)) else None

    def latin(self, ids: Sequence[int], *, letters: bool = True) -> str | None:
        """Return a word in lower case; None if it has characters other than Latin ones, or with `letters` no letter."""
        text = [self.characters.get(id, "") for id in ids]
        return "".join(text) if all(text) and (not letters or any(map(str.isalpha, text))) else None

    def arcs(self, beam: Beam[Begun], sign: str) -> Arcs[Begun]:
        """Return the arcs of a typed letter: it goes on with what is written for the last Arabic letter, or begins what
        is written for a new one, before which one may not be written at all."""
        closed = np.array([self._closed(*row) for row in zip(beam.intended, beam.memory, strict=True)])
        letters, probabilities = self.silent[beam.intended == [()]]
        weights = closed[:, None] * beam.p[:, letters] * probabilities  # (N, L)
        flat = weights.ravel()
        order = np.argsort(-flat, kind="stable")[:MAX_SILENT]
        order = order[flat[order] >= MIN_SHARE * closed.max(initial=0.0)]
        rows, columns = np.divmod(order, max(1, len(letters)))
        silent = [
            Arc(row, letter, weight, Begun())
            for row, letter, weight in zip(rows.tolist(), letters[columns].tolist(), flat[order].tolist(), strict=True)
        ]

        def begins(sources: Beam[Begun], rows: range) -> list[Arc[Begun]]:
            found: list[Arc[Begun]] = []
            for row in rows:
                letters, probabilities = self.begun[not sources.intended[row]].get(sign, _NO_LETTERS)
                whole = closed[row] if row < len(closed) else sources.weights[row]
                weights = whole * sources.p[row, letters] * probabilities
                pairs = zip(letters.tolist(), weights.tolist(), strict=True)
                found += [Arc(row, letter, weight, Begun({sign: weight})) for letter, weight in pairs]
            return found

        longer = [self._longer(ids, begun, sign) for ids, begun in zip(beam.intended, beam.memory, strict=True)]
        goes_on = [Arc(row, NO_LETTER, sum(begun.values()), begun) for row, begun in enumerate(longer) if begun]
        return Arcs([*goes_on, *begins(beam, range(len(closed)))], silent, begins)

    def _longer(self, ids: tuple[int, ...], begun: Begun, sign: str) -> Begun:
        """Return what may be typed of the last letter of a text after one more typed letter."""
        written = self.written[len(ids) == 1][ids[-1]] if ids else {}
        return Begun(
            {
                text + sign: weight * written[text + sign][0] / written[text][0]
                for text, weight in begun.items()
                if text + sign in written
            }
        )

    def _closed(self, ids: tuple[int, ...], begun: Begun) -> float:
        if not ids:
            return 1.0
        written = self.written[len(ids) == 1][ids[-1]]
        return sum(weight * written[text][1] / written[text][0] for text, weight in begun.items())


def _articles(id_of: Mapping[str, int]) -> dict[tuple[int, ...], tuple[int, ...]]:
    apart = {f"{letter} ال": "لل" if letter == "ل" else f"{letter}ال" for letter in BEFORE_ARTICLE}
    forms = dict(zip(ARTICLES, ARTICLES, strict=True)) | apart
    known = {form: joined for form, joined in forms.items() if {*form, *joined} <= id_of.keys()}
    return {tuple(id_of[c] for c in form): tuple(id_of[c] for c in joined) for form, joined in known.items()}


def _written(signs: Mapping[str, float], vowels: Mapping[str, float]) -> Written:
    exactly = defaultdict[str, float](float)
    for sign, p in signs.items():
        for vowel, q in vowels.items():
            exactly[sign + vowel] += p * q
    beginning = defaultdict[str, float](float)
    for text, p in exactly.items():
        for end in range(len(text) + 1):
            beginning[text[:end]] += p
    return {text: (p, exactly.get(text, 0.0)) for text, p in beginning.items()}


def _begun(written: Mapping[int, Written]) -> dict[str, tuple[Ids, _Floats]]:
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for id, texts in written.items():
        for text, (p, _) in texts.items():
            if len(text) == 1:
                found[text].append((id, p))
    return {text: _arrays(pairs) for text, pairs in found.items()}


def _silent(written: Mapping[int, Written]) -> tuple[Ids, _Floats]:
    return _arrays([(id, texts[""][1]) for id, texts in written.items() if texts[""][1] > 0])


def _arrays(pairs: list[tuple[int, float]]) -> tuple[Ids, _Floats]:
    return np.array([id for id, _ in pairs], np.int64), np.array([p for _, p in pairs], np.float64)


@cache
def _table() -> Table:
    stored = json.loads(resources.files("kammil.completion").joinpath(FILE).read_text("utf-8"))
    return stored["signs"], stored["vowels"]
