"""Whether learning helped a user: each text is predicted before it is learnt (*prequentially*, Dawid 1984).

Two copies of a model read the user's texts in the order in which they were written. One learns each text after it was
measured on it, the other learns nothing. So nothing is measured on a text that was already known, no text need be held
back, and the two are compared text by text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores, score_texts
from kammil.errors import DataError, OptionError
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.keystrokes import keystrokes_saved, type_with_help
from kammil.evaluation.metrics import score_in_batches
from kammil.progress import tracked

Verdict = Literal["helped", "harmed", "mixed", "not yet known"]


@dataclass(frozen=True)
class Effect:
    """One measure without and with what was learnt before each text."""

    without: Interval
    learnt: Interval
    difference: Interval
    """Learnt minus without, paired."""

    @property
    def sign(self) -> int:
        """Return the sign of the difference; 0 while its interval holds zero, and without an interval."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0 <= high:
            return 0
        return 1 if low > 0 else -1


@dataclass(frozen=True)
class LearningReport:
    """What learning was worth on the texts of one user."""

    texts: int
    """Number of texts that were measured."""
    repeats: int
    """Number of texts left out of the measure since they had been learnt already, letter by letter."""
    characters: int
    bits: Effect
    """Bits of the characters and ends, per character and end: lower is better."""
    right: Effect
    """Share of the characters and ends that were the most probable."""
    keystrokes: Effect | None
    """Share of keystrokes that three suggestions save; None if it was not asked for."""

    @property
    def verdict(self) -> Verdict:
        """Return whether learning helped, by the bits; not yet known while their interval holds zero, or without one.

        Mixed where the first guesses say the opposite: whoever writes of many things may find more of them right, and
        pay for it with more bits wherever what was learnt is believed and is wrong.
        """
        if self.bits.sign == 0:
            return "not yet known"
        if self.bits.sign == self.right.sign:  # fewer bits are better, and more right guesses
            return "mixed"
        return "helped" if self.bits.sign < 0 else "harmed"

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return {"verdict": self.verdict} | asdict(self)


def learning_report(model: Completer, texts: Sequence[str], *, typing: bool = False) -> LearningReport:
    """Measure what a model would have gained by learning texts one by one, in their order.

    A text that was learnt before, letter by letter, is learnt again but not measured: it may be there twice so as to
    count twice, and would flatter.

    Args:
        model: one that can learn; it stays as it is, and what it has learnt so far is not used.
        texts: of one user, oldest first, such as those of a profile.
        typing: also type each text with suggestions, which takes longer.

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
                saved.append(_keystrokes(learner, [text]))
        learner.learn(text)
    positions = np.array([len(text) + 1 for text in measured], np.float64)
    sums = [
        *(np.stack([[score.bits.sum() for score in each], positions], 1) for each in (scores, taught)),
        *(np.stack([[(score.ranks == 0).sum() for score in each], positions], 1) for each in (scores, taught)),
        *([_keystrokes(plain, measured), np.concatenate(saved)] if typing else []),
    ]
    effects = [_effect(without, learnt) for without, learnt in zip(sums[::2], sums[1::2], strict=True)]
    bits, right, *rest = effects
    assert bits is not None and right is not None  # every text has an end, so there are positions
    return LearningReport(
        len(measured),
        len(normalised) - len(measured),
        sum(map(len, measured)),
        bits,
        right,
        rest[0] if rest else None,
    )


def _keystrokes(model: Completer, texts: Sequence[str]) -> Array:
    """Return the keystrokes saved by three suggestions, begun words corrected, and all keystrokes, (N, 2)."""
    runs = type_with_help(
        model.language_model,
        model.vocabulary,
        texts,
        channel=Channel.of(model.vocabulary),
        refusals=model.refusals(),
        openings=model.openings,
    )
    return keystrokes_saved(runs.lists[3])


def _effect(without: Array, learnt: Array) -> Effect | None:
    """Compare two ratios of sums over the same texts, (N, 2) each; None where neither has a value."""
    plain, taught = estimates([Statistic(without, quotient), Statistic(learnt, quotient)])
    before, after, difference = plain.interval(), taught.interval(), taught.minus(plain).interval()
    return None if before is None or after is None or difference is None else Effect(before, after, difference)
