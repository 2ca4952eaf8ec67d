"""An index over all tables of a blend: finds all contexts of a position at once.

Keys are hashes, so they are spread evenly: their upper bits choose a bucket of a few keys, all of which are compared at
once. For the contexts of one position that takes half the time of a binary search in tables of a million, which spends
most of it in calls.

Shapes: P positions, K context types, D tables, C contexts of all tables, F followers, W keys of the largest bucket,
n contexts found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread

import numpy as np

from kammil.ngrams.compression import CompressedTable
from kammil.ngrams.count_table import Floats, Index, Keys, Unsigned, runs

_KEYS_PER_BUCKET = 4
"""Mean keys of a bucket. Half as many would take twice the memory, 4 bytes a bucket, and save a search no time."""
_KEYS_AT_ONCE = 1 << 16
_MAX_BUCKET = 64
"""Maximum number of keys of a bucket in a table that is opened: hashes need a dozen, a hostile folder could ask for
more."""


@dataclass(frozen=True)
class IndexMatches:
    """Contexts found in an index, and their followers, context by context."""

    contexts: Index
    """(3, n): for each context position * experts + expert; its number of followers, at least 1; and the occurrences
    whose followers were pruned."""
    followers: Index
    """(2, N): ids, context by context, and their counts; N is the sum of the contexts' followers."""
    score_bonus: Floats | None = None
    """(N,): added to the score of each follower, whatever the gate says; None for nothing."""

    @classmethod
    def of(
        cls, places: Index, ids: Index, counts: Index, context_types: int, expert: int, experts: int
    ) -> IndexMatches:
        """Convert the entries of one table, (N,) each, as in `Matches`; its first context type is expert number
        `expert` of `experts`."""
        begins, widths = runs(places)
        contexts = np.zeros((3, len(begins)), np.int64)
        row, kind = np.divmod(places[begins], context_types)
        contexts[0] = row * experts + kind + expert
        contexts[1] = widths
        followers = np.empty((2, len(ids)), np.int64)
        followers[0], followers[1] = ids, counts
        return cls(contexts, followers)

    def extended(self, other: IndexMatches) -> IndexMatches:
        """Concatenate these contexts and those of `other`."""
        score_bonus = None
        if self.score_bonus is not None or other.score_bonus is not None:
            parts = [
                np.zeros(m.followers.shape[1], np.float32) if m.score_bonus is None else m.score_bonus
                for m in (self, other)
            ]
            score_bonus = np.concatenate(parts)
        return IndexMatches(
            np.concatenate([self.contexts, other.contexts], axis=1),
            np.concatenate([self.followers, other.followers], axis=1),
            score_bonus,
        )


@dataclass(frozen=True)
class IndexArrays:
    """The arrays of a `CountIndex`, as the native engine reads them."""

    index: Keys
    """First key of each bucket."""
    shifts: Keys
    """(D * K,): bits that a key is shifted right by to give its bucket."""
    firsts: Keys
    """(D * K,): first bucket of each expert's table."""
    keys: Keys
    """Keys of the contexts, table by table, zeros behind each table."""
    starts: Keys
    """First follower of each context, and F."""
    pruned: Unsigned
    """Occurrences of each context whose followers were pruned."""
    ids: Unsigned
    """(F,): the followers."""
    counts: Unsigned
    """(F,): how often each follower was seen; 0 for a count beyond 16 bits."""
    larger: tuple[Index, Index]
    """The counts beyond 16 bits: their positions in `counts`, ascending, and their values."""
    window: int
    """W, keys of the largest bucket."""


class CountIndex:
    """Finds contexts in several tables at once.

    Args:
        tables: D of them; expert number table * K + type looks up one context type in one table.
        context_types: K.
        experts: number of experts in all, at least D * K.
    """

    def __init__(self, tables: Sequence[CompressedTable], context_types: int, experts: int) -> None:
        self._experts, self._tables = experts, len(tables)
        self.table_experts = len(tables) * context_types  # experts that are tables
        contexts = [table.contexts for table in tables]
        unpacking = _UnpackFollowers(tables)  # at the same time, as zlib lets other threads run
        unpacking.start()
        try:
            self._build(tables, contexts, context_types)
        finally:
            unpacking.join()
        self._ids, self._counts, self._larger = unpacking.result()

    def _build(self, tables: Sequence[CompressedTable], contexts: Sequence[int], context_types: int) -> None:
        """Unpack the contexts of all tables, and sort their keys into buckets."""
        begins = np.cumsum([0, *(size + _MAX_BUCKET for size in contexts)]).tolist()
        self._keys: Keys = _unpack_all([table.keys for table in tables], contexts, begins, np.uint32).astype(
            np.uint32, copy=False
        )
        self._pruned = _unpack_all([table.pruned for table in tables], contexts, begins, np.uint16)
        self._starts = np.zeros(len(self._keys) + 1, np.uint32)
        widths = _unpack_all([table.num_followers for table in tables], contexts, begins, np.uint8)
        np.cumsum(widths, dtype=np.uint32, out=self._starts[1:])
        self.max_followers = int(widths.max(initial=0))
        """Maximum number of followers of a context."""
        del widths  # the differences of `_starts` say the same

        bits = [max(1, (size // _KEYS_PER_BUCKET).bit_length()) for size in contexts]
        firsts = np.cumsum([0, *(1 << b for b in bits)]).tolist()
        self._index = np.zeros(firsts[-1], np.uint32)
        widest = 1
        for begin, size, b, first in zip(begins, contexts, bits, firsts, strict=False):
            keys, index = self._keys[begin : begin + size], self._index[first : first + (1 << b)]
            widest = max(widest, _fill_buckets(keys, 32 - b, index))
            index += np.uint32(begin)
            # The first of equal keys is found; the others are changed to values that no bucket search reaches.
            keys[1:][keys[1:] == keys[:-1]] ^= np.uint32(1 << 31)
        if widest > _MAX_BUCKET:
            raise ValueError("the keys of a table of counts are no hashes")
        self._window = np.arange(widest)
        # Zeros follow the last bucket; in a small table, a search of the first bucket reaches them.
        self._small = min(contexts) <= widest
        self._shifts = np.repeat(np.array([32 - b for b in bits], np.uint32), context_types)  # (D * K,)
        self._firsts = np.repeat(np.array(firsts[:-1], np.uint32), context_types)  # (D * K,)

    @property
    def arrays(self) -> IndexArrays:
        """The raw arrays, for the native engine."""
        return IndexArrays(
            index=self._index,
            shifts=self._shifts,
            firsts=self._firsts,
            keys=self._keys,
            starts=self._starts,
            pruned=self._pruned,
            ids=self._ids,
            counts=self._counts,
            larger=self._larger,
            window=len(self._window),
        )

    @property
    def max_id(self) -> int:
        """The largest id of a follower; -1 where nothing was counted."""
        return int(self._ids.max(initial=0)) if len(self._ids) else -1

    def look_up(self, keys: Keys) -> IndexMatches:
        """Find the contexts of P positions by their keys, (P, K). In few NumPy calls, the cost of one position."""
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
        contexts[1], contexts[2] = widths, self._pruned.take(at)
        ends = contexts[1].cumsum()
        size = int(ends[-1]) if len(ends) else 0
        shifts = starts - ends  # entry in the tables - position in the result, but for the context's own followers
        entries = (shifts + contexts[1]).repeat(widths)
        entries += np.arange(size)
        followers = np.empty((2, size), np.int64)
        followers[0], followers[1] = self._ids.take(entries), self._counts_of(entries)
        return IndexMatches(contexts, followers)

    def _counts_of(self, entries: Index) -> Unsigned:
        counts = self._counts.take(entries)
        if counts.all():
            return counts
        places, larger = self._larger
        large = np.flatnonzero(counts == 0)
        counts = counts.astype(np.int64)
        counts[large] = larger[np.searchsorted(places, entries[large])]
        return counts


class _UnpackFollowers(Thread):
    """Unpacks the followers of all tables, which is half of the work of opening an index."""

    def __init__(self, tables: Sequence[CompressedTable]) -> None:
        super().__init__(name="kammil-unpacking", daemon=True)
        self._tables = tables
        self._outcome: tuple[Unsigned, Unsigned, tuple[Index, Index]] | Exception | None = None

    def run(self) -> None:
        """Unpack; `result` raises what is raised here."""
        try:
            begins = np.cumsum([0, *(table.followers for table in self._tables)]).tolist()
            counts = np.zeros(begins[-1], np.uint16)
            places: list[Index] = []
            larger: list[Index] = []
            for table, begin in zip(self._tables, begins[:-1], strict=True):
                at, values = table.common_counts(counts[begin : begin + table.followers])
                places.append(at + begin)
                larger.append(values)
            followers = [table.followers for table in self._tables]
            ids = _unpack_all([table.ids for table in self._tables], followers, begins, np.uint16)
            self._outcome = ids, counts, (np.concatenate(places), np.concatenate(larger))
        except Exception as error:  # raised by `result`
            self._outcome = error

    def result(self) -> tuple[Unsigned, Unsigned, tuple[Index, Index]]:
        """Return ids (F,) and counts (F,) of all tables, 0 for a count beyond 16 bits; and the positions and values of
        those."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome


def _fill_buckets(keys: Keys, shift: int, begins: Keys) -> int:
    """Write the first key of each bucket into `begins`; return the size of the largest. In pieces, to save memory."""
    begins[:] = len(keys)
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        piece = keys[start : start + _KEYS_AT_ONCE] >> np.uint32(shift)
        # Backwards, so that the first key of a bucket is written last.
        begins[piece[::-1]] = np.arange(start, start + len(piece), dtype=np.uint32)[::-1]
    np.minimum.accumulate(begins[::-1], out=begins[::-1])  # an empty bucket begins where the next one does
    return int(np.diff(begins, append=np.uint32(len(keys))).max())


def _unpack_all(
    fields: Sequence[Callable[[Unsigned], Unsigned]],
    sizes: Sequence[int],
    begins: Sequence[int],
    kind: type[np.unsignedinteger],
) -> Unsigned:
    """Unpack one field of every table into one array, each where `begins` says, zeros behind it; of type `kind`, or of
    a wider one where that does not hold the numbers."""
    joined: Unsigned = np.zeros(begins[-1], kind)
    for field, size, begin in zip(fields, sizes, begins[:-1], strict=True):
        part = field(joined[begin : begin + size])
        if part.dtype.itemsize > joined.dtype.itemsize:
            joined = joined.astype(part.dtype)
            joined[begin : begin + size] = part
    return joined
