"""Refusals of blocked words, of strings and of copies of training texts: each refuses ids, and has a state.

Where a text is silent (`data/blocklist.py`) nothing may follow. After a blocked word letters may, since ordinary words
begin so, but no separator, nor the end. Each character has the model's distribution on condition that it is not
refused; that is not the distribution over whole texts without blocked words. Shapes: B batch, V vocabulary, S states, C
classes of ids, N strings.
"""

from __future__ import annotations

import threading
import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from copy import copy
from functools import lru_cache
from itertools import groupby
from typing import Any, Protocol, TypeVar

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.data.blocklist import (
    SEPARATOR,
    BlockedWord,
    Blocklist,
    blocked_words,
    fold_character,
    rulers,
    silent_words,
)
from kammil.data.bloom import RUN, BloomFilter
from kammil.language_model import Ids
from kammil.text import fold
from kammil.vocabulary import EOS, CharacterVocabulary

S = TypeVar("S")
NO_LIMIT = 1 << 20
"""Characters left to write where none are counted."""
MAX_WORD_BLOCKS = 64
"""Maximum number of word blocks that are kept."""
MAX_TABLE_STATES, MAX_TABLE_CELLS = 1 << 12, 1 << 22
"""Maximum number of states, and of states times ids, in a table."""
_NONE = np.zeros(0, np.int64)


class Refusal(Protocol[S]):
    """Decides which ids may follow a text, by a state."""

    def start(self, text: str) -> S:
        """Return the state after a typed text."""
        ...

    def after(self, state: S, character: str) -> S:
        """Return the state after one more character."""
        ...

    def refused(self, state: S, room: int) -> Ids | None:
        """Return the ids that must not follow where `room` characters are left, if any."""
        ...

    def either(self, state: S, other: S) -> S:
        """Return the state after one of two texts; by default the first."""
        del other
        return state

    def blocked(self, state: S) -> bool:
        """Return whether the text must not end here."""
        del state
        return False


States = tuple[Any, ...]


class Refusals(Refusal[States]):
    """A list of refusals; `pieces` are the character of each id, or ""."""

    def __init__(self, parts: Sequence[Refusal[Any]] = (), pieces: Sequence[str] = ()) -> None:
        self.parts, self._pieces = tuple(parts), pieces
        self._only = self.parts[0] if len(self.parts) == 1 else None  # a fast path
        self._table: RefusalTable | None = None

    def start(self, text: str) -> States:
        """See `Refusal`."""
        return tuple(part.start(text) for part in self.parts)

    def after(self, state: States, character: str) -> States:
        """See `Refusal`."""
        if self._only is not None:
            return (self._only.after(state[0], character),)
        return tuple([part.after(one, character) for part, one in zip(self.parts, state, strict=True)])

    def either(self, state: States, other: States) -> States:
        """See `Refusal`."""
        return tuple(part.either(one, two) for part, one, two in zip(self.parts, state, other, strict=True))

    def refused(self, state: States, room: int = NO_LIMIT) -> Ids | None:
        """See `Refusal`."""
        if self._only is not None:
            return self._only.refused(state[0], room)
        found = (part.refused(one, room) for part, one in zip(self.parts, state, strict=True))
        refused = [ids for ids in found if ids is not None]
        return np.concatenate(refused) if refused else None

    def blocked(self, state: States) -> bool:
        """See `Refusal`."""
        if self._only is not None:
            return self._only.blocked(state[0])
        return any(part.blocked(one) for part, one in zip(self.parts, state, strict=True))

    def silent(self, *texts: str) -> bool:
        """Return whether nothing may follow one of some typed texts."""
        lists = [part.blocklist for part in self.parts if isinstance(part, WordBlock)]
        return any(words.silent(words.start(text)) for words in lists for text in texts)

    def table(self) -> RefusalTable:
        """Return the refusals as a table with room for a search."""
        if self._table is None or self._table.room < self._table.addresses[-1] // 4:
            self._table = RefusalTable(self, len(self._pieces))
        return self._table

    def after_id(self, state: States, id: int) -> States:
        """Return the states after one more id."""
        return self.after(state, self._pieces[id]) if self.parts else state

    def after_ids(self, state: States, ids: Iterable[int]) -> States | None:
        """Return the states after several ids; None where one is refused."""
        for id in ids:
            refused = self.refused(state)
            if refused is not None and id in refused:
                return None
            state = self.after_id(state, id)
        return state


NO_REFUSALS = Refusals()


class RefusalTable:
    """Refusals as one automaton in an array, which holds what was asked: states are numbered from 1."""

    def __init__(self, refusals: Refusals, size: int) -> None:
        self._refusals, self._states, self._lock = refusals, list[States]([()]), threading.Lock()
        self._numbers: dict[States, int] = {}
        capacity = min(MAX_TABLE_STATES, MAX_TABLE_CELLS // size)
        # (S, V): the state after an id, -1 where it is refused, 0 if not asked yet. Zeros take no memory.
        self._next, self._blocked = np.zeros((capacity, size), np.int32), np.zeros(capacity, np.uint8)
        self.addresses: tuple[int, int, int] = (self._next.ctypes.data, self._blocked.ctypes.data, capacity)
        """Where both arrays are, and how many states they have."""

    @property
    def room(self) -> int:
        """Number of states for which there is room."""
        return len(self._next) - len(self._states)

    def number(self, state: States) -> int:
        """Return the number of a state; 0 where there is no room."""
        with self._lock:
            if state not in self._numbers and self.room > 0:
                number = len(self._states)
                self._states.append(state)  # first: after an interrupt the number is no other state's
                if (refused := self._refusals.refused(state)) is not None:
                    self._next[number, refused] = -1
                self._blocked[number] = self._refusals.blocked(state)
                self._numbers[state] = number
            return self._numbers.get(state, 0)

    def learn(self, transitions: Iterable[Sequence[int]]) -> bool:
        """Make known which states follow numbered states and ids; return False where there is no room."""
        for number, id in transitions:
            self._next[number, id] = after = self.number(self._refusals.after_id(self._states[number], id))
            if not after:
                return False
        return True


class WordBlock:
    """Blocked words for the characters of a vocabulary: a `Refusal` whose states are the list's."""

    def __init__(self, blocklist: Blocklist, pieces: Sequence[str]) -> None:
        self._pieces = pieces
        self._set(blocklist)
        letters: dict[str, list[int]] = {}
        separators, self._ligatures = [EOS], dict[int, str]()
        for id, piece in enumerate(pieces):
            folded = fold_character(piece) if piece else ""
            if folded == SEPARATOR:
                separators.append(id)
            elif len(folded) == 1:
                letters.setdefault(folded, []).append(id)
            elif folded:
                self._ligatures[id] = folded
        self._letters = {letter: np.array(ids, np.int64) for letter, ids in letters.items()}
        self._separators = np.array(separators, np.int64)
        self._all: Ids = np.arange(len(pieces))
        self._all_letters = np.concatenate([_NONE, *self._letters.values(), np.array([*self._ligatures], np.int64)])

    def _set(self, blocklist: Blocklist) -> None:
        self.blocklist, self.start, self.after = blocklist, blocklist.start, blocklist.after
        self.either, self.blocked = blocklist.either, blocklist.blocked
        self._refused: dict[int, Ids | None] = {}
        self._refused_last: dict[int, Ids] = {}

    def without(self, exempt: Iterable[BlockedWord]) -> WordBlock:
        """Return the same without some words."""
        shorter = copy(self)
        shorter._set(self.blocklist.without(exempt))
        return shorter

    def refused(self, state: int, room: int = NO_LIMIT) -> Ids | None:
        """See `Refusal`."""
        if state not in self._refused:
            self._refused[state] = self._all if self.blocklist.silent(state) else self._find_refused(state)
        if room > 1:
            return self._refused[state]
        if state not in self._refused_last:  # and ends of blocked words
            ends = [id for id, piece in enumerate(self._pieces) if piece and self.blocked(self.after(state, piece))]
            refused = self._refused[state]
            self._refused_last[state] = np.append(_NONE if refused is None else refused, np.array(ends, np.int64))
        return self._refused_last[state]

    def _find_refused(self, state: int) -> Ids | None:
        letters, no_end = self.blocklist.refused(state)
        parts = [self._separators] if no_end else []
        if letters is None:
            parts.append(self._all_letters)
        else:
            parts += [self._letters[letter] for letter in letters if letter in self._letters]
            if not self.blocklist.idle(state):
                refused = [id for id, folded in self._ligatures.items() if self._ligature_refused(state, folded)]
                parts += [np.array(refused, np.int64)] if refused else []
        return np.concatenate(parts) if parts else None

    def _ligature_refused(self, state: int, folded: str) -> bool:
        for letter in folded:
            letters, no_end = self.blocklist.refused(state)
            if no_end if letter == SEPARATOR else letters is None or letter in letters:
                return True
            state = self.blocklist.after(state, letter)
        return False


class WordBlocks:
    """The blocked words of a model, `own` ones first, cached for the sets of words that users taught last."""

    def __init__(self, vocabulary: CharacterVocabulary, own: Sequence[BlockedWord] = ()) -> None:
        self._pieces, self.own = vocabulary.writable_pieces, tuple(own)
        self.get = lru_cache(MAX_WORD_BLOCKS)(self._get)
        """Cached: the block without exempt offensive words, or without all for None, and with rulers if `named`; None
        if it has no words."""
        self.refusals = lru_cache(MAX_WORD_BLOCKS)(self._refusals)
        """Cached: equal questions get the same refusals."""

    def _refusals(self, exempt: frozenset[BlockedWord] | None, forbid: tuple[str, ...]) -> Refusals:
        block, parts = self.get(exempt, named=False), list[Refusal[Any]]()
        if block is not None:
            parts.append(block)
        if forbid:
            parts.append(ForbiddenStrings(forbid, self._pieces))
        return Refusals(parts, self._pieces)

    def _get(self, exempt: frozenset[BlockedWord] | None, *, named: bool) -> WordBlock | None:
        if exempt:  # the own list holds anyway
            block = self.get(frozenset(), named=named)
            block = block and block.without(exempt.difference(self.own))
        else:
            words, more = silent_words() if exempt is None else blocked_words(), rulers() if named else ()
            words = Blocklist([*self.own, *words.entries, *more]) if self.own or more else words
            block = WordBlock(words, self._pieces)
        return block if block and block.blocklist.entries else None


class ForbiddenStrings(Refusal[int]):
    """Strings that are never written, as an automaton: a state is the longest end of the text that begins one of them
    (Aho & Corasick 1975)."""

    def __init__(self, strings: Sequence[str], pieces: Sequence[str]) -> None:
        number = {letter: i for i, letter in enumerate(sorted(set("".join(strings))))}
        self._number, self._other, self._longest = number, len(number), max(map(len, strings), default=0)
        self._class: Ids = np.array([number.get(piece, self._other) for piece in pieces], np.int64)  # (V,)
        to, found = _tree(strings, number)
        self._next: Ids = np.array(to, np.int64)  # (S, C)
        self._writes = np.array(found)[self._next]  # (S, C): whether a letter ends a forbidden string
        self._refused: dict[int, Ids | None] = {}

    def start(self, text: str) -> int:
        """Return the state after a typed text, which may end with any beginning of a forbidden string."""
        node = 0
        for letter in text[max(0, len(text) - self._longest) :]:
            node = self.after(node, letter)
        return node

    def after(self, state: int, character: str) -> int:
        """See `Refusal`."""
        return int(self._next[state, self._number.get(character, self._other)])

    def refused(self, state: int, room: int = NO_LIMIT) -> Ids | None:
        """See `Refusal`."""
        del room
        if state not in self._refused:
            ids = np.flatnonzero(self._writes[state][self._class])
            self._refused[state] = ids if len(ids) else None
        return self._refused[state]


def _tree(strings: Sequence[str], number: dict[str, int]) -> tuple[list[list[int]], list[bool]]:
    """Return each node's transitions by class, and whether a string ends there."""
    to, found = [[-1] * (len(number) + 1)], [False]
    for string in strings:
        node = 0
        for letter in string:
            if to[node][number[letter]] < 0:
                to[node][number[letter]] = len(to)
                to.append([-1] * len(to[0]))
                found.append(False)
            node = to[node][number[letter]]
        found[node] = True
    suffix, queue = [0] * len(to), deque([0])
    while queue:  # breadth first: a node's suffix is complete before it
        node = queue.popleft()
        for symbol, below in enumerate(to[node]):
            instead = to[suffix[node]][symbol] if node else 0
            if below < 0:
                to[node][symbol] = instead
            else:
                suffix[below] = instead
                found[below] |= found[instead]
                queue.append(below)
    return to, found


_ADDRESS = regex.compile(r"[@＠]|//|www\.", regex.IGNORECASE)
"""No text without these is one letter away from an address or handle."""
_BACK = 32
"""Number of last letters that one more character may change."""


class NoCopy(Refusal[str]):
    """No verbatim copy: the character is refused that would make a run of more than k copied letters (`text.fold`).

    Letters count as copied if the Bloom filter knows each of their runs of `RUN`. So no stretch of a training text is
    missed, and a new one is refused with probability q ** (k - 10), where q is the filter's share of false positives:
    0.05 as a rule, 0.4 at the maximum.
    """

    def __init__(self, k: int, runs: BloomFilter, pieces: Sequence[str]) -> None:
        self._k, self._runs, self._size = k, runs, len(pieces)
        folded = [fold(piece) for piece in pieces]
        joiners = [id for id, piece in enumerate(pieces) if piece and _joins(piece)]
        self._joiners = [(id, pieces[id]) for id in joiners]
        self._reach = 1 + max((len(folded[id]) for id in joiners), default=0)
        others = [id for id in range(len(pieces)) if folded[id] and id not in set(joiners)]
        # By width: with a ligature's 18 letters all others would be looked at in every step.
        widths = sorted({len(folded[id]) for id in others})
        self._others = {n: [(id, pieces[id], folded[id]) for id in others if len(folded[id]) == n] for n in widths}

    def start(self, text: str) -> str:
        """Return no text: only written letters count."""
        del text
        return ""

    def after(self, state: str, character: str) -> str:
        """See `Refusal`."""
        return state + character

    def refused(self, state: str, room: int = NO_LIMIT) -> Ids | None:
        """See `Refusal`."""
        del room
        text = state
        letters = fold(text)[-(self._k + _BACK) :]
        copied = RUN - 1 + _stretches(self._runs.contains([letters]))[0]  # (L - 11,)
        last = min(len(letters), RUN - 1 if len(copied) == 0 else int(copied[-1]))
        longer: list[tuple[int, str]] = []
        for width, pieces in self._others.items():
            if last + width > self._k:
                if _ADDRESS.search(text):  # one more letter may make an address
                    longer += [(id, fold(text + piece)) for id, piece, _ in pieces]
                else:
                    longer += [(id, letters[-self._k :] + folded) for id, _, folded in pieces]
        if copied[-_BACK:].max(initial=last) + self._reach > self._k:
            longer += [(id, fold(text + piece)) for id, piece in self._joiners]
        if not longer:
            return None
        refused = np.zeros(self._size, np.bool_)
        longer = [(id, tail[-(self._k + _BACK) :]) for id, tail in longer]
        for _, group in groupby(sorted(longer, key=lambda one: len(one[1])), key=lambda one: len(one[1])):
            ids, texts = zip(*group, strict=True)
            most = _stretches(self._runs.contains(texts)).max(axis=1, initial=0)  # (N,)
            refused[list(ids)] = most + RUN - 1 > self._k
        return np.flatnonzero(refused) if refused.any() else None


def _joins(piece: str) -> bool:
    first = unicodedata.normalize("NFKD", piece)[0]
    return unicodedata.category(first)[0] == "M" or "\u1100" <= first <= "\u11ff"


def _stretches(known: NDArray[np.bool_]) -> NDArray[np.int64]:
    count = known.cumsum(axis=1)
    return count - np.maximum.accumulate(np.where(known, 0, count), axis=1)
