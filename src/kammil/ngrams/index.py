"""An index over all tables of a blend, which finds all contexts of a position at once.

A key's upper bits choose a bucket of a few keys, compared at once, in half the time of binary search.

Shapes: P positions, K context types, D tables, C contexts of all tables, F followers, W keys of the largest bucket, n
contexts found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kammil.ngrams.compression import CompressedTable
from kammil.ngrams.count_table import Index, Keys, Unsigned, runs

_KEYS_PER_BUCKET = 4
"""On average; two would double the memory and save no time."""
_KEYS_AT_ONCE = 1 << 16
_MAX_BUCKET = 64
"""Hashes need a dozen, a hostile folder more."""


@dataclass(frozen=True)
class IndexMatches:
    """Contexts and their followers, context by context."""

    contexts: Index
    """(3, n): position * experts + expert; number of followers, 1 or more; pruned occurrences."""
    followers: Index
    """(2, N): ids and counts."""

    @classmethod
    def of(
        cls, places: Index, ids: Index, counts: Index, context_types: int, expert: int, experts: int
    ) -> IndexMatches:
        """Convert the entries of a table, (N,) each, with `expert` as its first of `experts`."""
        begins, widths = runs(places)
        contexts = np.zeros((3, len(begins)), np.int64)
        row, kind = np.divmod(places[begins], context_types)
        contexts[0] = row * experts + kind + expert
        contexts[1] = widths
        followers = np.empty((2, len(ids)), np.int64)
        followers[0], followers[1] = ids, counts
        return cls(contexts, followers)

    def extended(self, other: IndexMatches) -> IndexMatches:
        """Append contexts."""
        return IndexMatches(
            np.concatenate([self.contexts, other.contexts], axis=1),
            np.concatenate([self.followers, other.followers], axis=1),
        )


class CountIndex:
    """Finds contexts in several tables. The native engine reads its arrays.

    Args:
        tables: D; expert table * K + type looks up one type in one table.
        context_types: K.
        experts: D * K or more.
    """

    def __init__(self, tables: Sequence[CompressedTable], context_types: int, experts: int) -> None:
        self._experts, self._tables = experts, len(tables)
        self.context_types = context_types
        self.table_experts = len(tables) * context_types
        with ThreadPoolExecutor(1, "kammil-unpacking") as pool:  # half of the work, in zlib, beside the rest
            followers = pool.submit(_unpack_followers, tables)
            self._build(tables, [table.contexts for table in tables], context_types)
            self.ids, self.counts, self.large_positions, self.large_counts = followers.result()
        """(F,): followers; their counts, 0 beyond 16 bits; positions and values of such counts, ascending."""
        self.max_id = int(self.ids.max()) if len(self.ids) else -1

    def _build(self, tables: Sequence[CompressedTable], contexts: Sequence[int], context_types: int) -> None:
        begins = np.cumsum([0, *(size + _MAX_BUCKET for size in contexts)]).tolist()
        self.keys: Keys = _unpack_all([table.keys for table in tables], contexts, begins, np.uint32).astype(
            np.uint32, copy=False
        )
        self.pruned = _unpack_all([table.pruned for table in tables], contexts, begins, np.uint16)
        self.starts = np.zeros(len(self.keys) + 1, np.uint32)
        """First follower of each context, and F."""
        widths = _unpack_all([table.num_followers for table in tables], contexts, begins, np.uint8)
        np.cumsum(widths, dtype=np.uint32, out=self.starts[1:])
        self.max_followers = int(widths.max(initial=0))
        del widths  # the differences of `starts` say the same

        bits = [max(1, (size // _KEYS_PER_BUCKET).bit_length()) for size in contexts]
        firsts = np.cumsum([0, *(1 << b for b in bits)]).tolist()
        self.buckets = np.zeros(firsts[-1], np.uint32)
        self.bucket_size = 1
        """W."""
        for begin, size, b, first in zip(begins, contexts, bits, firsts, strict=False):
            keys, buckets = self.keys[begin : begin + size], self.buckets[first : first + (1 << b)]
            self.bucket_size = max(self.bucket_size, _fill_buckets(keys, 32 - b, buckets))
            buckets += np.uint32(begin)
            # hide all but the first of equal keys
            keys[1:][keys[1:] == keys[:-1]] ^= np.uint32(1 << 31)
        if self.bucket_size > _MAX_BUCKET:
            raise ValueError("the keys of a table of counts are no hashes")
        self._window = np.arange(self.bucket_size)
        # in small tables, a search reaches the zeros behind
        self._small = min(contexts) <= self.bucket_size
        self.shifts = np.repeat(np.array([32 - b for b in bits], np.uint32), context_types)
        """(D * K,): key >> shift is the bucket."""
        self.firsts = np.repeat(np.array(firsts[:-1], np.uint32), context_types)
        """(D * K,): first bucket of each expert's table."""

    def look_up(self, keys: Keys) -> IndexMatches:
        """Find contexts by their keys, (P, K), in few NumPy calls, the cost of one position."""
        wanted = np.concatenate([keys] * self._tables, axis=1) if self._tables > 1 else keys  # (P, D * K)
        begins = self.buckets.take((wanted >> self.shifts) + self.firsts).reshape(-1)  # (P * D * K,)
        among = begins[:, None] + self._window  # (P * D * K, W)
        hits = (self.keys.take(among) == wanted.reshape(-1, 1)).reshape(-1).nonzero()[0]  # (n,)
        at = among.reshape(-1).take(hits)
        starts, widths = self.starts.take(at), self.starts.take(at + 1)
        widths -= starts
        if self._small:
            real = widths > 0
            hits, at, starts, widths = hits[real], at[real], starts[real], widths[real]
        contexts = np.empty((3, len(at)), np.int64)
        np.floor_divide(hits, self.bucket_size, out=contexts[0])
        if len(keys) > 1:
            contexts[0] += contexts[0] // wanted.shape[1] * (self._experts - wanted.shape[1])
        contexts[1], contexts[2] = widths, self.pruned.take(at)
        ends = contexts[1].cumsum()
        size = int(ends[-1]) if len(ends) else 0
        shifts = starts - ends  # entry - position in the result, but for own followers
        entries = (shifts + contexts[1]).repeat(widths)
        entries += np.arange(size)
        followers = np.empty((2, size), np.int64)
        followers[0], followers[1] = self.ids.take(entries), self._counts_of(entries)
        return IndexMatches(contexts, followers)

    def _counts_of(self, entries: Index) -> Unsigned:
        counts = self.counts.take(entries)
        if counts.all():
            return counts
        large = np.flatnonzero(counts == 0)
        counts = counts.astype(np.int64)
        counts[large] = self.large_counts[np.searchsorted(self.large_positions, entries[large])]
        return counts


def _unpack_followers(tables: Sequence[CompressedTable]) -> tuple[Unsigned, Unsigned, Index, Index]:
    followers = [table.followers for table in tables]
    begins = np.cumsum([0, *followers]).tolist()
    counts = np.zeros(begins[-1], np.uint16)
    parts = [
        table.common_counts(counts[begin : begin + size])
        for table, begin, size in zip(tables, begins, followers, strict=False)
    ]
    ids = _unpack_all([table.ids for table in tables], followers, begins, np.uint16)
    places = np.concatenate([at + begin for (at, _), begin in zip(parts, begins, strict=False)])
    return ids, counts, places, np.concatenate([values for _, values in parts])


def _fill_buckets(keys: Keys, shift: int, begins: Keys) -> int:
    """Write buckets' first keys into `begins`, piece by piece; return the largest size."""
    begins[:] = len(keys)
    for start in reversed(range(0, len(keys), _KEYS_AT_ONCE)):
        piece = keys[start : start + _KEYS_AT_ONCE] >> np.uint32(shift)
        # backwards, as the pieces: the first key of a bucket is written last
        begins[piece[::-1]] = np.arange(start, start + len(piece), dtype=np.uint32)[::-1]
    np.minimum.accumulate(begins[::-1], out=begins[::-1])  # an empty bucket begins where the next one does
    return int(np.diff(begins, append=np.uint32(len(keys))).max())


def _unpack_all(
    fields: Sequence[Callable[[Unsigned], Unsigned]],
    sizes: Sequence[int],
    begins: Sequence[int],
    kind: type[np.unsignedinteger],
) -> Unsigned:
    """Unpack a field of all tables into one array of `kind` or wider, zeros behind each table."""
    joined: Unsigned = np.zeros(begins[-1], kind)
    for field, size, begin in zip(fields, sizes, begins[:-1], strict=True):
        part = field(joined[begin : begin + size])
        if part.dtype.itemsize > joined.dtype.itemsize:
            joined = joined.astype(part.dtype)
            joined[begin : begin + size] = part
    return joined
