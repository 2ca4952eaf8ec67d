"""Which runs of letters, and which whole texts, a model was trained on: the content of `seen.safetensors`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kammil.data.shingles import exact_key
from kammil.errors import FolderError
from kammil.progress import tracked
from kammil.text import fold

RUN = 12
_BITS_A_RUN = 8
_LARGEST = 1 << 23
"""Bits of the largest filter: one mebibyte."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Novelty = Literal["seen", "new"]


def build(texts: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """The filter of the training texts, for `seen.safetensors`."""
    read = tracked(texts, "noting runs of letters")
    hashes = np.unique(np.concatenate([np.zeros(0, np.uint64), *(_hashes(_codes([fold(t)]))[0] for t in read)]))
    size = min(_LARGEST, max(64, int(2 ** np.ceil(np.log2(max(1, len(hashes)) * _BITS_A_RUN)))))
    bits = np.zeros(size, np.bool_)
    for position in _positions(hashes, size):
        bits[position] = True
    return {"bits": np.packbits(bits), "texts": np.unique(_whole(texts))}


class ExactTexts:
    """The training texts of a model, as far as one can be recognised."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take them from `seen.safetensors`; `FolderError` for anything that `build` does not make."""
        found = arrays.get("texts")
        if found is not None and (found.dtype != np.uint32 or found.ndim != 1):
            raise FolderError("seen.safetensors holds no hashes of ours; copy the model folder again.")
        self.kept = found is not None
        """Whether the folder keeps whole texts at all."""
        self._hashes = np.zeros(0, np.uint32) if found is None else found

    def holds(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which of these texts, (N,), stand there."""
        return np.isin(_whole(texts), self._hashes)


class BloomFilter:
    """The filter of a model's training texts."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Unpack `seen.safetensors`; `FolderError` for anything that `build` does not make."""
        bits = arrays.get("bits", np.zeros(0))
        if bits.dtype != np.uint8 or bits.ndim != 1 or len(bits).bit_count() != 1:
            raise FolderError("seen.safetensors holds no filter of ours; copy the model folder again.")
        self._bits = np.unpackbits(bits.astype(np.uint8)).astype(np.bool_)

    def contains(self, letters: Sequence[str]) -> NDArray[np.bool_]:
        """Which runs of some folded texts, N of one length L, stand in the training texts: (N, max(0, L - 11)).

        A text shorter than a run is one run by itself, (N, 1); an empty one has none.
        """
        hashes = _hashes(_codes(letters))
        first, second = _positions(hashes, len(self._bits))
        return self._bits[first] & self._bits[second]

    def novelty(self, text: str, prompt: str = "") -> Novelty:
        """Return `seen` if every run of `text` stands in the training texts; a short text is extended by its prompt."""
        letters = fold(text)
        if not letters:
            return "new"
        if len(letters) < RUN:
            letters = (fold(prompt) + letters)[-RUN:]
        return "seen" if self.contains([letters]).all() else "new"


def _whole(texts: Sequence[str]) -> NDArray[np.uint32]:
    """A hash of what makes two texts one (`corpus.splitting.leaks`)."""
    keys = (exact_key(text).encode("utf-8", "surrogatepass") for text in texts)
    digests = b"".join(hashlib.blake2b(key, digest_size=4).digest() for key in keys)
    return np.frombuffer(digests, "<u4").astype(np.uint32)


def _codes(letters: Sequence[str]) -> NDArray[np.uint64]:
    """The code points of texts of one length, (N, L)."""
    joined = "".join(letters).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(joined, np.uint32).astype(np.uint64).reshape(len(letters), -1 if joined else 0)


def _hashes(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit hash of each run of (N, L) code points, (N, max(0, L - 11)); (N, 1) if L is 1 to 11."""
    width = min(RUN, codes.shape[1])
    if width == 0:
        return np.zeros(codes.shape, np.uint64)
    count = codes.shape[1] - width + 1
    value = np.zeros((len(codes), count), np.uint64)
    for i in range(width):
        value = (value ^ codes[:, i : i + count]) * _FACTOR
        value ^= value >> np.uint64(29)
    return value


def _positions(hashes: NDArray[np.uint64], size: int) -> list[NDArray[np.uint64]]:
    """Two bit positions of each hash; `size` is a power of two."""
    mask = np.uint64(size - 1)
    return [hashes & mask, (hashes >> np.uint64(32)) & mask]
