"""Characters of a vocabulary that begin, continue and end words."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine import layout
from kammil.engine.native import WordArrays
from kammil.language_model import Ids, LanguageModel
from kammil.languages import known, pooled
from kammil.text import fold_spelling, open_word, role
from kammil.vocabulary import BOS, EOS, SPECIALS, CharacterVocabulary

MIN_UNSPACED_LETTERS = 0.1
"""Minimum share of unspaced letters for pieces to be searched."""
MIN_SCRIPT = 0.1
"""Minimum probability that a text begins in a script; others are foreign, as Latin, 0.02, to the bundled model."""

_Floats = NDArray[np.float32]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class CharacterClasses:
    """Classes of ids by their role in words, (V,) each."""

    begin: _Flags
    """Letters, digits, underscores."""
    continues: _Flags
    """Ids of `begin` without unspaced letters, marks, joiners."""
    words: _Flags
    """`begin`, and marks: a word may end in them."""
    close: _Floats
    """1 for ids that end a word; 0 for UNK, which may be either."""
    unspaced: _Flags
    """Letters of scripts without spaces, unless they are few."""
    extends: _Flags
    """Ids that belong to the character before."""
    foreign: _Flags
    """Letters of scripts that the model hardly read."""
    digits: _Flags
    space: int | None
    folds: tuple[str, ...]
    """Letters by which each id is compared; empty for marks and joiners."""
    careful: Mapping[str, frozenset[int]]
    """Letters of a careful spelling -> their ids, by kind (`Language.careful`)."""
    letters: frozenset[str]
    """Characters of `words`."""
    plain: Mapping[int, int]
    """Id of a careful spelling -> id of the letter by which it is compared."""
    unused: frozenset[str] = frozenset()
    """Kinds of careful spelling that the writer does without (`Adaptation.unused`)."""

    @cached_property
    def has_pieces(self) -> bool:
        """Whether pieces are searched, too."""
        return bool(self.unspaced.any())

    @cached_property
    def arrays(self) -> WordArrays | None:
        """For the native search; None where words have no spaces between them."""
        if self.has_pieces:
            return None
        vowels = "".join(language.long_vowels for language in known().values())
        number = {letter: i for i, letter in enumerate(sorted({*"".join(self.folds)}))}
        classes = self.begin * layout.BEGINS | self.continues * layout.CONTINUES
        classes |= self.words * layout.ENDS_WORDS | self.foreign * layout.FOREIGN
        kinds = [c.isalpha() * layout.LETTER | (c in vowels) * layout.LONG_VOWEL for c in number]
        return WordArrays(
            np.array([0, *accumulate(map(len, self.folds))], np.int32),
            np.array([number[letter] for fold in self.folds for letter in fold], np.int32),
            np.array(kinds, np.uint8),
            self.close,
            classes.astype(np.uint8),
        )

    def complete(self, prefixes: Sequence[str], p: _Floats) -> NDArray[np.float64]:
        """Return the probability, (R,), that each prefix's last word is complete; `p`, (R, V), follows."""
        inside = np.array([bool(open_word(prefix)) for prefix in prefixes])
        return np.where(inside, p.astype(np.float64) @ self.close, 0.0)

    def knows(self, text: str) -> bool:
        """Return whether any letter of a text is known, or it has none."""
        return not self.letters.isdisjoint(text) or not any(role(c) in ("letter", "unspaced") for c in text)

    def careful_in(self, text: str) -> frozenset[int]:
        """Return the ids of careful spellings in a text."""
        used = [ids for letters, ids in self.careful.items() if any(c in text for c in letters)]
        return frozenset[int]().union(*used)

    def respelt_after(self, text: str) -> dict[int, int]:
        """Return the ids that the writer exchanges for others: those of unused kinds, unless the text has one."""
        kinds = (kind for kind in self.unused if not any(c in text for c in kind))
        return {id: self.plain[id] for kind in kinds for id in self.careful[kind] & self.plain.keys()}

    def may_be_careful(self, ids: Ids, text: str) -> bool:
        """Return whether any id could be spelt as a text spells others."""
        folds = {self.folds[id] for id in self.careful_in(text)}
        return any(self.folds[id] in folds for id in ids.tolist())

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary, first: _Floats | None = None) -> Self:
        """Classify ids; `first`, (V,), are probabilities of the first of a text."""
        roles = np.array([*[""] * SPECIALS, *map(role, vocabulary.characters)])
        names = ("letter", "unspaced", "mark", "joiner", "outside")
        letters, unspaced, marks, joiners, outside = (roles == name for name in names)
        begin = letters | unspaced
        if unspaced.sum() < MIN_UNSPACED_LETTERS * begin.sum():
            letters, unspaced = begin, np.zeros_like(begin)
        outside |= unspaced
        outside[EOS] = True
        characters, foreign = [*[""] * SPECIALS, *vocabulary.characters], np.zeros_like(begin)
        if first is not None:  # the first word of a character's name is its script: ARABIC LETTER BEH
            scripts = [unicodedata.name(c, "").partition(" ")[0] if c.isalpha() else "" for c in characters]
            names, script = np.unique(scripts, return_inverse=True)
            total = np.bincount(script, first * letters, len(names)) * (names != "")
            foreign = ((total < MIN_SCRIPT * total.sum()) & (names != ""))[script]
        kinds = (kind for language in known().values() for kind in language.careful)
        careful = {kind: frozenset(id for id, c in enumerate(characters) if c and c in kind) for kind in kinds}
        folds = tuple(_fold(c) or c * bool(begin[id]) for id, c in enumerate(characters))
        plain = {id: characters.index(folds[id]) for id in chain(*careful.values()) if folds[id] in characters}
        return cls(
            begin,
            continues=letters | marks | joiners,
            words=begin | marks,
            close=outside.astype(np.float32),
            unspaced=unspaced,
            extends=marks | joiners | (roles == "neither"),
            foreign=foreign,
            digits=np.array([c.isdecimal() for c in characters]),
            space=characters.index(" ") if " " in characters else None,
            folds=folds,
            careful=careful,
            letters=frozenset(c for c, is_letter in zip(characters, begin | marks, strict=True) if is_letter),
            plain=plain,
        )


_fold = pooled(fold_spelling)  # every session asks for the same characters


def first_ids(model: LanguageModel) -> _Floats:
    """Return the probability of each id to begin a text, (V,)."""
    log_probabilities, _ = model.step(np.array([BOS]), model.initial_state(1))
    return np.exp(log_probabilities[0])
