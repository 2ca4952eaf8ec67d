"""The most probable next words, or endings of the current word, with their exact probabilities.

Within a word its endings are suggested; if fewer than k are probable enough, next words fill the rest of the list.
Where the word is more probably complete than not, next words come first, and then those endings that somebody may
want. (The simulated writer saves 0.7 points of keystrokes less than with endings first, for next words are shown again
when the space is typed; but a person who has written a whole word reads a list of longer ones in vain:
docs/log.md#what-comes-after-a-whole-word.)

A *suggestion* is closed: its probability is that of its characters, one after the other, and then of any character that
is no part of a word, or the end of the text. So the probabilities of all suggestions after a prefix sum to at most one;
the rest is the probability that the word is complete already, or that something else than a word comes next.

In a script without spaces (`text.UNSPACED_SCRIPTS`) nothing closes a word, and a *piece* is suggested: the next
letters, up to `MAX_PIECE` characters. Its probability is that of its letters. A list has the pieces that save most keys
on the average, one after the other: the first has the highest probability times the keys that a tap saves, its letters
but one; the next one saves most beyond those before it, and so on (`choose_pieces`). So of two pieces, one the
beginning of the other, both are suggested only where the text may well go on differently: a piece ends where the model
is no longer certain. Single letters, which save no key, fill the rest of the list. Words of other scripts stand between
pieces by the same measure.

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
from kammil.text import ends_unspaced, graphemes, open_word, role
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
MAX_PIECE = 8
"""Most characters of a piece of a script without spaces. In Japanese translations five pieces save 30.0 % of the
keystrokes with 4, 31.6 % with 6, 32.0 % with 8, 32.2 % with 12; in Chinese messages no more with 8 than with 4."""
MIN_UNSPACED_LETTERS = 0.1
"""Least share of the letters of a vocabulary that are of scripts without spaces, for pieces to be searched. Of Arabic
posts the letters of a few emoticons are."""
_SINGLE = 0.01
"""Keys that a tap on a single letter saves, by an estimate that puts it behind everything that saves more. It takes the
place of one key, but of several where an input method spells the letter. With 0.5 five suggestions save 8.8 % of the
keys of Chinese messages in place of 10.3 %; but if a Han letter took two keys, 25 in place of 20 %."""

_Floats = NDArray[np.float32]
_Flags = NDArray[np.bool_]
_Pieces = dict[tuple[int, ...], float]
"""Ids of pieces, and their probabilities."""


@dataclass(frozen=True)
class Suggestion:
    """A suggested word: a next word, or the current word completed; in a script without spaces, the next letters."""

    text: str
    """The whole word as it would stand, or the piece; of a word beyond `text.MAX_OPEN_WORD` characters only its end."""
    added: str
    """Text to append to the prefix: the word, its ending, or a space and the word."""
    probability: float
    """Probability that exactly `added` comes next, and then no further character of a word, or of the last letter in a
    script without spaces."""


@dataclass(frozen=True)
class CharacterClasses:
    """Classes of the ids of a vocabulary by their role in words, (V,) each."""

    begin: _Flags
    """Ids that may begin a word: letters, digits, underscores."""
    continues: _Flags
    """Ids that may continue a word: those, marks and joiners; no unspaced letters."""
    words: _Flags
    """Ids that a word may end in: letters, digits, underscores and marks, no joiners."""
    close: _Floats
    """1 for ids that end a word: EOS, characters outside words, and unspaced letters. UNK may be inside or outside, and
    is neither."""
    unspaced: _Flags
    """Ids of letters of scripts without spaces; none where they are too few (`MIN_UNSPACED_LETTERS`)."""
    extends: _Flags
    """Ids that belong to the character before them: marks, joiners, and what extends a grapheme."""
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
        letters, unspaced, marks, joiners, outside = (
            roles == name for name in ("letter", "unspaced", "mark", "joiner", "outside")
        )
        begin = letters | unspaced
        if unspaced.sum() < MIN_UNSPACED_LETTERS * begin.sum():
            letters, unspaced = begin, np.zeros_like(begin)
        outside |= unspaced
        outside[EOS] = True
        space = vocabulary.characters.index(" ") + SPECIALS if " " in vocabulary.characters else None
        extends = marks | joiners | (roles == "neither")
        close = outside.astype(np.float32)
        return cls(begin, letters | marks | joiners, begin | marks, close, unspaced, extends, space)


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
        max_piece: the same of a piece of a script without spaces.
    """

    model: LanguageModel
    classes: CharacterClasses
    k: int = 3
    threshold: float = MIN_PROBABILITY
    width: int | None = MAX_STATES
    max_characters: int = MAX_CHARACTERS
    refusals: Refusals[Any] | None = None
    max_piece: int = MAX_PIECE
    steps: int = field(default=0, init=False)
    """Model steps so far, summed over prefixes: the calls of the model if each were searched alone."""
    optimal: int = field(default=0, init=False)
    """Number of prefixes whose list is proven to be the k most probable words, or the pieces that save most."""

    def run(
        self, prefixes: Sequence[str], log_probabilities: LogProbabilities, state: State
    ) -> list[list[tuple[Ids, float]]]:
        """Search; returns for each prefix the ids to append and their probability, most probable first.

        Pieces of a script without spaces stand where they save as much as the words around them. Within a word its
        endings come before next words, or next words before its endings. So for one width a shorter list begins a
        longer one.

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
        unspaced = np.array([ends_unspaced(prefix) for prefix in prefixes])  # (R,)
        found, proven = self._search(p, state, allowed, self.k, unspaced, marks)
        complete = self.classes.complete(prefixes, p) > 0.5  # (R,)
        pieces: dict[int, list[tuple[Ids, float]]] = {}  # right behind a complete word: next words, as those below
        for i in np.flatnonzero(complete).tolist():
            pieces[i] = [(ids, q) for ids, q in found[i] if self.classes.unspaced[ids[0]]]
            found[i] = [
                (ids, q) for ids, q in found[i] if q >= MIN_ENDING_OF_COMPLETE and not self.classes.unspaced[ids[0]]
            ]
        unfilled = [
            i for i, prefix in enumerate(prefixes) if complete[i] or (len(found[i]) < self.k and open_word(prefix))
        ]
        if unfilled and self.classes.space is not None:
            rows = np.array(unfilled)
            space = np.broadcast_to(np.arange(p.shape[1]) == self.classes.space, (len(rows), p.shape[1]))
            wanted = max(self.k if complete[i] else self.k - len(found[i]) for i in unfilled)
            inside = np.zeros(len(rows), np.bool_)
            next_words, next_proven = self._search(
                p[rows], select_rows(state, rows), space, wanted, inside, [marks[i] for i in unfilled]
            )
            proven[rows] &= next_proven
            for i, spaced in zip(unfilled, next_words, strict=True):
                words = self._merge(spaced, pieces.pop(i, []))
                found[i] = (words + found[i] if complete[i] else found[i] + words)[: self.k]
        for i, words in pieces.items():  # the vocabulary has no space
            found[i] = (words + found[i])[: self.k]
        self.optimal += int(proven.sum())
        return found

    def _search(
        self, p: _Floats, state: State, allowed: _Flags, k: int, piece: _Flags, marks: list[Any]
    ) -> tuple[list[list[tuple[Ids, float]]], _Flags]:
        """Search the k best words and pieces of each root; returns them, and whether they are proven, (R,).

        `p` are the probabilities after the roots, (R, V), `allowed` the ids that may come first, (R, V), `piece` tells
        which roots end in an unspaced letter, to which marks may belong, (R,), and `marks` are the states of the
        refusals at the roots.
        """
        p = self._without_refused(p, marks)
        num_roots, classes = len(p), self.classes  # N is R at first
        root, weight = np.arange(num_roots), np.ones(num_roots)  # (N,)
        found: list[list[tuple[float, int, int]]] = [[] for _ in range(num_roots)]  # heaps: probability, level, row
        to_beat = np.zeros(num_roots)  # the k-th best probability, once there are k words
        dropped = np.zeros(num_roots)  # the most probable beginning that was dropped for the width
        dropped_piece = np.zeros(num_roots)
        candidates: list[_Pieces] = [{} for _ in range(num_roots)]
        within_piece = classes.unspaced | (classes.extends & classes.continues)  # (V,)
        levels: list[tuple[Ids, Ids]] = []
        for level in range(self.max_characters):
            # A first comparison in single precision, with room for rounding, leaves few candidates for the exact one.
            to_beat_by = np.where(piece, 0, to_beat[root])
            least = (np.maximum(to_beat_by, self.threshold) / weight * (1 - 1e-6)).astype(np.float32)  # (N,)
            parent, ids = np.nonzero((p >= least[:, None]) & allowed)
            reach, root = weight[parent] * p[parent, ids], root[parent]  # probabilities of longer beginnings, (N,)
            piece = classes.unspaced[ids] | (piece[parent] & classes.extends[ids])
            kept = np.flatnonzero((reach >= self.threshold) & (piece | (reach > to_beat[root])))
            parent, ids, weight, root, piece = parent[kept], ids[kept], reach[kept], root[kept], piece[kept]
            if self.width is not None and len(ids) > self.width:
                order = np.lexsort((-weight, root))
                rank = np.arange(len(order)) - np.searchsorted(root[order], root[order])
                kept = order[rank < self.width]
                over = order[rank >= self.width]
                np.maximum.at(dropped, root[over], weight[over] * ~piece[over])
                np.maximum.at(dropped_piece, root[over], weight[over] * piece[over])
                parent, ids, weight, root, piece = parent[kept], ids[kept], weight[kept], root[kept], piece[kept]
            if len(ids) == 0:
                break
            step, state = self.model.step(ids, select_rows(state, parent))
            self.steps += len(np.unique(root))
            levels.append((parent, ids))
            p = np.exp(step)
            closed = weight * (p @ classes.close) * classes.words[ids] * ~piece  # (N,)
            separate = weight * (1 - p @ classes.extends.astype(np.float32)) * classes.words[ids] * piece  # (N,)
            marks = self._marks_after([marks[i] for i in parent.tolist()], ids)
            p = self._without_refused(p, marks)
            self._take_words(found, to_beat, closed, root, marks, k, level)
            within = classes.continues[ids, None]  # False for the space before a new word
            allowed = classes.continues if within.all() else np.where(within, classes.continues, classes.begin)
            if piece.any():
                longer = within_piece & (level + 1 < self.max_piece)
                allowed = np.where(piece[:, None], longer, allowed)
                for index in np.flatnonzero(piece & (separate >= self.threshold)).tolist():
                    if not self._is_blocked(marks[index]):
                        candidates[root[index]][tuple(_path(levels, level, index).tolist())] = float(separate[index])
        else:
            reach = (p * weight[:, None] * allowed).max(axis=1)  # longer beginnings are dropped
            np.maximum.at(dropped, root, np.where(reach >= self.threshold, reach, 0))
        words = [
            [(_path(levels, -level, -index), q) for q, level, index in sorted(heap, reverse=True)] for heap in found
        ]
        return self._with_pieces(words, candidates, dropped <= to_beat, dropped_piece, k)

    def _take_words(
        self,
        found: list[list[tuple[float, int, int]]],
        to_beat: NDArray[np.float64],
        closed: NDArray[np.float64],
        root: Ids,
        marks: Sequence[Any],
        k: int,
        level: int,
    ) -> None:
        """Push the words that end on this level to the heaps of their roots, and raise what is to be beaten."""
        for index in np.flatnonzero((closed >= self.threshold) & (closed > to_beat[root])).tolist():
            if self._is_blocked(marks[index]):
                continue
            heap, entry = found[root[index]], (float(closed[index]), -level, -index)
            if len(heap) < k:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)
            if len(heap) == k:
                to_beat[root[index]] = heap[0][0]

    def _with_pieces(
        self,
        words: list[list[tuple[Ids, float]]],
        candidates: Sequence[_Pieces],
        proven: _Flags,
        dropped: NDArray[np.float64],
        k: int,
    ) -> tuple[list[list[tuple[Ids, float]]], _Flags]:
        """Merge the words of each root with the pieces to be chosen; returns them, and whether all are proven, (R,).

        `proven` tells that of the words, and `dropped` the most probable piece whose continuations were not searched.
        """
        for i in range(len(words)):
            if candidates[i] or dropped[i] > 0:
                chosen, least_gain = choose_pieces(candidates[i], k)
                proven[i] &= dropped[i] * (self.max_piece - 1) <= least_gain
                words[i] = self._merge(words[i], chosen)[:k]
        return words, proven

    def _merge(self, words: list[tuple[Ids, float]], others: list[tuple[Ids, float]]) -> list[tuple[Ids, float]]:
        """Merge two lists by the keys that they save on the average; both keep their order, so that of each the first
        few stand in a shorter list too. The key that takes a word is paid for by the space that comes with it."""

        def saving(found: tuple[Ids, float]) -> float:
            return -found[1] * (len(found[0]) - int(self.classes.unspaced[found[0]].any()))

        return list(heapq.merge(words, others, key=saving)) if others else words

    def _marks_after(self, marks: list[Any], ids: Ids) -> list[Any]:
        """Return the states of the refusals after one more id each."""
        if self.refusals is None:
            return marks
        return [self.refusals.after(mark, id) for mark, id in zip(marks, ids.tolist(), strict=True)]

    def _is_blocked(self, mark: object) -> bool:
        return self.refusals is not None and self.refusals.blocked(mark)

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
        opening bracket or the sign of a hashtag. Both are never allowed, so no word is suggested twice. A letter of a
        script without spaces may get a mark; what follows it is decided as after a sign.
        """
        classes = self.classes
        if open_word(prefix):
            return classes.continues | classes.unspaced
        space = np.arange(len(p)) == classes.space
        first = space if prefix and not prefix[-1].isspace() and p @ space > p @ classes.begin else classes.begin
        return first | (classes.extends & classes.continues) if ends_unspaced(prefix) else first


def choose_pieces(candidates: _Pieces, k: int) -> tuple[list[tuple[Ids, float]], float]:
    """Choose the k pieces that save most keys together, one after the other.

    A writer takes the longest of the pieces that are right, for one key. So a piece adds, with the probability that the
    text goes on with it and with none of the longer ones that were chosen, its letters beyond those of the longest
    chosen one that it begins with. What a piece adds only falls as others are chosen (the saving is submodular), which
    makes the greedy choice at least 1 - 1/e of the best one (Nemhauser, Wolsey & Fisher 1978), and lets a heap hold
    bounds that are renewed only at its top.

    Args:
        candidates: the pieces.
        k: most pieces.

    Returns: ids and probabilities in the order of the choice, and what the last of k pieces adds; 0 if they are fewer.
    """
    chosen: dict[tuple[int, ...], float] = {}

    def gain(path: tuple[int, ...]) -> float:
        shorter = max((len(other) for other in chosen if path[: len(other)] == other), default=1 - _SINGLE)
        longer = [other for other in chosen if other[: len(path)] == path]
        nearest = [one for one in longer if not any(one != other and one[: len(other)] == other for other in longer)]
        return (candidates[path] - sum(chosen[one] for one in nearest)) * (len(path) - shorter)

    bounds = [(-p * (len(path) - 1 + _SINGLE), path) for path, p in candidates.items()]
    heapq.heapify(bounds)
    least = 0.0
    while bounds and len(chosen) < k:
        _, path = heapq.heappop(bounds)
        least = gain(path)
        if bounds and -least > bounds[0][0]:
            heapq.heappush(bounds, (-least, path))
        elif least > 0:
            chosen[path] = candidates[path]
    return [(np.array(path, np.int64), p) for path, p in chosen.items()], least if len(chosen) == k else 0.0


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
    last_letter = graphemes(prefix[-MAX_CHARACTERS:])[-1] if ends_unspaced(prefix) else ""
    for ids, p in found:
        added = vocabulary.decode(ids)
        first = role(added[0])
        before = "" if first == "unspaced" else last_letter if first == "mark" and last_letter else open_part
        suggestions.append(Suggestion(added[1:] if added.startswith(" ") else before + added, added, p))
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
