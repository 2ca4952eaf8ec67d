"""What followed each context, as sorted arrays: found by hash, read in one go for many positions.

A table holds contexts of every kind together, sorted by a 32-bit key that includes the kind; a foreign context is taken
for a known one with a chance of C / 2^32, which for a million contexts is 1 in 4,000.

Shapes: P positions, K kinds, C contexts, F followers (pairs of a context and an id), N entries read.
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
"""Numbers of contexts in a table, -1 where there is none; a corpus keeps one for each of its positions and kinds."""
Unsigned = NDArray[np.integer]
Floats = NDArray[np.float32]

_HIGH = np.uint64(32)
_ID_BITS = 16
"""Ids fit into as many bits."""
_ID_MASK = (1 << _ID_BITS) - 1


def keys_of(hashes: Hashes) -> Keys:
    """The 32 bits of a hash by which a table is sorted."""
    return (hashes >> _HIGH).astype(np.uint32)


@dataclass(frozen=True)
class Matches:
    """What a table says about some positions; a *place* is position * K + kind."""

    totals: Floats
    """(P, K): how often the context was seen; 0 where never."""
    distinct: Floats
    """(P, K): after how many different ids, those counted once that were not kept included."""
    flat_index: Index
    """(N,): place of each entry, ascending."""
    ids: Ids
    """(N,): the follower, ascending within a place."""
    counts: Floats
    """(N,): how often it followed, at least 1."""

    def at_least(self, least: Index) -> Matches:
        """Without the contexts seen less often than `least` (K,) says for their kind."""
        enough = self.totals >= least  # (P, K)
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
    """What some texts brought to a table: to be taken out where one of them is looked up."""

    pairs: Index
    """(U,): number of a context in the table, and an id that followed it, in one number; ascending."""
    times: NDArray[np.int32]
    """(U,): how often it followed."""

    @classmethod
    def of(cls, found: Rows, ids: Ids) -> Contribution:
        """Count what followed contexts (Q, K), as `Counts.find` gives them; (Q,). Kind by kind, to spare memory."""
        made = [
            np.unique(kind[kind >= 0].astype(np.int64) << _ID_BITS | ids[kind >= 0], return_counts=True)
            for kind in found.T
        ]
        pairs, times = (np.concatenate([kind[i] for kind in made]) for i in (0, 1))
        order = np.argsort(pairs)
        pairs = pairs[order]
        first, _ = runs(pairs)  # contexts of two kinds may have one key
        sums = np.add.reduceat(times[order], first) if len(first) else times
        return cls(pairs[first], sums.astype(np.int32))

    def after(self, contexts: Index) -> tuple[Index, Ids, NDArray[np.int32]]:
        """What followed contexts (n,), -1 for none: (M,) which of these, the id, and how often."""
        begins, ends = (np.searchsorted(self.pairs, c << _ID_BITS) for c in (contexts, contexts + 1))
        taken = expand(begins, ends - begins)
        return np.repeat(np.arange(len(contexts)), ends - begins), self.pairs[taken] & _ID_MASK, self.times[taken]


class CountTable:
    """Contexts and their followers. Arrays may be of any whole-number type, and are kept as they come.

    Args:
        keys: (C,) ascending.
        widths: (C,): followers kept of each context, at least 1.
        lost: (C,): occurrences whose followers were not kept.
        ids: (F,): followers, ascending within a context.
        counts: (F,): how often each followed, at least 1.

    `ValueError` where these do not fit together.
    """

    def __init__(self, keys: Keys, widths: Unsigned, lost: Unsigned, ids: Unsigned, counts: Unsigned) -> None:
        """Check what a foreign folder may have broken, and lay the arrays out for reading."""
        fits = widths.shape == lost.shape == keys.shape and ids.shape == counts.shape
        if keys.ndim != 1 or not fits or ids.shape != (widths.sum(dtype=np.int64),):
            raise ValueError("the counts of contexts do not fit together")
        if (keys[1:] < keys[:-1]).any() or (widths < 1).any() or (counts < 1).any():
            raise ValueError("the counts of contexts are not sorted, or no counts")
        self.keys, self.widths, self.lost, self.ids, self.counts = keys, widths, lost, ids, counts

    @classmethod
    def of(cls, parts: Iterable[tuple[Keys, Ids]], *, most: int, least: int = 1) -> CountTable:
        """Count pairs of a context's key and the id that followed, (n,) each; parts bound the memory of sorting.

        A context keeps its `most` commonest followers, those seen `least` times or more; one that keeps none goes.
        """
        return cls.merged([cls(*_count(keys, ids, most, least)) for keys, ids in parts])

    @classmethod
    def merged(cls, tables: Sequence[CountTable]) -> CountTable:
        """Several tables as one; where a key stands in two, the first one is found."""
        keys = np.concatenate([table.keys for table in tables])
        widths, lost, ids, counts = (
            np.concatenate([getattr(table, name) for table in tables], dtype=np.int64)
            for name in ("widths", "lost", "ids", "counts")
        )
        order = np.argsort(keys, kind="stable")
        moved = expand((np.cumsum(widths) - widths)[order], widths[order])
        return cls(keys[order], widths[order], lost[order], ids[moved], counts[moved])

    @cached_property
    def starts(self) -> Index:
        """(C + 1,): where the followers of each context begin."""
        return np.concatenate([[0], np.cumsum(self.widths, dtype=np.int64)])

    @cached_property
    def totals(self) -> Floats:
        """(C,): how often each context was seen."""
        sums = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        return (sums[self.starts[1:]] - sums[self.starts[:-1]] + self.lost).astype(np.float32)

    def __len__(self) -> int:
        """C."""
        return len(self.keys)

    def where(self, kept: NDArray[np.bool_]) -> CountTable:
        """The table of some of the contexts, (C,)."""
        followers = np.repeat(kept, self.widths)
        return CountTable(
            self.keys[kept], self.widths[kept], self.lost[kept], self.ids[followers], self.counts[followers]
        )

    def find(self, keys: Keys) -> Rows:
        """Where each key stands, of the shape given; -1 for a context never seen."""
        if not len(self.keys):
            return np.full(keys.shape, -1, np.int32)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1).astype(np.int32)

    def read(self, found: Rows) -> Matches:
        """The entries of contexts (P, K), as `find` gives them."""
        flat = found.reshape(-1)  # (P * K,)
        places = np.flatnonzero(flat >= 0)
        at = flat[places]
        widths = self.widths[at].astype(np.int64)
        taken = expand(self.starts[at], widths)  # (N,)
        totals, distinct = np.zeros(flat.shape, np.float32), np.zeros(flat.shape, np.float32)
        totals[places], distinct[places] = self.totals[at], widths + self.lost[at]
        return Matches(
            totals.reshape(found.shape),
            distinct.reshape(found.shape),
            np.repeat(places, widths),
            self.ids[taken].astype(np.int64),
            self.counts[taken].astype(np.float32),
        )

    def read_without(self, found: Rows, parts: Sequence[Contribution]) -> Matches:
        """The entries of contexts (P, K), with some of the table's own counts taken out.

        Args:
            found: as `find` gives them.
            parts: what is taken out; the positions are shared out among these evenly, in order.
        """
        entries = self.read(found)
        contexts = found.reshape(len(parts), -1).astype(np.int64)  # (R, P / R * K)
        gone = [part.after(row) for part, row in zip(parts, contexts, strict=True)]
        place = np.concatenate([at + row * contexts.shape[1] for row, (at, _, _) in enumerate(gone)])  # (M,)
        ids, taken_out = (np.concatenate([row[i] for row in gone]) for i in (1, 2))
        lines = entries.flat_index << _ID_BITS | entries.ids  # (N,) ascending
        wanted = place << _ID_BITS | ids
        line = np.searchsorted(lines, wanted).clip(max=max(0, len(lines) - 1))
        kept = np.flatnonzero(lines[line] == wanted) if len(lines) else line[:0]  # the rarest have no entry
        counts = entries.counts.copy()
        counts[line[kept]] -= taken_out[kept]
        here = counts > 0
        rest, different = (
            np.bincount(entries.flat_index[here], weights, found.size).reshape(found.shape)
            for weights in (counts[here], None)
        )
        lacking = np.bincount(place, taken_out, found.size).reshape(found.shape)
        # Two contexts with one key share their counts, so what one of them lacks may not be there: never below zero.
        lost = np.maximum(entries.totals - lacking - rest, 0)
        return Matches(
            (rest + lost).astype(np.float32),
            (different + lost).astype(np.float32),
            entries.flat_index[here],
            entries.ids[here],
            counts[here],
        )


def expand(begins: Index, widths: Index) -> Index:
    """The ranges [begin, begin + width), one after the other."""
    ends = np.cumsum(widths)
    firsts = np.repeat(begins - ends + widths, widths)
    return firsts + np.arange(len(firsts))


def _count(keys: Keys, ids: Ids, most: int, least: int) -> tuple[Keys, Index, Index, Ids, Index]:
    """Keys, widths, lost (C,) and ids, counts (F,) of one part."""
    pairs, counts = np.unique(keys.astype(np.int64) << _ID_BITS | ids, return_counts=True)  # (U,)
    first, size = runs(pairs >> _ID_BITS)  # (C,)
    number = np.repeat(np.arange(len(first)), size)  # context of each pair
    order = np.lexsort((-counts, number))
    rank = np.empty(len(pairs), np.int64)
    rank[order] = np.arange(len(pairs)) - np.repeat(first, size)
    kept = (rank < most) & (counts >= least)
    widths = np.bincount(number[kept], minlength=len(first))
    lost = np.bincount(number[~kept], counts[~kept], minlength=len(first)).astype(np.int64)
    stays = widths > 0
    return (
        (pairs >> _ID_BITS)[first][stays].astype(np.uint32),
        widths[stays],
        lost[stays],
        (pairs & _ID_MASK)[kept],
        counts[kept],  # never cut off: a count that stands at a limit shows by how much a text was taken out of it
    )


def runs(numbers: Index) -> tuple[Index, Index]:
    """Where each run of equal numbers begins among some that are sorted, and how long it is."""
    new = np.empty(len(numbers), np.bool_)
    new[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    begins = new.nonzero()[0]
    lengths = np.empty_like(begins)
    lengths[-1:] = len(numbers) - begins[-1:]
    np.subtract(begins[1:], begins[:-1], out=lengths[:-1])
    return begins, lengths
