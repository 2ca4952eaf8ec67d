"""Keystrokes saved: a simulated writer types texts with the help of suggestions.

As in Trnka & McCoy 2008 ("Evaluating word prediction: framing keystroke savings"): the writer types character by
character. At every position, also before a word's first letter, they look at the suggestions, and as soon as one is the
word that they are going to write they accept it, for one key. Wrong suggestions cost nothing: they are ignored. The
saving is 1 - keys with help / keys without, over all texts.

*The space after a word.* The writer knows the text; the interface knows only what stands on the screen. So the
interface types a space after every accepted word (`text.space_after`), whatever comes next, and every key that this
costs is counted. If the text has a space there, the key for it is saved. If a comma follows, the comma replaces the
space: nothing is saved, nothing is lost. If the text has a space and then a comma, the writer types the space. Before
anything else, and at the end of the text, the space has to be deleted: one key, Backspace. The writer accepts a word
because it is the right one and does not look ahead, even where deleting the space costs more than typing the last
letter would have.

A key is counted for each character (code point), with and without help, and one for a tap or a chord: a letter that
needs two keys counts as one, and so does Ctrl with an arrow.

*Slips.* With `slips` some letters are typed wrong and stay wrong. A suggestion that replaces the begun word
(`Suggestion.replaces`) is accepted for the one key if the word stands then as it was wanted; one that only continues a
word with a slip never is.

There are two kinds of help: a list of the W most probable words (`suggestions`), none below a threshold; and *ghost
text*, the phrase that stands grey behind the caret where a word is worth reading (`ghost_text`), accepted word by word.
The *ceiling* is the saving of an oracle that knows every word before its first letter: it still pays one key a word,
and the spaces that have to be deleted.

*Scripts without spaces.* A suggestion there is a piece of up to `MAX_PIECE` letters, which may end after any of them
(`suggestions`). It is accepted if the text goes on with exactly it; of several, the longest is. No space follows, so
the key that takes it is one that counts: a piece of n letters saves n - 1. The oracle knows all letters and takes them
in pieces as long as they may be, so its saving there is at most 1 - 1 / `MAX_PIECE`. Every letter is a word that was
accepted or typed. The writer who looks now and then does so after every `LOOK_AFTER` letters.

What keys and reading cost in time, and so the words a minute, says `typing_speed`. Nobody looks at a list after every
key: its words a minute are those of a writer who looks at it once a word, after the second letter (`LOOK_AFTER`).

Shapes: T characters, N texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.channel import Channel
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.ghost_text import GHOST_RULES, GhostRule
from kammil.completion.openings import Openings
from kammil.completion.pieces import MAX_PIECE
from kammil.completion.unsolicited import strip_unsolicited
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.decoding.refusals import NO_REFUSALS, Refusals
from kammil.evaluation.bootstrap import Array
from kammil.evaluation.suggestion_hits import (
    SuggestedTexts,
    SuggestionHits,
    farthest_ends,
    suggestion_hits,
    word_ends,
)
from kammil.language_model import LanguageModel
from kammil.text import gives_way, space_after, stays, unspaced_runs, words
from kammil.vocabulary import CharacterVocabulary

WIDTHS = (1, 3, 5)
"""Sizes of the list, W: a single word, a phone's suggestion bar, and Trnka & McCoy's smallest list."""
LOOK_AFTER = 2
"""Letters of a word after which the writer looks at the list, when time is counted. With a list of three on a phone
that makes 31 words a minute, at every key 19, without help 36; people who use word prediction write 33, others 35
(Palin et al. 2019)."""

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Help:
    """What a writer is shown at each of the T + 1 positions of a text."""

    right: Flags
    """(T + 1,): whether a suggestion is right, that is the text up to the end of the next word: the rest of the current
    word, or what stands before the next word and that word; or a piece of a script without spaces."""
    rank: Counts
    """(T + 1,): number of suggestions before the right one."""
    shown: Counts
    """(T + 1,): number of suggestions."""
    new: Flags
    """(T + 1,): whether one of them was not shown one character earlier."""
    letters: Counts
    """(T + 1,): characters that the first one adds."""
    spaced: Counts
    """(T + 1,): number of suggestions behind a space that the interface typed and the text does not have."""
    spaced_letters: Counts
    """(T + 1,): characters that the first of those adds."""
    ends: Counts
    """(T + 1,): where the text goes on after the right suggestion, the longest of them."""

    @classmethod
    def of(cls, text: str, right: Flags, shown: Flags, spaced: Flags) -> Self:
        """Return help that shows one word at a time, always a new one and of no length, or a piece as long as may be;
        `right`, `shown` and `spaced` say where, (T + 1,) each."""
        none = np.zeros(len(right), np.int64)
        ends = farthest_ends(text, MAX_PIECE)
        return cls(right, none, shown.astype(np.int64), shown, none, spaced.astype(np.int64), none, ends)

    @classmethod
    def random_words(cls, text: str, width: int, lengths: Counts, generator: np.random.Generator) -> Self:
        """Return the help of lists of `width` words that are drawn at every position, whatever stands there, out of V
        words with these lengths, (V,): the right one stands at any place among the V with the same probability."""
        ends = word_ends(text)
        place = generator.integers(len(lengths), size=len(text) + 1)
        drawn = generator.choice(lengths, len(text) + 1)
        number = np.full(len(text) + 1, min(width, len(lengths)))
        always = np.ones(len(text) + 1, np.bool_)
        right = (place < width) & (ends > np.arange(len(text) + 1))
        return cls(right, place, number, always, drawn, number, drawn, ends)

    @classmethod
    def lists(cls, hits: SuggestionHits, width: int) -> Self:
        """Return the help of lists of at most `width` suggestions."""
        return cls._of(hits, hits.probabilities[:, :width] > 0, hits.spaced > 0)

    def once_a_word(self, text: str) -> Self:
        """Return the help that a writer sees who looks once at each word, after `LOOK_AFTER` of its letters."""
        looks = np.zeros(len(text) + 1, np.bool_)
        looks[[begin + LOOK_AFTER for begin, end in words(text) if begin + LOOK_AFTER < end]] = True
        for _, *ends in unspaced_runs(text):
            looks[ends[LOOK_AFTER - 1 : -1 : LOOK_AFTER]] = True
        none = np.zeros_like(self.spaced)
        return replace(self, right=self.right & looks, shown=self.shown * looks, new=looks, spaced=none)

    @classmethod
    def ghost(cls, hits: SuggestionHits, rule: GhostRule) -> Self:
        """Return the help of the first word of ghost text.

        A word that would stand twice, at one position in 700, counts as shown, though it is not.
        """
        first = zip(hits.probabilities[:, 0].tolist(), hits.saved[:, 0].tolist(), hits.complete.tolist(), strict=True)
        shown = np.array([p > 0 and rule.shows(p, saved, complete) for p, saved, complete in first])
        behind = zip(hits.spaced.tolist(), hits.spaced_lengths.tolist(), strict=True)
        spaced = np.array([p > 0 and rule.shows(p, letters, 0.0) for p, letters in behind])
        return cls._of(hits, shown[:, None], spaced)

    @classmethod
    def _of(cls, hits: SuggestionHits, shown: Flags, spaced: Flags) -> Self:
        """Return the help of the suggestions that are shown, (T + 1, W); `spaced`, (T + 1,), tells where one is."""
        width = shown.shape[1]
        right = hits.right[:, :width] & shown
        before = np.vstack([np.zeros((1, width), np.bool_), shown[:-1]])
        earlier = hits.earlier[:, :width]
        stayed = (earlier < width) & np.take_along_axis(before, np.minimum(earlier, width - 1), 1)
        return cls(
            right=np.logical_or.reduce(right, axis=1),
            ends=(hits.ends[:, :width] * right).max(axis=1),
            rank=(hits.ends[:, :width] * right).argmax(axis=1),
            shown=shown.sum(axis=1),
            new=np.logical_or.reduce(shown & ~stayed, axis=1),
            letters=hits.lengths[:, 0],
            spaced=spaced.astype(np.int64),
            spaced_letters=hits.spaced_lengths,
        )


@dataclass(frozen=True)
class ListRuns:
    """Simulated runs with lists; the columns are those of `type_texts`."""

    lists: dict[int, Array]
    """Runs with a list of W suggestions, (N, 11), by W."""
    glances: dict[int, Array]
    """Runs with a list of W suggestions at which the writer looks once a word, (N, 11), by W."""
    list_places: dict[int, Array]
    """Positions where something right is shown, where anything is shown, and all, of each text, (N, 3), by W."""


@dataclass(frozen=True)
class TypingRuns(ListRuns):
    """Simulated runs with each kind of a model's help; the columns are those of `type_texts`."""

    ghosts: dict[str, Array]
    """Runs with ghost text, (N, 11), by step of the dial."""
    ghost_places: dict[str, Array]
    """The same with ghost text, by step of the dial."""
    suggested: SuggestedTexts
    """All suggestions, at every position."""


def type_with_help(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    threshold: float = MIN_PROBABILITY,
    typed: Sequence[str] | None = None,
    channel: Channel | None = None,
    refusals: Refusals = NO_REFUSALS,
    openings: Openings | None = None,
) -> TypingRuns:
    """Type texts, as the model sees them, with each kind of help; the other arguments as in `suggestion_hits`."""
    suggested = suggestion_hits(
        model,
        vocabulary,
        texts,
        max(WIDTHS),
        threshold,
        typed=typed,
        channel=channel,
        refusals=refusals,
        openings=openings,
    )
    lists = {width: [Help.lists(hits, width) for hits in suggested.texts] for width in WIDTHS}
    least = min(rule.threshold for rule in GHOST_RULES.values())
    # The most probable word is the same for all thresholds; which piece saves most depends on them.
    pieces = bool(CharacterClasses.of(vocabulary).unspaced.any())
    thresholds = {level: rule.threshold if pieces else least for level, rule in GHOST_RULES.items()}
    first = {
        threshold: first_ghost_words(model, vocabulary, texts, threshold, typed, refusals).texts
        for threshold in set(thresholds.values())
    }
    ghosts = {
        level: [Help.ghost(hits, rule) for hits in first[thresholds[level]]] for level, rule in GHOST_RULES.items()
    }
    runs = _type_with_lists(texts, lists)
    return TypingRuns(
        lists=runs.lists,
        glances=runs.glances,
        list_places=runs.list_places,
        ghosts={level: type_texts(texts, each) for level, each in ghosts.items()},
        ghost_places={level: _places(each) for level, each in ghosts.items()},
        suggested=suggested,
    )


def first_ghost_words(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    threshold: float,
    typed: Sequence[str] | None = None,
    refusals: Refusals = NO_REFUSALS,
) -> SuggestedTexts:
    """Search the first word of ghost text at every position; what the text has not called for is left out."""

    def called_for(prefix: str, added: str) -> bool:
        return strip_unsolicited(prefix, added) == added

    return suggestion_hits(model, vocabulary, texts, 1, threshold, typed=typed, refusals=refusals, keep=called_for)


def _type_with_lists(texts: Sequence[str], lists: Mapping[int, Sequence[Help]]) -> ListRuns:
    """Type texts with lists of W suggestions, by W."""
    glances = {
        width: [help.once_a_word(text) for help, text in zip(each, texts, strict=True)] for width, each in lists.items()
    }
    return ListRuns(
        lists={width: type_texts(texts, each) for width, each in lists.items()},
        glances={width: type_texts(texts, each) for width, each in glances.items()},
        list_places={width: _places(each) for width, each in lists.items()},
    )


def type_with_random_words(texts: Sequence[str]) -> ListRuns:
    """Type texts with lists of words that are drawn from all words of the texts, the same at every call."""
    lengths = np.array([len(word) for word in sorted({text[a:b] for text in texts for a, b in words(text)}) or [""]])
    generator = np.random.default_rng(0)
    return _type_with_lists(
        texts, {width: [Help.random_words(text, width, lengths, generator) for text in texts] for width in WIDTHS}
    )


def type_with_oracle(texts: Sequence[str]) -> Array:
    """Type texts with the help of an oracle that knows every word, (N, 11): the ceiling; columns as in `type_texts`."""
    helps: list[Help] = []
    for text in texts:
        always = np.ones(len(text) + 1, np.bool_)
        helps.append(Help.of(text, always, always, always))
    return type_texts(texts, helps)


def keystrokes_saved(writing: Array) -> Array:
    """Return keys saved and keys without help for each text, (N, 11) -> (N, 2)."""
    keys, characters, *_ = writing.T
    return np.stack([characters - keys, characters], axis=1)


def precision(writing: Array) -> Array:
    """Return suggestions (lists) accepted and shown for each text, (N, 11) -> (N, 2)."""
    return writing[:, [3, 2]]


def type_texts(texts: Sequence[str], help: Sequence[Help]) -> Array:
    """Type texts as the model sees them with help, (N, 11).

    The columns: keys, characters, suggestions (lists) shown, suggestions accepted, words; ranks of the accepted ones;
    suggestions (lists) that are newly shown, and so read, the bits of the choices among their words and nothing; wrong
    ones among those, and the letters that the first word of each adds; words whose end was accepted, of which a piece
    of a script without spaces has several.
    """
    columns = np.zeros((len(texts), 11))
    for row, text, at_each in zip(columns, texts, help, strict=True):
        spans = words(text)
        done = np.searchsorted([end for _, end in spans], np.arange(len(text) + 1), side="right").tolist()
        ends = at_each.ends.tolist()
        right, rank, shown, new = (x.tolist() for x in (at_each.right, at_each.rank, at_each.shown, at_each.new))
        keys = viewed = accepted = ranks = read = wrong = wrong_letters = words_taken = at = 0
        bits = 0.0
        extra_space = False  # behind text[:at] stands a space of the interface that the text does not have
        typed = False  # whether the last key was a character of the text
        while at < len(text) or extra_space:
            keys += 1
            number = int(at_each.spaced[at]) if extra_space else shown[at]
            viewed += number > 0
            takes = not extra_space and right[at] and ends[at] > at
            if number and (extra_space or not typed or new[at]):
                read += 1
                bits += math.log2(number + 1)
                if not takes:
                    wrong += 1
                    wrong_letters += int(at_each.spaced_letters[at] if extra_space else at_each.letters[at])
            typed = not (takes or extra_space)
            if extra_space:
                at += gives_way(text[at : at + 1])  # the next character replaces the space, or Backspace deletes it
                extra_space = False
            elif takes:
                accepted += 1
                ranks += rank[at]
                words_taken += done[ends[at]] - done[at]
                at = ends[at]
                if space_after(text[:at]):
                    extra_space = not stays(text, at)
                    at += not extra_space
            else:
                at += 1
        row[:] = keys, len(text), viewed, accepted, len(spans), ranks, read, bits, wrong, wrong_letters, words_taken
    return columns


def _places(help: Sequence[Help]) -> Array:
    """Count for each text the positions where something right is shown, where anything is shown, and all, (N, 3)."""
    return np.array([[each.right.sum(), (each.shown > 0).sum(), len(each.shown)] for each in help], np.float64)
