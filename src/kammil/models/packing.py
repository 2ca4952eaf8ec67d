"""Tables of counts as few bytes: what a folder holds of them.

Sorted keys become gaps, and each array is split into planes (all first bytes, all second bytes, ...) before it is
compressed with zlib: small numbers leave their upper planes empty, and Huffman codes come close to the entropy of the
others. A context with one follower takes about 3 bytes. Opening costs about 0.15 s a million contexts, nearly all of it
in zlib.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kammil.models.counts import Counts, Keys, Whole

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
    packed = Packed(arrays, prefix)
    return Counts(packed.keys(), packed.widths(), packed.lost(), packed.ids(), packed.counts())


class Packed:
    """A packed table, whose fields are unpacked one by one: whoever copies them on has one of them in memory at a time.

    Args:
        arrays: those of a folder.
        prefix: what the names of the table's begin with.

    `KeyError` or `ValueError`, here or in a field, for anything else than `pack` makes. For the fields see `Counts`.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        """Look at the sizes."""
        self._arrays, self._prefix = arrays, prefix
        sizes = arrays[prefix + _SIZES]
        if sizes.shape != (2,) or sizes.dtype != np.int64 or not all(0 <= int(n) <= _LARGEST for n in sizes.tolist()):
            raise ValueError("a table of counts says no size that it may have")
        self.contexts, self.followers = (int(n) for n in sizes.tolist())

    def keys(self) -> Keys:
        """(C,) ascending."""
        gaps = self._field("gaps", self.contexts)
        if gaps.sum(dtype=np.int64) >= 1 << 32:
            raise ValueError("a table of counts has keys beyond 32 bits")
        return np.cumsum(gaps, dtype=np.uint32)

    def widths(self) -> Whole:
        """(C,)."""
        widths = self._field("widths", self.contexts)
        if not widths.all() or widths.sum(dtype=np.int64) != self.followers:
            raise ValueError("a table of counts has other followers than it says")
        return widths

    def lost(self) -> Whole:
        """(C,)."""
        return self._field("lost", self.contexts)

    def ids(self) -> Whole:
        """(F,)."""
        return self._field("ids", self.followers)

    def counts(self) -> Whole:
        """(F,)."""
        counts = self._field("counts", self.followers)
        if not counts.all():
            raise ValueError("a table of counts has followers that never followed")
        return counts

    def _field(self, name: str, size: int) -> Whole:
        return _unfold(self._arrays[self._prefix + name], size)


def _squeeze(array: Whole) -> NDArray[np.uint8]:
    """Numbers below 2^32 as compressed planes."""
    planes = np.minimum(array.astype(np.int64), (1 << 32) - 1).astype("<u4").view(np.uint8).reshape(-1, 4).T  # (4, n)
    return np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)


def _unfold(packed: NDArray[np.generic], size: int) -> Whole:
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
                numbers = numbers.astype("<u2" if n == 1 else "<u4", copy=False)
                numbers.view(np.uint8).reshape(size, -1)[:, n] = plane  # in place: nothing as wide beside it
        if stream.decompress(rest, 1) or not stream.eof:
            raise ValueError("a table of counts has another size than it says")
    except zlib.error as error:
        raise ValueError("a table of counts cannot be unpacked") from error
    return numbers
