"""A Bloom filter of the 12-letter runs of the training texts, and hashes of whole texts (`seen.safetensors`)."""

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
"""Letters of a run."""
_BITS_PER_RUN = 8
_MAX_BITS = 1 << 23  # one mebibyte
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Novelty = Literal["seen", "new"]


def build(texts: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Build the arrays of `seen.safetensors` for the training texts."""
    codes = (_codes([fold(text)]) for text in tracked(texts, "noting runs of letters"))
    hashes = np.unique(np.concatenate([np.zeros(0, np.uint64), *(_hashes(text)[0] for text in codes)]))
    size = min(_MAX_BITS, max(64, int(2 ** np.ceil(np.log2(max(1, len(hashes)) * _BITS_PER_RUN)))))
    bits = np.zeros(size, np.bool_)
    for position in _positions(hashes, size):
        bits[position] = True
    return {"bits": np.packbits(bits), "texts": np.unique(_text_hashes(texts))}


class ExactTexts:
    """Hashes of the training texts, by which an exact copy is recognised."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Read `seen.safetensors`; raises `FolderError` for arrays that `build` cannot have made."""
        hashes = arrays.get("texts")
        if hashes is not None and (hashes.dtype != np.uint32 or hashes.ndim != 1):
            raise FolderError("seen.safetensors holds no hashes of ours; copy the model folder again.")
        self.available = hashes is not None
        """Whether the folder holds hashes of whole texts at all."""
        self._hashes = np.zeros(0, np.uint32) if hashes is None else hashes

    def contains(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each text, (N,), whether it is a training text."""
        return np.isin(_text_hashes(texts), self._hashes)


class BloomFilter:
    """A Bloom filter of the runs of a model's training texts."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Unpack `seen.safetensors`; raises `FolderError` for arrays that `build` cannot have made."""
        bits = arrays.get("bits", np.zeros(0))
        if bits.dtype != np.uint8 or bits.ndim != 1 or len(bits).bit_count() != 1:
            raise FolderError("seen.safetensors holds no filter of ours; copy the model folder again.")
        self._bits = np.unpackbits(bits.astype(np.uint8)).astype(np.bool_)

    def contains(self, letters: Sequence[str]) -> NDArray[np.bool_]:
        """Look up the runs of N folded texts of one length L; return whether each is in the training texts,
        (N, max(0, L - 11)).

        A text shorter than a run is one run, (N, 1); an empty text has none.
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


def _text_hashes(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Return a hash of each text's `exact_key`, (N,)."""
    keys = (exact_key(text).encode("utf-8", "surrogatepass") for text in texts)
    digests = b"".join(hashlib.blake2b(key, digest_size=4).digest() for key in keys)
    return np.frombuffer(digests, "<u4").astype(np.uint32)


def _codes(letters: Sequence[str]) -> NDArray[np.uint64]:
    """Return the code points of texts of one length, (N, L)."""
    joined = "".join(letters).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(joined, np.uint32).astype(np.uint64).reshape(len(letters), -1 if joined else 0)


def _hashes(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash each run of (N, L) code points to 64 bits, (N, max(0, L - 11)); (N, 1) if L is 1 to 11."""
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
    """Return two bit positions of each hash; `size` is a power of two."""
    mask = np.uint64(size - 1)
    return [hashes & mask, (hashes >> np.uint64(32)) & mask]
