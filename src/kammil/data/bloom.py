"""A Bloom filter of the 12-letter runs of training texts, and hashes of whole texts (`seen.safetensors`)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.data.near_duplicates import exact_key
from kammil.errors import FolderError
from kammil.progress import tracked
from kammil.text import fold

RUN = 12
_BITS_PER_RUN, _MIN_BITS_PER_RUN = 8, 1.75
"""Bits per run in filters of up to `_SMALL_BITS` and in larger ones: 5 % and 47 % false positives."""
_SMALL_BITS, _MAX_BITS = 1 << 23, 1 << 27  # 1 and 16 MiB
_BLOCK = 10_000  # texts hashed at once: some 100 MB of arrays
_LEARNT, _MIN_RUNS = 0.5, 8
"""Minima of the share of known runs, and of runs that make it evidence."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_N = TypeVar("_N", np.uint32, np.uint64)
Novelty = Literal["seen", "new"]


def build(
    texts: Sequence[str], *, known: Mapping[str, NDArray[np.generic]] | None = None
) -> dict[str, NDArray[np.generic]]:
    """Build the arrays of `seen.safetensors`, united with those of the base."""
    most = _size(sum(map(len, texts)))
    bits, digests, theirs = np.zeros(most, np.bool_), np.zeros(0, np.uint32), np.zeros(0, np.bool_)
    if known is not None:
        theirs = np.unpackbits(known["bits"].astype(np.uint8)).astype(np.bool_)
        most = max(most, len(theirs))
        bits, digests = np.tile(theirs, most // len(theirs)), known.get("texts", digests).astype(np.uint32)
    distinct, full = np.zeros(0, np.uint64), _SMALL_BITS // _BITS_PER_RUN
    for begin in tracked(range(0, len(texts), _BLOCK), "noting runs of letters"):
        block = texts[begin : begin + _BLOCK]
        folds = [fold(text, underscores=True) for text in block]
        digests = _distinct(digests, _digests(folded or exact_key(t) for folded, t in zip(folds, block, strict=True)))
        hashes = _block_hashes([folded.replace("_", "") for folded in folds])
        for position in _positions(hashes, most):
            bits[position] = True
        if len(distinct) < full:  # else their number is estimated
            distinct = _distinct(distinct, hashes)
    size = min(most, _size(len(distinct) if len(distinct) < full else max(full, _estimated(bits))))
    size = max(size, len(theirs))
    # A smaller filter takes the lower bits of positions.
    return {"bits": np.packbits(bits.reshape(-1, size).any(axis=0)), "texts": digests}


def _size(runs: int) -> int:
    small = min(_SMALL_BITS, runs * _BITS_PER_RUN)
    return min(_MAX_BITS, 1 << (max(64, small, math.ceil(runs * _MIN_BITS_PER_RUN)) - 1).bit_length())


def _estimated(bits: NDArray[np.bool_]) -> int:
    """Estimate from the set bits (Swamidass and Baldi 2007)."""
    unset = max(1, len(bits) - int(np.count_nonzero(bits)))
    return round(-len(bits) / 2 * np.log(unset / len(bits)))


class ExactTexts:
    """Hashes of whole training texts."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        hashes = arrays.get("texts")
        if hashes is not None and (hashes.dtype != np.uint32 or hashes.ndim != 1):
            raise FolderError("seen.safetensors holds no hashes of ours; copy the model folder again.")
        self.available = hashes is not None
        self._hashes = np.zeros(0, np.uint32) if hashes is None else hashes

    def contains(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each text, (N,), is a training text."""
        return np.isin(_digests(map(exact_key, texts)), self._hashes)


class BloomFilter:
    """The runs of a model's training texts."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        bits = arrays.get("bits", np.zeros(0))
        if bits.dtype != np.uint8 or bits.ndim != 1 or len(bits).bit_count() != 1 or len(bits) > _MAX_BITS // 8:
            raise FolderError("seen.safetensors holds no filter of ours; copy the model folder again.")
        self._bits = bits.astype(np.uint8)

    def contains(self, letters: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each run of N folded texts of length L is known, (N, max(0, L - 11)); a shorter text is a
        run."""
        hashes = _hashes(_codes(letters))
        first, second = (self._is_set(position) for position in _positions(hashes, 8 * len(self._bits)))
        return first & second

    def _is_set(self, positions: NDArray[np.uint64]) -> NDArray[np.bool_]:
        masks = np.uint8(128) >> (positions & np.uint64(7)).astype(np.uint8)
        return (self._bits[positions >> np.uint64(3)] & masks) != 0

    @cached_property
    def false_positives(self) -> float:
        """Share of new runs that look known."""
        share = int.from_bytes(self._bits.tobytes()).bit_count() / (8 * len(self._bits))
        return share**2

    def novelty(self, text: str, prompt: str = "") -> Novelty:
        """Return `seen` if every run is known; a short text is extended by its prompt."""
        letters = fold(text)
        if not letters:
            return "new"
        if len(letters) < RUN:
            letters = (fold(prompt) + letters)[-RUN:]
        return "seen" if self.contains([letters]).all() else "new"

    def knows_half(self, text: str) -> bool:
        """Return whether more than half of a text's runs are known, corrected for false positives."""
        found = self.contains([fold(text)])
        chance = self.false_positives
        return bool(found.size and found.mean() - chance > (1 - chance) / 2)


def learnt_texts(arrays: Mapping[str, NDArray[np.generic]], texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each text, (N,), or half of its runs is known, four standard deviations above chance."""
    exact, runs = ExactTexts(arrays).contains(texts), BloomFilter(arrays)
    chance = runs.false_positives
    learnt = np.zeros(len(texts), np.bool_)
    for i, text in enumerate(texts):
        known = runs.contains([fold(text)])
        minimum = chance + _LEARNT * (1 - chance)
        if known.size >= _MIN_RUNS:
            above = chance + 4 * float(np.sqrt(chance * (1 - chance) / known.size))
            learnt[i] = known.mean() >= max(minimum, above)
        learnt[i] |= exact[i] and known.all()  # of 32-bit hashes alone some agree by chance
    return learnt


def _digests(keys: Iterable[str]) -> NDArray[np.uint32]:
    joined = b"".join(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest() for key in keys)
    return np.frombuffer(joined, "<u4").astype(np.uint32)


def _distinct(known: NDArray[_N], more: NDArray[_N]) -> NDArray[_N]:
    """Unite arrays, ascending: `np.unique`, which hashes, is slower."""
    numbers = np.sort(np.concatenate([known, more]))
    return numbers[np.append(True, numbers[1:] != numbers[:-1])] if len(numbers) else numbers


def _codes(letters: Sequence[str]) -> NDArray[np.uint64]:
    joined = "".join(letters).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(joined, np.uint32).astype(np.uint64).reshape(len(letters), -1 if joined else 0)


def _hashes(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash the runs of (N, L) code points to 64 bits, (N, max(0, L - 11)); (N, 1) if L is 1 to 11."""
    width = min(RUN, codes.shape[1])
    if width == 0:
        return np.zeros(codes.shape, np.uint64)
    count = codes.shape[1] - width + 1
    value = np.zeros((len(codes), count), np.uint64)
    for i in range(width):
        value = (value ^ codes[:, i : i + count]) * _FACTOR
        value ^= value >> np.uint64(29)
    return value


def _block_hashes(letters: Sequence[str]) -> NDArray[np.uint64]:
    long = [text for text in letters if len(text) >= RUN]
    short = [_hashes(_codes([text]))[0] for text in letters if len(text) < RUN]
    if not long:
        return np.concatenate([np.zeros(0, np.uint64), *short])
    ends = np.cumsum([len(text) for text in long])
    inside = np.ones(int(ends[-1]) - RUN + 1, np.bool_)  # runs that begin and end in one text
    for back in range(1, RUN):
        inside[ends[:-1] - back] = False
    return np.concatenate([_hashes(_codes(["".join(long)]))[0][inside], *short])


def _positions(hashes: NDArray[np.uint64], size: int) -> list[NDArray[np.uint64]]:
    mask = np.uint64(size - 1)
    return [hashes & mask, (hashes >> np.uint64(32)) & mask]
