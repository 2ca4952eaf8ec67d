"""Texts that a blend learns while it runs: their counts, laid over its own table.

A table of counts is all that a text has to enter for the experts to know it: no training, no gradient. So a text that a
person just wrote is counted as if it had been among the training texts, and taken out again on demand. (Where the table
keeps the commonest followers of a context only, or common contexts only, a learnt text's are kept in full.)

Shapes: P positions, K kinds, T time, n contexts found.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from kammil.models.base import Ids
from kammil.models.contexts import Contexts
from kammil.models.counts import Keys, keys_of
from kammil.models.ledger import Known
from kammil.vocabulary import BOS, EOS

_ID_BITS = 16


class Learnt:
    """Counts of texts by context.

    Args:
        contexts: the kinds that the table counts.
    """

    def __init__(self, contexts: Contexts) -> None:
        """No text."""
        self._contexts = contexts
        self._texts: Counter[bytes] = Counter()
        self._followers: dict[int, dict[int, int]] = {}  # key of a context: id: how often it followed

    def __len__(self) -> int:
        """How many texts were learnt, each as often as it was."""
        return self._texts.total()

    def learn(self, ids: Ids) -> None:
        """Count a text, (T,), with its end."""
        self._texts[ids.tobytes()] += 1
        for key, follower in self._pairs(ids):
            counts = self._followers.setdefault(key, {})
            counts[follower] = counts.get(follower, 0) + 1

    def forget(self, ids: Ids) -> bool:
        """Take a learnt text out again; false, and nothing of it, for one that was not learnt."""
        text = ids.tobytes()
        if not self._texts[text]:
            return False
        self._texts[text] -= 1
        for key, follower in self._pairs(ids):
            counts = self._followers[key]
            counts[follower] -= 1
            if not counts[follower]:
                del counts[follower]
            if not counts:
                del self._followers[key]
        return True

    def over(self, known: Known, keys: Keys, experts: int) -> Known:
        """What a table knows of some positions, (P, K), as if the texts had been counted in it.

        Args:
            known: of that table, whose experts come first among `experts`, or of several.
        """
        get = self._followers.get
        hits = [
            (position * experts + kind, followers)
            for position, row in enumerate(keys.tolist())
            for kind, key in enumerate(row)
            if (followers := get(key)) is not None
        ]
        if not hits:
            return known
        places, widths, lost = known.contexts
        here = np.isin(places, [place for place, _ in hits])  # (n,)
        among = here.repeat(widths)
        new = [(place << _ID_BITS | id, count) for place, followers in hits for id, count in followers.items()]
        pairs = np.append(
            places.repeat(widths)[among] << _ID_BITS | known.followers[0, among], [pair for pair, _ in new]
        )
        counts = np.append(known.followers[1, among], [count for _, count in new])
        pairs, inverse = np.unique(pairs, return_inverse=True)
        joined, sizes = np.unique(pairs >> _ID_BITS, return_counts=True)
        missing = np.zeros(len(joined), np.int64)
        missing[np.searchsorted(joined, places[here])] = lost[here]
        summed = np.bincount(inverse, counts).astype(np.int64)
        rest = Known(known.contexts[:, ~here], known.followers[:, ~among])
        return rest.and_(Known(np.stack([joined, sizes, missing]), np.stack([pairs & ((1 << _ID_BITS) - 1), summed])))

    def _pairs(self, ids: Ids) -> list[tuple[int, int]]:
        """Keys of all contexts of a text, each with what followed."""
        read = np.concatenate([[BOS], ids])[None]  # (1, T + 1)
        hashes, _ = self._contexts.read(read, self._contexts.start(1))  # (1, T + 1, K)
        followers = [*ids.tolist(), EOS]
        return [
            (key, follower) for row, follower in zip(keys_of(hashes)[0].tolist(), followers, strict=True) for key in row
        ]
