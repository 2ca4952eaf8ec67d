"""Rank models: metrics with intervals, and paired differences from the best model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kammil.evaluation.bootstrap import BootstrapEstimate, Interval, Statistic, estimates
from kammil.evaluation.measures import MEASURES
from kammil.evaluation.scorecard import Columns

RANKED_BY = "target_bits_per_character"
"""The measure that decides which model is the best: it depends on the whole distribution, not only on its peak."""


@dataclass(frozen=True)
class Row:
    """One row of the table, without its measures on the test texts."""

    name: str
    family: bool
    """Whether the row is a model family, which can be the best; otherwise it is a reference, such as a compressor."""
    note: str = ""
    """Settings that were chosen on validation texts."""
    parameters: int | None = None
    folder_bytes: int | None = None
    training_seconds: float | None = None
    completion_seconds: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    """Learning curve: seconds of training, and bits a character on the validation texts."""


@dataclass(frozen=True)
class Ranking:
    """The finished comparison."""

    rows: tuple[Row, ...]
    best: str
    """Name of the family with the fewest target bits a character."""
    figures: Mapping[str, Mapping[str, Interval]]
    """Row -> measure -> value; a measure that a row cannot have is missing. Bounds are None where the values of too few
    single texts are known."""
    differences: Mapping[str, Mapping[str, Interval]]
    """Row -> measure -> value of the row minus value of the best, paired."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Description of the texts."""
    signatures: Mapping[str, str] = field(default_factory=dict[str, str])
    """sacrebleu's signatures of chrF and BLEU."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Row that is missing -> reason."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return {
            "data": dict(self.data),
            "best": self.best,
            "signatures": dict(self.signatures),
            "left_out": dict(self.left_out),
            "rows": [
                asdict(row)
                | {
                    "figures": {name: asdict(interval) for name, interval in self.figures[row.name].items()},
                    "minus_best": {name: asdict(interval) for name, interval in self.differences[row.name].items()},
                }
                for row in self.rows
            ],
        }


def rank(rows: Sequence[Row], columns: Mapping[str, Columns]) -> Ranking:
    """Estimate the measures of rows and their differences from the best; one row at least is a family with measures.

    Args:
        rows: in the order to be shown.
        columns: row -> measure -> summands of each text. One measure is taken on the same texts for all rows; another
            measure may be taken on other texts.
    """
    keys = [(row.name, measure) for row in rows for measure in MEASURES if measure in columns[row.name]]
    statistics = [Statistic(columns[name][measure], MEASURES[measure].of) for name, measure in keys]
    texts = {len(statistic.columns) for statistic in statistics}
    all_estimates: dict[tuple[str, str], BootstrapEstimate] = {}
    for num_texts in texts:  # statistics over the same texts share their resamples
        indices = [i for i, s in enumerate(statistics) if len(s.columns) == num_texts]
        resampled = estimates([statistics[i] for i in indices])
        all_estimates |= {keys[i]: estimate for i, estimate in zip(indices, resampled, strict=True)}
    best = min((row.name for row in rows if row.family), key=lambda name: all_estimates[name, RANKED_BY].value)
    figures: dict[str, dict[str, Interval]] = {row.name: {} for row in rows}
    differences: dict[str, dict[str, Interval]] = {row.name: {} for row in rows}
    for name, measure in keys:
        row_estimate, best_estimate = all_estimates[name, measure], all_estimates.get((best, measure))
        _add_interval(figures[name], measure, row_estimate)
        if best_estimate is not None and name != best:
            _add_interval(differences[name], measure, row_estimate.minus(best_estimate))
    return Ranking(tuple(rows), best, figures, differences)


def _add_interval(into: dict[str, Interval], measure: str, estimate: BootstrapEstimate) -> None:
    """Add the interval of an estimate if it has one."""
    interval = estimate.interval()
    if interval is not None:
        into[measure] = interval
