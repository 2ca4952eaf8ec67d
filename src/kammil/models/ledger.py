"""The tables of a blend as one, laid out for running: all contexts of a position are found in one go.

Keys are hashes, so that they are spread evenly: an index by their upper bits says where the few begin that one key can
be among, and one comparison with all of those decides. For the contexts of one position that takes half the time of a
binary search in tables of a million, most of which goes into the calls.

Shapes: P positions, K kinds, D tables, C contexts of all tables, F followers, W the widest bucket, n contexts found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.models.counts import Counts, Entries, Floats, Index, Keys, Whole, expand

_CROWD = 2
"""Keys in a bucket, about. Half as many would take twice the memory, 4 bytes a bucket."""
_WIDEST = 64
"""Keys in the widest bucket of a table that is opened: hashes come to a dozen, a foreign folder could ask for more."""


@dataclass(frozen=True)
class Known:
    """What was seen after some contexts; those of one context stand together."""

    places: Index
    """(n,): position * experts + expert of each context."""
    widths: Index
    """(n,): its followers, at least 1."""
    lost: Whole
    """(n,): occurrences whose followers were not kept."""
    ids: Whole
    """(N,): followers, context by context; N is the sum of the widths."""
    counts: Floats
    """(N,): how often each followed."""

    @classmethod
    def of(cls, entries: Entries, expert: int, experts: int) -> Known:
        """What the only table of some entries says, whose first kind of context is expert number `expert`."""
        kinds = entries.totals.shape[1]
        widths = np.bincount(entries.places, minlength=entries.totals.size)
        found = np.flatnonzero(widths)
        places = found // kinds * experts + found % kinds + expert
        return cls(places, widths[found], np.zeros(len(found), np.int64), entries.ids, entries.counts)

    def and_(self, other: Known) -> Known:
        """These contexts, then others."""
        fields = zip(vars(self).values(), vars(other).values(), strict=True)
        return Known(*(np.concatenate(pair) for pair in fields))


class Ledger:
    """Finds contexts in several tables at once.

    Args:
        tables: D of them; expert number table * K + kind is about a kind of context in a table.
        experts: how many there are in all, D * K at least.
    """

    def __init__(self, tables: Sequence[Counts], kinds: int, experts: int) -> None:
        """Join the tables and sort their keys into buckets."""
        self._experts = experts
        buckets = [_buckets(table.keys) for table in tables]
        widest = max(1, *(widest for _, _, widest in buckets))
        if widest > _WIDEST:
            raise ValueError("the keys of a table of counts are no hashes")
        self._window = np.arange(widest)
        gap = widest  # zeros behind the last bucket, which a key of the first one sees in a small table only
        self._small = min(map(len, tables)) <= widest
        self._tables = len(tables)
        begins = np.cumsum([0, *(len(table) + gap for table in tables)])
        self._keys = np.concatenate([np.pad(_lone(table.keys), (0, gap)) for table in tables])
        self._widths = np.concatenate([np.pad(table.widths, (0, gap)) for table in tables])
        self._lost = np.concatenate([np.pad(table.lost, (0, gap)) for table in tables])
        self._ids = np.concatenate([table.ids for table in tables])
        self._counts = np.concatenate([table.counts for table in tables])
        self._starts = np.zeros(len(self._keys) + 1, np.uint32)
        np.cumsum(self._widths, out=self._starts[1:])
        index = [
            firsts.astype(np.uint32) + np.uint32(begin) for (firsts, _, _), begin in zip(buckets, begins, strict=False)
        ]
        self._index = np.concatenate(index)
        first = np.cumsum([0, *map(len, index)])[:-1]
        self._shifts = np.repeat(np.array([shift for _, shift, _ in buckets], np.uint32), kinds)  # (D * K,)
        self._firsts = np.repeat(first.astype(np.uint32), kinds)  # (D * K,)

    def read(self, keys: Keys) -> Known:
        """What is known of the contexts of some positions, (P, K)."""
        wanted = np.concatenate([keys] * self._tables, axis=1) if self._tables > 1 else keys  # (P, D * K)
        begins = self._index[(wanted >> self._shifts) + self._firsts]  # (P, D * K)
        among = begins[..., None] + self._window  # (P, D * K, W)
        place, nth = (self._keys[among] == wanted[..., None]).reshape(-1, len(self._window)).nonzero()  # (n,)
        at = begins.reshape(-1)[place] + nth
        if self._small:
            place, at = place[self._widths[at] > 0], at[self._widths[at] > 0]
        widths = self._widths[at].astype(np.int64)
        taken = expand(self._starts[at].astype(np.int64), widths)  # (N,)
        if len(keys) > 1:
            position, expert = np.divmod(place, wanted.shape[1])
            place = position * self._experts + expert
        return Known(place, widths, self._lost[at], self._ids[taken], self._counts[taken].astype(np.float32))


def _buckets(keys: Keys) -> tuple[Index, int, int]:
    """Where the keys of each bucket begin, by how many bits a key is shifted to give its bucket, the widest bucket."""
    bits = max(1, (len(keys) // _CROWD).bit_length())
    sizes = np.bincount(keys >> np.uint32(32 - bits), minlength=1 << bits)
    return np.cumsum(sizes) - sizes, 32 - bits, int(sizes.max())


def _lone(keys: Keys) -> Keys:
    """The keys, the first of equal ones alone in its bucket: the others are moved to where nobody looks for them."""
    lone = keys.copy()
    lone[1:][keys[1:] == keys[:-1]] ^= np.uint32(1 << 31)
    return lone
