"""The most probable next words, or endings of the current word, with their exact probabilities.

Within a word its endings are suggested; if fewer than k are probable enough, next words fill the rest of the list.
Where the word is more probably complete than not, next words come first, and then those endings that somebody may
want. (The simulated writer saves 0.7 points of keystrokes less than with endings first, for next words are shown again
when the space is typed; but a person who has written a whole word reads a list of longer ones in vain:
docs/log.md#what-comes-after-a-whole-word.)

A *suggestion* is closed: its probability is that of its characters, one after the other, and then of any character that
is no part of a word, or the end of the text. So the probabilities of all suggestions after a prefix sum to at most one;
the rest is the probability that the word is complete already, or that something else than a word comes next.

Suggestions are found by branch and bound. No word is more probable than any of its beginnings, so a beginning that is
less probable than the threshold, or not more probable than the k best words found so far, is dropped with all its
words. The others are extended level by level, all beginnings of one length in a single step of the model: states of
different lengths do not fit into one batch (a transformer's grows), and a step of 16 rows costs about twice a step of
one. When no beginning is left the k best are proven. A level keeps at most `MAX_STATES` beginnings, the most probable,
which bounds the work: a list may then miss a word, but the probabilities in it are exact.

Shapes: R roots (prefixes searched together), N beginnings, V vocabulary.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.decoding.word_block import Refusals
from kammil.errors import FolderError, OptionError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State, max_rows, select_rows
from kammil.text import open_word, role
from kammil.vocabulary import EOS, SPECIALS, CharacterVocabulary

MIN_PROBABILITY = 0.01
"""Least probability of a suggestion. On lev30/validation a list of three saves 28.9 % of the keystrokes with a
threshold of 0.002, 28.7 % with this one, 27.8 % with 0.02, 24.8 % with 0.05; the share of useful lists rises from 21 to
21, 22 and 29 % (docs/log.md#which-threshold-and-when-is-the-next-word-offered)."""
MIN_ENDING_OF_COMPLETE = 0.05
"""Least probability of an ending where the word at hand is more probably complete: longer words that nobody wants
there would be in the way of next words (docs/log.md#what-comes-after-a-whole-word)."""
MAX_STATES = 12
"""Most beginnings of one length. At 150 positions of lev30/validation lists of three hold 99.3 % of the probability of
the true ones with 6, 99.7 % with 8, 99.96 % with 12; 83 % of them are proven then, 91 % with 16, all with 24."""
MAX_CHARACTERS = 32
"""Most characters of a suggestion: the longest of the 51,224 words of lev30/train and train_other, a hashtag, has
29."""

_Floats = NDArray[np.float32]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Suggestion:
    """A suggested word: a next word, or the current word completed."""

    text: str
    """The whole word as it would stand; of a word beyond `text.MAX_OPEN_WORD` characters only its end."""
    added: str
    """Text to append to the prefix: the word, its ending, or a space and the word."""
    probability: float
    """Probability that exactly `added` comes next, and then no further character of a word."""


@dataclass(frozen=True)
class CharacterClasses:
    """Classes of the ids of a vocabulary by their role in words, (V,) each."""

    begin: _Flags
    """Ids that may begin a word: letters, digits, underscores."""
    continues: _Flags
    """Ids that may continue a word: those, marks and joiners."""
    words: _Flags
    """Ids that a word may end in: letters, digits, underscores and marks, no joiners."""
    close: _Floats
    """1 for ids that end a word: EOS, and characters outside words. UNK may be inside or outside, and is neither."""
    space: int | None
    """Id of the space; None if the vocabulary has none."""

    def complete(self, prefixes: Sequence[str], p: _Floats) -> NDArray[np.float64]:
        """Return for each of R prefixes the probability that its last word is complete, (R,); 0 outside words.

        `p` are the probabilities of what follows them, (R, V).
        """
        inside = np.array([bool(open_word(prefix)) for prefix in prefixes])
        return np.where(inside, p.astype(np.float64) @ self.close, 0.0)

    @classmethod
    def of(cls, vocabulary: CharacterVocabulary) -> Self:
        """Classify the ids of a vocabulary."""
        roles = np.array([*[""] * SPECIALS, *map(role, vocabulary.characters)])
        begin, marks, joiners, outside = (roles == name for name in ("letter", "mark", "joiner", "outside"))
        outside[EOS] = True
        space = vocabulary.characters.index(" ") + SPECIALS if " " in vocabulary.characters else None
        return cls(begin, begin | marks | joiners, begin | marks, outside.astype(np.float32), space)


@dataclass
class WordSearch:
    """Branch-and-bound search of the k most probable closed words after each of R prefixes; see above.

    Args:
        model: steps beginnings.
        classes: of the model's vocabulary.
        k: words wanted for each prefix, at least one.
        threshold: least probability of a word.
        width: most beginnings kept on a level for each prefix, fewer for a model with large states; None keeps all.
        max_characters: most characters of a suggestion, a space before it included.
        refusals: what is not suggested, however probable; None for nothing.
    """

    model: LanguageModel
    classes: CharacterClasses
    k: int = 3
    threshold: float = MIN_PROBABILITY
    width: int | None = MAX_STATES
    max_characters: int = MAX_CHARACTERS
    refusals: Refusals[Any] | None = None
    steps: int = field(default=0, init=False)
    """Model steps so far, summed over prefixes: the calls of the model if each were searched alone."""
    optimal: int = field(default=0, init=False)
    """Number of prefixes whose list is proven to be the k most probable words."""

    def run(
        self, prefixes: Sequence[str], log_probabilities: LogProbabilities, state: State
    ) -> list[list[tuple[Ids, float]]]:
        """Search; returns for each prefix the ids to append and their probability, most probable first.

        Within a word its endings come before next words, or next words before its endings, so that for one width a
        shorter list begins a longer one.

        Args:
            prefixes: R texts as the model sees them, which it has read.
            log_probabilities: (R, V), of what follows them.
            state: after them.
        """
        length = max(map(len, prefixes), default=0) + self.max_characters
        per_prefix = max_rows(self.model, self.width or 1, length)
        batch_size = max_rows(self.model, len(prefixes), length, each=per_prefix)
        if self.width is not None:
            self.width = per_prefix
        found: list[list[tuple[Ids, float]]] = []
        for begin in range(0, len(prefixes), batch_size):
            part = slice(begin, begin + batch_size)
            part_state = state if batch_size >= len(prefixes) else tuple(array[part] for array in state)
            found += self._run_batch(prefixes[part], log_probabilities[part], part_state)
        return found

    def _run_batch(
        self, prefixes: Sequence[str], log_probabilities: LogProbabilities, state: State
    ) -> list[list[tuple[Ids, float]]]:
        """Search all prefixes in one batch; see `run`."""
        p = np.exp(log_probabilities)  # (R, V)
        if not np.isfinite(p).all():
            raise FolderError(NO_PROBABILITIES)
        allowed = np.stack([self._first_ids(prefix, row) for prefix, row in zip(prefixes, p, strict=True)])  # (R, V)
        marks = [None if self.refusals is None else self.refusals.start(prefix) for prefix in prefixes]
        found, proven = self._search(p, state, allowed, self.k, marks)
        complete = self.classes.complete(prefixes, p) > 0.5  # (R,)
        for i in np.flatnonzero(complete).tolist():
            found[i] = [(ids, q) for ids, q in found[i] if q >= MIN_ENDING_OF_COMPLETE]
        unfilled = [
            i for i, prefix in enumerate(prefixes) if complete[i] or (len(found[i]) < self.k and open_word(prefix))
        ]
        if unfilled and self.classes.space is not None:
            rows = np.array(unfilled)
            space = np.broadcast_to(np.arange(p.shape[1]) == self.classes.space, (len(rows), p.shape[1]))
            wanted = max(self.k if complete[i] else self.k - len(found[i]) for i in unfilled)
            next_words, next_proven = self._search(
                p[rows], select_rows(state, rows), space, wanted, [marks[i] for i in unfilled]
            )
            proven[rows] &= next_proven
            for i, words in zip(unfilled, next_words, strict=True):
                found[i] = (words + found[i] if complete[i] else found[i] + words)[: self.k]
        self.optimal += int(proven.sum())
        return found

    def _search(
        self, p: _Floats, state: State, allowed: _Flags, k: int, marks: list[Any]
    ) -> tuple[list[list[tuple[Ids, float]]], _Flags]:
        """Search the k best words of each root; returns them, and whether they are proven, (R,).

        `p` are the probabilities after the roots, (R, V), `allowed` the ids that may come first, (R, V), `marks` the
        states of the refusals there.
        """
        p = self._without_refused(p, marks)
        num_roots, classes = len(p), self.classes  # N is R at first
        root, weight = np.arange(num_roots), np.ones(num_roots)  # (N,)
        found: list[list[tuple[float, int, int]]] = [[] for _ in range(num_roots)]  # heaps: probability, level, row
        to_beat = np.zeros(num_roots)  # the k-th best probability, once there are k words
        dropped = np.zeros(num_roots)  # the most probable beginning that was dropped for the width
        levels: list[tuple[Ids, Ids]] = []
        for level in range(self.max_characters):
            # A first comparison in single precision, with room for rounding, leaves few candidates for the exact one.
            least = (np.maximum(to_beat[root], self.threshold) / weight * (1 - 1e-6)).astype(np.float32)  # (N,)
            parent, ids = np.nonzero((p >= least[:, None]) & allowed)
            reach, root = weight[parent] * p[parent, ids], root[parent]  # probabilities of longer beginnings, (N,)
            kept = np.flatnonzero((reach >= self.threshold) & (reach > to_beat[root]))
            parent, ids, weight, root = parent[kept], ids[kept], reach[kept], root[kept]
            if self.width is not None and len(ids) > self.width:
                order = np.lexsort((-weight, root))
                rank = np.arange(len(order)) - np.searchsorted(root[order], root[order])
                kept = order[rank < self.width]
                over = order[rank >= self.width]
                np.maximum.at(dropped, root[over], weight[over])
                parent, ids, weight, root = parent[kept], ids[kept], weight[kept], root[kept]
            if len(ids) == 0:
                break
            step, state = self.model.step(ids, select_rows(state, parent))
            self.steps += len(np.unique(root))
            levels.append((parent, ids))
            p = np.exp(step)
            closed = weight * (p @ classes.close) * classes.words[ids]  # (N,)
            if (refusals := self.refusals) is not None:
                marks = [refusals.after(marks[i], id) for i, id in zip(parent.tolist(), ids.tolist(), strict=True)]
                p = self._without_refused(p, marks)
            for index in np.flatnonzero((closed >= self.threshold) & (closed > to_beat[root])).tolist():
                if refusals is not None and refusals.blocked(marks[index]):
                    continue
                heap, entry = found[root[index]], (float(closed[index]), -level, -index)
                if len(heap) < k:
                    heapq.heappush(heap, entry)
                else:
                    heapq.heappushpop(heap, entry)
                if len(heap) == k:
                    to_beat[root[index]] = heap[0][0]
            within = classes.continues[ids, None]  # False for the space before a new word
            allowed = classes.continues if within.all() else np.where(within, classes.continues, classes.begin)
        else:
            reach = (p * weight[:, None] * allowed).max(axis=1)  # longer beginnings are dropped
            np.maximum.at(dropped, root, np.where(reach >= self.threshold, reach, 0))
        words = [
            [(_path(levels, -level, -index), q) for q, level, index in sorted(heap, reverse=True)] for heap in found
        ]
        return words, dropped <= to_beat

    def _without_refused(self, p: _Floats, marks: Sequence[Any]) -> _Floats:
        """Return the probabilities, (N, V), negative where an id must not follow."""
        copied = False
        for row, mark in enumerate(marks if self.refusals is not None else ()):
            assert self.refusals is not None
            if (refused := self.refusals.refused(mark)) is not None:
                p, copied = (p if copied else p.copy()), True
                p[row, refused] = -1
        return p

    def _first_ids(self, prefix: str, p: _Floats) -> _Flags:
        """Return which ids may come first, (V,): those that continue the current word, or else begin a word.

        After a sign it is a space if that is more probable than a word without one: after a comma, but not after an
        opening bracket or the sign of a hashtag. Both are never allowed, so no word is suggested twice.
        """
        classes = self.classes
        if open_word(prefix):
            return classes.continues
        space = np.arange(len(p)) == classes.space
        return space if prefix and not prefix[-1].isspace() and p @ space > p @ classes.begin else classes.begin


def suggest(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    classes: CharacterClasses,
    prefix: str,
    log_probabilities: LogProbabilities,
    state: State,
    *,
    k: int = 3,
    threshold: float = MIN_PROBABILITY,
    refusals: Refusals[Any] | None = None,
) -> list[Suggestion]:
    """Suggest at most `k` words after one prefix, none below `threshold`, in the order of `WordSearch.run`.

    Args:
        model: the language model.
        vocabulary: its characters.
        classes: `CharacterClasses.of(vocabulary)`.
        prefix: as the model sees it.
        log_probabilities: (1, V), of what follows the prefix.
        state: after the prefix.
        k: most suggestions.
        threshold: least probability of each.
        refusals: see `WordSearch`.

    Raises: `OptionError` for k below 1, or a threshold that is no probability.
    """
    if k < 1:
        raise OptionError(f"k is {k}, but at least one suggestion must be asked for.")
    search = WordSearch(model, classes, k, check_threshold(threshold), max(MAX_STATES, k), refusals=refusals)
    (found,) = search.run([prefix], log_probabilities, state)
    return to_suggestions(vocabulary, prefix, found)


def to_suggestions(
    vocabulary: CharacterVocabulary, prefix: str, found: Sequence[tuple[Ids, float]]
) -> list[Suggestion]:
    """Convert the results of a search after a prefix to suggestions."""
    suggestions: list[Suggestion] = []
    open_part = open_word(prefix)
    for ids, p in found:
        added = vocabulary.decode(ids)
        suggestions.append(Suggestion(added[1:] if added.startswith(" ") else open_part + added, added, p))
    return suggestions


def check_threshold(threshold: float) -> float:
    """Return the threshold; `OptionError` if it is no probability."""
    if not 0 <= threshold <= 1:
        raise OptionError(f"threshold is {threshold}, but it must be between 0 and 1, such as {MIN_PROBABILITY}.")
    return threshold


def _path(levels: Sequence[tuple[Ids, Ids]], level: int, index: int) -> Ids:
    """Return the ids from the root to a beginning, given its level and its row there."""
    path: list[int] = []
    for parent, ids in reversed(levels[: level + 1]):
        path.append(int(ids[index]))
        index = int(parent[index])
    return np.array(path[::-1], np.int64)
