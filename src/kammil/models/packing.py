"""Tables of counts as few bytes: what a folder holds of them.

Sorted keys become gaps, and each array is split into planes (all first bytes, all second bytes, ...) before it is
compressed with zlib: small numbers leave their upper planes empty, and Huffman codes come close to the entropy of the
others. A context with one follower takes about 3 bytes. Opening costs some 10 ms a million contexts, which reading a
folder of plain arrays four times as large would cost as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kammil.models.counts import Counts

Arrays = dict[str, NDArray[np.generic]]

_LARGEST = 1 << 28
"""Contexts or followers of the largest table that is opened."""
_NAMES = ("gaps", "widths", "lost", "ids", "counts")
_SIZES = "sizes"


def pack(table: Counts, prefix: str) -> Arrays:
    """The arrays of a table, names beginning with `prefix`."""
    gaps = np.diff(table.keys.astype(np.int64), prepend=0)
    arrays = (gaps, table.widths, table.lost, table.ids, table.counts)
    made: Arrays = {prefix + name: _squeeze(array) for name, array in zip(_NAMES, arrays, strict=True)}
    return made | {prefix + _SIZES: np.array([len(table.keys), len(table.ids)], np.int64)}


def unpack(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> Counts:
    """The table again; `KeyError` or `ValueError` for anything else than `pack` makes."""
    sizes = arrays[prefix + _SIZES]
    if sizes.shape != (2,) or sizes.dtype != np.int64 or not all(0 <= int(n) <= _LARGEST for n in sizes.tolist()):
        raise ValueError("a table of counts says no size that it may have")
    contexts, followers = (int(n) for n in sizes.tolist())
    gaps, widths, lost, ids, counts = (
        _unfold(arrays[prefix + name], contexts if name in ("gaps", "widths", "lost") else followers) for name in _NAMES
    )
    keys = np.cumsum(gaps, dtype=np.int64)
    if len(keys) and int(keys[-1]) >= 1 << 32:
        raise ValueError("a table of counts has keys beyond 32 bits")
    return Counts(keys.astype(np.uint32), widths, lost, ids, counts)


def _squeeze(array: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Numbers below 2^32 as compressed planes."""
    planes = np.minimum(array.astype(np.int64), (1 << 32) - 1).astype("<u4").view(np.uint8).reshape(-1, 4).T  # (4, n)
    return np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)


def _unfold(packed: NDArray[np.generic], size: int) -> NDArray[np.integer]:
    """The numbers again, (size,), in the smallest type that holds them; never more bytes than they take."""
    if packed.dtype != np.uint8:
        raise ValueError("a table of counts is not packed")
    numbers = np.zeros(size, np.uint8)
    stream, rest = zlib.decompressobj(), packed.tobytes()
    try:
        for n in range(4):  # one plane at a time: three of four are mostly empty, and need no memory
            plane = np.frombuffer(stream.decompress(rest, max(1, size)), np.uint8)
            rest = stream.unconsumed_tail
            if len(plane) != size:
                raise ValueError("a table of counts has another size than it says")
            if n == 0:
                numbers = plane
            elif plane.any():
                numbers = numbers.astype(np.uint16 if n == 1 else np.uint32)
                numbers |= plane.astype(numbers.dtype) << (8 * n)
        if stream.decompress(rest, 1) or not stream.eof:
            raise ValueError("a table of counts has another size than it says")
    except zlib.error as error:
        raise ValueError("a table of counts cannot be unpacked") from error
    return numbers
