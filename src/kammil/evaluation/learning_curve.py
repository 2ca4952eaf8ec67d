"""A learning curve: how good models of one recipe are that learnt from more and more of the same texts.

All are measured on the same test texts, so what a step to more texts brings is a paired difference, whose interval is
much narrower than those of the two figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kammil.evaluation.bootstrap import Interval, Statistic, estimates
from kammil.evaluation.measures import MEASURES
from kammil.evaluation.ranking import RANKED_BY
from kammil.evaluation.scorecard import Columns


@dataclass(frozen=True)
class CurvePoint:
    """A model and how good it is."""

    name: str
    """Name of the model's folder."""
    texts: int
    """Number of training texts."""
    characters: int
    """Number of their characters."""
    training_seconds: float
    figures: Mapping[str, Interval]
    """Measure of `MEASURES` -> value on the test texts."""
    gains: Mapping[str, Interval]
    """Measure -> value minus that of the point before, paired; empty for the first point."""


@dataclass(frozen=True)
class LearningCurve:
    """Points in the order of their numbers of texts."""

    points: tuple[CurvePoint, ...]
    random: Mapping[str, Interval]
    """Measures of a guess among all characters alike."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Description of the texts and of the recipe."""

    def verdict(self) -> str:
        """Return one sentence on what the last step to more texts brought, and whether more are worth having."""
        if len(self.points) < 2:
            return "One amount of text makes no curve; give more shares."
        before, last = self.points[-2:]
        gain = last.gains[RANKED_BY]
        step = f"From {before.texts:,} to {last.texts:,} texts the bits per character change by {gain.value:+.3f}"
        if gain.low is None or gain.high is None:
            return f"{step}; the test texts are too few to say whether by chance."
        step += f" ({gain.low:+.3f}..{gain.high:+.3f})"
        if gain.high < 0:
            return f"{step}: more texts of this kind would probably still help."
        if gain.low > 0:
            return f"{step}: the added texts did harm; look at them, or give more --minutes."
        return f"{step}: whether more texts help cannot be told from this test."

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self) | {"verdict": self.verdict()}


def learning_curve(
    points: Sequence[CurvePoint], columns: Mapping[str, Columns], random: Columns, data: Mapping[str, Any]
) -> LearningCurve:
    """Estimate the measures of points and what each brings beyond the one before.

    Args:
        points: without figures, in the order of their numbers of texts.
        columns: name of a point -> measure -> summands of each text; one measure is taken on the same texts for all.
        random: the same for a random guess.
        data: description of the texts.
    """
    figures: dict[str, dict[str, Interval]] = {point.name: {} for point in points}
    gains: dict[str, dict[str, Interval]] = {point.name: {} for point in points}
    guessed: dict[str, Interval] = {}
    for measure, of in MEASURES.items():
        named = [point.name for point in points if measure in columns[point.name]]
        sums = [columns[name][measure] for name in named] + ([random[measure]] if measure in random else [])
        estimated = estimates([Statistic(column, of.of) for column in sums])
        for i, name in enumerate(named):
            if (interval := estimated[i].interval()) is not None:
                figures[name][measure] = interval
            if i and (gain := estimated[i].minus(estimated[i - 1]).interval()) is not None:
                gains[name][measure] = gain
        if measure in random and (interval := estimated[-1].interval()) is not None:
            guessed[measure] = interval
    finished = [
        CurvePoint(p.name, p.texts, p.characters, p.training_seconds, figures[p.name], gains[p.name]) for p in points
    ]
    return LearningCurve(tuple(finished), guessed, data)
