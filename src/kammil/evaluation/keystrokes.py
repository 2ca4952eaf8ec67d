"""Keystrokes saved: a simulated writer types texts with the help of suggestions.

As in Trnka & McCoy 2008 ("Evaluating word prediction: framing keystroke savings"): the writer types character by
character. At every position, also before a word's first letter, they look at the suggestions, and as soon as one is the
word that they are going to write they accept it, for one key. Wrong suggestions cost nothing: they are ignored. The
saving is 1 - keys with help / keys without, over all texts.

*The space after a word.* The writer knows the text; the interface knows only what stands on the screen. So the
interface types a space after every accepted word (`spacing`), whatever comes next in the text, and every key that this
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

*Precision* is the share of the positions with a suggestion at which it was accepted; the others were a distraction. The
share of all positions where something is shown, and of those where it is right, are of the text typed without help:
what is right is taken, so a writer with help meets fewer of the easy positions.

What keys and reading cost in time, and so the words a minute, says `typing_speed`. Nobody looks at a list after every
key: its words a minute are those of a writer who looks at it once a word, after the second letter (`LOOK_AFTER`).

Shapes: T characters, N texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.completion.channel import Channel
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST, GHOST_RULES, GhostRule
from kammil.completion.pieces import MAX_PIECE
from kammil.completion.suggestions import MIN_PROBABILITY
from kammil.completion.unasked import without_unasked
from kammil.errors import DataError
from kammil.evaluation.baselines import load_baselines
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient, ratio
from kammil.evaluation.calibration import Calibration, calibration
from kammil.evaluation.metrics import normalised_texts
from kammil.evaluation.slips import with_slips
from kammil.evaluation.suggestion_hits import (
    SuggestedTexts,
    SuggestionHits,
    farthest_ends,
    suggestion_hits,
)
from kammil.evaluation.typing_speed import DEVICES, words_and_minutes
from kammil.language_model import LanguageModel
from kammil.spacing import gives_way, space_after, stays
from kammil.text import unspaced_runs, words
from kammil.vocabulary import CharacterVocabulary

WIDTHS = (1, 3, 5)
"""Sizes of the list, W: a single word, a phone's suggestion bar, and Trnka & McCoy's smallest list."""
MAX_TEXTS = 500
"""Most texts that are typed: a tweet takes a tenth of a second (with subwords three), and so many already give a narrow
interval."""
LOOK_AFTER = 2
"""Letters of a word after which the writer looks at the list, when time is counted. With a list of three on a phone
that makes 31 words a minute, at every key 19, without help 36; people who use word prediction write 33, others 35
(Palin et al. 2019)."""
BASELINE = "3-gram"
"""The baseline of a model folder that is measured beside the model: the one that can suggest words."""

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Savings:
    """Savings by one kind of help."""

    keystrokes: Interval | None
    """Share of the keys that were saved."""
    precision: Interval | None
    """Share of the suggestions (lists) shown that were accepted."""
    words: Interval | None
    """Share of the words that were accepted, not typed to their ends."""
    shown: Interval | None
    """Share of all positions where something is shown."""
    right: Interval | None
    """Share of those where what is shown is right, or a suggestion of the list is."""
    speed: dict[str, Interval | None]
    """Words a minute, by device."""


@dataclass(frozen=True)
class TypingSavings:
    """Savings with the help of one model."""

    lists: dict[int, Savings]
    """Savings by lists of W suggestions, by W."""
    ghost: Savings
    """Savings by ghost text, at the step of the dial where none is chosen."""
    ghosts: dict[str, Savings]
    """Savings by ghost text, by step of the dial."""
    calibration: Calibration
    """Calibration of the first suggestion, over all positions of the texts that have one."""
    proven: float
    """Share of the positions whose list is proven to be the most probable words: the search is bounded."""
    steps: float
    """Mean number of model steps that the search for one list takes."""


@dataclass(frozen=True)
class TypingReport:
    """The savings of a model and of its baseline on some texts."""

    texts: int
    characters: int
    threshold: float
    slips: float
    """Share of the letters that are slips."""
    unaided: dict[str, float]
    """Words a minute without help, by device: the rate that the model of typing begins with."""
    ceiling: Interval | None
    """Share of the keys that an oracle saves."""
    model: TypingSavings
    baselines: dict[str, TypingSavings]

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self)


def simulate(
    model: Completer,
    texts: Sequence[str],
    *,
    threshold: float = MIN_PROBABILITY,
    slips: float = 0.0,
    correct: bool = True,
    max_texts: int | None = MAX_TEXTS,
) -> TypingReport:
    """Simulate a writer who types texts with the help of a model, and with that of its baseline.

    Args:
        model: the model.
        texts: texts that the model has not seen.
        threshold: nothing less probable is suggested.
        slips: share of the letters that are typed wrong and stay.
        correct: whether begun words are corrected.
        max_texts: of more texts, so many are chosen, evenly spread; None types all.

    Raises: `DataError` without any text, `OptionError` for a share of slips that is none.
    """
    normalised = normalised_texts(model, texts)
    if not normalised:
        raise DataError("there is no text to type; name a file that has some.")
    if max_texts is not None and len(normalised) > max_texts:
        normalised = [normalised[i * len(normalised) // max_texts] for i in range(max_texts)]
    typed, channel = with_slips(normalised, slips), model.word_reader.channel if correct else None
    baselines: Mapping[str, LanguageModel] = {}
    if model.model is not None:
        baselines = load_baselines(model.model.baselines, model.vocabulary.size)
    ceiling = keystrokes_saved(type_with_oracle(normalised))

    def savings(language_model: LanguageModel) -> TypingSavings:
        return _savings(type_with_help(language_model, model.vocabulary, normalised, threshold, typed, channel))

    return TypingReport(
        texts=len(normalised),
        characters=int(ceiling[:, 1].sum()),
        threshold=threshold,
        slips=slips,
        unaided={name: device.words_a_minute for name, device in DEVICES.items()},
        ceiling=ratio(*ceiling.T),
        model=savings(model.language_model),
        baselines={name: savings(baseline) for name, baseline in baselines.items() if name == BASELINE},
    )


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
        """Return the help of single words of no length, all of them new, and of the longest pieces."""
        none = np.zeros(len(right), np.int64)
        ends = farthest_ends(text, MAX_PIECE)
        return cls(right, none, shown.astype(np.int64), shown, none, spaced.astype(np.int64), none, ends)

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
class TypingRuns:
    """Simulated runs with each kind of a model's help; the columns are those of `type_texts`."""

    lists: dict[int, Array]
    """Runs with a list of W suggestions, (N, 11), by W."""
    ghosts: dict[str, Array]
    """Runs with ghost text, (N, 11), by step of the dial."""
    glances: dict[int, Array]
    """Runs with a list of W suggestions at which the writer looks once a word, (N, 11), by W."""
    list_places: dict[int, Array]
    """Positions where something right is shown, where anything is shown, and all, of each text, (N, 3), by W."""
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
) -> TypingRuns:
    """Type texts, as the model sees them, with each kind of help; `typed` and `channel` as in `suggestion_hits`."""
    suggested = suggestion_hits(model, vocabulary, texts, max(WIDTHS), threshold, typed=typed, channel=channel)
    lists = {width: [Help.lists(hits, width) for hits in suggested.texts] for width in WIDTHS}
    least = min(rule.threshold for rule in GHOST_RULES.values())
    # The most probable word is the same for all thresholds; which piece saves most depends on them.
    pieces = bool(CharacterClasses.of(vocabulary).unspaced.any())
    thresholds = {level: rule.threshold if pieces else least for level, rule in GHOST_RULES.items()}
    first = {
        threshold: first_ghost_words(model, vocabulary, texts, threshold, typed).texts
        for threshold in set(thresholds.values())
    }
    ghosts = {
        level: [Help.ghost(hits, rule) for hits in first[thresholds[level]]] for level, rule in GHOST_RULES.items()
    }
    glances = {
        width: [help.once_a_word(text) for help, text in zip(each, texts, strict=True)] for width, each in lists.items()
    }
    return TypingRuns(
        lists={width: type_texts(texts, each) for width, each in lists.items()},
        glances={width: type_texts(texts, each) for width, each in glances.items()},
        ghosts={level: type_texts(texts, each) for level, each in ghosts.items()},
        list_places={width: _places(each) for width, each in lists.items()},
        ghost_places={level: _places(each) for level, each in ghosts.items()},
        suggested=suggested,
    )


def first_ghost_words(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    threshold: float,
    typed: Sequence[str] | None = None,
) -> SuggestedTexts:
    """Search the first word of ghost text at every position; what the text has not called for is left out."""

    def called_for(prefix: str, added: str) -> bool:
        return without_unasked(prefix, added) == added

    return suggestion_hits(model, vocabulary, texts, 1, threshold, typed=typed, keep=called_for)


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
    """Return the columns of `TypingRuns.list_places`."""
    return np.array([[each.right.sum(), (each.shown > 0).sum(), len(each.shown)] for each in help], np.float64)


def _savings(runs: TypingRuns) -> TypingSavings:
    """Estimate the figures of runs."""
    ghosts = [(runs.ghosts[level], runs.ghost_places[level], runs.ghosts[level], True) for level in runs.ghosts]
    lists = [(runs.lists[width], runs.list_places[width], runs.glances[width], False) for width in runs.lists]
    statistics = [
        Statistic(columns, quotient)
        for writing, places, timed, ghost in (*ghosts, *lists)
        for columns in (
            keystrokes_saved(writing),
            precision(writing),
            writing[:, [10, 4]],
            places[:, [1, 2]],
            places[:, [0, 1]],
            *(words_and_minutes(timed, device, ghost=ghost) for device in DEVICES.values()),
        )
    ]
    intervals = [estimate.interval() for estimate in estimates(statistics)]
    each = len(intervals) // (len(ghosts) + len(lists))
    savings: list[Savings] = []
    for i in range(0, len(intervals), each):
        keys, taken, words_taken, shown, right, *rates = intervals[i : i + each]
        savings.append(Savings(keys, taken, words_taken, shown, right, dict(zip(DEVICES, rates, strict=True))))
    by_level: dict[str, Savings] = dict(zip(runs.ghosts, savings, strict=False))
    best = [(hits.probabilities[:, 0], hits.right[:, 0]) for hits in runs.suggested.texts]
    return TypingSavings(
        lists=dict(zip(runs.lists, savings[len(by_level) :], strict=True)),
        ghost=by_level[GHOST],
        ghosts=by_level,
        calibration=calibration([p[p > 0] for p, _ in best], [right[p > 0] for p, right in best]),
        proven=runs.suggested.proven,
        steps=runs.suggested.steps,
    )
