"""Keystrokes saved: a simulated writer types texts with the help of suggestions.

As in Trnka & McCoy 2008 ("Evaluating word prediction: framing keystroke savings"): the writer types character by
character. At every place, also before a word's first letter, they look at what is suggested, and as soon as it holds
the word that they are going to write they take it, for one key. Wrong suggestions cost nothing: they are overlooked. A
saving is 1 - keys with help / keys without, over all texts.

*Who knows what.* The writer knows the text, the interface only what stands on the screen. So the interface types a
space after every word that is taken (`spacing`), whatever the text goes on with, and every key that this costs is
counted. Where the text has a space there, the key for it is saved. Where a comma follows, the space gives way to it:
nothing is saved, nothing is lost. Where the text has a space and then a comma, the writer types the space. Before
anything else, and at the end of the text, the space has to be deleted: a key, Backspace. The writer takes a word
because it is the word, and does not think of what comes after it: also where deleting the space costs more than the
last letter would have.

A key is counted for each character (code point), with and without help, and one for a tap or a chord: a letter that
needs two keys counts as one, and so does Ctrl with an arrow.

Two kinds of help: a list of the W most probable words (`suggestion`), none below a threshold; and *ghost text*, the
phrase that stands grey behind the caret where a word is likely enough (`phrases`), taken word by word. Beside
them the *ceiling*: what a model that knows every word before its first letter would save, since a key a word must be
paid, and the spaces that are not wanted.

*Precision* is the share of the places with a suggestion at which it was taken: the rest is what had to be overlooked.

Shapes: T characters, N texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import MIN_GHOST_PROBABILITY
from kammil.completion.suggestions import MIN_PROBABILITY
from kammil.errors import DataError
from kammil.evaluation.baselines import runners
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient, ratio
from kammil.evaluation.calibration import Calibration, calibration
from kammil.evaluation.suggestion_hits import SuggestedTexts, suggestion_hits, word_ends
from kammil.language_model import LanguageModel
from kammil.spacing import gives_way, space_after, stays
from kammil.text import words
from kammil.vocabulary import CharacterVocabulary

WIDTHS = (1, 3, 5)
"""Suggestions in a list, W: as many as Trnka & McCoy's smallest list, a phone's bar, and one more row than that."""
MOST = 500
"""Texts typed at most, for a tweet takes a tenth of a second, with subwords three: they stand for all of them, with a
narrow interval."""
RIVAL = "3-gram"
"""The baseline in a model's folder that is measured beside it: one that has something to suggest."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Savings:
    """What one kind of help saves."""

    keystrokes: Interval | None
    """Share of the keys."""
    precision: Interval | None
    """Share of the suggestions (lists) shown that were taken."""
    words: Interval | None
    """Share of the words that were taken, not typed to their ends."""


@dataclass(frozen=True)
class TypingSavings:
    """What one model saves."""

    lists: dict[int, Savings]
    """By W."""
    ghost: Savings
    calibration: Calibration
    """Of the first suggestion at every place of the texts where there is one."""
    proven: float
    """Share of the places whose list is certainly that of the most probable words: the search is bounded."""
    steps: float
    """Steps of the model's running side that the search for one list takes, in the mean."""


@dataclass(frozen=True)
class TypingReport:
    """Typing texts with a model's help."""

    texts: int
    characters: int
    threshold: float
    ceiling: Interval | None
    """Keystrokes saved by a model that knows every word."""
    model: TypingSavings
    baselines: dict[str, TypingSavings]

    def to_dict(self) -> dict[str, Any]:
        """Builtins only, for JSON."""
        return asdict(self)


def simulate(
    model: Completer, texts: Sequence[str], *, threshold: float = MIN_PROBABILITY, most: int | None = MOST
) -> TypingReport:
    """Type texts with the help of a model, and with that of its baseline.

    Args:
        model: the model.
        texts: which the model has not seen.
        threshold: nothing less probable is suggested.
        most: of more texts, so many are taken, evenly spread; None takes all.

    Raises: `DataError` without any text.
    """
    seen_as = [text for text in (model.normalise(text).rstrip() for text in texts) if text]
    if not seen_as:
        raise DataError("there is no text to type; name a file that has some.")
    if most is not None and len(seen_as) > most:
        seen_as = [seen_as[i * len(seen_as) // most] for i in range(most)]
    rivals: Mapping[str, LanguageModel] = {}
    if model.model is not None:
        rivals = runners(model.model.baselines, model.vocabulary.size)
    ceiling = keystrokes_saved(every_word_known(seen_as))
    return TypingReport(
        texts=len(seen_as),
        characters=int(ceiling[:, 1].sum()),
        threshold=threshold,
        ceiling=ratio(*ceiling.T),
        model=_helped(model.language_model, model.vocabulary, seen_as, threshold),
        baselines={
            name: _helped(runner, model.vocabulary, seen_as, threshold)
            for name, runner in rivals.items()
            if name == RIVAL
        },
    )


@dataclass(frozen=True)
class TypingRuns:
    """What a writer did with each kind of a model's help; `typed` says what the columns are."""

    lists: dict[int, Array]
    """By W, (N, 5)."""
    ghost: Array
    """(N, 5)."""
    offered: SuggestedTexts
    """What was suggested."""


def write(
    runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], threshold: float = MIN_PROBABILITY
) -> TypingRuns:
    """Type texts, as the model sees them, with each kind of help."""
    offered = suggestion_hits(runner, vocabulary, texts, max(WIDTHS), threshold)
    shown: list[Flags] = [of.probabilities[:, 0] > 0 for of in offered.texts]
    right: dict[int, list[Flags]] = {
        width: [np.logical_or.reduce(of.right[:, :width], axis=1) for of in offered.texts] for width in WIDTHS
    }
    spaced: list[Flags] = [of.spaced for of in offered.texts]
    return TypingRuns(
        {width: typed(texts, hits, shown, spaced) for width, hits in right.items()},
        typed(texts, *_ghosts(suggestion_hits(runner, vocabulary, texts, 1, MIN_GHOST_PROBABILITY))),
        offered,
    )


def every_word_known(texts: Sequence[str]) -> Array:
    """As `typed` with the help of a model that knows every word, (N, 5): the ceiling."""
    knowing: list[Flags] = [np.ones(len(text) + 1, np.bool_) for text in texts]
    return typed(texts, knowing, knowing, knowing)


def keystrokes_saved(writing: Array) -> Array:
    """For each text, keys saved and keys without help, (N, 5) -> (N, 2)."""
    keys, characters, *_ = writing.T
    return np.stack([characters - keys, characters], axis=1)


def precision(writing: Array) -> Array:
    """For each text, suggestions (lists) taken and those looked at, (N, 5) -> (N, 2)."""
    return writing[:, [3, 2]]


def typed(texts: Sequence[str], right: Sequence[Flags], shown: Sequence[Flags], spaced: Sequence[Flags]) -> Array:
    """Type texts: for each, keys, characters, suggestions looked at, those taken, and words, (N, 5).

    Args:
        texts: as the model sees them.
        right: (T,) or longer for each: whether what is suggested before that character holds the rest of the word at
            hand, or else whatever stands before the next word, and that.
        shown: (T + 1,) for each: whether anything is suggested there.
        spaced: likewise: whether anything is suggested behind a space that the page typed there.
    """
    made = np.zeros((len(texts), 5))
    for row, text, hit, seen, beyond in zip(made, texts, right, shown, spaced, strict=True):
        ends = word_ends(text).tolist()
        keys = looked = taken = at = 0
        left = False  # the page's space stands behind text[:at], and the text does not go on with it
        while at < len(text) or left:
            keys += 1
            looked += bool(beyond[at] if left else seen[at])
            if left:
                at += gives_way(text[at : at + 1])  # what is typed takes its place, or else it is deleted
                left = False
            elif hit[at] and ends[at] > at:
                taken += 1
                at = ends[at]
                if space_after(text[:at]):
                    left = not stays(text, at)
                    at += not left
            else:
                at += 1
        row[:] = keys, len(text), looked, taken, len(words(text))
    return made


def _ghosts(offered: SuggestedTexts) -> tuple[list[Flags], list[Flags], list[Flags]]:
    """Where the first word of the ghost text is right, where there is any, and where behind the page's space, (T + 1,)
    each. A word that would stand twice, one place in 700, is counted as shown here, though it is not."""
    texts = offered.texts
    return [of.right[:, 0] for of in texts], [of.probabilities[:, 0] > 0 for of in texts], [of.spaced for of in texts]


def _helped(
    runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], threshold: float
) -> TypingSavings:
    """Everything about one model."""
    made = write(runner, vocabulary, texts, threshold)
    statistics = [
        Statistic(columns, quotient)
        for writing in (made.ghost, *made.lists.values())
        for columns in (keystrokes_saved(writing), precision(writing), writing[:, [3, 4]])
    ]
    figures = [estimate.figure() for estimate in estimates(statistics)]
    ghost, *lists = [Savings(*figures[i : i + 3]) for i in range(0, len(figures), 3)]
    best = [(of.probabilities[:, 0], of.right[:, 0]) for of in made.offered.texts]
    return TypingSavings(
        lists=dict(zip(made.lists, lists, strict=True)),
        ghost=ghost,
        calibration=calibration([p[p > 0] for p, _ in best], [right[p > 0] for p, right in best]),
        proven=made.offered.proven,
        steps=made.offered.steps,
    )
