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
"""Characters that the n-gram baseline looks at, the next one included: it stays below a few hundred kilobytes."""

_NGRAM = "ngram."


class UnigramModel(LanguageModel):
    """The same distribution everywhere: how often each id occurs."""

    def __init__(self, counts: NDArray[np.generic]) -> None:
        """Counts (V,), add-one smoothed over what a text can hold: characters, UNK and the end.

        `ValueError` for anything but a row of whole numbers from 0 on, one for each id.
        """
        smooth = counts.astype(np.float64)
        if counts.ndim != 1 or counts.dtype.kind not in "iu" or len(counts) <= EOS or (smooth < 0).any():
            raise ValueError("the counts are not whole numbers, one for each id")
        smooth[EOS:] += 1
        smooth[UNK] += 1
        with np.errstate(divide="ignore"):
            self._row = np.log(smooth / smooth.sum()).astype(np.float32)  # (V,)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return len(self._row)

    def initial_state(self, batch: int) -> State:
        """Nothing to remember, for B rows."""
        return (np.zeros((batch, 0)),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """The one row, (B, last, V)."""
        shape = (*ids.shape[:1], ids.shape[1] if last is None else last, len(self._row))
        return np.broadcast_to(self._row, shape), state


def count(texts: Sequence[Ids], size: int) -> dict[str, NDArray[np.generic]]:
    """The arrays of the baselines, for `baselines.safetensors`: encoded texts in, V ids."""
    unigram = np.zeros(size, np.int64)
    for ids in texts:
        np.add.at(unigram, ids, 1)
    unigram[EOS] += len(texts)
    _, artifacts = ngram_counting.fit(texts, (), size, ngram_model.NGramSettings(order=ORDER))
    arrays: dict[str, NDArray[np.generic]] = {"unigram": unigram}
    return arrays | {_NGRAM + name: value for name, value in artifacts.weights.items()}


def runners(arrays: Mapping[str, NDArray[np.generic]], size: int) -> dict[str, LanguageModel]:
    """The baselines of V ids, ready to be evaluated like any model; `FolderError` for foreign arrays."""
    weights = {k.removeprefix(_NGRAM): v for k, v in arrays.items() if k.startswith(_NGRAM)}
    try:
        made: dict[str, LanguageModel] = {
            "unigram": UnigramModel(arrays["unigram"]),
            f"{ORDER}-gram": ngram_model.NGramModel(ngram_model.NGramSettings(order=ORDER), weights),
        }
    except (KeyError, ValueError) as error:
        raise FolderError(f"baselines.safetensors does not fit ({error}); copy the model folder again.") from error
    if any(runner.vocabulary_size != size for runner in made.values()):
        raise FolderError("baselines.safetensors is that of another model; copy the model folder again.")
    return made


def uniform_bits(size: int) -> float:
    """Bits of a character when all V ids are equally likely: where a network begins."""
    return math.log2(size)


def uniform(vocabulary: CharacterVocabulary, text: str) -> NDArray[np.float64]:
    """Bits of each character of a text and of its end, (T + 1,), when all ids are equally likely."""
    bits = np.full(len(text) + 1, uniform_bits(vocabulary.size))
    bits[:-1][vocabulary.encode(text) == UNK] += vocabulary.unknown_bits
    return bits
