"""Count cutoffs: drop the rare contexts that help least for the bytes that they take.

Contexts of one type that were seen equally often are kept or dropped together, so that one number a type says what is
kept, and a gate can be trained on exactly that. How much they help is counted on validation texts: how often such a
context occurs there with a follower that the table knows.

Shapes: K context types, P positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.ngrams.count_table import CountTable, Keys, Unsigned

_CONTEXT, _FOLLOWER = 2.3, 0.95
"""Bytes that a context and a follower take when packed, measured on the tables of the bundled model."""
_COUNTS = np.array([*range(1, 17), 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512], np.int64)
"""Each level holds the contexts seen so often, and more rarely than those of the next; the last is never dropped."""


_ID_BITS = 21
"""Bits that hold any id."""


@dataclass(frozen=True)
class Level:
    """Contexts of one type that were seen equally often, or nearly."""

    hits: int
    """Validation positions whose context is one of these and whose next id is a known follower."""
    bytes: float
    """Size when packed."""


def levels(parts: Sequence[CountTable], keys: Keys, followers: Ids) -> list[Level]:
    """Group the contexts of one type by how often they were seen.

    Args:
        parts: tables of the type, no two with the same key.
        keys: (P,): contexts at the positions of validation texts.
        followers: (P,): ids that followed them.
    """
    return frequency_levels(
        (table.totals, _CONTEXT + _FOLLOWER * table.num_followers, hits(table, keys, followers)) for table in parts
    )


def hits(table: CountTable, keys: Unsigned, followers: Ids) -> Ids:
    """Count the positions of validation texts, (P,), that each context of a table helps, (C,)."""
    rows = table.find(keys)
    found = np.flatnonzero(rows >= 0)
    met, number = np.unique(rows[found], return_inverse=True)  # the contexts met, far fewer than all
    entries = table.read(met[:, None])
    known = entries.flat_index << _ID_BITS | entries.ids
    pairs = number.astype(np.int64) << _ID_BITS | followers[found]
    at = np.searchsorted(known, pairs).clip(max=max(0, len(known) - 1))
    return np.bincount(rows[found[known[at] == pairs]], minlength=len(table))


def frequency_levels(
    parts: Iterable[tuple[NDArray[np.number], NDArray[np.floating], NDArray[np.integer]]],
) -> list[Level]:
    """Group contexts by how often they were seen.

    Args:
        parts: arrays of C contexts: times seen, bytes when stored, and validation positions that each helps.
    """
    hits, sizes = np.zeros(len(_COUNTS)), np.zeros(len(_COUNTS))
    for totals, stored, helped in parts:
        level = np.searchsorted(_COUNTS, totals, side="right") - 1  # (C,)
        sizes += np.bincount(level, stored, len(_COUNTS))
        hits += np.bincount(level, helped, len(_COUNTS))
    return [Level(int(n), float(size)) for n, size in zip(hits, sizes, strict=True)]


def count_cutoffs(tables: Sequence[Sequence[Sequence[Level]]], megabytes: float | None) -> list[NDArray[np.int64]]:
    """Return for each table how often a context of each type must be seen to be kept, (K,); ones without a budget.

    With a budget for one type alone, the cutoff is at most the one with that budget for all types: a type loses its
    levels in order, and all that is left of it fits in either case.

    Args:
        tables: the levels of each table's K types.
        megabytes: maximum megabytes of all tables, packed.
    """
    cutoffs = [np.ones(len(types), np.int64) for types in tables]
    if megabytes is None:
        return cutoffs
    left = {(i, k): list(kept) for i, types in enumerate(tables) for k, kept in enumerate(types)}
    size = sum(level.bytes for kept in left.values() for level in kept)
    while size > megabytes * 1e6:
        worth = {
            place: kept[0].hits / max(kept[0].bytes, 1) for place, kept in left.items() if len(kept) > 1
        }  # of the rarest contexts that are left
        if not worth:
            break
        i, k = place = min(worth, key=lambda p: worth[p])
        size -= left[place].pop(0).bytes
        cutoffs[i][k] = _COUNTS[len(_COUNTS) - len(left[place])]
    return cutoffs
