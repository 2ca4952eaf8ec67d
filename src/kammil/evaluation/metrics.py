"""Teacher-forced and free-running metrics of a model on texts it has not seen.

The task is the notebook's: given the first half of a text, the next 30 characters. *Teacher-forced*: each character is
predicted from all true ones before it. *Free-running*: the model continues its own greedy completion, and a character
is right if it stands where the true one stands.

Every metric is a ratio of sums over all texts, never a mean of means, so each character weighs the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores, score_texts
from kammil.data import in_memory, sources
from kammil.data.bloom import BloomFilter, ExactTexts
from kammil.errors import DataError
from kammil.evaluation.baselines import load_baselines
from kammil.evaluation.bootstrap import Array, Interval, ratio, ratios
from kammil.evaluation.greedy import continuations
from kammil.language_model import Ids, LanguageModel
from kammil.progress import tracked
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

TARGET = 30
"""Most characters of the target: those to predict from the middle of each text on."""
LOOPS = 6
"""Number of passes over the texts in `evaluate`, for its progress bar: scoring and completing, for three models."""
_MAX_BATCH = 64


@dataclass(frozen=True)
class Metrics:
    """Metrics of one predictor, each with its interval; None where it has no value."""

    target_bits_per_character: Interval | None
    """Mean bits of the target characters, with the cost of naming unknown ones."""
    target_top1: Interval | None
    """Share of target characters that were the most probable."""
    target_top3: Interval | None
    target_top5: Interval | None
    bits_per_character: Interval | None
    """Mean bits of all characters, without the ends of texts."""
    bits_per_character_with_end: Interval | None
    """Mean bits of all characters and ends of texts."""
    perplexity: Interval | None
    """2 to the power of `bits_per_character_with_end`, at most 2 ** 1023."""
    top1: Interval | None
    """Share of all characters and ends that were the most probable."""
    free_running: Interval | None
    """Share of target characters that a greedy completion has in the right place."""


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

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self)


def evaluate(
    model: Completer, texts: in_memory.Texts, *, column: str | None = None, target: int = TARGET
) -> Evaluation:
    """Evaluate a model on texts, given as for `train`; `DataError` without any character to predict."""
    if in_memory.is_named(texts):
        rows: Sequence[str] = sources.texts(texts, column=column)
    elif isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
        rows = cast(Sequence[str], texts)  # unchanged: for a model of raw texts, white space counts
    else:
        rows = in_memory.from_python(texts, column=column).texts
    normalised = normalised_texts(model, rows)
    if not normalised:
        raise DataError("there is no text to evaluate on; name a file that has some.")
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
            "most frequent": _most_frequent_character(arrays["unigram"], model, normalised, target)
        } | baseline_metrics
    return Evaluation(
        texts=len(normalised),
        characters=sum(map(len, normalised)),
        target_characters=sum(len(text[half(text) :][:target]) for text in normalised),
        unknown_characters=sum(int((model.vocabulary.encode(text) == UNK).sum()) for text in normalised),
        seen_texts=int(exact_texts.contains(normalised).sum())
        if by_runs is None
        else sum(by_runs.novelty(text) == "seen" for text in normalised),
        seen_by="texts" if by_runs is None else "runs",
        model=compute_metrics(model.language_model, model.vocabulary, normalised, target),
        baselines=baseline_metrics,
    )


def normalised_texts(model: Completer, texts: Sequence[str]) -> list[str]:
    """Normalise texts as the model sees them and strip white space from their ends; empty texts are left out."""
    return [text for text in (model.normalise(text).rstrip() for text in texts) if text]


def half(text: str) -> int:
    """Return the position where the target begins: the middle of the text, rounded down."""
    return len(text) // 2


@dataclass(frozen=True)
class MetricSums:
    """The sums behind the metrics of one predictor, (N,) each: a metric is the ratio of two totals."""

    characters: Array
    positions: Array
    """Characters, and the end of the text."""
    target_characters: Array
    bits: Array
    """Bits of the characters."""
    bits_with_end: Array
    target_bits: Array
    right: Array
    """Characters and ends that were the most probable."""
    target_top1: Array
    target_top3: Array
    target_top5: Array
    free_running: Array
    """Target characters that the greedy completion has in the right place."""

    def pair(self, name: str) -> tuple[Array, Array]:
        """Return numerators and denominators, (N,) each, of the metric `name` of `RATIOS`."""
        above, below = RATIOS[name]
        return getattr(self, above), getattr(self, below)

    def metrics(self) -> Metrics:
        """Compute all metrics, with their intervals."""
        intervals = dict(zip(RATIOS, ratios([self.pair(name) for name in RATIOS]), strict=True))
        bits = intervals["bits_per_character_with_end"]
        return Metrics(**intervals, perplexity=None if bits is None else _perplexity(bits))


RATIOS: dict[str, tuple[str, str]] = {
    "target_bits_per_character": ("target_bits", "target_characters"),
    "target_top1": ("target_top1", "target_characters"),
    "target_top3": ("target_top3", "target_characters"),
    "target_top5": ("target_top5", "target_characters"),
    "bits_per_character": ("bits", "characters"),
    "bits_per_character_with_end": ("bits_with_end", "positions"),
    "top1": ("right", "positions"),
    "free_running": ("free_running", "target_characters"),
}
"""Metric -> fields of `MetricSums`: numerator, denominator."""


def _perplexity(bits: Interval) -> Interval:
    low, high = (None if bound is None else 2.0 ** min(bound, 1023.0) for bound in (bits.low, bits.high))
    return Interval(2.0 ** min(bits.value, 1023.0), low, high)


def compute_metrics(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> Metrics:
    """Compute all metrics of one language model; texts are as the model sees them, none empty."""
    written = continuations(model, vocabulary, [text[: half(text)] for text in texts], target)
    return metric_sums(score_in_batches(model, vocabulary, texts), written, vocabulary, texts, target).metrics()


def metric_sums(
    scores: Sequence[TokenScores],
    written: Sequence[Ids],
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    target: int,
) -> MetricSums:
    """Sum up what a predictor did on each text: its scores and its `continuations` of the first halves."""
    spans = [slice(half(t), min(len(t), half(t) + target)) for t in texts]
    count = np.array([len(t) for t in texts], np.float64)

    def ranked_within(k: int) -> Array:
        return np.array([(t.ranks[s] < k).sum() for t, s in zip(scores, spans, strict=True)], np.float64)

    return MetricSums(
        characters=count,
        positions=count + 1,
        target_characters=np.array([s.stop - s.start for s in spans], np.float64),
        bits=np.array([t.bits[:-1].sum() for t in scores]),
        bits_with_end=np.array([t.bits.sum() for t in scores]),
        target_bits=np.array([t.bits[s].sum() for t, s in zip(scores, spans, strict=True)]),
        right=np.array([(t.ranks == 0).sum() for t in scores], np.float64),
        target_top1=ranked_within(1),
        target_top3=ranked_within(3),
        target_top5=ranked_within(5),
        free_running=np.array(
            [_hits(w, vocabulary.encode(t[s])) for t, s, w in zip(texts, spans, written, strict=True)]
        ),
    )


def _hits(written: Ids, true: Ids) -> float:
    """Count the characters in the right place; UNK is never written, so never right."""
    n = min(len(written), len(true))
    return float((written[:n] == true[:n]).sum())


def score_in_batches(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> list[TokenScores]:
    """Score any number of texts, texts of similar length in one batch; see `score_texts`."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    scores: dict[int, TokenScores] = {}
    for begin in tracked(range(0, len(order), _MAX_BATCH), "scoring"):
        batch = order[begin : begin + _MAX_BATCH]
        scores |= zip(batch, score_texts(model, vocabulary, [texts[i] for i in batch]), strict=True)
    return [scores[i] for i in range(len(texts))]


def _most_frequent_character(
    counts: NDArray[np.generic], model: Completer, texts: Sequence[str], target: int
) -> Metrics:
    """Evaluate a predictor that always answers the most frequent training character; it has no probabilities."""
    answer = model.vocabulary.piece(SPECIALS + int(np.argmax(counts[SPECIALS:])))
    parts = [text[half(text) :][:target] for text in texts]
    target_right = ratio(
        np.array([p.count(answer) for p in parts], np.float64), np.array([len(p) for p in parts], np.float64)
    )
    all_right = ratio(
        np.array([t.count(answer) for t in texts], np.float64),
        np.array([len(t) + 1 for t in texts], np.float64),
    )
    return Metrics(None, target_right, None, None, None, None, None, all_right, target_right)
