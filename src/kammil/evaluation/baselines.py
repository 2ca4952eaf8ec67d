"""What a model must beat: the most frequent character, character frequencies, and a short n-gram counter.

They are counted from the training texts when a model is trained and travel in its folder, so that every evaluation can
show them, on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.errors import FolderError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import EOS, UNK, CharacterVocabulary

ORDER = 3
"""Order of the n-gram baseline, the next character included: it stays below a few hundred kilobytes."""

_NGRAM = "ngram."
_PART = 10_000
"""Texts whose characters are counted at once."""


class UnigramModel(LanguageModel):
    """A unigram model: the same distribution at every position.

    Args:
        counts: (V,), how often each id occurs. Add-one smoothing covers what a text can hold: characters, UNK, the end.

    Raises: `ValueError` for anything but one row of whole numbers from 0 on, one for each id.
    """

    def __init__(self, counts: NDArray[np.generic]) -> None:
        smooth = counts.astype(np.float64)
        if counts.ndim != 1 or counts.dtype.kind not in "iu" or len(counts) <= EOS or (smooth < 0).any():
            raise ValueError("the counts are not whole numbers, one for each id")
        smooth[EOS:] += 1
        smooth[UNK] += 1
        with np.errstate(divide="ignore"):
            self._row = np.log(smooth / smooth.sum()).astype(np.float32)  # (V,)

    @property
    def vocabulary_size(self) -> int:
        """Return V, the number of ids."""
        return len(self._row)

    def initial_state(self, batch: int) -> State:
        """Return an empty state for B rows: no context is used."""
        return (np.zeros((batch, 0)),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Return the same log-probabilities at every position, (B, last, V)."""
        shape = (*ids.shape[:1], ids.shape[1] if last is None else last, len(self._row))
        return np.broadcast_to(self._row, shape), state


def count(texts: Sequence[Ids], size: int) -> dict[str, NDArray[np.generic]]:
    """Count the baselines from encoded texts over V = `size` ids; returns the arrays of `baselines.safetensors`."""
    unigram = np.zeros(size, np.int64)
    for begin in range(0, len(texts), _PART):
        unigram += np.bincount(np.concatenate(texts[begin : begin + _PART]), minlength=size)
    unigram[EOS] += len(texts)
    _, artifacts = ngram_counting.fit(texts, (), size, ngram_model.NGramSettings(order=ORDER))
    arrays: dict[str, NDArray[np.generic]] = {"unigram": unigram}
    return arrays | {_NGRAM + name: value for name, value in artifacts.weights.items()}


def load_baselines(arrays: Mapping[str, NDArray[np.generic]], size: int) -> dict[str, LanguageModel]:
    """Load the baselines from their arrays as language models over V = `size` ids; `FolderError` if they do not fit."""
    weights = {k.removeprefix(_NGRAM): v for k, v in arrays.items() if k.startswith(_NGRAM)}
    try:
        models: dict[str, LanguageModel] = {
            "unigram": UnigramModel(arrays["unigram"]),
            f"{ORDER}-gram": ngram_model.NGramModel(ngram_model.NGramSettings(order=ORDER), weights),
        }
    except (KeyError, ValueError) as error:
        raise FolderError(f"baselines.safetensors does not fit ({error}); copy the model folder again.") from error
    if any(model.vocabulary_size != size for model in models.values()):
        raise FolderError("baselines.safetensors is that of another model; copy the model folder again.")
    return models


def uniform_bits(size: int) -> float:
    """Return log2 V, the bits of a character when all V ids are equally likely: an untrained network needs as many."""
    return math.log2(size)


def uniform(vocabulary: CharacterVocabulary, text: str) -> NDArray[np.float64]:
    """Return the bits of each character of a text and of its end, (T + 1,), when all ids are equally likely."""
    bits = np.full(len(text) + 1, uniform_bits(vocabulary.size))
    bits[:-1][vocabulary.encode(text) == UNK] += vocabulary.unknown_bits
    return bits
