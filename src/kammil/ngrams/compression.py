"""Compressed tables of counts.

Keys become gaps, and arrays planes (all first bytes, all second bytes, ...) before zlib: small numbers leave upper
planes empty. A context takes 3 to 5 bytes with its followers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from kammil.ngrams.count_table import CountTable, Index, Keys, Unsigned

Arrays = dict[str, NDArray[np.generic]]

_MAX_ENTRIES, _FREE_ENTRIES, _ENTRIES_PER_BYTE = 1 << 28, 1 << 20, 8
"""Maxima of contexts and of followers; beyond the second, the third a packed byte: a hostile folder must not fill the
memory."""
_BYTES_AT_ONCE = 1 << 16
_NAMES = ("gaps", "widths", "lost", "ids", "counts")
_SIZES = "sizes"


def pack(table: CountTable, prefix: str) -> Arrays:
    """Return the arrays of a table, named after `prefix`."""
    gaps = np.diff(table.keys.astype(np.int64), prepend=0)
    arrays = (gaps, table.num_followers, table.pruned, table.ids, table.counts)
    packed: Arrays = {prefix + name: _compress(array) for name, array in zip(_NAMES, arrays, strict=True)}
    return packed | {prefix + _SIZES: np.array([len(table.keys), len(table.ids)], np.int64)}


def unpack(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> CountTable:
    """Return a packed table; errors as for `CompressedTable`."""
    packed = CompressedTable(arrays, prefix)
    return CountTable(packed.keys(), packed.num_followers(), packed.pruned(), packed.ids(), packed.counts())


class CompressedTable:
    """A packed table with the fields of `CountTable`, one in memory at a time.

    Each is written into `into`, or a wider array. Raises `KeyError` or `ValueError`, here or in a field, for arrays
    that `pack` cannot have made.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        self._arrays, self._prefix = arrays, prefix
        sizes = arrays[prefix + _SIZES]
        packed = sum(arrays[prefix + name].nbytes for name in _NAMES)
        most = min(_MAX_ENTRIES, max(_FREE_ENTRIES, _ENTRIES_PER_BYTE * packed))
        if sizes.shape != (2,) or sizes.dtype != np.int64 or not all(0 <= int(n) <= most for n in sizes.tolist()):
            raise ValueError("a table of counts says no size that it may have")
        self.contexts, self.followers = (int(n) for n in sizes.tolist())

    def keys(self, into: Unsigned | None = None) -> Keys:
        """(C,), ascending."""
        gaps = self._field("gaps", np.zeros(self.contexts, np.uint32) if into is None else into)
        if gaps.sum(dtype=np.int64) >= 1 << 32:
            raise ValueError("a table of counts has keys beyond 32 bits")
        keys = gaps.astype(np.uint32, copy=False)
        return np.cumsum(keys, dtype=np.uint32, out=keys)

    def num_followers(self, into: Unsigned | None = None) -> Unsigned:
        """(C,)."""
        widths = self._field("widths", np.zeros(self.contexts, np.uint8) if into is None else into)
        if not widths.all() or widths.sum(dtype=np.int64) != self.followers:
            raise ValueError("a table of counts has other followers than it says")
        return widths

    def pruned(self, into: Unsigned | None = None) -> Unsigned:
        """(C,)."""
        return self._field("lost", np.zeros(self.contexts, np.uint8) if into is None else into)

    def ids(self, into: Unsigned | None = None) -> Unsigned:
        """(F,)."""
        return self._field("ids", np.zeros(self.followers, np.uint8) if into is None else into)

    def counts(self) -> Unsigned:
        """(F,)."""
        counts = self._field("counts", np.zeros(self.followers, np.uint8))
        if not counts.all():
            raise ValueError("a table of counts has followers that never followed")
        return counts

    def common_counts(self, into: NDArray[np.uint16]) -> tuple[Index, Index]:
        """Unpack counts into (F,), 0 for those beyond two bytes; return positions and values of these, (N,)."""
        places: list[Index] = [np.zeros(0, np.int64)]
        upper: list[Index] = [np.zeros(0, np.int64)]
        for plane, begin, piece in _decompress(self._arrays[self._prefix + "counts"], len(into)):
            if plane < 2:
                _write_plane(into, plane, begin, piece)
            elif piece.any():
                large = piece.nonzero()[0]
                places.append(large + begin)
                upper.append(piece[large].astype(np.int64) << 8 * plane)
        at, index = np.unique(np.concatenate(places), return_inverse=True)  # (N,)
        larger = into[at].astype(np.int64)
        np.add.at(larger, index, np.concatenate(upper))
        into[at] = 1
        if not into.all():
            raise ValueError("a table of counts has followers that never followed")
        into[at] = 0
        return at, larger

    def _field(self, name: str, into: Unsigned) -> Unsigned:
        for plane, begin, piece in _decompress(self._arrays[self._prefix + name], len(into)):
            into = _write_plane(into, plane, begin, piece)
        return into


def _compress(array: Unsigned) -> NDArray[np.uint8]:
    planes = np.minimum(array.astype(np.int64), (1 << 32) - 1).astype("<u4").view(np.uint8).reshape(-1, 4).T  # (4, n)
    return np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)


def _write_plane(numbers: Unsigned, plane: int, begin: int, piece: NDArray[np.uint8]) -> Unsigned:
    if plane == 0:
        numbers[begin : begin + len(piece)] = piece
    elif piece.any():
        numbers = numbers.astype(np.promote_types(numbers.dtype, "<u2" if plane == 1 else "<u4"), copy=False)
        numbers.view(np.uint8).reshape(len(numbers), -1)[begin : begin + len(piece), plane] = piece
    return numbers


def _decompress(packed: NDArray[np.generic], size: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield a plane's number, an offset, and bytes from there, in pieces that fit a near cache."""
    if packed.dtype != np.uint8:
        raise ValueError("a table of counts is not packed")
    stream, waiting, begin = zlib.decompressobj(), memoryview(np.ascontiguousarray(packed, np.uint8).data), 0
    unread: bytes | memoryview = b""
    try:
        while begin < 4 * size:
            if not unread:
                unread, waiting = waiting[:_BYTES_AT_ONCE], waiting[_BYTES_AT_ONCE:]
            ended = not unread
            plane, at = divmod(begin, size)
            piece = np.frombuffer(stream.decompress(unread, min(_BYTES_AT_ONCE, size - at)), np.uint8)
            unread = stream.unconsumed_tail
            if ended and not len(piece):
                break
            if len(piece):
                yield plane, at, piece
            begin += len(piece)
        for chunk in (unread, waiting):
            if not stream.eof and stream.decompress(chunk, 1):
                break
    except zlib.error as error:
        raise ValueError("a table of counts cannot be unpacked") from error
    if begin != 4 * size or not stream.eof:
        raise ValueError("a table of counts has another size than it says")
