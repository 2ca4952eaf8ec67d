"""Keys and time that a writer saves with suggestions of a model, beside a baseline, random words and an oracle.

*Precision* is the share of the positions with a suggestion at which it was accepted; the others were a distraction. The
share of all positions where something is shown, and of those where it is right, are of the text typed without help:
what is right is taken, so a writer with help meets fewer of the easy positions.

*Random words.* A list of W words that are drawn from the V different words of the texts, anew at every position and
whatever is typed, holds the right one with probability W / V. It is what a list is worth that knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST
from kammil.completion.openings import Openings
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.errors import DataError
from kammil.evaluation.baselines import load_baselines
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient, ratio
from kammil.evaluation.calibration import Calibration, calibration
from kammil.evaluation.keystrokes import (
    ListRuns,
    TypingRuns,
    keystrokes_saved,
    precision,
    type_with_help,
    type_with_oracle,
    type_with_random_words,
)
from kammil.evaluation.metrics import normalised_texts, spread
from kammil.evaluation.slips import with_slips
from kammil.evaluation.typing_speed import DEVICES, words_and_minutes
from kammil.language_model import LanguageModel

K = TypeVar("K")

MAX_TEXTS = 500
"""Most texts that are typed: a tweet takes a tenth of a second (with subwords three), and so many already give a narrow
interval."""
BASELINE = "3-gram"
"""The baseline of a model folder that is measured beside the model: the one that can suggest words."""


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
    random: dict[int, Savings]
    """Savings by lists of W words that are drawn from all words of the texts, by W."""

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
    if max_texts is not None:
        normalised = spread(normalised, max_texts)
    typed, channel = with_slips(normalised, slips), model.word_reader.channel if correct else None
    baselines: Mapping[str, LanguageModel] = {}
    if model.model is not None:
        baselines = load_baselines(model.model.baselines, model.vocabulary.size)
    ceiling = keystrokes_saved(type_with_oracle(normalised))

    def savings(language_model: LanguageModel, openings: Openings | None = None) -> TypingSavings:
        shown = threshold, typed, channel, model.refusals(), openings
        return _savings(type_with_help(language_model, model.vocabulary, normalised, *shown))

    return TypingReport(
        texts=len(normalised),
        characters=int(ceiling[:, 1].sum()),
        threshold=threshold,
        slips=slips,
        unaided={name: device.words_a_minute for name, device in DEVICES.items()},
        ceiling=ratio(*ceiling.T),
        model=savings(model.language_model, model.openings),
        baselines={name: savings(baseline) for name, baseline in baselines.items() if name == BASELINE},
        random=_list_savings(type_with_random_words(normalised)),
    )


_Run = tuple[Array, Array, Array]
"""Runs of the texts, the positions where something is right, shown and all, and the runs by which time is counted:
(N, 11), (N, 3), (N, 11)."""


def _savings(runs: TypingRuns) -> TypingSavings:
    """Estimate the figures of runs."""
    ghosts = {level: (runs.ghosts[level], runs.ghost_places[level], runs.ghosts[level]) for level in runs.ghosts}
    by_level = _estimated(ghosts, ghost=True)
    best = [(hits.probabilities[:, 0], hits.right[:, 0]) for hits in runs.suggested.texts]
    return TypingSavings(
        lists=_list_savings(runs),
        ghost=by_level[GHOST],
        ghosts=by_level,
        calibration=calibration([p[p > 0] for p, _ in best], [right[p > 0] for p, right in best]),
        proven=runs.suggested.proven,
        steps=runs.suggested.steps,
    )


def _list_savings(runs: ListRuns) -> dict[int, Savings]:
    """Estimate the figures of runs with lists, by the number of suggestions."""
    return _estimated(
        {width: (runs.lists[width], runs.list_places[width], runs.glances[width]) for width in runs.lists}, ghost=False
    )


def _estimated(runs: Mapping[K, _Run], *, ghost: bool) -> dict[K, Savings]:
    """Estimate the figures of runs with ghost text, or else with lists."""
    statistics = [
        Statistic(columns, quotient)
        for writing, places, timed in runs.values()
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
    each = len(intervals) // len(runs)
    found: dict[K, Savings] = {}
    for name, i in zip(runs, range(0, len(intervals), each), strict=True):
        keys, taken, words_taken, shown, right, *rates = intervals[i : i + each]
        found[name] = Savings(keys, taken, words_taken, shown, right, dict(zip(DEVICES, rates, strict=True)))
    return found
