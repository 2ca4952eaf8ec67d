"""The tables of a blend as one, laid out for running: all contexts of a position are found in one go.

Keys are hashes, so that they are spread evenly: an index by their upper bits says where the few begin that one key can
be among, and one comparison with all of those decides. For the contexts of one position that takes half the time of a
binary search in tables of a million, most of which goes into the calls.

Shapes: P positions, K kinds, D tables, C contexts of all tables, F followers, W the widest bucket, n contexts found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread

import numpy as np

from kammil.ngrams.compression import CompressedTable
from kammil.ngrams.count_table import Floats, Index, Keys, Unsigned, runs

_KEYS_PER_BUCKET = 4
"""Keys in a bucket, about. Half as many would take twice the memory, 4 bytes a bucket, and spare a search nothing."""
_PIECE = 1 << 16
_MAX_BUCKET = 64
"""Keys in the widest bucket of a table that is opened: hashes come to a dozen, a foreign folder could ask for more."""


@dataclass(frozen=True)
class IndexMatches:
    """What was seen after some contexts; those of one context stand together."""

    contexts: Index
    """(3, n): of each context its place, which is position * experts + expert; its followers, at least 1; and the
    occurrences whose followers were not kept."""
    followers: Index
    """(2, N): ids, context by context, and how often each followed; N is the sum of the contexts' followers."""
    beyond: Floats | None = None
    """(N,): what is added to the score of each, whatever the gate believes; None for nothing."""

    @classmethod
    def of(cls, places: Index, ids: Index, counts: Index, kinds: int, expert: int, experts: int) -> IndexMatches:
        """Of the entries of the only table, (N,) each, as in `Entries`; its first kind of context is expert number
        `expert`."""
        begins, widths = runs(places)
        contexts = np.zeros((3, len(begins)), np.int64)
        row, kind = np.divmod(places[begins], kinds)
        contexts[0] = row * experts + kind + expert
        contexts[1] = widths
        followers = np.empty((2, len(ids)), np.int64)
        followers[0], followers[1] = ids, counts
        return cls(contexts, followers)

    def extended(self, other: IndexMatches) -> IndexMatches:
        """These contexts, then others."""
        beyond = None
        if self.beyond is not None or other.beyond is not None:
            parts = [
                np.zeros(k.followers.shape[1], np.float32) if k.beyond is None else k.beyond for k in (self, other)
            ]
            beyond = np.concatenate(parts)
        return IndexMatches(
            np.concatenate([self.contexts, other.contexts], axis=1),
            np.concatenate([self.followers, other.followers], axis=1),
            beyond,
        )


@dataclass(frozen=True)
class IndexArrays:
    """Where everything stands in memory."""

    index: Keys
    """Where each bucket of keys begins among all."""
    shifts: Keys
    """(D * K,): what a key is shifted by to give its bucket."""
    firsts: Keys
    """(D * K,): where the buckets of each one's table begin in the index."""
    keys: Keys
    """Of the contexts, table by table, zeros behind each."""
    starts: Keys
    """Where each context's followers begin, and where the last one's end."""
    pruned: Unsigned
    """Occurrences of each context whose followers were not kept."""
    ids: Unsigned
    """(F,)."""
    counts: Unsigned
    """(F,): 0 for a count beyond 16 bits."""
    larger: tuple[Index, Index]
    """Where those stand, ascending, and what they are."""
    window: int
    """W."""


class CountIndex:
    """Finds contexts in several tables at once.

    Args:
        tables: D of them; expert number table * K + kind is about a kind of context in a table.
        experts: how many there are in all, D * K at least.
    """

    def __init__(self, tables: Sequence[CompressedTable], kinds: int, experts: int) -> None:
        """Unpack the tables into one and sort their keys into buckets."""
        self._experts, self._tables = experts, len(tables)
        self.table_experts = len(tables) * kinds  # experts that are tables
        contexts = [table.contexts for table in tables]
        unpacking = _Unpacking(tables)  # at the same time, as zlib lets other threads run
        unpacking.start()
        try:
            self._build(tables, contexts, kinds)
        finally:
            unpacking.join()
        self._ids, self._counts, self._larger = unpacking.result()

    def _build(self, tables: Sequence[CompressedTable], contexts: Sequence[int], kinds: int) -> None:
        """Unpack what is known of each context, and sort the keys into buckets."""
        begins = np.cumsum([0, *(size + _MAX_BUCKET for size in contexts)]).tolist()
        self._keys: Keys = _joined([table.keys for table in tables], contexts, begins, np.uint32).astype(
            np.uint32, copy=False
        )
        self._lost = _joined([table.pruned for table in tables], contexts, begins, np.uint16)
        self._starts = np.zeros(len(self._keys) + 1, np.uint32)
        widths = _joined([table.num_followers for table in tables], contexts, begins, np.uint8)
        np.cumsum(widths, dtype=np.uint32, out=self._starts[1:])
        del widths  # how far the next one's followers are says the same

        bits = [max(1, (size // _KEYS_PER_BUCKET).bit_length()) for size in contexts]
        firsts = np.cumsum([0, *(1 << b for b in bits)]).tolist()
        self._index = np.zeros(firsts[-1], np.uint32)
        widest = 1
        for begin, size, b, first in zip(begins, contexts, bits, firsts, strict=False):
            keys, index = self._keys[begin : begin + size], self._index[first : first + (1 << b)]
            widest = max(widest, _begins(keys, 32 - b, index))
            index += np.uint32(begin)
            # Of equal keys the first one is found; the others are moved to where nobody looks for them.
            keys[1:][keys[1:] == keys[:-1]] ^= np.uint32(1 << 31)
        if widest > _MAX_BUCKET:
            raise ValueError("the keys of a table of counts are no hashes")
        self._window = np.arange(widest)
        # Behind the last bucket stand zeros, which a key of the first one sees in a small table only.
        self._small = min(contexts) <= widest
        self._shifts = np.repeat(np.array([32 - b for b in bits], np.uint32), kinds)  # (D * K,)
        self._firsts = np.repeat(np.array(firsts[:-1], np.uint32), kinds)  # (D * K,)

    @property
    def arrays(self) -> IndexArrays:
        """For whoever looks by themselves."""
        return IndexArrays(
            index=self._index,
            shifts=self._shifts,
            firsts=self._firsts,
            keys=self._keys,
            starts=self._starts,
            pruned=self._lost,
            ids=self._ids,
            counts=self._counts,
            larger=self._larger,
            window=len(self._window),
        )

    @property
    def largest_table(self) -> int:
        """The largest id that follows anywhere; -1 where nothing was counted."""
        return int(self._ids.max(initial=0)) if len(self._ids) else -1

    def look_up(self, keys: Keys) -> IndexMatches:
        """What is known of the contexts of some positions, (P, K); in few calls: of one position they are what takes
        time."""
        wanted = np.concatenate([keys] * self._tables, axis=1) if self._tables > 1 else keys  # (P, D * K)
        begins = self._index.take((wanted >> self._shifts) + self._firsts).reshape(-1)  # (P * D * K,)
        among = begins[:, None] + self._window  # (P * D * K, W)
        hits = (self._keys.take(among) == wanted.reshape(-1, 1)).reshape(-1).nonzero()[0]  # (n,)
        at = among.reshape(-1).take(hits)
        starts, widths = self._starts.take(at), self._starts.take(at + 1)
        widths -= starts
        if self._small:
            real = widths > 0
            hits, at, starts, widths = hits[real], at[real], starts[real], widths[real]
        contexts = np.empty((3, len(at)), np.int64)
        np.floor_divide(hits, len(self._window), out=contexts[0])
        if len(keys) > 1:
            contexts[0] += contexts[0] // wanted.shape[1] * (self._experts - wanted.shape[1])
        contexts[1], contexts[2] = widths, self._lost.take(at)
        ends = contexts[1].cumsum()
        size = int(ends[-1]) if len(ends) else 0
        begins = starts - ends  # where the followers stand, less where they come to stand
        taken = (begins + contexts[1]).repeat(widths)
        taken += np.arange(size)
        followers = np.empty((2, size), np.int64)
        followers[0], followers[1] = self._ids.take(taken), self._often(taken)
        return IndexMatches(contexts, followers)

    def _often(self, taken: Index) -> Unsigned:
        """How often some followers followed, (N,)."""
        counts = self._counts.take(taken)
        if counts.all():
            return counts
        places, larger = self._larger
        absent = np.flatnonzero(counts == 0)
        counts = counts.astype(np.int64)
        counts[absent] = larger[np.searchsorted(places, taken[absent])]
        return counts


class _Unpacking(Thread):
    """Unpacks the followers of some tables, which is half of the work."""

    def __init__(self, tables: Sequence[CompressedTable]) -> None:
        super().__init__(name="kammil-unpacking", daemon=True)
        self._tables = tables
        self._made: tuple[Unsigned, Unsigned, tuple[Index, Index]] | Exception | None = None

    def run(self) -> None:
        """Keeps what was raised for `result`."""
        try:
            begins = np.cumsum([0, *(table.followers for table in self._tables)]).tolist()
            counts = np.zeros(begins[-1], np.uint16)
            places: list[Index] = []
            larger: list[Index] = []
            for table, begin in zip(self._tables, begins[:-1], strict=True):
                at, these = table.common_counts(counts[begin : begin + table.followers])
                places.append(at + begin)
                larger.append(these)
            followers = [table.followers for table in self._tables]
            ids = _joined([table.ids for table in self._tables], followers, begins, np.uint16)
            self._made = ids, counts, (np.concatenate(places), np.concatenate(larger))
        except Exception as error:  # raised where it is waited for
            self._made = error

    def result(self) -> tuple[Unsigned, Unsigned, tuple[Index, Index]]:
        """Ids (F,) and counts (F,) of all tables, 0 for a count beyond 16 bits; and where those stand, and what they
        are."""
        if isinstance(self._made, Exception):
            raise self._made
        assert self._made is not None
        return self._made


def _begins(keys: Keys, shift: int, begins: Keys) -> int:
    """Where each bucket begins, written into `begins`, and the most keys in one; some at a time, to spare memory."""
    begins[:] = len(keys)
    for start in range(0, len(keys), _PIECE):
        piece = keys[start : start + _PIECE] >> np.uint32(shift)
        # Backwards, so that of a bucket's keys the first is written last.
        begins[piece[::-1]] = np.arange(start, start + len(piece), dtype=np.uint32)[::-1]
    np.minimum.accumulate(begins[::-1], out=begins[::-1])  # an empty bucket begins where the next one does
    return int(np.diff(begins, append=np.uint32(len(keys))).max())


def _joined(
    fields: Sequence[Callable[[Unsigned], Unsigned]],
    sizes: Sequence[int],
    begins: Sequence[int],
    kind: type[np.unsignedinteger],
) -> Unsigned:
    """One array in which each table's field is unpacked where it begins, zeros behind it; of the type given, which
    should hold the numbers, or of a wider one."""
    joined: Unsigned = np.zeros(begins[-1], kind)
    for field, size, begin in zip(fields, sizes, begins[:-1], strict=True):
        part = field(joined[begin : begin + size])
        if part.dtype.itemsize > joined.dtype.itemsize:
            joined = joined.astype(part.dtype)
            joined[begin : begin + size] = part
    return joined
