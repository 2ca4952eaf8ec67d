"""From what was measured of each model to a table: figures with intervals, and paired differences against the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kammil.evaluation.bootstrap import BootstrapEstimate, Interval, Statistic, estimates
from kammil.evaluation.scorecard import MEASURES, Columns

RANKED_BY = "target_bits_per_character"
"""The measure that decides which row is the best: the whole distribution counts, not only its peak."""


@dataclass(frozen=True)
class Row:
    """One line of the table, apart from what was measured on the test texts."""

    name: str
    family: bool
    """A family of models, which can be the best; else something to compare with."""
    note: str = ""
    """What was chosen on validation."""
    parameters: int | None = None
    folder_bytes: int | None = None
    training_seconds: float | None = None
    completion_seconds: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    """Seconds of training, and bits a character of the validation texts then."""


@dataclass(frozen=True)
class Ranking:
    """The finished comparison."""

    rows: tuple[Row, ...]
    best: str
    """The family with the fewest target bits a character."""
    figures: Mapping[str, Mapping[str, Interval]]
    """Row -> measure -> figure; a measure that a row cannot have is missing. Bounds are None where too few single texts
    are known."""
    differences: Mapping[str, Mapping[str, Interval]]
    """Row -> measure -> figure of the row minus that of the best, paired."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What was compared on."""
    signatures: Mapping[str, str] = field(default_factory=dict[str, str])
    """sacrebleu's, of chrF and BLEU."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Row -> why it is missing."""

    def to_dict(self) -> dict[str, Any]:
        """Builtins only, for JSON."""
        return {
            "data": dict(self.data),
            "best": self.best,
            "signatures": dict(self.signatures),
            "left_out": dict(self.left_out),
            "rows": [
                asdict(row)
                | {
                    "figures": {name: asdict(figure) for name, figure in self.figures[row.name].items()},
                    "minus_best": {name: asdict(figure) for name, figure in self.differences[row.name].items()},
                }
                for row in self.rows
            ],
        }


def rank(rows: Sequence[Row], columns: Mapping[str, Columns]) -> Ranking:
    """Figures and differences of rows; at least one of them is a family that was measured.

    Args:
        rows: in the order to be shown.
        columns: for each row, what each text adds to the sums of each measure; all rows on the same texts, which need
            not be those of another measure.
    """
    keys = [(row.name, measure) for row in rows for measure in MEASURES if measure in columns[row.name]]
    statistics = [Statistic(columns[name][measure], MEASURES[measure].of) for name, measure in keys]
    texts = {len(statistic.columns) for statistic in statistics}
    found: dict[tuple[str, str], BootstrapEstimate] = {}
    for many in texts:  # what is known of the same texts, one by one, shares its resamples
        chosen = [i for i, s in enumerate(statistics) if len(s.columns) == many]
        made = estimates([statistics[i] for i in chosen])
        found |= {keys[i]: estimate for i, estimate in zip(chosen, made, strict=True)}
    best = min((row.name for row in rows if row.family), key=lambda name: found[name, RANKED_BY].value)
    figures: dict[str, dict[str, Interval]] = {row.name: {} for row in rows}
    differences: dict[str, dict[str, Interval]] = {row.name: {} for row in rows}
    for name, measure in keys:
        one, other = found[name, measure], found.get((best, measure))
        _put(figures[name], measure, one)
        if other is not None and name != best:
            _put(differences[name], measure, one.minus(other))
    return Ranking(tuple(rows), best, figures, differences)


def _put(into: dict[str, Interval], measure: str, estimate: BootstrapEstimate) -> None:
    """Add the figure of an estimate if it has one."""
    figure = estimate.figure()
    if figure is not None:
        into[measure] = figure
