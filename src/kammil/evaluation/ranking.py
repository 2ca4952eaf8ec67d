"""Models beside one another on the same texts: a ranking of families, and a learning curve of one recipe.

Each text keeps its summands, so that models measured on different days are compared text by text.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST
from kammil.data.bloom import BloomFilter
from kammil.evaluation.bootstrap import Array, BootstrapEstimate, Interval, Statistic, estimates
from kammil.evaluation.keystrokes import keystrokes_saved, precision, type_with_model, type_with_oracle
from kammil.evaluation.measures import HELP, KEYS, MEASURES, TAKEN, Columns
from kammil.evaluation.metrics import (
    TARGET,
    greedy_predictions,
    half,
    metric_columns,
    next_word_counts,
    predict,
    target_span,
)

RANKED_BY = "target_bits_per_character"
"""The deciding measure: it depends on the whole distribution, not only on its peak."""
NUM_TIMED = 40
"""Completions timed one by one."""
_SHOWN = (RANKED_BY, "bits_per_character_with_end", "target_top1", "target_top3", "chrf", "bleu")


@dataclass(frozen=True)
class Row:
    """One row, without its measures on the test texts."""

    name: str
    family: bool
    """Whether it may be the best; else it is a reference, such as a compressor."""
    note: str = ""
    """Settings chosen on validation texts."""
    parameters: int | None = None
    folder_bytes: int | None = None
    training_seconds: float | None = None
    completion_seconds: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    """Seconds of training, and bits per character on the validation texts."""


@dataclass(frozen=True)
class Ranking:
    """A finished comparison."""

    rows: tuple[Row, ...]
    best: str
    """Family with the fewest target bits per character."""
    figures: Mapping[str, Mapping[str, Interval]]
    """Row -> measure -> value."""
    differences: Mapping[str, Mapping[str, Interval]]
    """Row -> measure -> value minus that of the best, paired."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    signatures: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Missing row -> reason."""

    def to_dict(self) -> dict[str, Any]:
        """Convert for JSON."""
        found = asdict(self)
        figures, differences = found.pop("figures"), found.pop("differences")
        for row in found["rows"]:
            row |= {"figures": figures[row["name"]], "minus_best": differences[row["name"]]}
        return found


@dataclass(frozen=True)
class CurvePoint:
    """One model of a learning curve."""

    name: str
    texts: int
    characters: int
    training_seconds: float
    figures: Mapping[str, Interval]
    """Measure -> value on the test texts."""
    gains: Mapping[str, Interval]
    """Measure -> value minus that of the point before, paired; empty for the first."""


@dataclass(frozen=True)
class LearningCurve:
    """Models of one recipe, trained on growing parts of the same texts."""

    points: tuple[CurvePoint, ...]
    random: Mapping[str, Interval]
    """Measures of a guess among all characters."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Description of texts and recipe."""

    def verdict(self) -> str:
        """Say whether more texts are worth having, by the last step."""
        if len(self.points) < 2:
            return "One amount of text makes no curve; give more shares."
        before, last = self.points[-2:]
        gain = last.gains[RANKED_BY]
        change = MEASURES[RANKED_BY].show(gain, signed=True)
        step = f"From {before.texts:,} to {last.texts:,} texts the bits per character change by {change}"
        if gain.low is None or gain.high is None:
            return f"{step}; the test texts are too few to say whether by chance."
        if gain.high < 0:
            return f"{step}: more texts of this kind would probably still help."
        if gain.low > 0:
            return f"{step}: the added texts did harm; look at them, or give more --minutes."
        return f"{step}: whether more texts help cannot be told from this test."

    def to_dict(self) -> dict[str, Any]:
        """Convert for JSON."""
        return asdict(self) | {"verdict": self.verdict()}


def rank(rows: Sequence[Row], columns: Mapping[str, Columns]) -> Ranking:
    """Estimate the measures of rows, a family among them, and their differences from the best; `columns` by row."""
    found = _estimates(columns)
    best = min((row.name for row in rows if row.family), key=lambda name: found[name][RANKED_BY].value)
    figures = {row.name: _intervals(found[row.name]) for row in rows}
    differences = {row.name: _intervals(found[row.name], found[best]) if row.name != best else {} for row in rows}
    return Ranking(tuple(rows), best, figures, differences)


def learning_curve(
    points: Sequence[CurvePoint], columns: Mapping[str, Columns], random: Columns, data: Mapping[str, Any]
) -> LearningCurve:
    """Estimate the measures of points, in order, and their gains on the one before."""
    found = _estimates({**columns, "": random})
    before = [{}, *(found[point.name] for point in points)]
    finished = [
        replace(point, figures=_intervals(found[point.name]), gains=_intervals(found[point.name], earlier))
        for point, earlier in zip(points, before, strict=False)
    ]
    return LearningCurve(tuple(finished), _intervals(found[""]), data)


def _estimates(columns: Mapping[str, Columns]) -> dict[str, dict[str, BootstrapEstimate]]:
    """Statistics over the same texts share their resamples."""
    keys = [(name, measure) for name, sums in columns.items() for measure in MEASURES if measure in sums]
    found: dict[str, dict[str, BootstrapEstimate]] = {name: {} for name in columns}
    for texts in {len(columns[name][measure]) for name, measure in keys}:
        same = [(name, measure) for name, measure in keys if len(columns[name][measure]) == texts]
        sums = [Statistic(columns[name][measure], MEASURES[measure].of) for name, measure in same]
        for (name, measure), estimate in zip(same, estimates(sums), strict=True):
            found[name][measure] = estimate
    return found


def _intervals(
    row: Mapping[str, BootstrapEstimate], minus: Mapping[str, BootstrapEstimate] | None = None
) -> dict[str, Interval]:
    """Return the values of a row, or its paired differences."""
    both = row if minus is None else {name: row[name].minus(minus[name]) for name in row if name in minus}
    found = [(name, both[name].interval()) for name in MEASURES if name in both]
    return {name: interval for name, interval in found if interval is not None}


def scorecard(model: Completer, texts: Sequence[str], typed: Sequence[str]) -> dict[str, Array]:
    """Measure a model on normalised texts, none empty; fewer may be `typed`, which takes longest."""
    language_model, vocabulary = model.language_model, model.vocabulary
    scores, written = predict(language_model, vocabulary, texts, TARGET)
    measured = metric_columns(scores, written, vocabulary, texts, TARGET)
    columns = {name: measured[name] for name in _SHOWN}
    predictions = greedy_predictions(language_model, vocabulary, texts)
    columns["next_word"] = next_word_counts(predictions, texts, [target_span(text) for text in texts])
    if model.model is not None:
        seen = BloomFilter(model.model.seen)
        answers = [(vocabulary.decode(ids), text[: half(text)]) for ids, text in zip(written, texts, strict=True)]
        columns["new"] = np.array([[seen.novelty(*answer) == "new", 1] for answer in answers], np.float64)
    runs = type_with_model(model, typed)
    for name, run in {**{str(width): run for width, run in runs.lists.items()}, "ghost": runs.ghosts[GHOST]}.items():
        columns[KEYS + name], columns[TAKEN + name] = keystrokes_saved(run.writing), precision(run.writing)
    return columns


def ceiling(typed: Sequence[str]) -> dict[str, Array]:
    """Return the columns of an oracle of all words."""
    return dict.fromkeys((KEYS + name for name in HELP), keystrokes_saved(type_with_oracle(typed)))


def bits_only(texts: Sequence[str], target_bits: Array, bits_with_end: Array) -> dict[str, Array]:
    """Return the columns of a predictor that only gives bits, (N,)."""
    lengths = [len(text[target_span(text)]) for text in texts]
    return {
        RANKED_BY: np.stack([target_bits, np.array(lengths, np.float64)], axis=1),
        "bits_per_character_with_end": np.stack([bits_with_end, [len(text) + 1.0 for text in texts]], axis=1),
    }


def completion_seconds(model: Completer, texts: Sequence[str]) -> float:
    """Return the median seconds of a completion of 30 characters."""
    seconds: list[float] = []
    for i in range(NUM_TIMED):  # fewer texts are repeated
        text = texts[i * len(texts) // NUM_TIMED]
        started = time.perf_counter()
        model.complete(text[: half(text)], length=TARGET)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
