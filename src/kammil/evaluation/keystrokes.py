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

There are two kinds of help: a list of the W most probable words (`suggestions`), none below a threshold; and *ghost
text*, the phrase that stands grey behind the caret where a word is likely enough (`ghost_text`), accepted word by word.
The *ceiling* is the saving of an oracle that knows every word before its first letter: it still pays one key a word,
and the spaces that have to be deleted.

*Precision* is the share of the positions with a suggestion at which it was accepted; the others were a distraction.

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
from kammil.evaluation.baselines import load_baselines
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient, ratio
from kammil.evaluation.calibration import Calibration, calibration
from kammil.evaluation.metrics import normalised_texts
from kammil.evaluation.suggestion_hits import SuggestedTexts, suggestion_hits, word_ends
from kammil.language_model import LanguageModel
from kammil.spacing import gives_way, space_after, stays
from kammil.text import words
from kammil.vocabulary import CharacterVocabulary

WIDTHS = (1, 3, 5)
"""Sizes of the list, W: a single word, a phone's suggestion bar, and Trnka & McCoy's smallest list."""
MAX_TEXTS = 500
"""Most texts that are typed: a tweet takes a tenth of a second (with subwords three), and so many already give a narrow
interval."""
BASELINE = "3-gram"
"""The baseline of a model folder that is measured beside the model: the one that can suggest words."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Savings:
    """Savings by one kind of help."""

    keystrokes: Interval | None
    """Share of the keys that were saved."""
    precision: Interval | None
    """Share of the suggestions (lists) shown that were accepted."""
    words: Interval | None
    """Share of the words that were accepted, not typed to their ends."""


@dataclass(frozen=True)
class TypingSavings:
    """Savings with the help of one model."""

    lists: dict[int, Savings]
    """Savings by lists of W suggestions, by W."""
    ghost: Savings
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
    ceiling: Interval | None
    """Share of the keys that an oracle saves."""
    model: TypingSavings
    baselines: dict[str, TypingSavings]

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self)


def simulate(
    model: Completer, texts: Sequence[str], *, threshold: float = MIN_PROBABILITY, max_texts: int | None = MAX_TEXTS
) -> TypingReport:
    """Simulate a writer who types texts with the help of a model, and with that of its baseline.

    Args:
        model: the model.
        texts: texts that the model has not seen.
        threshold: nothing less probable is suggested.
        max_texts: of more texts, so many are chosen, evenly spread; None types all.

    Raises: `DataError` without any text.
    """
    normalised = normalised_texts(model, texts)
    if not normalised:
        raise DataError("there is no text to type; name a file that has some.")
    if max_texts is not None and len(normalised) > max_texts:
        normalised = [normalised[i * len(normalised) // max_texts] for i in range(max_texts)]
    baselines: Mapping[str, LanguageModel] = {}
    if model.model is not None:
        baselines = load_baselines(model.model.baselines, model.vocabulary.size)
    ceiling = keystrokes_saved(type_with_oracle(normalised))
    return TypingReport(
        texts=len(normalised),
        characters=int(ceiling[:, 1].sum()),
        threshold=threshold,
        ceiling=ratio(*ceiling.T),
        model=_savings(model.language_model, model.vocabulary, normalised, threshold),
        baselines={
            name: _savings(baseline, model.vocabulary, normalised, threshold)
            for name, baseline in baselines.items()
            if name == BASELINE
        },
    )


@dataclass(frozen=True)
class TypingRuns:
    """Simulated runs with each kind of a model's help; the five columns are those of `type_texts`."""

    lists: dict[int, Array]
    """Runs with a list of W suggestions, (N, 5), by W."""
    ghost: Array
    """Run with ghost text, (N, 5)."""
    suggested: SuggestedTexts
    """All suggestions, at every position."""


def type_with_help(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], threshold: float = MIN_PROBABILITY
) -> TypingRuns:
    """Type texts, as the model sees them, with each kind of help."""
    suggested = suggestion_hits(model, vocabulary, texts, max(WIDTHS), threshold)
    shown: list[Flags] = [hits.probabilities[:, 0] > 0 for hits in suggested.texts]
    right: dict[int, list[Flags]] = {
        width: [np.logical_or.reduce(hits.right[:, :width], axis=1) for hits in suggested.texts] for width in WIDTHS
    }
    spaced: list[Flags] = [hits.spaced for hits in suggested.texts]
    return TypingRuns(
        {width: type_texts(texts, hits, shown, spaced) for width, hits in right.items()},
        type_texts(texts, *_ghost_flags(suggestion_hits(model, vocabulary, texts, 1, MIN_GHOST_PROBABILITY))),
        suggested,
    )


def type_with_oracle(texts: Sequence[str]) -> Array:
    """Type texts with the help of an oracle that knows every word, (N, 5): the ceiling; columns as in `type_texts`."""
    always: list[Flags] = [np.ones(len(text) + 1, np.bool_) for text in texts]
    return type_texts(texts, always, always, always)


def keystrokes_saved(writing: Array) -> Array:
    """Return keys saved and keys without help for each text, (N, 5) -> (N, 2)."""
    keys, characters, *_ = writing.T
    return np.stack([characters - keys, characters], axis=1)


def precision(writing: Array) -> Array:
    """Return suggestions (lists) accepted and shown for each text, (N, 5) -> (N, 2)."""
    return writing[:, [3, 2]]


def type_texts(texts: Sequence[str], right: Sequence[Flags], shown: Sequence[Flags], spaced: Sequence[Flags]) -> Array:
    """Type texts; returns keys, characters, suggestions shown, suggestions accepted and words of each text, (N, 5).

    Args:
        texts: as the model sees them.
        right: (T,) or longer for each text: whether a suggestion before that character is right, that is the text up to
            the end of the next word: the rest of the current word, or what stands before the next word and that word.
        shown: (T + 1,) for each text: whether anything is suggested at that position.
        spaced: (T + 1,) for each text: whether anything is suggested there behind a space that the interface typed.
    """
    columns = np.zeros((len(texts), 5))
    for row, text, right_before, shown_before, spaced_before in zip(columns, texts, right, shown, spaced, strict=True):
        ends = word_ends(text).tolist()
        keys = viewed = accepted = at = 0
        extra_space = False  # behind text[:at] stands a space of the interface that the text does not have
        while at < len(text) or extra_space:
            keys += 1
            viewed += bool(spaced_before[at] if extra_space else shown_before[at])
            if extra_space:
                at += gives_way(text[at : at + 1])  # the next character replaces the space, or Backspace deletes it
                extra_space = False
            elif right_before[at] and ends[at] > at:
                accepted += 1
                at = ends[at]
                if space_after(text[:at]):
                    extra_space = not stays(text, at)
                    at += not extra_space
            else:
                at += 1
        row[:] = keys, len(text), viewed, accepted, len(words(text))
    return columns


def _ghost_flags(suggested: SuggestedTexts) -> tuple[list[Flags], list[Flags], list[Flags]]:
    """Return `right`, `shown` and `spaced` of `type_texts` for the first word of the ghost text, (T + 1,) each.

    A word that would stand twice, at one position in 700, counts as shown, though it is not.
    """
    texts = suggested.texts
    return (
        [hits.right[:, 0] for hits in texts],
        [hits.probabilities[:, 0] > 0 for hits in texts],
        [hits.spaced for hits in texts],
    )


def _savings(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], threshold: float
) -> TypingSavings:
    """Simulate a writer with the help of one model."""
    runs = type_with_help(model, vocabulary, texts, threshold)
    statistics = [
        Statistic(columns, quotient)
        for writing in (runs.ghost, *runs.lists.values())
        for columns in (keystrokes_saved(writing), precision(writing), writing[:, [3, 4]])
    ]
    intervals = [estimate.interval() for estimate in estimates(statistics)]
    ghost, *lists = [Savings(*intervals[i : i + 3]) for i in range(0, len(intervals), 3)]
    best = [(hits.probabilities[:, 0], hits.right[:, 0]) for hits in runs.suggested.texts]
    return TypingSavings(
        lists=dict(zip(runs.lists, lists, strict=True)),
        ghost=ghost,
        calibration=calibration([p[p > 0] for p, _ in best], [right[p > 0] for p, right in best]),
        proven=runs.suggested.proven,
        steps=runs.suggested.steps,
    )
