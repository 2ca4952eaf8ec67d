"""Evaluate a model on texts it has not seen, beside its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores
from kammil.data import sources
from kammil.data.bloom import BloomFilter, ExactTexts
from kammil.evaluation import metrics
from kammil.evaluation.baselines import load_baselines
from kammil.evaluation.bootstrap import Interval, Statistic, estimates, quotient
from kammil.evaluation.metrics import RANDOM, TARGET, Metrics
from kammil.language_model import Ids
from kammil.vocabulary import UNK

LOOPS = 6
"""Passes over the texts: scoring and completing, for three models."""


@dataclass(frozen=True)
class PositionAccuracy:
    """Accuracy at one position after the prompt, over the texts that have a character there."""

    position: int
    """1 for the first character of the target."""
    texts: int
    teacher_forced: Interval
    """Share of characters that were the most probable."""
    free_running: Interval
    """Share of characters that a greedy completion has here."""
    difference: Interval
    """Teacher-forced minus free-running, paired: the cost of *exposure bias* (Ranzato et al. 2016) and of a letter too
    many."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a model on some texts, beside those of its baselines."""

    texts: int
    characters: int
    target_characters: int
    unknown_characters: int
    """Characters outside the model's vocabulary."""
    seen_texts: int
    """Texts that are training texts, on which the metrics measure recall."""
    seen_by: Literal["texts", "runs"]
    """Recognised by whole texts or, in folders without their hashes, by runs of letters."""
    model: Metrics
    baselines: dict[str, Metrics]
    by_position: tuple[PositionAccuracy, ...]
    target: int = TARGET
    """Maximum length of a target."""
    min_length: int = 0
    short_texts: int = 0
    """Texts left out."""
    context: int = 0
    """Number of texts before each that the model has read, and the baselines have not."""

    def to_dict(self) -> dict[str, Any]:
        """Convert for JSON."""
        return asdict(self)


def evaluate(
    model: Completer,
    texts: sources.Texts,
    *,
    column: str | None = None,
    target: int = TARGET,
    min_length: int = 0,
    context: int = 0,
) -> Evaluation:
    """Evaluate a model on texts it has not seen, given as for `train`.

    Args:
        texts: any kind that `train` reads.
        column: of the texts, if they come as a table.
        target: maximum number of characters to predict, from the middle of each text on.
        min_length: texts of fewer characters, as the model sees them, are left out.
        context: number of texts before each, left out or not, that the model reads (`Completer.in_context`), where the
            texts are a conversation, oldest first; the baselines cannot.

    Raises: `DataError` without any character to predict, `OptionError` for a target or length out of range, or a model
    that reads no context.
    """
    metrics.check_task(target, min_length, context)
    if isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
        rows = cast(Sequence[str], texts)  # unchanged: for a model of raw texts, white space counts
    else:
        rows = sources.texts(texts, column=column)
    all_texts = metrics.normalised_texts(model, rows)
    normalised, vocabulary = metrics.long_enough(all_texts, min_length), model.vocabulary
    seen = model.model.seen if model.model is not None else {}
    exact = ExactTexts(seen)
    by_runs = BloomFilter(seen) if model.model is not None and not exact.available else None
    spans = [metrics.target_span(text, target) for text in normalised]

    def predict(one: Completer, some: slice) -> tuple[list[TokenScores], list[Ids]]:
        return metrics.predict(one.language_model, vocabulary, normalised[some], target)

    chosen = [i for i, text in enumerate(all_texts) if len(text) >= min_length]
    found = metrics.in_context(model, all_texts, chosen, context, predict)
    scores, written = [score for each, _ in found for score in each], [ids for _, each in found for ids in each]
    true = [vocabulary.encode(text[span]) for text, span in zip(normalised, spans, strict=True)]
    return Evaluation(
        texts=len(normalised),
        characters=sum(map(len, normalised)),
        target_characters=sum(map(len, true)),
        unknown_characters=sum(int((vocabulary.encode(text) == UNK).sum()) for text in normalised),
        seen_texts=int(exact.contains(normalised).sum())
        if by_runs is None
        else sum(by_runs.novelty(text) == "seen" for text in normalised),
        seen_by="texts" if by_runs is None else "runs",
        model=metrics.estimated(metrics.metric_columns(scores, written, vocabulary, normalised, target)),
        baselines=_baselines(model, normalised, target),
        by_position=accuracy_by_position(scores, written, true, spans),
        target=target,
        min_length=min_length,
        short_texts=len(all_texts) - len(normalised),
        context=context,
    )


def _baselines(model: Completer, texts: Sequence[str], target: int) -> dict[str, Metrics]:
    if model.model is None:
        return {}
    arrays, vocabulary = model.model.baselines, model.vocabulary
    counted = {
        name: metrics.compute_metrics(baseline, vocabulary, texts, target)
        for name, baseline in load_baselines(arrays, vocabulary.size).items()
    }
    if not vocabulary.characters:
        return counted
    most_frequent = metrics.most_frequent_metrics(arrays["unigram"], vocabulary, texts, target)
    return {RANDOM: metrics.random_metrics(vocabulary, texts, target), "most frequent": most_frequent, **counted}


def accuracy_by_position(
    scores: Sequence[TokenScores], written: Sequence[Ids], true: Sequence[Ids], spans: Sequence[slice]
) -> tuple[PositionAccuracy, ...]:
    """Compute accuracy at each position of N targets, `true` ids at `spans`, from teacher-forced scores and greedy
    completions."""
    length = max((len(ids) for ids in true), default=0)
    present, forced, free = (np.zeros((len(true), length)) for _ in range(3))  # (N, length) each
    for i, (score, answer, ids, span) in enumerate(zip(scores, written, true, spans, strict=True)):
        n = min(len(answer), len(ids))
        present[i, : len(ids)] = 1
        forced[i, : len(ids)] = score.ranks[span] == 0
        free[i, :n] = answer[:n] == ids[:n]
    pairs = [pair for hits in (forced, free) for pair in zip(hits.T, present.T, strict=True)]
    found = estimates([Statistic(np.stack(pair, 1), quotient) for pair in pairs])
    result: list[PositionAccuracy] = []
    for k, reaching in enumerate(present.sum(axis=0).astype(int).tolist()):
        teacher, own = (replace(estimate, texts=reaching) for estimate in (found[k], found[length + k]))
        intervals = [estimate.interval() for estimate in (teacher, own, teacher.minus(own))]
        result.append(PositionAccuracy(k + 1, reaching, *filter(None, intervals)))  # some target reaches each position
    return tuple(result)
