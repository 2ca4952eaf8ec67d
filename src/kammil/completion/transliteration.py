"""Words in Latin letters: of a language that is typed so (`Transliteration`), or written so (`word_probability`).

People write شو أخبارك as "shu a5barak" or "chou akhbarak": each letter as one of several *signs* or none, and an
unwritten short vowel or none behind it. `recipes/transliteration.py` learns the table. Shapes: L letters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.lattice import MIN_SHARE, NO_LETTER, Arc, Arcs, Beam
from kammil.language_model import Ids
from kammil.languages import known, pooled
from kammil.vocabulary import SPECIALS, CharacterVocabulary

FIRST = "^"
"""Prefix of a letter that begins a word."""
MAX_SILENT = 3
"""Maximum number of unwritten letters before each."""
LISTED = 0.8
"""Share of listed words in a text."""
ODD = 1e-4
"""Probability of a character in no listed word."""
_END = " "

Table = tuple[Mapping[str, Mapping[str, float]], Mapping[str, Mapping[str, float]]]
"""Letter, or `FIRST` and letter -> sign -> probability; letter -> vowel behind it -> probability."""
Written = Mapping[str, tuple[float, float]]
"""Beginning of what is written for a letter -> probability of all that begins so, and of exactly that."""
_Letters = tuple[Ids, NDArray[np.float64]]
_NO_LETTERS: _Letters = np.zeros(0, np.int64), np.zeros(0)


class Begun(dict[str, float]):
    """Beginnings typed of the last letter -> weight."""

    def joined(self, other: Begun) -> Begun:
        """Add the weights of another way."""
        return Begun({text: self.get(text, 0.0) + other.get(text, 0.0) for text in {**self, **other}})


@dataclass(frozen=True)
class Transliteration:
    """The table of a language for the ids of a vocabulary; second ones of pairs are for first letters of words."""

    typed: Mapping[int, str]
    """Id -> lower-case character that letters are written with."""
    characters: Mapping[int, str]
    """Id -> lower-case Latin letter, digit or apostrophe."""
    written: tuple[Mapping[int, Written], Mapping[int, Written]]
    """Id of a letter -> what is written for it."""
    begun: tuple[Mapping[str, _Letters], Mapping[str, _Letters]]
    """Latin letter -> letters that begin so."""
    silent: tuple[_Letters, _Letters]
    """Letters that may stay unwritten."""
    articles: Mapping[tuple[int, ...], tuple[int, ...]]
    """`Language.articles` in ids."""

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, foreign: NDArray[np.bool_]) -> Self | None:
        """Return the first language's table where Latin letters are foreign, (V,), or None."""
        id_of = {character: id for id, character in enumerate(vocabulary.characters, SPECIALS)}
        for language in known().values():
            table = language.table("transliteration") or {"signs": {}, "vowels": {}}
            signs, vowels = table["signs"], table["vowels"]
            letters = {id_of[letter]: letter for letter in vowels if letter in id_of and not foreign[id_of[letter]]}
            latin = {c for rows in (signs, vowels) for row in rows.values() for c in "".join(row)}
            typed = {
                id: c.lower() for c, id in id_of.items() if c.lower() in latin and (foreign[id] or not c.isalpha())
            }
            if letters and any(c.isalpha() for c in typed.values()):
                break
        else:
            return None
        elsewhere, first = (
            {id: _written(signs[mark + letter], vowels[letter]) for id, letter in letters.items()}
            for mark in ("", FIRST)
        )
        characters = typed | {id: c.lower() for c, id in id_of.items() if c.isascii() and (c.isalnum() or c == "'")}
        articles = {
            tuple(id_of[c] for c in form): tuple(id_of[c] for c in joined)
            for form, joined in language.articles.items()
            if {*form, *joined} <= id_of.keys()
        }
        begun, silent = (_begun(elsewhere), _begun(first)), (_silent(elsewhere), _silent(first))
        return cls(typed, characters, (elsewhere, first), begun, silent, articles)

    def signs(self, ids: Sequence[int]) -> str | None:
        """Return a begun word in signs, or None."""
        signs = [self.typed.get(id, "") for id in ids]
        return "".join(signs) if all(signs) and any(map(str.isalpha, signs)) else None

    def latin(self, ids: Sequence[int], *, letters: bool = True) -> str | None:
        """Return a word in lower case; None for other characters, or, with `letters`, no letter."""
        text = [self.characters.get(id, "") for id in ids]
        return "".join(text) if all(text) and (not letters or any(map(str.isalpha, text))) else None

    def arcs(self, beam: Beam[Begun], sign: str) -> Arcs[Begun]:
        """Return the arcs of a typed letter: it continues the last one, or begins one, before which another may stay
        unwritten."""
        closed = np.array([self._closed(*row) for row in zip(beam.intended, beam.memory, strict=True)])
        letters, probabilities = self.silent[beam.intended == [()]]
        weights = closed[:, None] * beam.p[:, letters] * probabilities  # (N, L)
        best = best_cells(weights, MAX_SILENT, MIN_SHARE * closed.max(initial=0.0))
        silent = [Arc(row, int(letters[column]), float(weights[row, column]), Begun()) for row, column in best]

        def begins(sources: Beam[Begun], rows: range) -> list[Arc[Begun]]:
            found: list[Arc[Begun]] = []
            for row in rows:
                letters, probabilities = self.begun[not sources.intended[row]].get(sign, _NO_LETTERS)
                whole = closed[row] if row < len(closed) else sources.weights[row]
                weights = whole * sources.p[row, letters] * probabilities
                pairs = zip(letters.tolist(), weights.tolist(), strict=True)
                found += [Arc(row, letter, weight, Begun({sign: weight})) for letter, weight in pairs]
            return found

        goes_on: list[Arc[Begun]] = []
        for row, (ids, begun) in enumerate(zip(beam.intended, beam.memory, strict=True)):
            written = self.written[len(ids) == 1][ids[-1]] if ids else {}
            known = ((text, text + sign, weight) for text, weight in begun.items() if text + sign in written)
            longer = Begun({new: weight * written[new][0] / written[old][0] for old, new, weight in known})
            if longer:
                goes_on.append(Arc(row, NO_LETTER, sum(longer.values()), longer))
        return Arcs([*goes_on, *begins(beam, range(len(closed)))], silent, begins)

    def _closed(self, ids: tuple[int, ...], begun: Begun) -> float:
        if not ids:
            return 1.0
        written = self.written[len(ids) == 1][ids[-1]]
        return sum(weight * written[text][1] / written[text][0] for text, weight in begun.items())


def best_cells(weights: NDArray[np.float64], number: int, floor: float) -> list[tuple[int, int]]:
    """Return row and column of the highest weights, (N, L)."""
    flat = weights.ravel()
    order = np.argsort(-flat, kind="stable")[:number]
    rows, columns = np.divmod(order[flat[order] >= floor], max(1, weights.shape[1]))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


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


def _begun(written: Mapping[int, Written]) -> dict[str, _Letters]:
    signs = dict.fromkeys(text for texts in written.values() for text in texts if len(text) == 1)
    return {sign: _letters({id: texts[sign][0] for id, texts in written.items() if sign in texts}) for sign in signs}


def _silent(written: Mapping[int, Written]) -> _Letters:
    return _letters({id: texts[""][1] for id, texts in written.items() if texts[""][1] > 0})


def _letters(p: Mapping[int, float]) -> _Letters:
    return np.array([*p], np.int64), np.array([*p.values()], np.float64)


def word_probability(word: str, *, whole: bool) -> float:
    """Return the probability of a word in lower case, or, if not `whole`, of all that begin so: by Zipf's law from its
    rank in `frequent.txt`, otherwise by a trigram model of the listed words."""
    listed, following = listed_words(), followers()
    spelt, text = 1.0, _END * 2 + word + _END * whole
    for i in range(2, len(text)):
        counts = following.get(text[i - 2 : i], Counter())
        spelt *= (counts[text[i]] + 0.5) / (counts.total() + 14) if text[i] in following else ODD
    return LISTED * listed.get(word + _END * whole, 0.0) + (1 - LISTED) * spelt


def is_listed(word: str) -> bool:
    """Return whether a list has a word."""
    return word + _END in listed_words()


def _words() -> list[list[str]]:
    return [" ".join(language.entries("frequent")).split() for language in known().values()]


@pooled
def listed_words() -> defaultdict[str, float]:
    """Beginning of a word, its end included -> probability."""
    weights, found = defaultdict[str, float](float), defaultdict[str, float](float)
    for language in _words():
        for rank, word in enumerate(language, 1):
            weights[word] += 1 / (rank + 2.7)
    total = sum(weights.values())
    for word, weight in weights.items():
        for end in range(len(word) + 2):
            found[(word + _END)[:end]] += weight / total
    return found


@pooled
def followers() -> dict[str, Counter[str]]:
    """Two characters -> counts of the next one in listed words; single ones -> none, as they occur."""
    found = defaultdict[str, Counter[str]](Counter)
    for word in chain(*_words()):
        text = _END * 2 + word + _END
        for i in range(2, len(text)):
            found[text[i - 2 : i]][text[i]] += 1
            found[text[i]].update()
    return found
