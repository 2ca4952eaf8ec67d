"""Teacher-forced and free-running metrics of a model on texts it has not seen.

The task: given the first half of a text, predict the next 30 characters. *Teacher-forced*: each character is predicted
from the true ones before it. *Free-running*: the model continues its own greedy completion. Metrics are functions of
sums over all texts, so each character weighs the same.

Shapes: N texts, T characters, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.completion.character_classes import CharacterClasses
from kammil.completion.completer import Completer
from kammil.completion.scoring import MAX_BATCH, TokenScores, batches, by_length, score_in_batches
from kammil.decoding.filters import forbid, greedy
from kammil.errors import DataError, OptionError
from kammil.evaluation import text_overlap
from kammil.evaluation.baselines import uniform
from kammil.evaluation.bootstrap import Array, Interval, Statistic, estimates
from kammil.evaluation.measures import MEASURES, Columns
from kammil.language_model import Ids, LanguageModel, forward_in_pieces, max_rows, select_rows
from kammil.progress import ignore, listening, steps, tracked
from kammil.text import words
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

T = TypeVar("T")

TARGET = 30
MAX_TARGET = 1_000
RANDOM = "random"
"""Baseline that guesses among all ids alike."""
_BITS = ("target_bits_per_character", "bits_per_character", "bits_per_character_with_end", "perplexity")
"""Metrics that need probabilities."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of one predictor, explained in `MEASURES`; None without a value."""

    target_bits_per_character: Interval | None
    target_top1: Interval | None
    target_top3: Interval | None
    target_top5: Interval | None
    bits_per_character: Interval | None
    bits_per_character_with_end: Interval | None
    perplexity: Interval | None
    """2 ** `bits_per_character_with_end`, at most 2 ** 1023."""
    top1: Interval | None
    free_running: Interval | None
    first_word: Interval | None
    """Where the prompt ends inside a word, the rest of that word."""
    whole_target: Interval | None
    right_prefix: Interval | None
    chrf: Interval | None
    bleu: Interval | None
    """0 where no completion shares 4 consecutive words with its target, None without sacrebleu."""


def check_task(target: int, min_length: int, context: int = 0) -> None:
    """Raise `OptionError` for lengths, or a number of earlier texts, out of range."""
    if not 1 <= target <= MAX_TARGET:
        raise OptionError(f"target is {target}, but it must be a number of characters from 1 to {MAX_TARGET:,}.")
    if min_length < 0:
        raise OptionError(f"min_length is {min_length}, but it must be a number of characters, such as 60.")
    if context < 0:
        raise OptionError(f"context is {context}, but it must be a number of earlier texts, such as 20.")


def long_enough(texts: Sequence[str], min_length: int) -> list[str]:
    """Return the texts of at least `min_length` characters; `DataError` if there is none."""
    if not texts:
        raise DataError("there is no text to evaluate on; name a file that has some.")
    long = [text for text in texts if len(text) >= min_length]
    if not long:
        longest = max(map(len, texts))
        raise DataError(
            f"no text has {min_length:,} characters or more, the longest has {longest:,}; lower --min-length."
        )
    return long


def normalised_texts(model: Completer, texts: Sequence[str]) -> list[str]:
    """Normalise texts as the model does, strip their ends, and leave out empty ones."""
    return [text for text in (model.normalise(text).rstrip() for text in texts) if text]


def in_context(
    model: Completer,
    texts: Sequence[str],
    chosen: Sequence[int],
    context: int,
    measure: Callable[[Completer, slice], T],
) -> list[T]:
    """Measure a part of the chosen texts at a time: all, or, in a `context`, each with the model after that number of
    texts before it."""
    if not context:
        return [measure(model, slice(None))]
    found: list[T] = []
    for at, i in enumerate(tracked(chosen, "reading on")):
        with listening(ignore):  # to the loops of a single text
            found.append(measure(model.in_context(texts[max(0, i - context) : i]), slice(at, at + 1)))
    return found


def spread(texts: Sequence[T], number: int) -> list[T]:
    """Return `number` evenly spread texts, or all if there are fewer."""
    number = min(number, len(texts))
    return [texts[i * len(texts) // number] for i in range(number)]


def half(text: str) -> int:
    """Return the position where the target begins."""
    return len(text) // 2


def target_span(text: str, target: int = TARGET) -> slice:
    """Return the positions of the target."""
    return slice(half(text), min(len(text), half(text) + target))


def compute_metrics(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> Metrics:
    """Compute all metrics of a language model on normalised texts, none empty."""
    scores, written = predict(model, vocabulary, texts, target)
    return estimated(metric_columns(scores, written, vocabulary, texts, target))


def predict(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> tuple[list[TokenScores], list[Ids]]:
    """Score texts, and complete their first halves."""
    written = continuations(model, vocabulary, [text[: half(text)] for text in texts], target)
    return score_in_batches(model, vocabulary, texts), written


def metric_columns(
    scores: Sequence[TokenScores],
    written: Sequence[Ids],
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    target: int,
) -> dict[str, Array]:
    """Return the summands of each metric, (N, K), from scores and greedy completions."""
    spans = [target_span(text, target) for text in texts]
    truth = [text[span] for text, span in zip(texts, spans, strict=True)]
    true = [vocabulary.encode(text) for text in truth]
    answers = [vocabulary.decode(ids) for ids in written]
    in_target = [(score.bits[span], score.ranks[span]) for score, span in zip(scores, spans, strict=True)]
    pairs, triples = [*zip(written, true, strict=True)], zip(texts, spans, answers, strict=True)
    characters, lengths, ones = _floats(map(len, texts)), _floats(map(len, truth)), np.ones(len(texts))
    prefixes = _floats(right_prefix(answer, ids) for answer, ids in pairs)
    first_words = [first_word_right(*triple) for triple in triples]
    ratios = {
        "target_bits_per_character": (_floats(bits.sum() for bits, _ in in_target), lengths),
        "target_top1": (_floats((ranks < 1).sum() for _, ranks in in_target), lengths),
        "target_top3": (_floats((ranks < 3).sum() for _, ranks in in_target), lengths),
        "target_top5": (_floats((ranks < 5).sum() for _, ranks in in_target), lengths),
        "bits_per_character": (_floats(score.bits[:-1].sum() for score in scores), characters),
        "bits_per_character_with_end": (_floats(score.bits.sum() for score in scores), characters + 1),
        "top1": (_floats((score.ranks == 0).sum() for score in scores), characters + 1),
        "free_running": (_floats(_hits(answer, ids).sum() for answer, ids in pairs), lengths),
        "first_word": (_floats(map(bool, first_words)), _floats(right is not None for right in first_words)),
        "whole_target": (_floats(prefixes == lengths), ones),
        "right_prefix": (prefixes, ones),
    }
    columns = {name: np.stack(pair, axis=1) for name, pair in ratios.items()}
    overlap = {"chrf": text_overlap.chrf_columns(answers, truth), "bleu": text_overlap.bleu_columns(answers, truth)}
    return columns | overlap


def estimated(columns: Columns) -> Metrics:
    """Estimate all metrics."""
    found = estimates([Statistic(sums, MEASURES[name].of) for name, sums in columns.items()])
    intervals = {name: estimate.interval() for name, estimate in zip(columns, found, strict=True)}
    bits = intervals["bits_per_character_with_end"]
    return Metrics(**intervals, perplexity=None if bits is None else _perplexity(bits))


def _perplexity(bits: Interval) -> Interval:
    low, high = (None if bound is None else 2.0 ** min(bound, 1023.0) for bound in (bits.low, bits.high))
    return Interval(2.0 ** min(bits.value, 1023.0), low, high)


def _floats(values: Iterable[Any]) -> Array:
    return np.array([*values], np.float64)


def _hits(written: Ids, true: Ids) -> NDArray[np.bool_]:
    """UNK is never written, so never right."""
    n = min(len(written), len(true))
    return written[:n] == true[:n]


def right_prefix(written: Ids, true: Ids) -> int:
    """Return the number of right ids before the first wrong one."""
    hits = _hits(written, true)
    return int(np.append(hits, False).argmin())


def first_word_right(text: str, target: slice, completion: str) -> bool | None:
    """Tell whether a completion writes the target's first word and ends it where the text does; None without a word.

    A word that reaches beyond the target counts up to the target's end.
    """
    word = next(((begin, end) for begin, end in words(text) if end > target.start), None)
    if word is None or word[0] >= target.stop:
        return None
    begin, end = word
    if end > target.stop:
        return completion.startswith(text[target])
    whole = text[: target.start] + completion
    # A mark or joiner belongs to a word by its neighbours, so whole texts are searched.
    return whole[:end] == text[:end] and any(span == (begin, end) for span in words(whole))


def most_frequent_metrics(
    counts: NDArray[np.generic], vocabulary: CharacterVocabulary, texts: Sequence[str], target: int
) -> Metrics:
    """Evaluate a constant answer, the most frequent training character, without probabilities."""
    answer = SPECIALS + int(np.argmax(counts[SPECIALS:]))
    encoded = [np.append(vocabulary.encode(text), EOS) for text in texts]
    scores = [TokenScores(np.zeros(len(ids)), np.where(ids == answer, 0, vocabulary.size)) for ids in encoded]
    columns = metric_columns(scores, [np.full(target, answer)] * len(texts), vocabulary, texts, target)
    return replace(estimated(columns), **dict.fromkeys((*_BITS, "target_top3", "target_top5")))


def random_metrics(vocabulary: CharacterVocabulary, texts: Sequence[str], target: int) -> Metrics:
    """Evaluate a guess among all ids alike: expectations for characters; words, chrF and BLEU of one drawn text."""
    generator, v = np.random.default_rng(0), vocabulary.size
    known = [vocabulary.encode(text) != UNK for text in texts]
    scores = [TokenScores(uniform(vocabulary, text), np.zeros(len(text) + 1, np.int64)) for text in texts]
    written: list[Ids] = [generator.integers(SPECIALS, v, target) for _ in texts]
    columns = metric_columns(scores, written, vocabulary, texts, target)
    in_target = [k[target_span(text, target)] for k, text in zip(known, texts, strict=True)]
    lengths, targets = _floats(map(len, in_target)), _floats(k.sum() for k in in_target)
    # A prefix of k characters is right with probability V ** -k, and ends before an unknown character.
    before_unknown = _floats(np.cumprod(k).sum() for k in in_target)
    expected = {
        "top1": _floats(k.sum() + 1 for k in known) / v,
        **{f"target_top{k}": targets * min(k, v) / v for k in (1, 3, 5)},
        "free_running": targets / v,
        "whole_target": np.where(before_unknown == lengths, float(v) ** -lengths, 0.0),
        "right_prefix": (1 - float(v) ** -before_unknown) / (v - 1),
    }
    for name, numerators in expected.items():
        columns[name][:, 0] = numerators
    return estimated(columns)


@dataclass(frozen=True)
class GreedyPredictions:
    """Teacher-forced greedy predictions of T characters and the end."""

    right: NDArray[np.bool_]
    """(T,)"""
    ends: NDArray[np.bool_]
    """(T + 1,): whether the prediction ends a word: no part of one, or the end of the text."""


def greedy_predictions(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]
) -> list[GreedyPredictions]:
    """Predict every character of normalised texts in one pass.

    A greedy completion reads true characters as long as it is right, so one pass tells how long a completion from any
    position is right.
    """
    allowed = forbid((PAD, UNK, BOS), vocabulary.size)
    ending = CharacterClasses.of(vocabulary).close > 0  # (V,)
    predictions: dict[int, GreedyPredictions] = {}
    for group in tracked(by_length(texts), "guessing"):
        encoded = [vocabulary.encode(texts[i]) for i in group]
        inputs = np.full((len(group), max(map(len, encoded)) + 1), PAD, np.int64)
        for row, ids in zip(inputs, encoded, strict=True):
            row[: len(ids) + 1] = [BOS, *ids]
        predicted = np.zeros_like(inputs)
        for rows, part, log_probabilities in forward_in_pieces(model, inputs):
            predicted[rows, part] = allowed(log_probabilities).argmax(-1)
        for i, row, ids in zip(group, predicted, encoded, strict=True):
            choices = row[: len(ids) + 1]
            predictions[i] = GreedyPredictions(choices[:-1] == ids, ending[choices])
    return [predictions[i] for i in range(len(texts))]


def continuations(
    model: LanguageModel, vocabulary: CharacterVocabulary, prompts: Sequence[str], length: int
) -> list[Ids]:
    """Complete each prompt greedily by at most `length` ids, without UNK and the end of text."""
    allowed = forbid((PAD, UNK, BOS), vocabulary.size)
    written: dict[int, Ids] = {}
    step = steps("completing", len(prompts))
    for size in sorted({len(prompt) for prompt in prompts}):
        same = [i for i, prompt in enumerate(prompts) if len(prompt) == size]
        for group in batches(same, max_rows(model, MAX_BATCH, size + 1 + length)):
            inputs = np.array([[BOS, *vocabulary.encode(prompts[i])] for i in group], np.int64)
            predicted = np.full((len(group), length), EOS, np.int64)
            live, state = np.arange(len(group)), model.initial_state(len(group))
            for t in range(length):
                log_probabilities, state = model.forward(inputs, state, last=1)  # (live, 1, V)
                ids = greedy(allowed(log_probabilities[:, -1]))  # (live,)
                predicted[live, t] = ids
                unfinished = np.flatnonzero(ids != EOS)
                if len(unfinished) == 0:
                    break
                if len(unfinished) < len(live):
                    live, ids, state = live[unfinished], ids[unfinished], select_rows(state, unfinished)
                inputs = ids[:, None]
            for i, row in zip(group, predicted, strict=True):
                written[i] = row[: np.append(row == EOS, True).argmax()]
                step()
    return [written[i] for i in range(len(prompts))]


def next_word_counts(predictions: Sequence[GreedyPredictions], texts: Sequence[str], targets: Sequence[slice]) -> Array:
    """Count words predicted right and all words that begin in the targets, (N, 2), without words that begin a text."""
    counts = np.zeros((len(texts), 2))
    for row, prediction, text, target in zip(counts, predictions, texts, targets, strict=True):
        spans = [(a, b) for a, b in words(text) if max(1, target.start) <= a < target.stop]
        row[:] = sum(prediction.ends[b] and prediction.right[a:b].all() for a, b in spans), len(spans)
    return counts
