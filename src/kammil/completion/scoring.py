"""Scores of whole texts: the log-probability of every character, many texts in one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.language_model import (
    LanguageModel,
    LogProbabilities,
    State,
    forward_in_pieces,
    max_rows,
    select_rows,
)
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

_ROWS = 8  # read together, of similar lengths, since they are padded


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
