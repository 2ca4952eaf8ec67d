"""What a greedy decoder says: after every character of a text, and going on from a prompt.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.suggestions import CharacterClasses
from kammil.decoding import forbid, greedy
from kammil.evaluation.bootstrap import Array
from kammil.language_model import Ids, LanguageModel, forward_in_pieces, max_rows, select_rows
from kammil.progress import steps, tracked
from kammil.text import words
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

_BATCH = 64


@dataclass(frozen=True)
class GreedyPredictions:
    """The greedy choice before each of T characters, all true ones before it known, and after the last."""

    right: NDArray[np.bool_]
    """(T,): it is the character that follows."""
    ends: NDArray[np.bool_]
    """(T + 1,): it ends a word: a character that is no part of one, or the end of the text."""


def greedy_predictions(
    runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]
) -> list[GreedyPredictions]:
    """The greedy choices along texts as the model sees them, in one pass.

    A greedy completion is right as long as each of its choices is, and while it is, it has read nothing but true
    characters. So this one pass answers, for every place at once, how far a completion from there would be right.
    """
    allowed = forbid((PAD, UNK, BOS), vocabulary.size)
    ending = CharacterClasses.of(vocabulary).close > 0  # (V,)
    made: dict[int, GreedyPredictions] = {}
    groups = _batches(sorted(range(len(texts)), key=lambda i: len(texts[i])), _BATCH)
    for group in tracked([*groups], "guessing"):
        encoded = [vocabulary.encode(texts[i]) for i in group]
        inputs = np.full((len(group), max(map(len, encoded)) + 1), PAD, np.int64)
        for row, ids in zip(inputs, encoded, strict=True):
            row[: len(ids) + 1] = [BOS, *ids]
        said = np.zeros_like(inputs)
        for some, part, log_probabilities in forward_in_pieces(runner, inputs):
            said[some, part] = allowed(log_probabilities).argmax(-1)
        for i, row, ids in zip(group, said, encoded, strict=True):
            choices = row[: len(ids) + 1]
            made[i] = GreedyPredictions(choices[:-1] == ids, ending[choices])
    return [made[i] for i in range(len(texts))]


def continuations(
    runner: LanguageModel, vocabulary: CharacterVocabulary, prompts: Sequence[str], length: int
) -> list[Ids]:
    """The greedy completion of each prompt: at most `length` ids, without the end. UNK is never written."""
    allowed = forbid((PAD, UNK, BOS), vocabulary.size)
    made: dict[int, Ids] = {}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    step = steps("completing", len(prompts))
    for size, same in itertools.groupby(order, key=lambda i: len(prompts[i])):
        for group in _batches(list(same), max_rows(runner, _BATCH, size + 1 + length)):
            read = np.array([[BOS, *vocabulary.encode(prompts[i])] for i in group], np.int64)
            said = np.full((len(group), length), EOS, np.int64)
            live, state = np.arange(len(group)), runner.initial_state(len(group))
            for t in range(length):
                log_probabilities, state = runner.forward(read, state, last=1)  # (live, 1, V)
                ids = greedy(allowed(log_probabilities[:, -1]))  # (live,)
                said[live, t] = ids
                going = np.flatnonzero(ids != EOS)
                if len(going) == 0:
                    break
                if len(going) < len(live):
                    live, ids, state = live[going], ids[going], select_rows(state, going)
                read = ids[:, None]
            made |= {i: row[: _length(row)] for i, row in zip(group, said, strict=True)}
            for _ in group:
                step()
    return [made[i] for i in range(len(prompts))]


def _length(said: Ids) -> int:
    """Ids before the first end."""
    return int((said == EOS).argmax()) if (said == EOS).any() else len(said)


def _batches(order: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for begin in range(0, len(order), most):
        yield order[begin : begin + most]


def completed_from(guess: GreedyPredictions, begin: int, end: int) -> int:
    """The first place from which the greedy completion finishes the word [begin, end); `end` if there is none."""
    if not guess.ends[end]:
        return end
    wrong = np.flatnonzero(~guess.right[begin:end])
    return begin + int(wrong[-1]) + 1 if len(wrong) else begin


def next_word(guesses: Sequence[GreedyPredictions], texts: Sequence[str], targets: Sequence[slice]) -> Array:
    """For each text, right words and all that begin inside its target and not the text, (N, 2)."""
    made = np.zeros((len(texts), 2))
    for row, guess, text, target in zip(made, guesses, texts, targets, strict=True):
        asked = [(a, b) for a, b in words(text) if max(1, target.start) <= a < target.stop]
        row[:] = sum(completed_from(guess, a, b) == a for a, b in asked), len(asked)
    return made
