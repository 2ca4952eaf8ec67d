"""Evaluate a model on texts it has not seen, beside its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.data.bloom import BloomFilter, ExactTexts
from kammil.evaluation.baselines import load_baselines
from kammil.evaluation.metrics import (
    RANDOM,
    TARGET,
    Metrics,
    check_task,
    compute_metrics,
    long_enough,
    metric_sums,
    most_frequent_metrics,
    normalised_texts,
    predict,
    random_metrics,
    target_span,
)
from kammil.evaluation.positions import PositionAccuracy, accuracy_by_position
from kammil.vocabulary import UNK

LOOPS = 6
"""Number of passes over the texts in `evaluate`, for its progress bar: scoring and completing, for three models."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a model on some texts, beside those of its baselines."""

    texts: int
    characters: int
    """Characters of the texts as the model sees them."""
    target_characters: int
    unknown_characters: int
    """Characters that are not in the model's vocabulary."""
    seen_texts: int
    """Texts that are training texts, as `kammil data check` counts them: for these the metrics measure recall. Where
    the folder keeps no hashes of whole texts, texts all of whose letter runs occur in the training texts."""
    seen_by: Literal["texts", "runs"]
    """How `seen_texts` were recognised: by whole texts, or by letter runs."""
    model: Metrics
    baselines: dict[str, Metrics]
    by_position: tuple[PositionAccuracy, ...]
    """Accuracy of the model at each position of the target, teacher-forced and free-running."""
    target: int = TARGET
    """Most characters of a target."""
    min_length: int = 0
    """Shorter texts were left out."""
    short_texts: int = 0
    """Number of texts that were left out."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self)


def evaluate(
    model: Completer, texts: sources.Texts, *, column: str | None = None, target: int = TARGET, min_length: int = 0
) -> Evaluation:
    """Evaluate a model on texts it has not seen.

    Args:
        model: the model.
        texts: given as for `train`.
        column: of the texts, if they come as a table.
        target: number of characters to predict from the middle of each text on.
        min_length: texts of fewer characters, as the model sees them, are left out.

    Raises: `DataError` without any character to predict, `OptionError` for a target or length out of range.
    """
    check_task(target, min_length)
    if isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
        rows = cast(Sequence[str], texts)  # unchanged: for a model of raw texts, white space counts
    else:
        rows = sources.texts(texts, column=column)
    all_texts = normalised_texts(model, rows)
    normalised = long_enough(all_texts, min_length)
    arrays = model.model.baselines if model.model is not None else {}
    baseline_models = load_baselines(arrays, model.vocabulary.size) if model.model is not None else {}
    seen_arrays = model.model.seen if model.model is not None else None
    exact_texts = ExactTexts(seen_arrays if seen_arrays is not None else {})
    by_runs = BloomFilter(seen_arrays) if seen_arrays is not None and not exact_texts.available else None
    baseline_metrics = {
        name: compute_metrics(baseline, model.vocabulary, normalised, target)
        for name, baseline in baseline_models.items()
    }
    if baseline_metrics and model.vocabulary.characters:
        baseline_metrics = {
            RANDOM: random_metrics(model.vocabulary, normalised, target),
            "most frequent": most_frequent_metrics(arrays["unigram"], model.vocabulary, normalised, target),
        } | baseline_metrics
    spans = [target_span(text, target) for text in normalised]
    scores, written = predict(model.language_model, model.vocabulary, normalised, target)
    true = [model.vocabulary.encode(text[span]) for text, span in zip(normalised, spans, strict=True)]
    return Evaluation(
        texts=len(normalised),
        characters=sum(map(len, normalised)),
        target_characters=sum(span.stop - span.start for span in spans),
        unknown_characters=sum(int((model.vocabulary.encode(text) == UNK).sum()) for text in normalised),
        seen_texts=int(exact_texts.contains(normalised).sum())
        if by_runs is None
        else sum(by_runs.novelty(text) == "seen" for text in normalised),
        seen_by="texts" if by_runs is None else "runs",
        model=metric_sums(scores, written, model.vocabulary, normalised, target).metrics(),
        baselines=baseline_metrics,
        by_position=accuracy_by_position(scores, written, true, spans),
        target=target,
        min_length=min_length,
        short_texts=len(all_texts) - len(normalised),
    )
