"""Whether learning helped a user: each text is predicted before it is learnt (*prequentially*, Dawid 1984).

Two copies of a model are measured on each text in order, and one learns it afterwards; no text need be held back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores, score_texts
from kammil.errors import DataError, OptionError
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.keystrokes import keystrokes_saved, type_with_model
from kammil.evaluation.metrics import score_in_batches
from kammil.progress import tracked

Verdict = Literal["helped", "harmed", "mixed", "not yet known"]


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
class LearningReport:
    """The effect of learning on the texts of one user."""

    texts: int
    repeats: int
    """Texts left out, since they were learnt before."""
    characters: int
    bits: Effect
    """Bits per character and end of text."""
    right: Effect
    """Share of characters and ends that were the most probable."""
    keystrokes: Effect | None
    """Share of keystrokes that three suggestions save; None if not asked for."""

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


def learning_report(model: Completer, texts: Sequence[str], *, typing: bool = False) -> LearningReport:
    """Measure what a model would have gained by learning texts in their order.

    A repeated text is learnt again but not measured, since it would flatter.

    Args:
        model: one that can learn, used without what it has learnt and left unchanged.
        texts: of one user, oldest first.
        typing: also measure keystrokes, which takes longer.

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
    scores = score_in_batches(plain.language_model, model.vocabulary, measured)
    taught: list[TokenScores] = []
    saved: list[Array] = []
    for text, new in tracked([*zip(normalised, fresh, strict=True)], "learning"):
        if new:
            taught += score_texts(learner.language_model, model.vocabulary, [text])
            if typing:
                saved.append(keystrokes_saved(type_with_model(learner, [text]).lists[3].writing))
        learner.learn(text)
    bits = _effect(*(np.array([[s.bits.sum(), len(s.bits)] for s in each]) for each in (scores, taught)))
    right = _effect(*(np.array([[(s.ranks == 0).sum(), len(s.bits)] for s in each]) for each in (scores, taught)))
    keystrokes = None
    if typing:
        keystrokes = _effect(keystrokes_saved(type_with_model(plain, measured).lists[3].writing), np.concatenate(saved))
    characters = sum(map(len, measured))
    return LearningReport(len(measured), len(normalised) - len(measured), characters, bits, right, keystrokes)


def _effect(without: Array, learnt: Array) -> Effect:
    plain, taught = estimates([Statistic(columns.astype(np.float64), quotient) for columns in (without, learnt)])
    return Effect(*filter(None, (each.interval() for each in (plain, taught, taught.minus(plain)))))
