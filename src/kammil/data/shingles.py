"""Hashed shingles of texts, by which near-duplicates are found.

A text is matched by its key, the fold (see `kammil.text.fold`); a shingle is a run of n characters of the key, as a
64-bit hash: the chance that any two of 10^8 different ones agree is below 0.0003.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kammil.progress import tracked
from kammil.text import TextRules, fold, fold_spelling

LOW_MASK = (1 << 32) - 1
"""Mask of the lower of two numbers below 2^32 that are sorted as one, such as owner << 32 | token."""
_BLOCK = 1 << 22  # characters hashed, pairs listed or shingles looked up at a time: some 100 MB of arrays
_PARTITION = 1 << 24  # shingles sorted at a time: about 0.5 GB of arrays
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_AS_SEEN = TextRules(urls=False, handles=False)

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


def key(text: str) -> str:
    """Return what copies of a text have in common: the fold or, where that is empty, the text without white space.

    The second kind (emoji only, a bare link) begins with a space, which no fold contains; the key of a blank or
    invisible text is a single space.
    """
    return fold(text) or " " + "".join(_AS_SEEN.normalise(text).split())


def loose_key(text: str) -> str:
    """Return what copies of a text in different spellings have in common (`kammil.text.fold_spelling`, else `key`)."""
    return fold_spelling(text) or key(text)


def exact_key(text: str) -> str:
    """Return what exact copies of a text have in common: letters, digits and underscores, else `key`."""
    return fold(text, underscores=True) or key(text)


def shingles(folded: str, shingle: int) -> set[str]:
    """Return the distinct shingles of a key; a short key, and that of a text without letters, is one shingle."""
    if folded.startswith(" "):
        return {folded}
    return {folded[start : start + shingle] for start in range(max(len(folded) - shingle, 0) + 1)}


def repeated(keys: list[str], shingle: int) -> tuple[Ints, Ints, Ints]:
    """Find the shingles that at least two keys hold.

    Hashes are sorted range by range, so that memory holds the repeated ones and one range of the others.

    Returns: owner (index of a key) and token (number of a shingle), once for each pair of both; and the number of
    distinct shingles of each key.
    """
    long = np.array([len(k) >= shingle and not k.startswith(" ") for k in keys], np.bool_)
    size = np.where(long, np.array([len(k) - shingle + 1 for k in keys], np.int64), 1)
    parts = 1 + int(size.sum()) // _PARTITION
    owners: list[Ints] = []
    tokens: list[Ints] = []
    first = 0
    for part in tracked(range(parts), "looking for near-duplicates"):
        owner, value = _hashes(keys, np.flatnonzero(long), shingle, part, parts)
        order = np.argsort(value)
        value = value[order]
        token = np.concatenate([[0], np.cumsum(value[1:] != value[:-1])])[: value.size]
        common = np.bincount(token)[token] > 1
        entry = np.sort(token[common] << 32 | owner[order][common])
        repeats = np.concatenate([[False], entry[1:] == entry[:-1]])[: entry.size]
        size -= np.bincount(entry[repeats] & LOW_MASK, minlength=len(keys))
        entry = entry[~repeats]
        token = entry >> 32
        entry = entry[np.bincount(token)[token] > 1]
        _, token = np.unique(entry >> 32, return_inverse=True)
        owners.append(entry & LOW_MASK)
        tokens.append(token + first)
        first += int(token.max(initial=-1)) + 1
    return np.concatenate(owners), np.concatenate(tokens), size


def _hashes(keys: list[str], which: Ints, shingle: int, part: int, parts: int) -> tuple[Ints, Hashes]:
    """Return owner and hash of the shingles of the keys numbered `which` whose hash lies in range `part` of `parts`.

    The hash of c[0] c[1] ... is the sum of mix(c[i]) * BASE^i modulo 2^64, which is a difference of
    running sums, shifted down.
    """
    length = np.array([len(keys[k]) for k in which], np.int64)
    owners = [np.zeros(0, np.int64)]
    values = [np.zeros(0, np.uint64)]
    for block in blocks(length):
        text = "".join([keys[k] for k in which[block]])
        codes = np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))
        powers = np.cumprod(np.full(codes.size, _BASE, np.uint64))
        back = np.cumprod(np.full(codes.size, pow(_BASE, -1, 1 << 64), np.uint64))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mix(codes) * powers)])
        width = length[block] - shingle + 1
        start = ranges(np.cumsum(length[block]) - length[block], width)
        value = (sums[start + shingle] - sums[start]) * back[start]
        in_part = (value >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32) == part
        owners.append(np.repeat(which[block], width)[in_part])
        values.append(value[in_part])
    return np.concatenate(owners), np.concatenate(values)


def mix(numbers: NDArray[np.integer]) -> Hashes:
    """Hash numbers to 64 bits by SplitMix64 (Steele et al. 2014); the same in every process."""
    z = numbers.astype(np.uint64) * np.uint64(_BASE) + np.uint64(_BASE)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def blocks(width: Ints) -> Iterator[slice]:
    """Yield consecutive slices whose widths sum to at most `_BLOCK`, or which hold one element."""
    ends = np.cumsum(width)
    start = 0
    while start < width.size:
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + _BLOCK, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def ranges(start: Ints, width: Ints) -> Ints:
    """Concatenate the ranges [start, start + width)."""
    return np.repeat(start - np.cumsum(width) + width, width) + np.arange(int(width.sum()))
