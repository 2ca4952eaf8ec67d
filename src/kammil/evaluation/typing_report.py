"""Keys and time that a writer saves with suggestions of a model, beside a baseline, random words and an oracle.

Time is modelled from published times of other people, so differences are worth more than the figures. Newly shown ghost
text is always read, a list once a word, and reading costs time (Quinn & Zhai 2016, "A cost-benefit study of text entry
suggestion interaction").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST
from kammil.completion.word_list import Openings
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.errors import DataError
from kammil.evaluation.baselines import ORDER, load_baselines
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient, ratio
from kammil.evaluation.keystrokes import (
    TypedTexts,
    TypingRuns,
    keystrokes_saved,
    precision,
    type_with_help,
    type_with_oracle,
    type_with_random_words,
)
from kammil.evaluation.metrics import in_context, normalised_texts, spread
from kammil.evaluation.suggestion_hits import with_slips
from kammil.language_model import LanguageModel

K = TypeVar("K")

MAX_TEXTS = 500
BASELINE = f"{ORDER}-gram"
"""The baseline that can suggest words."""
BINS = 10
"""Calibration bins, of equal width."""
CHARACTERS_OF_A_WORD = 5
"""Spaces included, as usual for text entry."""
DECISION = 0.150
"""Seconds per bit of a choice, log2(k + 1) bits for a list of k: the Hick-Hyman law (Card, Moran & Newell 1983, "The
psychology of human-computer interaction", chapter 2)."""
EYE_MOVEMENT = 0.230
"""Seconds of a saccade and fixation (same source)."""
_RECOGNITION = 0.100 + 0.070
"""Seconds to see a wrong word (same source)."""


@dataclass(frozen=True)
class Device:
    """Times of one device, in seconds."""

    key: float
    """Time of a character without help."""
    look_at_list: float
    look_at_ghost: float
    keys_of_list: int
    """Keys that reach and take the first suggestion; ghost text takes one."""
    keys_of_rank: int
    """Keys for each suggestion passed over."""
    wrong: float
    """Share of wrong suggestions read that are taken."""

    @property
    def words_a_minute(self) -> float:
        """Return the rate without help."""
        return 60 / (self.key * CHARACTERS_OF_A_WORD)


DEVICES = {
    # 36.2 words a minute, 2.3 % uncorrected errors (Palin et al. 2019), taken for the rate of wrong words. The eyes are
    # on the keys. A suggestion is one tap.
    "phone": Device(60 / (36.2 * CHARACTERS_OF_A_WORD), EYE_MOVEMENT, EYE_MOVEMENT, 1, 0, wrong=0.023),
    # 51.6 words a minute, 1.2 % uncorrected errors (Dhakal et al. 2018, "Observations on typing from 136 million
    # keystrokes"). The eyes are on the text. Arrow down reaches the list, an arrow its next word, and Enter takes it.
    "desktop": Device(60 / (51.6 * CHARACTERS_OF_A_WORD), EYE_MOVEMENT, 0.0, 2, 1, wrong=0.012),
}


@dataclass(frozen=True)
class Savings:
    """Savings by one kind of help."""

    keystrokes: Interval | None
    """Share of keys saved."""
    precision: Interval | None
    """Share of suggestions (lists) accepted."""
    words: Interval | None
    """Share of words accepted, not typed to their ends."""
    shown: Interval | None
    """Share of positions where something is shown."""
    right: Interval | None
    """Share of shown positions with a right suggestion."""
    speed: dict[str, Interval | None]
    """Words a minute, by device."""


@dataclass(frozen=True)
class Bin:
    """Suggestions of similar probability, and their share right."""

    suggestions: int
    probability: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities can be believed (Guo et al. 2017, "On calibration of modern neural networks")."""

    error: Interval | None
    """Expected calibration error, 0 to 1."""
    bins: tuple[Bin, ...]
    """Without empty bins."""


@dataclass(frozen=True)
class TypingSavings:
    """Savings with one model, as in `TypingRuns`."""

    lists: dict[int, Savings]
    ghost: Savings
    """At the default step of the dial."""
    ghosts: dict[str, Savings]
    calibration: Calibration
    """Of the first suggestion at each position."""
    proven: float
    """As in `SuggestedTexts`, like `steps`."""
    steps: float


@dataclass(frozen=True)
class TypingReport:
    """Savings of a model and its baseline."""

    texts: int
    characters: int
    threshold: float
    slips: float
    unaided: dict[str, float]
    """Words a minute without help, by device."""
    ceiling: Interval | None
    """Share of keys that an oracle saves."""
    model: TypingSavings
    baselines: dict[str, TypingSavings]
    random: dict[int, Savings]
    """With lists of words drawn from the texts."""
    context: int = 0
    """See `Evaluation`."""


def simulate(
    model: Completer,
    texts: Sequence[str],
    *,
    threshold: float = MIN_PROBABILITY,
    slips: float = 0.0,
    correct: bool = True,
    max_texts: int | None = MAX_TEXTS,
    context: int = 0,
) -> TypingReport:
    """Simulate a writer who types texts with the help of a model, and with that of its baseline.

    Args:
        threshold: minimum probability of a suggestion.
        slips: share of letters typed wrong and left so.
        correct: whether begun words are corrected.
        max_texts: maximum number of evenly spread texts; None types all.
        context: number of texts before each that the model has read, where they are a conversation, oldest first.

    Raises: `DataError` without any text, `OptionError` for slips outside 0 to 1, or a model that reads no context.
    """
    all_texts = normalised_texts(model, texts)
    if not all_texts:
        raise DataError("there is no text to type; name a file that has some.")
    chosen = spread(range(len(all_texts)), len(all_texts) if max_texts is None else max_texts)
    normalised = [all_texts[i] for i in chosen]
    typed, channel = with_slips(normalised, slips), model.word_reader.channel if correct else None
    baselines = {} if model.model is None else load_baselines(model.model.baselines, model.vocabulary.size)
    ceiling = keystrokes_saved(type_with_oracle(normalised))

    def type_some(one: LanguageModel, some: slice, openings: Openings | None = None) -> TypingRuns:
        shown = threshold, typed[some], channel, model.refusals(), openings
        return type_with_help(one, model.vocabulary, normalised[some], *shown)

    def type_with(one: Completer, some: slice) -> TypingRuns:
        return type_some(one.language_model, some, model.openings)

    def savings(runs: TypingRuns) -> TypingSavings:
        ghosts = _estimated(runs.ghosts, ghost=True)
        best = [(hits.probabilities[:, 0], hits.right[:, 0]) for hits in runs.suggested.texts]
        return TypingSavings(
            lists=_estimated(runs.lists, ghost=False),
            ghost=ghosts[GHOST],
            ghosts=ghosts,
            calibration=calibration([p[p > 0] for p, _ in best], [right[p > 0] for p, right in best]),
            proven=runs.suggested.proven,
            steps=runs.suggested.steps,
        )

    return TypingReport(
        texts=len(normalised),
        characters=int(ceiling[:, 1].sum()),
        threshold=threshold,
        slips=slips,
        unaided={name: device.words_a_minute for name, device in DEVICES.items()},
        ceiling=ratio(*ceiling.T),
        model=savings(TypingRuns.joined(in_context(model, all_texts, chosen, context, type_with))),
        baselines={n: savings(type_some(one, slice(None))) for n, one in baselines.items() if n == BASELINE},
        random=_estimated(type_with_random_words(normalised), ghost=False),
        context=context,
    )


def _estimated(runs: Mapping[K, TypedTexts], *, ghost: bool) -> dict[K, Savings]:
    statistics = [
        Statistic(columns, quotient)
        for run in runs.values()
        for columns in (
            keystrokes_saved(run.writing),
            precision(run.writing),
            run.writing[:, [10, 4]],
            run.places[:, [1, 2]],
            run.places[:, [0, 1]],
            *(words_and_minutes(run.timed, device, ghost=ghost) for device in DEVICES.values()),
        )
    ]
    intervals = iter([estimate.interval() for estimate in estimates(statistics)])
    found: dict[K, Savings] = {}
    for name in runs:
        keys, taken, words, shown, right = (next(intervals) for _ in range(5))
        found[name] = Savings(keys, taken, words, shown, right, {device: next(intervals) for device in DEVICES})
    return found


def reading_charge(device: Device) -> float:
    """Return the time to read a ghost word and decide, in keys."""
    return (device.look_at_ghost + DECISION) / device.key


def words_and_minutes(writing: Array, device: Device, *, ghost: bool) -> Array:
    """Return words and minutes with ghost text or a list from `type_texts`, (N, 11) -> (N, 2)."""
    keys, characters, _, accepted, _, ranks, read, bits, wrong, letters, _ = writing.T
    if not ghost:
        keys = keys + accepted * (device.keys_of_list - 1) + ranks * device.keys_of_rank
    looks = read * (device.look_at_ghost if ghost else device.look_at_list)
    # A wrong word: the key that takes it, the deletion of its letters and space, and the moment to see it.
    mistakes = device.wrong * (wrong * (2 * device.key + _RECOGNITION) + letters * device.key)
    seconds = keys * device.key + looks + bits * DECISION + mistakes
    return np.stack([characters / CHARACTERS_OF_A_WORD, seconds / 60], axis=1)


def calibration(probabilities: Sequence[Array], right: Sequence[NDArray[np.bool_]]) -> Calibration:
    """Compute the calibration of suggestions: for each text, probabilities above 0, and whether each was right."""
    columns = np.zeros((len(probabilities), 3, BINS))  # numbers, sums of probabilities, numbers right
    for row, p, was_right in zip(columns, probabilities, right, strict=True):
        bin_index = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        row[:] = [np.bincount(bin_index, weights, BINS) for weights in (np.ones(len(p)), p, was_right)]
    (estimate,) = estimates([Statistic(columns.reshape(len(columns), -1), _calibration_error)])
    counts, predicted, hits = columns.sum(axis=0)
    bins = [Bin(int(n), float(s / n), float(t / n)) for n, s, t in zip(counts, predicted, hits, strict=True) if n]
    return Calibration(estimate.interval(), tuple(bins))


def _calibration_error(sums: Array) -> Array:
    """(R, 3 * BINS) -> (R,); NaN without a suggestion."""
    counts, predicted, hits = sums.reshape(len(sums), 3, BINS).transpose(1, 0, 2)
    return quotient(np.stack([np.abs(predicted - hits), counts]).sum(axis=2).T)
