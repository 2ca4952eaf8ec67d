"""Which rare contexts a table can do without: those that help least for the bytes that they take.

Contexts of one kind that were seen equally often are kept or dropped together, so that what is kept can be said in one
number a kind, and a gate can be trained on exactly what will be there. How much they help is counted on validation
texts: how often such a context stood there, followed by a character that it had seen follow.

Shapes: K kinds, P positions.
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
_MOST = 16
"""Contexts seen as often are never dropped."""


@dataclass
class _Level:
    """Contexts of one kind that were seen equally often."""

    helped: int
    bytes: float


def count_cutoffs(
    tables: Sequence[Sequence[CountTable]], keys: Keys, followers: Ids, megabytes: float | None
) -> list[NDArray[np.int64]]:
    """For each table, how often a context of each kind must have been seen to be kept, (K,); all ones without a budget.

    Args:
        tables: for each table, one for each kind, in the order of the kinds.
        keys: (P, K): of the positions of validation texts.
        followers: (P,): what followed there.
        megabytes: size of all tables, packed.
    """
    least = [np.ones(len(kinds), np.int64) for kinds in tables]
    if megabytes is None:
        return least
    levels = {
        (i, k): _levels(table, keys[:, k], followers) for i, kinds in enumerate(tables) for k, table in enumerate(kinds)
    }
    size = sum(level.bytes for kind in levels.values() for level in kind)
    while size > megabytes * 1e6:
        worth = {
            place: kind[0].helped / max(kind[0].bytes, 1) for place, kind in levels.items() if len(kind) > 1
        }  # of the rarest contexts that are left
        if not worth:
            break
        i, k = place = min(worth, key=lambda p: worth[p])
        size -= levels[place].pop(0).bytes
        least[i][k] += 1
    return least


def _levels(table: CountTable, keys: Keys, followers: Ids) -> list[_Level]:
    """The contexts of one kind by how often they were seen: 1, 2, ... times, and more."""
    seen = np.minimum(table.totals.astype(np.int64), _MOST)
    contexts = np.bincount(seen, minlength=_MOST + 1)
    kept = np.bincount(seen, table.widths, _MOST + 1)
    found: Rows = table.find(keys[:, None])
    entries = table.read(found)
    right = entries.ids == followers[entries.flat_index]
    helped = np.bincount(seen[found[entries.flat_index[right], 0]], minlength=_MOST + 1)
    return [_Level(int(helped[n]), float(_CONTEXT * contexts[n] + _FOLLOWER * kept[n])) for n in range(1, _MOST + 1)]
