"""Blocked words and forbidden strings as refusals of ids: what must not follow a text, and where it must not end.

A text that is generated does not end a blocked word: while the word at its end is one (`Blocklist.blocked`), no
character outside words may follow, nor the end of the text, but letters may, since ordinary words begin like blocked
ones. Where no ordinary word goes on (a stem, a mark in the list), the letter itself is refused. The text that was typed
counts: its unfinished word and the words before it are where the first character begins.

So a sampled text has, character by character, the model's distribution on condition that the character is not refused.
That is not the model's distribution over whole texts on condition that they hold no blocked word: a beginning from
which blocked words are likely is as likely as before, and the probability of those goes to what else may follow it. To
be exact, whole texts would have to be drawn anew, which a stream cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Generic, Protocol, TypeVar

import numpy as np

from kammil.data.blocklist import SEPARATOR, BlockedWord, Blocklist, fold_character
from kammil.decoding.automaton import StringAutomaton
from kammil.language_model import Ids
from kammil.vocabulary import EOS

S = TypeVar("S")
_ROOM = np.array([1 << 20])
_NONE = np.zeros(0, np.int64)


class Refusals(Protocol[S]):
    """Decides which ids may follow a text, from a state `S` that is kept beside the text."""

    def start(self, text: str) -> S:
        """Return the state after a text that was typed."""
        ...

    def after(self, state: S, id: int) -> S:
        """Return the state after one more id."""
        ...

    def either(self, state: S, other: S) -> S:
        """Return the state after one of two texts, of which what is refused after either is refused."""
        ...

    def refused(self, state: S) -> Ids | None:
        """Return the ids that must not follow; None for none."""
        ...

    def blocked(self, state: S) -> bool:
        """Return whether the text must not end here."""
        ...


class WordBlock(Refusals[int]):
    """A list of blocked words for the characters of a vocabulary.

    Args:
        blocklist: the words.
        pieces: the character of each id, (V,); "" for one that cannot be written.
    """

    def __init__(self, blocklist: Blocklist, pieces: Sequence[str]) -> None:
        self.blocklist, self._pieces = blocklist, pieces
        letters: dict[str, list[int]] = {}
        separators, ligatures = [EOS], list[int]()
        for id, piece in enumerate(pieces):
            folded = fold_character(piece) if piece else ""
            if folded == SEPARATOR:
                separators.append(id)
            elif len(folded) == 1:
                letters.setdefault(folded, []).append(id)
            elif folded:
                ligatures.append(id)
        self._letters = {letter: np.array(ids, np.int64) for letter, ids in letters.items()}
        self._separators, self._ligatures = np.array(separators, np.int64), ligatures
        self._all_letters = np.concatenate([_NONE, *self._letters.values(), np.array(ligatures, np.int64)])
        self._refused: dict[int, Ids | None] = {}
        self._refused_last: dict[int, Ids] = {}

    def without(self, exempt: Iterable[BlockedWord]) -> WordBlock:
        """Return the same without some of the words (`Blocklist.without`)."""
        shorter = copy(self)
        shorter.blocklist, shorter._refused, shorter._refused_last = self.blocklist.without(exempt), {}, {}
        return shorter

    def start(self, text: str) -> int:
        """Return the state after a text that was typed."""
        return self.blocklist.start(text)

    def after(self, state: int, id: int) -> int:
        """Return the state after one more id."""
        return self.blocklist.after(state, self._pieces[id])

    def either(self, state: int, other: int) -> int:
        """Return the state after one of two texts."""
        return self.blocklist.either(state, other)

    def refused(self, state: int) -> Ids | None:
        """Return the ids that must not follow; None for none, which is the rule."""
        try:
            return self._refused[state]
        except KeyError:
            self._refused[state] = refused = self._find_refused(state)
            return refused

    def refused_last(self, state: int) -> Ids:
        """Return the ids that must not be the last one: those, and those with which a blocked word would be whole."""
        if state not in self._refused_last:
            ends = [id for id, piece in enumerate(self._pieces) if piece and self.blocked(self.after(state, id))]
            refused = self.refused(state)
            self._refused_last[state] = np.array(ends, np.int64) if refused is None else np.append(refused, ends)
        return self._refused_last[state].astype(np.int64)

    def blocked(self, state: int) -> bool:
        """Return whether the text must not end here."""
        return self.blocklist.blocked(state)

    def _find_refused(self, state: int) -> Ids | None:
        letters, no_end = self.blocklist.refused(state)
        parts = [self._separators] if no_end else []
        if letters is None:
            parts.append(self._all_letters)
        else:
            parts += [self._letters[letter] for letter in letters if letter in self._letters]
            if not self.blocklist.idle(state):
                parts += [np.array([id], np.int64) for id in self._ligatures if self._ligature_refused(state, id)]
        return np.concatenate(parts) if parts else None

    def _ligature_refused(self, state: int, id: int) -> bool:
        for letter in fold_character(self._pieces[id]):
            letters, no_end = self.blocklist.refused(state)
            if no_end if letter == SEPARATOR else letters is None or letter in letters:
                return True
            state = self.blocklist.after(state, letter)
        return False


class ForbiddenStrings(Refusals[int]):
    """Strings that must not be written, code point by code point.

    Args:
        strings: what is forbidden.
        pieces: the character of each id, (V,); "" for one that cannot be written.
    """

    def __init__(self, strings: Sequence[str], pieces: Sequence[str]) -> None:
        self._automaton = StringAutomaton(strings, (), pieces)
        self._refused: dict[int, Ids | None] = {}

    def start(self, text: str) -> int:
        """Return the state after a text that was typed."""
        return self._automaton.start(text)

    def after(self, state: int, id: int) -> int:
        """Return the state after one more id."""
        return int(self._automaton.after(np.array([state]), np.array([id]))[0])

    def either(self, state: int, other: int) -> int:
        """Return the state after the first of two texts: what is forbidden is forbidden in what is written."""
        del other
        return state

    def refused(self, state: int) -> Ids | None:
        """Return the ids that must not follow; None for none."""
        if state not in self._refused:
            ids = np.flatnonzero(~self._automaton.allowed(np.array([state]), _ROOM)[0])
            self._refused[state] = ids if len(ids) else None
        return self._refused[state]

    def blocked(self, state: int) -> bool:
        """Return False: a text may end wherever it may be."""
        del state
        return False


class AllOf(Generic[S], Refusals[tuple[S, ...]]):
    """Several refusals at once."""

    def __init__(self, parts: Sequence[Refusals[S]]) -> None:
        self._parts = tuple(parts)

    def start(self, text: str) -> tuple[S, ...]:
        """Return the state after a text that was typed."""
        return tuple(part.start(text) for part in self._parts)

    def after(self, state: tuple[S, ...], id: int) -> tuple[S, ...]:
        """Return the state after one more id."""
        return tuple(part.after(one, id) for part, one in zip(self._parts, state, strict=True))

    def either(self, state: tuple[S, ...], other: tuple[S, ...]) -> tuple[S, ...]:
        """Return the state after one of two texts."""
        return tuple(part.either(one, two) for part, one, two in zip(self._parts, state, other, strict=True))

    def refused(self, state: tuple[S, ...]) -> Ids | None:
        """Return the ids that must not follow; None for none."""
        refused = [ids for part, one in zip(self._parts, state, strict=True) if (ids := part.refused(one)) is not None]
        return np.concatenate(refused) if refused else None

    def blocked(self, state: tuple[S, ...]) -> bool:
        """Return whether the text must not end here."""
        return any(part.blocked(one) for part, one in zip(self._parts, state, strict=True))
