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
from kammil.ngrams.count_table import CountTable, Keys, Rows

_CONTEXT, _FOLLOWER = 2.3, 0.95
"""Bytes that a context and a follower take when packed, measured on the tables of the bundled model."""
_MAX_COUNT = 16
"""Contexts seen as often, or more, are never dropped."""


@dataclass
class _Level:
    """Contexts of one type that were seen equally often."""

    hits: int
    bytes: float


def count_cutoffs(
    tables: Sequence[Sequence[CountTable]], keys: Keys, followers: Ids, megabytes: float | None
) -> list[NDArray[np.int64]]:
    """Return for each table how often a context of each type must be seen to be kept, (K,); ones without a budget.

    Args:
        tables: each table as K tables, one for each context type.
        keys: (P, K): contexts at the positions of validation texts.
        followers: (P,): ids that followed them.
        megabytes: most megabytes of all tables, packed.
    """
    cutoffs = [np.ones(len(kinds), np.int64) for kinds in tables]
    if megabytes is None:
        return cutoffs
    levels = {
        (i, k): _levels(table, keys[:, k], followers) for i, kinds in enumerate(tables) for k, table in enumerate(kinds)
    }
    size = sum(level.bytes for kind in levels.values() for level in kind)
    while size > megabytes * 1e6:
        worth = {
            place: kind[0].hits / max(kind[0].bytes, 1) for place, kind in levels.items() if len(kind) > 1
        }  # of the rarest contexts that are left
        if not worth:
            break
        i, k = place = min(worth, key=lambda p: worth[p])
        size -= levels[place].pop(0).bytes
        cutoffs[i][k] += 1
    return cutoffs


def _levels(table: CountTable, keys: Keys, followers: Ids) -> list[_Level]:
    """Group the contexts of one type by how often they were seen: 1, 2, ..., `_MAX_COUNT` times or more."""
    times_seen = np.minimum(table.totals.astype(np.int64), _MAX_COUNT)
    contexts = np.bincount(times_seen, minlength=_MAX_COUNT + 1)
    num_followers = np.bincount(times_seen, table.num_followers, _MAX_COUNT + 1)
    rows: Rows = table.find(keys[:, None])
    entries = table.read(rows)
    is_hit = entries.ids == followers[entries.flat_index]
    hits = np.bincount(times_seen[rows[entries.flat_index[is_hit], 0]], minlength=_MAX_COUNT + 1)
    return [
        _Level(int(hits[n]), float(_CONTEXT * contexts[n] + _FOLLOWER * num_followers[n]))
        for n in range(1, _MAX_COUNT + 1)
    ]
