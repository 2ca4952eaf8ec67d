"""Texts that a blend learns while it runs: their counts, laid over its own table.

A table of counts is all that a text has to enter for the experts to know it: no training, no gradient. So a text that a
person just wrote is counted as if it had been among the training texts, and taken out again on demand. (Where the table
keeps the commonest followers of a context only, or common contexts only, a learnt text's are kept in full.)

Shapes: P positions, K kinds, T time, n contexts found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from kammil.models.base import Ids
from kammil.models.contexts import Contexts
from kammil.models.counts import Counts, Index, Keys, expand, keys_of, runs
from kammil.models.ledger import Known
from kammil.vocabulary import BOS, EOS, PAD

_ID_BITS = 16
_ID_MASK = (1 << _ID_BITS) - 1
_MANY = 20
"""Texts worth a table."""
_BATCH = 1 << 14
"""Positions hashed at once: some megabytes."""


class Learnt:
    """Counts of texts by context.

    The texts that are learnt at first, all at once, are a table like the model's own; what came since, or, with counts
    below zero, went, stands in a dictionary.

    Args:
        contexts: the kinds that the table counts.
    """

    def __init__(self, contexts: Contexts) -> None:
        """No text."""
        self._contexts = contexts
        self._texts: Counter[bytes] = Counter()
        self._first: Counts | None = None
        self._since: dict[int, dict[int, int]] = {}  # key of a context: id: how often it followed since

    def __len__(self) -> int:
        """How many texts were learnt, each as often as it was."""
        return self._texts.total()

    def learn_all(self, texts: Sequence[Ids]) -> None:
        """Count many texts. The first ones take a fifth of the time that they would take one by one."""
        if self._texts or len(texts) < _MANY:
            for ids in texts:
                self.learn(ids)
            return
        self._texts.update(ids.tobytes() for ids in texts)
        parts = [self._table(batch) for batch in _batches(texts)]
        keys, followers = (np.concatenate(column) for column in zip(*parts, strict=True))
        made = Counts.of([(keys, followers)], most=1 << _ID_BITS)
        self._first = Counts(  # in small types: there are about a thousand contexts in a text
            made.keys,
            made.widths.astype(np.uint16),
            made.lost.astype(np.uint8),
            made.ids.astype(np.uint16),
            made.counts.astype(np.int32),
        )
        self._since.clear()

    def learn(self, ids: Ids) -> None:
        """Count a text, (T,), with its end."""
        self._texts[ids.tobytes()] += 1
        self._change(ids, 1)

    def forget(self, ids: Ids) -> bool:
        """Take a learnt text out again; false, and nothing of it, for one that was not learnt."""
        text = ids.tobytes()
        if not self._texts[text]:
            return False
        self._texts[text] -= 1
        if not self._texts[text]:
            del self._texts[text]
        self._change(ids, -1)
        return True

    def _change(self, ids: Ids, by: int) -> None:
        """Count a text once more, or once less."""
        keys, followers = self._table([ids])  # (n,)
        for key, follower in zip(keys.tolist(), followers.tolist(), strict=True):
            counts = self._since.setdefault(key, {})
            counts[follower] = counts.get(follower, 0) + by
            if not counts[follower]:
                del counts[follower]
            if not counts:
                del self._since[key]

    def over(self, known: Known, keys: Keys, experts: int) -> Known:
        """What a table knows of some positions, (P, K), as if the texts had been counted in it.

        Args:
            known: of that table, whose experts come first among `experts`, or of several.
            keys: of the contexts there, (P, K).
            experts: how many there are.
        """
        added = list(self._found(keys, experts))
        if not added:
            return known
        places, widths, lost = known.contexts
        pairs = np.concatenate([places.repeat(widths) << _ID_BITS | known.followers[0], *(pair for pair, _ in added)])
        counts = np.concatenate([known.followers[1], *(count for _, count in added)])
        pairs, counts = _summed(pairs, counts)
        pairs, counts = pairs[counts > 0], counts[counts > 0]
        place = pairs >> _ID_BITS
        begins, lengths = runs(place)
        contexts = np.zeros((3, len(begins)), np.int64)
        contexts[0], contexts[1] = place[begins], lengths
        contexts[2, np.searchsorted(contexts[0], places)] = lost
        return Known(contexts, np.stack([pairs & _ID_MASK, counts]))

    def found(self, keys: Keys, experts: int) -> tuple[Index, Index]:
        """What followed the contexts of some positions, (P, K): place and id as one number, ascending, (N,), each once;
        and how often. A place is position * experts + kind."""
        found = list(self._found(keys, experts))
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return _summed(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _found(self, keys: Keys, experts: int) -> Iterator[tuple[Index, Index]]:
        """What followed the contexts of some positions, (P, K): place and id as one number, and how often."""
        kinds, flat = keys.shape[1], keys.reshape(-1)
        get, pairs, counts = self._since.get, list[int](), list[int]()
        for n, key in enumerate(flat.tolist()):
            followers = get(key)
            if followers is not None:
                place = (n // kinds * experts + n % kinds) << _ID_BITS
                pairs += [place | id for id in followers]
                counts += followers.values()
        if pairs:
            yield np.array(pairs), np.array(counts)
        if self._first is None:
            return
        at = self._first.find(flat)
        (hits,) = (at >= 0).nonzero()
        if len(hits):
            rows = at[hits]
            widths = self._first.widths[rows].astype(np.int64)
            taken = expand(self._first.starts[rows], widths)
            place = hits // kinds * experts + hits % kinds
            yield place.repeat(widths) << _ID_BITS | self._first.ids[taken], self._first.counts[taken].astype(np.int64)

    def _table(self, texts: Sequence[Ids]) -> tuple[Keys, Ids]:
        """Keys of all contexts of texts of about one length, and what followed each, (n,)."""
        read = np.full((len(texts), max(map(len, texts)) + 1), PAD, np.int64)  # (B, T + 1)
        followers = np.full(read.shape, PAD, np.int64)
        for row, ids in enumerate(texts):
            read[row, : len(ids) + 1] = [BOS, *ids]
            followers[row, : len(ids) + 1] = [*ids, EOS]
        hashes, _ = self._contexts.read(read, self._contexts.start(len(texts)))  # (B, T + 1, K)
        here = followers != PAD
        return keys_of(hashes[here]).reshape(-1), followers[here].repeat(hashes.shape[-1])


def _summed(pairs: Index, counts: Index) -> tuple[Index, Index]:
    """Each number once, ascending, with its counts added up."""
    order = pairs.argsort(kind="stable")
    pairs = pairs[order]
    first, _ = runs(pairs)
    return pairs[first], np.add.reduceat(counts[order], first)


def _batches(texts: Sequence[Ids]) -> Iterator[list[Ids]]:
    """The texts by length, in batches of a bounded size."""
    batch: list[Ids] = []
    for ids in sorted(texts, key=len):
        if batch and (len(batch) + 1) * (len(ids) + 1) > _BATCH:
            yield batch
            batch = []
        batch.append(ids)
    yield batch
