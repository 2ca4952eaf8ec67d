"""Whether a text was copied: a Bloom filter of the letter runs in the training texts (Bloom 1970).

The training texts themselves are never stored. A run is 12 consecutive letters of the folded text: common phrases
are shorter, and a completion of 30 characters holds about a dozen runs. Each run sets 2 of 8 bits, so a new run is
taken for a seen one in about 5 of 100 cases; a text counts as seen only if all of its runs do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kammil.errors import FolderError
from kammil.text import fold

RUN = 12
_BITS_A_RUN = 8
_LARGEST = 1 << 23
"""Bits of the largest filter: one mebibyte."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Novelty = Literal["seen", "new"]


def build(texts: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """The filter of the training texts, for `seen.safetensors`."""
    hashes = np.unique(np.concatenate([np.zeros(0, np.uint64), *(_hashes(fold(text)) for text in texts)]))
    size = min(_LARGEST, max(64, int(2 ** np.ceil(np.log2(max(1, len(hashes)) * _BITS_A_RUN)))))
    bits = np.zeros(size, np.bool_)
    for position in _positions(hashes, size):
        bits[position] = True
    return {"bits": np.packbits(bits)}


class Seen:
    """The filter of a model's training texts."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Unpack `seen.safetensors`; `FolderError` for anything that `build` does not make."""
        bits = arrays.get("bits", np.zeros(0))
        if bits.dtype != np.uint8 or bits.ndim != 1 or len(bits).bit_count() != 1:
            raise FolderError("seen.safetensors holds no filter of ours; copy the model folder again.")
        self._bits = np.unpackbits(bits.astype(np.uint8)).astype(np.bool_)

    def judge(self, text: str, prompt: str = "") -> Novelty:
        """Whether every run of `text` stands in the training texts; a short text is lengthened from its prompt."""
        letters = fold(text)
        if not letters:
            return "new"
        if len(letters) < RUN:
            letters = (fold(prompt) + letters)[-RUN:]
        hashes = _hashes(letters)
        hits = [self._bits[position] for position in _positions(hashes, len(self._bits))]
        return "seen" if len(hashes) and np.logical_and.reduce(hits).all() else "new"


def _hashes(letters: str) -> NDArray[np.uint64]:
    """A 64-bit hash of each run, (max(0, len - 11),); a text shorter than a run is one run by itself."""
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    width = min(RUN, len(codes))
    if width == 0:
        return np.zeros(0, np.uint64)
    value = np.zeros(len(codes) - width + 1, np.uint64)
    for i in range(width):
        value = (value ^ codes[i : i + len(value)]) * _FACTOR
        value ^= value >> np.uint64(29)
    return value


def _positions(hashes: NDArray[np.uint64], size: int) -> list[NDArray[np.uint64]]:
    """Two bit positions of each hash; `size` is a power of two."""
    mask = np.uint64(size - 1)
    return [hashes & mask, (hashes >> np.uint64(32)) & mask]
