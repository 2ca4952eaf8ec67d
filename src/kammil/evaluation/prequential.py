"""Whether learning helped a user: each text is predicted before it is learnt (*prequentially*, Dawid 1984).

Two copies of a model are measured on each text in order, and one learns it afterwards; no text need be held back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.own_words import BEGUN, own_words
from kammil.completion.scoring import TokenScores, score_in_batches, score_texts
from kammil.completion.word_search import MIN_PROBABILITY
from kammil.errors import DataError, OptionError
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.keystrokes import Help, keystrokes_saved, type_texts
from kammil.evaluation.suggestion_hits import SuggestionHits, suggestion_hits
from kammil.progress import tracked

Verdict = Literal["helped", "harmed", "mixed", "not yet known"]
SPAN = 100
"""Texts at the beginning that are compared with as many at the end."""
WIDTH = 3
"""Size of the list of suggestions."""


@dataclass(frozen=True)
class Effect:
    """One measure without and with learning."""

    without: Interval
    learnt: Interval
    difference: Interval
    """Learnt minus without, paired."""

    @property
    def sign(self) -> int:
        """Return the sign of the difference; 0 if its interval holds zero or is missing."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0 <= high:
            return 0
        return 1 if low > 0 else -1


@dataclass(frozen=True)
class Effects:
    """The effect of learning on some texts."""

    texts: int
    characters: int
    bits: Effect
    """Bits per character and end of text."""
    right: Effect
    """Share of characters and ends that were the most probable."""
    keystrokes: Effect
    """Share of keystrokes that a writer saves who takes every right word of three suggestions."""


@dataclass(frozen=True)
class LearntWord:
    """A word that the model hardly expected (`own_words`), and that it learnt."""

    word: str
    used: int
    offered: tuple[int, ...]
    """The uses, counted from 1, at which it was suggested after at most two letters."""


@dataclass(frozen=True)
class LearningReport(Effects):
    """The effect of learning on the texts of one user."""

    repeats: int
    """Texts left out, since they were learnt before."""
    first: Effects
    """Of the first hundred texts; of the first half of fewer than two hundred."""
    last: Effects
    words: tuple[LearntWord, ...]
    """Words of the user's own, the most used ones first."""

    @property
    def verdict(self) -> Verdict:
        """Return whether learning helped, by the bits; mixed where `right` says the opposite."""
        if self.bits.sign == 0:
            return "not yet known"
        if self.bits.sign == self.right.sign:  # fewer bits and more right guesses are better
            return "mixed"
        return "helped" if self.bits.sign < 0 else "harmed"

    def to_dict(self) -> dict[str, Any]:
        """Convert for JSON."""
        return {"verdict": self.verdict} | asdict(self)


def learning_report(model: Completer, texts: Sequence[str]) -> LearningReport:
    """Measure what a model would have gained by learning texts in their order.

    A repeated text is learnt again but not measured, since it would flatter.

    Args:
        model: one that can learn, used without what it has learnt and left unchanged.
        texts: of one user, oldest first.

    Raises: `OptionError` for a model that cannot learn, `DataError` without a text.
    """
    if isinstance(texts, str):
        raise OptionError(f"texts is {texts[:40]!r}, but it must be a list of texts, such as [text].")
    plain, learner = model.fork(), model.fork()
    normalised = [text for text in (model.normalise(text).strip() for text in texts) if text]
    if not normalised:
        raise DataError("there is no text to report on; learn some first.")
    fresh = [text not in normalised[:i] for i, text in enumerate(normalised)]
    measured = [text for text, new in zip(normalised, fresh, strict=True) if new]
    channel = Channel.of(model.vocabulary)
    scores = score_in_batches(plain.language_model, model.vocabulary, measured)
    lists = _lists(plain, measured, channel)
    taught, taught_lists = list[TokenScores](), list[SuggestionHits]()
    for text, new in tracked([*zip(normalised, fresh, strict=True)], "learning"):
        if new:
            taught += score_texts(learner.language_model, model.vocabulary, [text])
            taught_lists += _lists(learner, [text], channel)
        learner.learn(text)
    columns = [_columns(measured, *each) for each in ((scores, lists), (taught, taught_lists))]
    span = min(SPAN, max(1, len(measured) // 2))
    whole, first, last = (
        _effects(measured[part], *([rows[part] for rows in each] for each in columns))
        for part in (slice(None), slice(span), slice(-span, None))
    )
    found = own_words(measured, scores)
    words = tuple(
        LearntWord(word, len(uses), tuple(n for n, use in enumerate(uses, 1) if _offered(taught_lists, word, *use)))
        for word, uses in found.items()
    )
    return LearningReport(**vars(whole), repeats=len(normalised) - len(measured), first=first, last=last, words=words)


def _lists(model: Completer, texts: Sequence[str], channel: Channel) -> list[SuggestionHits]:
    refusals, openings = model.refusals(), model.openings
    return suggestion_hits(
        model.language_model,
        model.vocabulary,
        texts,
        WIDTH,
        MIN_PROBABILITY,
        channel=channel,
        refusals=refusals,
        openings=openings,
    ).texts


def _offered(lists: Sequence[SuggestionHits], word: str, text: int, begin: int) -> bool:
    places = slice(begin, begin + BEGUN + 1)
    right = lists[text].right[places] & (lists[text].ends[places] == begin + len(word))
    return bool(right.any())


def _columns(texts: Sequence[str], scores: Sequence[TokenScores], lists: Sequence[SuggestionHits]) -> list[Array]:
    """Return the summands of bits, right guesses and keystrokes, (N, 2) each."""
    typed = type_texts(texts, [Help.lists(hits, WIDTH) for hits in lists])
    bits = [[score.bits.sum(), len(score.bits)] for score in scores]
    right = [[(score.ranks == 0).sum(), len(score.bits)] for score in scores]
    return [np.array(bits, np.float64), np.array(right, np.float64), keystrokes_saved(typed)]


def _effects(texts: Sequence[str], without: Sequence[Array], learnt: Sequence[Array]) -> Effects:
    bits, right, keystrokes = map(_effect, without, learnt)
    return Effects(len(texts), sum(map(len, texts)), bits, right, keystrokes)


def _effect(without: Array, learnt: Array) -> Effect:
    plain, taught = estimates([Statistic(columns, quotient) for columns in (without, learnt)])
    return Effect(*filter(None, (each.interval() for each in (plain, taught, taught.minus(plain)))))
