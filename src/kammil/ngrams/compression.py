"""Tables of counts as few bytes: what a folder holds of them.

Sorted keys become gaps, and each array is split into planes (all first bytes, all second bytes, ...) before it is
compressed with zlib: small numbers leave their upper planes empty, and Huffman codes come close to the entropy of the
others. A context takes 3 to 5 bytes with its followers. Opening costs about 0.06 s a million contexts, nearly all of
it in zlib.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from kammil.ngrams.count_table import CountTable, Index, Keys, Unsigned

Arrays = dict[str, NDArray[np.generic]]

_LARGEST = 1 << 28
"""Contexts or followers of the largest table that is opened."""
_PIECE = 1 << 16
"""Bytes unpacked at a time."""
_NAMES = ("gaps", "widths", "lost", "ids", "counts")
_SIZES = "sizes"


def pack(table: CountTable, prefix: str) -> Arrays:
    """The arrays of a table, names beginning with `prefix`."""
    gaps = np.diff(table.keys.astype(np.int64), prepend=0)
    arrays = (gaps, table.widths, table.lost, table.ids, table.counts)
    made: Arrays = {prefix + name: _squeeze(array) for name, array in zip(_NAMES, arrays, strict=True)}
    return made | {prefix + _SIZES: np.array([len(table.keys), len(table.ids)], np.int64)}


def unpack(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> CountTable:
    """The table again; `KeyError` or `ValueError` for anything else than `pack` makes."""
    packed = CompressedTable(arrays, prefix)
    return CountTable(packed.keys(), packed.num_followers(), packed.pruned(), packed.ids(), packed.counts())


class CompressedTable:
    """A packed table, whose fields are unpacked one by one: whoever copies them on has one of them in memory at a time.

    Args:
        arrays: those of a folder.
        prefix: what the names of the table's begin with.

    `KeyError` or `ValueError`, here or in a field, for anything else than `pack` makes. For the fields see `Counts`.
    Each is unpacked into an array of its size where one is given, so that it is in memory once; that is returned if its
    type holds the numbers, else a wider one.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        """Look at the sizes."""
        self._arrays, self._prefix = arrays, prefix
        sizes = arrays[prefix + _SIZES]
        if sizes.shape != (2,) or sizes.dtype != np.int64 or not all(0 <= int(n) <= _LARGEST for n in sizes.tolist()):
            raise ValueError("a table of counts says no size that it may have")
        self.contexts, self.followers = (int(n) for n in sizes.tolist())

    def keys(self, into: Unsigned | None = None) -> Keys:
        """(C,) ascending."""
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
        """As `counts`, unpacked into (F,) with 0 for those that need more than two bytes.

        Returns: where these stand, (N,) ascending, and what they are, (N,).
        """
        places: list[Index] = [np.zeros(0, np.int64)]
        beyond: list[Index] = [np.zeros(0, np.int64)]
        for plane, begin, piece in _pieces(self._arrays[self._prefix + "counts"], len(into)):
            if plane < 2:
                _put(into, plane, begin, piece)
            elif piece.any():
                there = piece.nonzero()[0]
                places.append(there + begin)
                beyond.append(piece[there].astype(np.int64) << 8 * plane)
        at, which = np.unique(np.concatenate(places), return_inverse=True)  # (N,)
        larger = into[at].astype(np.int64)
        np.add.at(larger, which, np.concatenate(beyond))
        into[at] = 1
        if not into.all():
            raise ValueError("a table of counts has followers that never followed")
        into[at] = 0
        return at, larger

    def _field(self, name: str, into: Unsigned) -> Unsigned:
        for plane, begin, piece in _pieces(self._arrays[self._prefix + name], len(into)):
            into = _put(into, plane, begin, piece)
        return into


def _squeeze(array: Unsigned) -> NDArray[np.uint8]:
    """Numbers below 2^32 as compressed planes."""
    planes = np.minimum(array.astype(np.int64), (1 << 32) - 1).astype("<u4").view(np.uint8).reshape(-1, 4).T  # (4, n)
    return np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)


def _put(numbers: Unsigned, plane: int, begin: int, piece: NDArray[np.uint8]) -> Unsigned:
    """Write a piece of a plane where it belongs, in a wider type if it needs one."""
    if plane == 0:
        numbers[begin : begin + len(piece)] = piece
    elif piece.any():
        numbers = numbers.astype(np.promote_types(numbers.dtype, "<u2" if plane == 1 else "<u4"), copy=False)
        numbers.view(np.uint8).reshape(len(numbers), -1)[begin : begin + len(piece), plane] = piece
    return numbers


def _pieces(packed: NDArray[np.generic], size: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """The planes of `size` numbers, some at a time: the number of a plane, where in it a piece begins, and the piece.

    Pieces are small: what lies in a near cache is written fast, and leaves no holes in the memory of the process.
    """
    if packed.dtype != np.uint8:
        raise ValueError("a table of counts is not packed")
    stream, waiting, begin = zlib.decompressobj(), memoryview(np.ascontiguousarray(packed, np.uint8).data), 0
    rest: bytes | memoryview = b""
    try:
        while begin < 4 * size:
            if not rest:
                rest, waiting = waiting[:_PIECE], waiting[_PIECE:]
            ended = not rest
            plane, at = divmod(begin, size)
            piece = np.frombuffer(stream.decompress(rest, min(_PIECE, size - at)), np.uint8)
            rest = stream.unconsumed_tail
            if ended and not len(piece):
                break
            if len(piece):
                yield plane, at, piece
            begin += len(piece)
        for more in (rest, waiting):
            if not stream.eof and stream.decompress(more, 1):
                break
    except zlib.error as error:
        raise ValueError("a table of counts cannot be unpacked") from error
    if begin != 4 * size or not stream.eof:
        raise ValueError("a table of counts has another size than it says")
