"""Counts of what followed each context, in sorted arrays, and cutoffs that drop contexts of little help.

Contexts of all types are sorted by a 32-bit key: an unknown one is taken for a known one with a chance of C / 2^32.

Shapes: P positions, K context types, C contexts, F followers (pairs of a context and an id), N entries read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.ngrams.contexts import Hashes

Keys = NDArray[np.uint32]
Index = NDArray[np.int64]
Rows = NDArray[np.int32]
"""-1 for none."""
Unsigned = NDArray[np.integer]
Floats = NDArray[np.float32]

_HIGH = np.uint64(32)
_ID_BITS = 16
_ID_MASK = (1 << _ID_BITS) - 1
_MAX_COUNT = (1 << 16) - 1


def keys_of(hashes: Hashes) -> Keys:
    """Return the upper 32 bits."""
    return (hashes >> _HIGH).astype(np.uint32)


@dataclass(frozen=True)
class Matches:
    """Known contexts of P positions, and their followers."""

    totals: Floats
    """(P, K): occurrences of the context."""
    distinct: Floats
    """(P, K): different followers, and pruned occurrences."""
    flat_index: Index
    """(N,): position * K + context type, ascending."""
    ids: Ids
    """(N,): ascending within a context."""
    counts: Floats
    """(N,): 1 or more."""

    def prune(self, cutoffs: Index) -> Matches:
        """Drop contexts seen less often than their type's cutoff, (K,)."""
        enough = self.totals >= cutoffs  # (P, K)
        kept = enough.reshape(-1)[self.flat_index]
        return Matches(
            np.where(enough, self.totals, np.float32(0)),
            np.where(enough, self.distinct, np.float32(0)),
            self.flat_index[kept],
            self.ids[kept],
            self.counts[kept],
        )


@dataclass(frozen=True)
class Contribution:
    """Counts that texts contributed to a table."""

    pairs: Index
    """(U,): row of a context << 16 | follower; ascending."""
    counts: NDArray[np.int32]
    """(U,)."""

    @classmethod
    def of(cls, found: Rows, ids: Ids) -> Contribution:
        """Count the followers, (Q,), of contexts (Q, K), type by type to save memory."""
        counted = [
            np.unique(rows[rows >= 0].astype(np.int64) << _ID_BITS | ids[rows >= 0], return_counts=True)
            for rows in found.T
        ]
        pairs, times = (np.concatenate([rows[i] for rows in counted]) for i in (0, 1))
        order = np.argsort(pairs)
        pairs = pairs[order]
        first, _ = runs(pairs)  # contexts of two types may have one key
        sums = np.add.reduceat(times[order], first) if len(first) else times
        return cls(pairs[first], sums.astype(np.int32))

    def followers_of(self, contexts: Index) -> tuple[Index, Ids, NDArray[np.int32]]:
        """Return index into `contexts` (n,), id and count of each follower, (M,) each."""
        begins, ends = (np.searchsorted(self.pairs, c << _ID_BITS) for c in (contexts, contexts + 1))
        entries = expand(begins, ends - begins)
        return np.repeat(np.arange(len(contexts)), ends - begins), self.pairs[entries] & _ID_MASK, self.counts[entries]


class CountTable:
    """Contexts and their followers, in arrays of whole numbers; `ValueError` if they do not fit together.

    Args:
        keys: (C,) ascending.
        num_followers: (C,): kept followers, 1 or more.
        pruned: (C,): occurrences whose followers were not kept.
        ids: (F,): followers, ascending within a context.
        counts: (F,): 1 or more.
    """

    def __init__(
        self, keys: Unsigned, num_followers: Unsigned, pruned: Unsigned, ids: Unsigned, counts: Unsigned
    ) -> None:
        fits = num_followers.shape == pruned.shape == keys.shape and ids.shape == counts.shape
        if keys.ndim != 1 or not fits or ids.shape != (num_followers.sum(dtype=np.int64),):
            raise ValueError("the counts of contexts do not fit together")
        if (keys[1:] < keys[:-1]).any() or (num_followers < 1).any() or (counts < 1).any():
            raise ValueError("the counts of contexts are not sorted, or no counts")
        self.keys, self.num_followers, self.pruned, self.ids, self.counts = keys, num_followers, pruned, ids, counts

    @classmethod
    def of(cls, parts: Iterable[tuple[Keys, Ids]], *, max_followers: int, min_count: int = 1) -> CountTable:
        """Count pairs of a key and its follower, (n,) each, part by part.

        A context keeps its `max_followers` commonest followers seen `min_count` times or more, or is dropped.
        """
        return cls.concat([_count(keys, ids, max_followers, min_count) for keys, ids in parts])

    @classmethod
    def concat(cls, tables: Sequence[CountTable]) -> CountTable:
        """Join tables; of equal keys, the first one is found."""
        keys, num_followers, pruned, ids, counts = (
            np.concatenate([getattr(table, name) for table in tables])
            for name in ("keys", "num_followers", "pruned", "ids", "counts")
        )
        order = np.argsort(keys, kind="stable")
        begins = np.cumsum(num_followers, dtype=np.int64) - num_followers
        followers = expand(begins[order], num_followers[order])
        return cls(keys[order], num_followers[order], pruned[order], ids[followers], counts[followers])

    @cached_property
    def starts(self) -> Index:
        """(C + 1,): first follower of each context, and F."""
        return np.concatenate([[0], np.cumsum(self.num_followers, dtype=np.int64)])

    @cached_property
    def totals(self) -> Floats:
        """(C,): occurrences of each context."""
        sums = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        return (sums[self.starts[1:]] - sums[self.starts[:-1]] + self.pruned).astype(np.float32)

    def __len__(self) -> int:
        """Return C."""
        return len(self.keys)

    def select(self, kept: NDArray[np.bool_]) -> CountTable:
        """Keep the contexts of a mask, (C,)."""
        followers = np.repeat(kept, self.num_followers)
        return CountTable(
            self.keys[kept], self.num_followers[kept], self.pruned[kept], self.ids[followers], self.counts[followers]
        )

    def fit_16_bits(self) -> CountTable:
        """Divide counts of the commonest contexts to fit 16 bits, for the compiled engine."""
        most = np.maximum.reduceat(self.counts, self.starts[:-1]) if len(self.keys) else self.pruned
        divisor = np.maximum(np.maximum(most, self.pruned).astype(np.int64) // (_MAX_COUNT + 1) + 1, 1)  # (C,)
        if (divisor == 1).all():
            return self
        counts = np.maximum(1, self.counts // np.repeat(divisor, self.num_followers))
        return CountTable(self.keys, self.num_followers, self.pruned // divisor, self.ids, counts)

    def find(self, keys: Unsigned) -> Rows:
        """Return the row of each key, or -1."""
        if not len(self.keys):
            return np.full(keys.shape, -1, np.int32)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1).astype(np.int32)

    def read(self, found: Rows) -> Matches:
        """Return the entries of contexts (P, K)."""
        flat = found.reshape(-1)  # (P * K,)
        places = np.flatnonzero(flat >= 0)
        rows = flat[places]
        num_followers = self.num_followers[rows].astype(np.int64)
        followers = expand(self.starts[rows], num_followers)  # (N,)
        totals, distinct = np.zeros(flat.shape, np.float32), np.zeros(flat.shape, np.float32)
        totals[places], distinct[places] = self.totals[rows], num_followers + self.pruned[rows]
        return Matches(
            totals.reshape(found.shape),
            distinct.reshape(found.shape),
            np.repeat(places, num_followers),
            self.ids[followers].astype(np.int64),
            self.counts[followers].astype(np.float32),
        )

    def read_without(self, found: Rows, contributions: Sequence[Contribution], *, min_count: int = 1) -> Matches:
        """Return the entries of contexts (P, K) without R contributions of P / R positions each (leave one out), nor
        followers then seen less than `min_count` times."""
        entries = self.read(found)
        contexts = found.reshape(len(contributions), -1).astype(np.int64)  # (R, P / R * K)
        removed = [part.followers_of(row) for part, row in zip(contributions, contexts, strict=True)]
        place = np.concatenate([at + row * contexts.shape[1] for row, (at, _, _) in enumerate(removed)])  # (M,)
        ids, times = (np.concatenate([row[i] for row in removed]) for i in (1, 2))
        pairs = entries.flat_index << _ID_BITS | entries.ids  # (N,) ascending
        wanted = place << _ID_BITS | ids
        entry = np.searchsorted(pairs, wanted).clip(max=max(0, len(pairs) - 1))
        kept = np.flatnonzero(pairs[entry] == wanted) if len(pairs) else entry[:0]  # the rarest have no entry
        counts = entries.counts.copy()
        counts[entry[kept]] -= times[kept]
        left = counts >= min_count
        rest, different = (
            np.bincount(entries.flat_index[left], weight, found.size).reshape(found.shape)
            for weight in (counts[left], None)
        )
        subtracted = np.bincount(place, times, found.size).reshape(found.shape)
        # contexts with one key share their counts
        pruned = np.maximum(entries.totals - subtracted - rest, 0)
        has_followers = different > 0
        return Matches(
            np.where(has_followers, rest + pruned, 0).astype(np.float32),
            np.where(has_followers, different + pruned, 0).astype(np.float32),
            entries.flat_index[left],
            entries.ids[left],
            counts[left],
        )


def expand(begins: Index, widths: Unsigned) -> Index:
    """Concatenate ranges [begin, begin + width)."""
    ends = np.cumsum(widths, dtype=np.int64)
    firsts = np.repeat(begins - ends + widths, widths)
    return firsts + np.arange(len(firsts))


def _count(keys: Keys, ids: Ids, max_followers: int, min_count: int) -> CountTable:
    pairs, counts = np.unique(keys.astype(np.int64) << _ID_BITS | ids, return_counts=True)  # (U,)
    first, size = runs(pairs >> _ID_BITS)  # (C,)
    number = np.repeat(np.arange(len(first)), size)  # context of each pair
    order = np.lexsort((-counts, number))
    rank = np.empty(len(pairs), np.int64)
    rank[order] = np.arange(len(pairs)) - np.repeat(first, size)
    kept = (rank < max_followers) & (counts >= min_count)
    num_followers = np.bincount(number[kept], minlength=len(first))
    pruned = np.bincount(number[~kept], counts[~kept], minlength=len(first)).astype(np.int64)
    stays = num_followers > 0
    return CountTable(
        (pairs >> _ID_BITS)[first][stays].astype(np.uint32),
        num_followers[stays].astype(np.int32),
        pruned[stays].astype(np.int32),
        (pairs[kept] & _ID_MASK).astype(np.uint16),
        counts[kept].astype(np.int32),  # a cap would hide a text's contribution
    )


def runs(numbers: Index) -> tuple[Index, Index]:
    """Return begin and length of each run of equal numbers."""
    new = np.empty(len(numbers), np.bool_)
    new[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    begins = new.nonzero()[0]
    lengths = np.empty_like(begins)
    lengths[-1:] = len(numbers) - begins[-1:]
    np.subtract(begins[1:], begins[:-1], out=lengths[:-1])
    return begins, lengths


# ---- cutoffs

_CONTEXT, _FOLLOWER = 2.3, 0.95
"""Packed bytes of a context and a follower, measured on the bundled model."""
_COUNTS = np.array([*range(1, 17), 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512], np.int64)
"""Occurrences, each up to the next; the last level is never dropped."""


_PAIR_BITS = 21


@dataclass(frozen=True)
class Level:
    """Contexts of one type and similar occurrences."""

    hits: int
    """Validation positions where a follower is known."""
    bytes: float
    """Packed size."""


def levels(parts: Sequence[CountTable], keys: Keys, followers: Ids) -> list[Level]:
    """Group the contexts of tables, which share no key, by occurrences, with hits among validation followers, (P,)."""
    return frequency_levels(
        (table.totals, _CONTEXT + _FOLLOWER * table.num_followers, hits(table, keys, followers)) for table in parts
    )


def hits(table: CountTable, keys: Unsigned, followers: Ids) -> Ids:
    """Count the validation positions, (P,), that each context helps, (C,)."""
    rows = table.find(keys)
    found = np.flatnonzero(rows >= 0)
    met, number = np.unique(rows[found], return_inverse=True)
    entries = table.read(met[:, None])
    known = entries.flat_index << _PAIR_BITS | entries.ids
    pairs = number.astype(np.int64) << _PAIR_BITS | followers[found]
    at = np.searchsorted(known, pairs).clip(max=max(0, len(known) - 1))
    return np.bincount(rows[found[known[at] == pairs]], minlength=len(table))


def frequency_levels(
    parts: Iterable[tuple[NDArray[np.number], NDArray[np.floating], NDArray[np.integer]]],
) -> list[Level]:
    """Group contexts from arrays of C: occurrences, stored bytes, and positions that each helps."""
    hits, sizes = np.zeros(len(_COUNTS)), np.zeros(len(_COUNTS))
    for totals, stored, helped in parts:
        level = np.searchsorted(_COUNTS, totals, side="right") - 1  # (C,)
        sizes += np.bincount(level, stored, len(_COUNTS))
        hits += np.bincount(level, helped, len(_COUNTS))
    return [Level(int(n), float(size)) for n, size in zip(hits, sizes, strict=True)]


def count_cutoffs(tables: Sequence[Sequence[Sequence[Level]]], megabytes: float | None) -> list[NDArray[np.int64]]:
    """Return the minimum occurrences of each of a table's K types, (K,), for a budget of megabytes, or ones.

    The rarest contexts of the type with the fewest hits a byte are dropped first.
    """
    cutoffs = [np.ones(len(types), np.int64) for types in tables]
    if megabytes is None:
        return cutoffs
    left = {(i, k): list(kept) for i, types in enumerate(tables) for k, kept in enumerate(types)}
    size = sum(level.bytes for kept in left.values() for level in kept)
    while size > megabytes * 1e6:
        worth = {
            place: kept[0].hits / max(kept[0].bytes, 1) for place, kept in left.items() if len(kept) > 1
        }  # of the rarest contexts left
        if not worth:
            break
        i, k = place = min(worth, key=lambda p: worth[p])
        size -= left[place].pop(0).bytes
        cutoffs[i][k] = _COUNTS[len(_COUNTS) - len(left[place])]
    return cutoffs
