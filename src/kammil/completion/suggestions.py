"""The most probable next words, or endings of the word at hand, with their exact probabilities.

Within a word its endings are suggested. Where few are probable enough, since the word may well be complete, next words
take the places that they leave, behind them. (All of them by probability: a list of three saves 28.5 % of the
keystrokes of lev30/validation in place of 28.7, for next words are shown again when the space is typed.)

A *suggestion* is closed: its probability is that of its characters, one after the other, and then of any character that
is no part of a word, or the end of the text. So the probabilities of all suggestions after a prefix sum to at most one,
and what is missing is the chance that the word is complete already, or that something else than a word comes next.

Suggestions are found by branch and bound. No word is more probable than any of its beginnings, so one that is not more
probable than the k best words found so far, or less than the threshold, is dropped with all that it begins. The rest is
tried level by level, all beginnings of one length in a single step of the model: states of different lengths do not fit
into one batch (a transformer's grows), and a step of 16 rows costs about twice a step of one. When no beginning is left
the k best are proven. A level holds `WIDTH` beginnings at most, the most probable, which bounds the work: a list may
then miss a word, but whatever it holds has its exact probability.

Shapes: R roots (prefixes searched together), N beginnings, V vocabulary.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError, OptionError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State, max_rows, select_rows
from kammil.text import open_word, role
from kammil.vocabulary import EOS, SPECIALS, CharacterVocabulary

MIN_PROBABILITY = 0.01
"""Less probable ones are not suggested. On lev30/validation a list of three saves 28.9 % of the keystrokes with a
threshold of 0.002, 28.7 % with this one, 27.8 % with 0.02, 24.8 % with 0.05; the share of lists that are of use rises
from 21 to 21, 22 and 29 % (docs/log.md#which-threshold-and-when-is-the-next-word-offered)."""
MAX_STATES = 12
"""Beginnings of one length at most. At 150 places of lev30/validation lists of three hold 99.3 % of the true ones' mass
with 6, 99.7 % with 8, 99.96 % with 12; 83 % of them are proven then, 91 % with 16, all with 24."""
MAX_CHARACTERS = 32
"""Characters of a suggestion at most: the longest of the 51,224 words of lev30/train and train_other, a hashtag, has
29."""

_Numbers = NDArray[np.float32]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Suggestion:
    """A word that may come next, or may be what the word at hand becomes."""

    text: str
    """The whole word as it would stand; of one beyond `text.MAX_OPEN_WORD` characters the end."""
    added: str
    """What has to be appended to the prefix: the word, its ending, or a space and the word."""
    probability: float
    """That exactly this comes next: `added`, and then no further character of a word."""


@dataclass(frozen=True)
class CharacterClasses:
    """What the ids of a vocabulary are to words, (V,) each."""

    begin: _Flags
    """Letters, digits, underscores."""
    continues: _Flags
    """These, marks and joiners."""
    words: _Flags
    """A word may end in these: no joiners."""
    close: _Numbers
    """1 for what ends a word: the end of the text, and characters outside words. UNK may be either, and is neither."""
    space: int | None

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary) -> Self:
        """Look at every character once."""
        roles = np.array([*[""] * SPECIALS, *map(role, vocabulary.characters)])
        begin, marks, joiners, outside = (roles == name for name in ("letter", "mark", "joiner", "outside"))
        outside[EOS] = True
        space = vocabulary.characters.index(" ") + SPECIALS if " " in vocabulary.characters else None
        return cls(begin, begin | marks | joiners, begin | marks, outside.astype(np.float32), space)


@dataclass
class WordSearch:
    """The k most probable closed words after each of R prefixes, which are searched together; see above.

    Args:
        runner: steps beginnings.
        letters: of the runner's vocabulary.
        k: words wanted for each prefix, one at least.
        threshold: less probable ones are not looked for.
        width: beginnings kept on a level for each prefix, fewer where a runner takes much memory for each; None keeps
            all.
        longest: characters of a suggestion at most, a space before it included.
    """

    runner: LanguageModel
    letters: CharacterClasses
    k: int = 3
    threshold: float = MIN_PROBABILITY
    width: int | None = MAX_STATES
    longest: int = MAX_CHARACTERS
    steps: int = field(default=0, init=False)
    """Steps so far, each prefix counted by itself: one that is searched alone takes as many calls of the runner."""
    optimal: int = field(default=0, init=False)
    """Prefixes whose list is certainly the k most probable words."""

    def run(
        self, prefixes: Sequence[str], log_probabilities: LogProbabilities, state: State
    ) -> list[list[tuple[Ids, float]]]:
        """The ids to append and their probability, for each prefix as the model sees it: the most probable first, but
        within a word its endings before next words, so that of one width a shorter list begins a longer one.

        Args:
            prefixes: R texts that have been read.
            log_probabilities: (R, V), of what follows them.
            state: after them.
        """
        length = max(map(len, prefixes), default=0) + self.longest
        each = max_rows(self.runner, self.width or 1, length)
        together = max_rows(self.runner, len(prefixes), length, each=each)
        if self.width is not None:
            self.width = each
        found: list[list[tuple[Ids, float]]] = []
        for begin in range(0, len(prefixes), together):
            some = slice(begin, begin + together)
            own = state if together >= len(prefixes) else tuple(array[some] for array in state)
            found += self._run(prefixes[some], log_probabilities[some], own)
        return found

    def _run(
        self, prefixes: Sequence[str], log_probabilities: LogProbabilities, state: State
    ) -> list[list[tuple[Ids, float]]]:
        """As `run`, all together."""
        p = np.exp(log_probabilities)  # (R, V)
        if not np.isfinite(p).all():
            raise FolderError(NO_PROBABILITIES)
        first = np.stack([self._first(prefix, row) for prefix, row in zip(prefixes, p, strict=True)])  # (R, V)
        found, proven = self._found(p, state, first, self.k)
        left = [i for i, prefix in enumerate(prefixes) if len(found[i]) < self.k and open_word(prefix)]
        if left and self.letters.space is not None:
            some = np.array(left)
            space = np.broadcast_to(np.arange(p.shape[1]) == self.letters.space, (len(some), p.shape[1]))
            most = self.k - min(len(found[i]) for i in left)
            more, sure = self._found(p[some], select_rows(state, some), space, most)
            proven[some] &= sure
            for i, words in zip(left, more, strict=True):
                found[i] += words[: self.k - len(found[i])]
        self.optimal += int(proven.sum())
        return found

    def _found(
        self, p: _Numbers, state: State, allowed: _Flags, k: int
    ) -> tuple[list[list[tuple[Ids, float]]], _Flags]:
        """The k best for each root, and whether they are proven, (R,), of probabilities (R, V) and of what may come
        first, (R, V)."""
        many, letters = len(p), self.letters  # N is R at first
        root, weight = np.arange(many), np.ones(many)  # (N,)
        found: list[list[tuple[float, int, int]]] = [[] for _ in range(many)]  # heaps: probability, level, place
        bar = np.zeros(many)  # what a word must beat, once there are k
        missed = np.zeros(many)  # the most probable beginning that was dropped for the width
        trail: list[tuple[Ids, Ids]] = []
        for level in range(self.longest):
            # What is too improbable to matter is left out first, with room for rounding; then it is looked at exactly.
            least = (np.maximum(bar[root], self.threshold) / weight * (1 - 1e-6)).astype(np.float32)  # (N,)
            parent, ids = np.nonzero((p >= least[:, None]) & allowed)
            reach, root = weight[parent] * p[parent, ids], root[parent]  # of the beginnings one character longer, (N,)
            kept = np.flatnonzero((reach >= self.threshold) & (reach > bar[root]))
            parent, ids, weight, root = parent[kept], ids[kept], reach[kept], root[kept]
            if self.width is not None and len(ids) > self.width:
                order = np.lexsort((-weight, root))
                rank = np.arange(len(order)) - np.searchsorted(root[order], root[order])
                kept = order[rank < self.width]
                over = order[rank >= self.width]
                np.maximum.at(missed, root[over], weight[over])
                parent, ids, weight, root = parent[kept], ids[kept], weight[kept], root[kept]
            if len(ids) == 0:
                break
            step, state = self.runner.step(ids, select_rows(state, parent))
            self.steps += len(np.unique(root))
            trail.append((parent, ids))
            p = np.exp(step)
            closed = weight * (p @ letters.close) * letters.words[ids]  # (N,)
            for place in np.flatnonzero((closed >= self.threshold) & (closed > bar[root])).tolist():
                heap, entry = found[root[place]], (float(closed[place]), -level, -place)
                if len(heap) < k:
                    heapq.heappush(heap, entry)
                else:
                    heapq.heappushpop(heap, entry)
                if len(heap) == k:
                    bar[root[place]] = heap[0][0]
            within = letters.continues[ids, None]  # else it is the space before a new word
            allowed = letters.continues if within.all() else np.where(within, letters.continues, letters.begin)
        else:
            reach = (p * weight[:, None] * allowed).max(axis=1)  # longer ones are not looked at
            np.maximum.at(missed, root, np.where(reach >= self.threshold, reach, 0))
        best = [[(_path(trail, -level, -place), q) for q, level, place in sorted(heap, reverse=True)] for heap in found]
        return best, missed <= bar

    def _first(self, prefix: str, p: _Numbers) -> _Flags:
        """Which ids may come first, (V,): in a word, whatever goes on with it; else what begins a word.

        After a sign a space may come first, and does if it is more probable than a word without one, so that no word is
        suggested twice: after a comma it does, after an opening bracket or the sign of a hashtag it does not.
        """
        letters = self.letters
        if open_word(prefix):
            return letters.continues
        space = np.arange(len(p)) == letters.space
        return space if prefix and not prefix[-1].isspace() and p @ space > p @ letters.begin else letters.begin


def suggest(
    runner: LanguageModel,
    vocabulary: CharacterVocabulary,
    letters: CharacterClasses,
    prefix: str,
    log_probabilities: LogProbabilities,
    state: State,
    *,
    k: int = 3,
    threshold: float = MIN_PROBABILITY,
) -> list[Suggestion]:
    """At most `k` suggestions after one prefix, none below `threshold`, in the order of `Search.run`.

    Args:
        runner: the model.
        vocabulary: its characters.
        letters: `Letters.of(vocabulary)`.
        prefix: as the model sees it.
        log_probabilities: (1, V), of what follows it.
        state: after it.
        k: how many.
        threshold: least probability.

    Raises: `OptionError` for k below 1, or a threshold that is no probability.
    """
    if k < 1:
        raise OptionError(f"k is {k}, but at least one suggestion must be asked for.")
    (found,) = WordSearch(runner, letters, k, checked(threshold), max(MAX_STATES, k)).run(
        [prefix], log_probabilities, state
    )
    return to_suggestions(vocabulary, prefix, found)


def to_suggestions(
    vocabulary: CharacterVocabulary, prefix: str, found: Sequence[tuple[Ids, float]]
) -> list[Suggestion]:
    """What a search has found after a prefix, as words."""
    made: list[Suggestion] = []
    begun = open_word(prefix)
    for ids, p in found:
        added = vocabulary.decode(ids)
        made.append(Suggestion(added[1:] if added.startswith(" ") else begun + added, added, p))
    return made


def checked(threshold: float) -> float:
    """The threshold; `OptionError` if it is no probability."""
    if not 0 <= threshold <= 1:
        raise OptionError(f"threshold is {threshold}, but it must be between 0 and 1, such as {MIN_PROBABILITY}.")
    return threshold


def _path(trail: Sequence[tuple[Ids, Ids]], level: int, place: int) -> Ids:
    """The ids from the root to a beginning."""
    path: list[int] = []
    for parent, ids in reversed(trail[: level + 1]):
        path.append(int(ids[place]))
        place = int(parent[place])
    return np.array(path[::-1], np.int64)
