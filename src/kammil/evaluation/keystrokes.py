"""Keystrokes saved: a simulated writer types texts with the help of suggestions.

The writer (Trnka & McCoy 2008, "Evaluating word prediction: framing keystroke savings") looks at the suggestions at
every position and accepts the right word as soon as it is shown, for one key; wrong words cost nothing. Over all texts,
the saving is 1 - keys with help / keys without; a key is a character (code point), a tap or a chord. Keys that a space
after an accepted word (`text.space_after`) costs are counted.

Shapes: T characters, N texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.completion.channel import Channel
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST_RULES, GhostRule
from kammil.completion.unsolicited import strip_unsolicited
from kammil.completion.word_list import MAX_PIECE, Openings
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
"""Sizes of the list, W."""
LOOK_AFTER = 2
"""Letters before the glance at the list when time is counted: gives 31 words a minute on a phone, where people write 33
(Palin et al. 2019)."""

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
K = TypeVar("K")


@dataclass(frozen=True)
class Help:
    """Suggestions shown at each position of a text; all arrays are (T + 1,)."""

    right: Flags
    """Whether a suggestion is right, as in `suggestion_hits`."""
    rank: Counts
    """Number of suggestions before the right one."""
    shown: Counts
    new: Flags
    """Whether a suggestion was not shown one character earlier."""
    letters: Counts
    """Characters that the first suggestion adds."""
    spaced: Counts
    """Number of suggestions after a space of the interface that the text lacks."""
    spaced_letters: Counts
    """Characters that the first of those adds."""
    ends: Counts
    """Where the text goes on after the longest right suggestion."""

    @classmethod
    def of(cls, text: str, right: Flags, shown: Flags, spaced: Flags) -> Self:
        """Return help of one suggestion at a time, reaching the farthest right end."""
        none = np.zeros(len(right), np.int64)
        ends = farthest_ends(text, MAX_PIECE)
        return cls(right, none, shown.astype(np.int64), shown, none, spaced.astype(np.int64), none, ends)

    @classmethod
    def random_words(cls, text: str, width: int, lengths: Counts, generator: np.random.Generator) -> Self:
        """Return lists of `width` words, drawn anew at every position from words of these lengths."""
        positions, ends = len(text) + 1, word_ends(text)
        place = generator.integers(len(lengths), size=positions)
        drawn = generator.choice(lengths, positions)
        number = np.full(positions, min(width, len(lengths)))
        right = (place < width) & (ends > np.arange(positions))
        return cls(right, place, number, np.ones(positions, np.bool_), drawn, number, drawn, ends)

    @classmethod
    def lists(cls, hits: SuggestionHits, width: int) -> Self:
        """Return the help of lists of at most `width` suggestions."""
        return cls._of(hits, hits.probabilities[:, :width] > 0, hits.spaced > 0)

    @classmethod
    def ghost(cls, hits: SuggestionHits, rule: GhostRule) -> Self:
        """Return the help of the first word of ghost text; a word that would stand twice counts as shown."""
        first = zip(hits.probabilities[:, 0].tolist(), hits.saved[:, 0].tolist(), hits.complete.tolist(), strict=True)
        shown = np.array([p > 0 and rule.shows(p, saved, complete) for p, saved, complete in first])
        behind = zip(hits.spaced.tolist(), hits.spaced_lengths.tolist(), strict=True)
        spaced = np.array([p > 0 and rule.shows(p, letters, 0.0) for p, letters in behind])
        return cls._of(hits, shown[:, None], spaced)

    @classmethod
    def _of(cls, hits: SuggestionHits, shown: Flags, spaced: Flags) -> Self:
        """Return the help of suggestions `shown`, (T + 1, W), and `spaced`, (T + 1,)."""
        width = shown.shape[1]
        right = hits.right[:, :width] & shown
        before = np.vstack([np.zeros((1, width), np.bool_), shown[:-1]])
        earlier = hits.earlier[:, :width]
        stayed = (earlier < width) & np.take_along_axis(before, np.minimum(earlier, width - 1), 1)
        right_ends = hits.ends[:, :width] * right
        return cls(
            right=np.logical_or.reduce(right, axis=1),
            ends=right_ends.max(axis=1),
            rank=right_ends.argmax(axis=1),
            shown=shown.sum(axis=1),
            new=np.logical_or.reduce(shown & ~stayed, axis=1),
            letters=hits.lengths[:, 0],
            spaced=spaced.astype(np.int64),
            spaced_letters=hits.spaced_lengths,
        )

    def once_a_word(self, text: str) -> Self:
        """Return what a writer sees who looks once a word, after `LOOK_AFTER` letters."""
        looks = np.zeros(len(text) + 1, np.bool_)
        looks[[begin + LOOK_AFTER for begin, end in words(text) if begin + LOOK_AFTER < end]] = True
        for _, *ends in unspaced_runs(text):
            looks[ends[LOOK_AFTER - 1 : -1 : LOOK_AFTER]] = True
        none = np.zeros_like(self.spaced)
        return replace(self, right=self.right & looks, shown=self.shown * looks, new=looks, spaced=none)


@dataclass(frozen=True)
class TypedTexts:
    """Texts typed with one kind of help."""

    writing: Array
    """(N, 11): see `type_texts`."""
    timed: Array
    """(N, 11): the same, but a list is looked at once a word."""
    places: Array
    """(N, 3): positions with a right suggestion, with any, and all."""

    @classmethod
    def of(cls, texts: Sequence[str], help: Sequence[Help], *, glance: bool) -> Self:
        """Type texts; `glance`: help is looked at once a word where time is counted."""
        writing = type_texts(texts, help)
        places = [[each.right.sum(), (each.shown > 0).sum(), len(each.shown)] for each in help]
        glances = [each.once_a_word(text) for each, text in zip(help, texts, strict=True)] if glance else []
        return cls(writing, type_texts(texts, glances) if glance else writing, np.array(places, np.float64))


@dataclass(frozen=True)
class TypingRuns:
    """Texts typed with each kind of a model's help."""

    lists: dict[int, TypedTexts]
    """By size of the list."""
    ghosts: dict[str, TypedTexts]
    """By step of the dial."""
    suggested: SuggestedTexts

    @classmethod
    def joined(cls, runs: Sequence[Self]) -> Self:
        """Return runs of some texts each, at least one, as one of all."""

        def together(typed: Sequence[TypedTexts]) -> TypedTexts:
            parts = zip(*((each.writing, each.timed, each.places) for each in typed), strict=True)
            return TypedTexts(*map(np.concatenate, parts))

        suggested = [run.suggested for run in runs]
        places = [sum(len(hits.complete) for hits in each.texts) for each in suggested]
        steps, proven = (
            float(np.average(means, weights=places))
            for means in ([each.steps for each in suggested], [each.proven for each in suggested])
        )
        return cls(
            {width: together([run.lists[width] for run in runs]) for width in runs[0].lists},
            {level: together([run.ghosts[level] for run in runs]) for level in runs[0].ghosts},
            SuggestedTexts([hits for each in suggested for hits in each.texts], steps, proven),
        )


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
    """Type normalised texts with each kind of help; arguments as in `suggestion_hits`."""
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
    lowest = min(rule.threshold for rule in GHOST_RULES.values())
    # The most probable word is the same for all thresholds; which piece saves most depends on them.
    pieces = bool(CharacterClasses.of(vocabulary).unspaced.any())
    thresholds = {level: rule.threshold if pieces else lowest for level, rule in GHOST_RULES.items()}
    first = {
        threshold: first_ghost_words(model, vocabulary, texts, threshold, typed, refusals).texts
        for threshold in set(thresholds.values())
    }
    ghosts = {
        level: [Help.ghost(hits, rule) for hits in first[thresholds[level]]] for level, rule in GHOST_RULES.items()
    }
    return TypingRuns(_typed(texts, lists, glance=True), _typed(texts, ghosts, glance=False), suggested)


def type_with_model(model: Completer, texts: Sequence[str]) -> TypingRuns:
    """Type texts with what a model shows, begun words corrected."""
    vocabulary, refusals, openings = model.vocabulary, model.refusals(), model.openings
    channel = Channel.of(vocabulary)
    return type_with_help(
        model.language_model, vocabulary, texts, channel=channel, refusals=refusals, openings=openings
    )


def _typed(texts: Sequence[str], helps: Mapping[K, Sequence[Help]], *, glance: bool) -> dict[K, TypedTexts]:
    return {name: TypedTexts.of(texts, help, glance=glance) for name, help in helps.items()}


def first_ghost_words(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    threshold: float,
    typed: Sequence[str] | None = None,
    refusals: Refusals = NO_REFUSALS,
) -> SuggestedTexts:
    """Search the first word of ghost text at every position, without unsolicited ones."""

    def called_for(prefix: str, added: str) -> bool:
        return strip_unsolicited(prefix, added) == added

    return suggestion_hits(model, vocabulary, texts, 1, threshold, typed=typed, refusals=refusals, keep=called_for)


def type_with_random_words(texts: Sequence[str]) -> dict[int, TypedTexts]:
    """Type texts with lists of W words drawn from all their words by a fixed seed; by W."""
    lengths = np.array([len(word) for word in sorted({text[a:b] for text in texts for a, b in words(text)}) or [""]])
    generator = np.random.default_rng(0)
    helps = {width: [Help.random_words(text, width, lengths, generator) for text in texts] for width in WIDTHS}
    return _typed(texts, helps, glance=True)


def type_with_oracle(texts: Sequence[str]) -> Array:
    """Type texts with an oracle that knows every word, (N, 11): the ceiling."""
    always = [np.ones(len(text) + 1, np.bool_) for text in texts]
    return type_texts(texts, [Help.of(text, every, every, every) for text, every in zip(texts, always, strict=True)])


def keystrokes_saved(writing: Array) -> Array:
    """Return keys saved and keys without help, (N, 11) -> (N, 2)."""
    keys, characters, *_ = writing.T
    return np.stack([characters - keys, characters], axis=1)


def precision(writing: Array) -> Array:
    """Return suggestions (lists) accepted and shown, (N, 11) -> (N, 2)."""
    return writing[:, [3, 2]]


def type_texts(texts: Sequence[str], help: Sequence[Help]) -> Array:
    """Type normalised texts with help, (N, 11).

    Columns: keys, characters, suggestions (lists) shown, suggestions accepted, words; ranks of the accepted ones;
    suggestions (lists) read, since new, and the bits of choosing among their words or none; wrong ones of these, and
    the letters that the first word of each adds; words whose end was accepted.
    """
    columns = np.zeros((len(texts), 11))
    for row, text, at_each in zip(columns, texts, help, strict=True):
        spans = words(text)
        done = np.searchsorted([end for _, end in spans], np.arange(len(text) + 1), side="right").tolist()
        ends = at_each.ends.tolist()
        right, rank, shown, new = (x.tolist() for x in (at_each.right, at_each.rank, at_each.shown, at_each.new))
        keys = viewed = accepted = ranks = read = wrong = wrong_letters = words_taken = at = 0
        bits = 0.0
        extra_space = False  # after text[:at] stands a space of the interface that the text lacks
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
