"""Baselines: character frequencies and a short n-gram model, stored in a model's folder, and general compressors.

A compressor (LZMA, or PPMd over bytes) reads the training texts in UTF-8, each with a separator, then the test texts;
its cost is the growth of its output there. Unlike a model, it goes on learning from the test texts.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.errors import FolderError, MissingExtraError
from kammil.evaluation.bootstrap import Array
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.progress import tracked
from kammil.vocabulary import EOS, UNK, CharacterVocabulary

ORDER = 3
"""Order of the n-gram baseline, the next character included."""
ORDERS = (4, 6, 8, 10, 12, 16)
"""Orders of PPMd that validation chooses from, in bytes (an Arabic letter takes two)."""
_NGRAM = "ngram."
_PART = 10_000
_MEMORY_BYTES = 1 << 28
"""Memory of PPMd, which forgets all contexts when it is full."""


class UnigramModel(LanguageModel):
    """A unigram model with add-one smoothing: the same distribution at every position.

    Args:
        counts: (V,), occurrences of each id; `ValueError` unless they are integers from 0 on.
    """

    def __init__(self, counts: NDArray[np.generic]) -> None:
        smooth = counts.astype(np.float64)
        if counts.ndim != 1 or counts.dtype.kind not in "iu" or len(counts) <= EOS or (smooth < 0).any():
            raise ValueError("the counts are not whole numbers, one for each id")
        smooth[EOS:] += 1
        smooth[UNK] += 1
        with np.errstate(divide="ignore"):
            self._row = np.log(smooth / smooth.sum()).astype(np.float32)  # (V,)
        self.vocabulary_size = len(self._row)

    def initial_state(self, batch: int) -> State:
        """Return an empty state: no context is used."""
        return (np.zeros((batch, 0)),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Return the same log-probabilities everywhere, (B, last, V)."""
        shape = (*ids.shape[:1], ids.shape[1] if last is None else last, len(self._row))
        return np.broadcast_to(self._row, shape), state


def count(texts: Sequence[Ids], size: int) -> dict[str, NDArray[np.generic]]:
    """Count encoded texts over V = `size` ids; returns the arrays of `baselines.safetensors`."""
    unigram = np.zeros(size, np.int64)
    for begin in range(0, len(texts), _PART):
        unigram += np.bincount(np.concatenate(texts[begin : begin + _PART]), minlength=size)
    unigram[EOS] += len(texts)
    _, artifacts = ngram_counting.fit(texts, (), size, ngram_model.NGramSettings(order=ORDER))
    arrays: dict[str, NDArray[np.generic]] = {"unigram": unigram}
    return arrays | {_NGRAM + name: value for name, value in artifacts.weights.items()}


def load_baselines(arrays: Mapping[str, NDArray[np.generic]], size: int) -> dict[str, LanguageModel]:
    """Load the baselines over V = `size` ids; `FolderError` if their arrays do not fit."""
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


def uniform(vocabulary: CharacterVocabulary, text: str) -> NDArray[np.float64]:
    """Return the bits of each character and of the end, (T + 1,), if all ids are equally probable."""
    bits = np.full(len(text) + 1, math.log2(vocabulary.size))
    bits[:-1][vocabulary.encode(text) == UNK] += vocabulary.unknown_bits
    return bits


@dataclass(frozen=True)
class CompressedBits:
    """Bits of PPMd for each text, (N,) each; its end is a separator."""

    order: int
    target_bits: Array
    bits_with_end: Array


def ppmd(
    train: Sequence[str], validation: Sequence[str], test: Sequence[str], targets: Sequence[slice]
) -> CompressedBits:
    """Compress test texts, none empty, after the training texts with PPMd; `MissingExtraError` without pyppmd.

    PPMd (Shkarin 2002; variant H) writes as it reads, so the cost of every character is known to a byte.
    """
    separator = _separator([*train, *validation, *test])
    training, judged = _utf8(train, separator), _utf8(validation, separator)
    order = min(ORDERS, key=lambda order: _output_growth(order, training, [judged])[0])
    pieces = [
        part.encode("utf-8", "surrogatepass")
        for text, target in zip(test, targets, strict=True)
        for part in (text[: target.start], text[target], text[target.stop :] + separator)
    ]
    growth = 8.0 * np.array(_output_growth(order, training, pieces)).reshape(len(test), 3)
    return CompressedBits(order, growth[:, 1], growth.sum(axis=1))


def _output_growth(order: int, training: bytes, pieces: Sequence[bytes]) -> list[int]:
    try:
        import pyppmd
    except ModuleNotFoundError as error:
        raise MissingExtraError("PPMd needs pyppmd", "train") from error
    encoder = pyppmd.Ppmd7Encoder(order, _MEMORY_BYTES)
    encoder.encode(training)
    return [len(encoder.encode(piece)) for piece in tracked(pieces, "compressing")]


def lzma_bits(train: Sequence[str], test: Sequence[str]) -> float:
    """Return the bits of test texts and separators by LZMA (preset 9, extreme), after the training texts."""
    separator = _separator([*train, *test])
    training = _utf8(train, separator)
    preset = 9 | lzma.PRESET_EXTREME
    before, after = (
        len(lzma.compress(content, lzma.FORMAT_ALONE, preset=preset))
        for content in (training, training + _utf8(test, separator))
    )
    return 8.0 * (after - before)


def _separator(texts: Sequence[str]) -> str:
    return "\0" if any("\n" in text for text in texts) else "\n"


def _utf8(texts: Sequence[str], separator: str) -> bytes:
    return "".join(text + separator for text in texts).encode("utf-8", "surrogatepass")
