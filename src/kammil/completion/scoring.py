"""Scores of texts: the log-probability of every character, of many texts in one batch, or with alternatives, piece by
piece."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.language_model import (
    Ids,
    LanguageModel,
    LogProbabilities,
    State,
    forward_in_pieces,
    max_positions,
    max_rows,
    select_rows,
)
from kammil.progress import tracked
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

MAX_BATCH = 64
_ROWS = 8  # read together, of similar lengths, since they are padded
_PIECE = 64  # positions scored in one call


@dataclass(frozen=True)
class TokenScores:
    """Teacher-forced scores of a text and its end."""

    bits: NDArray[np.float64]
    """(T + 1,); an unknown character pays for UNK and its name."""
    ranks: NDArray[np.int64]
    """(T + 1,): number of more probable ids; V for an unknown character."""


def score_texts(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> list[TokenScores]:
    """Score normalised texts in few batches; `FolderError` for a text without probability."""
    encoded = [vocabulary.encode(text) for text in texts]
    width = max((len(ids) for ids in encoded), default=0) + 1
    inputs = np.full((len(texts), width), PAD, np.int64)
    targets = np.full((len(texts), width), PAD, np.int64)
    for i, ids in enumerate(encoded):
        inputs[i, : len(ids) + 1] = [BOS, *ids]
        targets[i, : len(ids) + 1] = [*ids, EOS]
    bits, ranks = np.zeros(inputs.shape), np.zeros(inputs.shape, np.int64)
    for rows, part, log_probabilities in forward_in_pieces(model, inputs):  # (some, some, V)
        true = np.take_along_axis(log_probabilities, targets[rows, part, None], -1)  # (some, some, 1)
        bits[rows, part] = -true[..., 0] / math.log(2)
        ranks[rows, part] = (log_probabilities > true).sum(-1)
    if not np.isfinite(bits[targets != PAD]).all():
        raise FolderError(NO_PROBABILITIES)
    unknown = targets == UNK
    bits[unknown] += vocabulary.unknown_bits
    ranks[unknown] = vocabulary.size
    return [TokenScores(bits[i, : len(ids) + 1], ranks[i, : len(ids) + 1]) for i, ids in enumerate(encoded)]


def score_in_batches(model: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> list[TokenScores]:
    """Score texts with `score_texts`, in batches of similar length."""
    scores: dict[int, TokenScores] = {}
    for batch in tracked(by_length(texts), "scoring"):
        scores |= zip(batch, score_texts(model, vocabulary, [texts[i] for i in batch]), strict=True)
    return [scores[i] for i in range(len(texts))]


def by_length(texts: Sequence[str]) -> list[Sequence[int]]:
    """Return the numbers of texts in batches of similar length."""
    return batches(sorted(range(len(texts)), key=lambda i: len(texts[i])), MAX_BATCH)


def batches(order: Sequence[int], max_size: int) -> list[Sequence[int]]:
    """Cut an order into pieces of at most `max_size`."""
    return [order[begin : begin + max_size] for begin in range(0, len(order), max_size)]


def score_continuations(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    log_probabilities: LogProbabilities,
    state: State,
    texts: Sequence[str],
) -> list[list[float]]:
    """Return the bits of each character of texts after one prefix, which `log_probabilities`, (1, V), follow; infinite
    for an unknown character."""
    encoded = [vocabulary.encode(text) for text in texts]
    bits = [[float(log_probabilities[0, ids[0]]) / -math.log(2)] if len(ids) else [] for ids in encoded]
    rows = sorted((i for i, ids in enumerate(encoded) if len(ids) > 1), key=lambda i: len(encoded[i]))
    size = min(_ROWS, max_rows(model, len(rows), 1, each=max(map(len, encoded), default=1)))
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        inputs = np.full((len(some), max(len(encoded[i]) for i in some) - 1), PAD, np.int64)
        for row, i in enumerate(some):
            inputs[row, : len(encoded[i]) - 1] = encoded[i][:-1]
        scores, _ = model.forward(inputs, select_rows(state, np.zeros(len(some), np.int64)))  # (some, T, V)
        for row, i in enumerate(some):
            ids = encoded[i][1:]
            bits[i] += (scores[row, np.arange(len(ids)), ids] / -math.log(2)).tolist()
    return [np.where(ids == UNK, math.inf, each).tolist() for ids, each in zip(encoded, bits, strict=True)]


@dataclass(frozen=True)
class TokenScore:
    """A character or the end of a text, with natural logarithms before any filter."""

    id: int
    log_probability: float
    """Includes the cost of an unknown character."""
    top: tuple[tuple[int, float], ...]
    """The most probable ids and their log-probabilities, best first."""


class TokenScorer:
    """Scores the characters of one text, as far as it is known; `FolderError` for one without probability.

    Args:
        log_probabilities: (1, V), of the first one.
        state: the model's state there, one row.
        num_top: number of alternatives of each.
    """

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: CharacterVocabulary,
        log_probabilities: LogProbabilities,
        state: State,
        num_top: int,
    ) -> None:
        self._model, self._unknown_nats = model, vocabulary.unknown_bits * math.log(2)
        self.after, self._num_top = (log_probabilities, state), num_top
        """Log-probabilities of what follows, (1, V), and the state."""

    def read(self, ids: Ids) -> Iterator[list[TokenScore]]:
        """Yield the scores of the next ids, (T,), a piece at a time."""
        for begin in range(0, len(ids), size := max_positions(_PIECE, self._model.vocabulary_size)):
            piece, (row, state) = ids[begin : begin + size], self.after
            read, state = self._model.forward(piece[None], state)  # (1, T, V)
            rows = np.concatenate([row, read[0, :-1]])
            if not np.isfinite(rows.max(axis=-1)).all():
                raise FolderError(NO_PROBABILITIES)
            self.after = read[:, -1], state
            true = rows[np.arange(len(piece)), piece] - self._unknown_nats * (piece == UNK)
            chosen = zip(piece.tolist(), true.tolist(), top_ids(rows, self._num_top), strict=True)
            yield [TokenScore(*token) for token in chosen]


def top_ids(log_probabilities: LogProbabilities, k: int) -> list[tuple[tuple[int, float], ...]]:
    """Return the k most probable ids of each row, (B, V), best first, without special tokens but EOS."""
    if k == 0:
        return [()] * len(log_probabilities)
    hidden = (PAD, UNK, BOS)
    order = np.argsort(-log_probabilities, axis=-1, kind="stable")[:, : k + len(hidden)]
    values = np.take_along_axis(log_probabilities, order, axis=-1)
    ranked = (zip(*pair, strict=True) for pair in zip(order.tolist(), values.tolist(), strict=True))
    return [tuple(each for each in row if each[0] not in hidden)[:k] for row in ranked]
