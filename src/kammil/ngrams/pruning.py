"""Count cutoffs: drop the rare contexts that help least for the bytes that they take.

Contexts of one type that were seen equally often are kept or dropped together, so that one number a type says what is
kept, and a gate can be trained on exactly that. How much they help is counted on validation texts: how often such a
context occurs there with a follower that the table knows.

Shapes: K context types, P positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.ngrams.count_table import CountTable, Keys

_CONTEXT, _FOLLOWER = 2.3, 0.95
"""Bytes that a context and a follower take when packed, measured on the tables of the bundled model."""
_MAX_COUNT = 16
"""Contexts seen as often, or more, are never dropped."""


@dataclass(frozen=True)
class Level:
    """Contexts of one type that were seen equally often."""

    hits: int
    """Validation positions whose context is one of these and whose next id is a known follower."""
    bytes: float
    """Size when packed."""


def levels(parts: Sequence[CountTable], keys: Keys, followers: Ids) -> list[Level]:
    """Group the contexts of one type by how often they were seen: 1, 2, ..., `_MAX_COUNT` times or more.

    Args:
        parts: tables of the type, no two with the same key.
        keys: (P,): contexts at the positions of validation texts.
        followers: (P,): ids that followed them.
    """
    hits, sizes = np.zeros(_MAX_COUNT + 1, np.int64), np.zeros(_MAX_COUNT + 1)
    for table in parts:
        times_seen = np.minimum(table.totals.astype(np.int64), _MAX_COUNT)
        sizes += _CONTEXT * np.bincount(times_seen, minlength=_MAX_COUNT + 1)
        sizes += _FOLLOWER * np.bincount(times_seen, table.num_followers, _MAX_COUNT + 1)
        rows = table.find(keys[:, None])
        entries = table.read(rows)
        is_hit = entries.ids == followers[entries.flat_index]
        hits += np.bincount(times_seen[rows[entries.flat_index[is_hit], 0]], minlength=_MAX_COUNT + 1)
    return [Level(int(n), float(size)) for n, size in zip(hits[1:], sizes[1:], strict=True)]


def count_cutoffs(tables: Sequence[Sequence[Sequence[Level]]], megabytes: float | None) -> list[NDArray[np.int64]]:
    """Return for each table how often a context of each type must be seen to be kept, (K,); ones without a budget.

    With a budget for one type alone, the cutoff is at most the one with that budget for all types: a type loses its
    levels in order, and all that is left of it fits in either case.

    Args:
        tables: the levels of each table's K types.
        megabytes: most megabytes of all tables, packed.
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
        cutoffs[i][k] += 1
    return cutoffs
