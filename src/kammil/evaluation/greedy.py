"""Greedy decoding for evaluation: the predicted character after every prefix of a text, and continuations of prompts.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.character_classes import CharacterClasses
from kammil.decoding import forbid, greedy
from kammil.evaluation.bootstrap import Array
from kammil.language_model import Ids, LanguageModel, forward_in_pieces, max_rows, select_rows
from kammil.progress import steps, tracked
from kammil.text import words
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

_MAX_BATCH = 64


@dataclass(frozen=True)
class GreedyPredictions:
    """The most probable character before each of T characters and after the last, teacher-forced."""

    right: NDArray[np.bool_]
    """(T,): whether it is the one that follows."""
    ends: NDArray[np.bool_]
    """(T + 1,): whether it ends a word: it is no part of one, or the end of the text."""


def greedy_predictions(
    model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]
) -> list[GreedyPredictions]:
    """Predict every character of texts as the model sees them, in one pass.

    A greedy completion has read true characters only as long as it is right, so one pass tells for every position how
    long a completion from there would be right.
    """
    allowed = forbid((PAD, UNK, BOS), vocabulary.size)
    ending = CharacterClasses.of(vocabulary).close > 0  # (V,)
    predictions: dict[int, GreedyPredictions] = {}
    groups = _batches(sorted(range(len(texts)), key=lambda i: len(texts[i])), _MAX_BATCH)
    for group in tracked(groups, "guessing"):
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
    """Complete each prompt by at most `length` ids, without the end of text; UNK is never written."""
    allowed = forbid((PAD, UNK, BOS), vocabulary.size)
    written: dict[int, Ids] = {}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    step = steps("completing", len(prompts))
    for size, same in itertools.groupby(order, key=lambda i: len(prompts[i])):
        for group in _batches(list(same), max_rows(model, _MAX_BATCH, size + 1 + length)):
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


def _batches(order: Sequence[int], max_size: int) -> list[Sequence[int]]:
    return [order[begin : begin + max_size] for begin in range(0, len(order), max_size)]


def completed_from(prediction: GreedyPredictions, begin: int, end: int) -> int:
    """Return the first position from which a greedy completion finishes the word [begin, end); `end` without any."""
    if not prediction.ends[end]:
        return end
    wrong = np.flatnonzero(~prediction.right[begin:end])
    return begin + int(wrong[-1]) + 1 if len(wrong) else begin


def next_word_counts(predictions: Sequence[GreedyPredictions], texts: Sequence[str], targets: Sequence[slice]) -> Array:
    """Count for each text the words predicted right and all words that begin in its target, (N, 2), but for a first
    word, which nothing stands before."""
    counts = np.zeros((len(texts), 2))
    for row, prediction, text, target in zip(counts, predictions, texts, targets, strict=True):
        spans = [(a, b) for a, b in words(text) if max(1, target.start) <= a < target.stop]
        row[:] = sum(completed_from(prediction, a, b) == a for a, b in spans), len(spans)
    return counts
