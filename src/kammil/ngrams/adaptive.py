"""Texts that a blend learns while it runs: their counts, laid over its own table.

A table of counts is all that a text has to enter for the experts to know it: no training, no gradient. So a text that a
person just wrote is counted as if it had been among the training texts, and taken out again on demand. (Where the table
keeps the commonest followers of a context only, or common contexts only, a learnt text's are kept in full.)

To count it is not enough. A gate learns what one count is worth from texts of strangers (a text never sees its own
counts while a blend learns), and where contexts are few, or rare ones are left out, it never learns to believe a long
one. But who taught a text will write the like of it again. So what a learnt text says after a long context is believed
by a little more than the gate does (`BELIEF`): as much as the context's occurrences are learnt ones, so that it fades
where other texts know the context as well.

Every context and follower of the texts is one number, its *pair*, and all of them stand in order, so that what followed
a context stands together. To put a text in is to copy what is there; so what came last stands apart until it is much.

Shapes: P positions, K kinds, T time, n contexts or pairs found, N pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.count_table import Index, Keys, expand, keys_of, runs
from kammil.ngrams.index import IndexMatches
from kammil.vocabulary import BOS, EOS, PAD

ID_BITS = 16
"""Bits of an id in a pair, key << ID_BITS | id."""
_ID_MASK = (1 << ID_BITS) - 1
_MUCH = 1 << 17
"""Pairs that came last, from which on they join the others: some hundred texts. To put one more text among as many
takes 0.6 ms, among those of a thousand texts 2.7."""
_BATCH = 1 << 14
"""Positions hashed at once: some megabytes."""

LEVELS = 2
"""Of what was learnt."""
BELIEF = 0.15
"""Added to a score for each character of a context beyond four, if the context was learnt and is known from nowhere
else. On three small blends and the bundled one, words of a text that was learnt once are suggested when it is begun
again, 22 of 22 in place of 8. Sixty learnt texts bring others of their kind, by other people, 0.009 and 0.016 bits more
in two of the small ones, 0.003 less in the third, and ten cost 0.009 at worst; the bundled model stays within 0.001.
Measured before: docs/log.md#why-is-a-learnt-text-not-suggested"""
_AS_LONG_AS = {"w1": 6, "w2": 10}
"""Characters that kinds of words stand for."""
_LONGEST = 12
"""Longer contexts are believed no more."""

Pairs = NDArray[np.uint64]


@dataclass(frozen=True)
class SortedCounts:
    """Counts; never changed, so that whoever reads them needs no lock."""

    pairs: Pairs = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Key of a context, and behind its bits the id that followed it: (N,), ascending, each once."""
    counts: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """How often it followed, (N,): below 0 for what went from among others, never 0."""

    @cached_property
    def addresses(self) -> tuple[int, int, int]:
        """Where pairs and counts stand in memory, and how many: for compiled code."""
        return self.pairs.ctypes.data, self.counts.ctypes.data, len(self.pairs)

    def merged(self, pairs: Pairs, counts: NDArray[np.int32]) -> SortedCounts:
        """With others added, (n,), ascending, each once."""
        if not len(self.pairs):
            return SortedCounts(pairs, counts)
        at = self.pairs.searchsorted(pairs)
        there = at < len(self.pairs)
        there[there] = self.pairs[at[there]] == pairs[there]
        mine, new = self.counts.copy(), ~there
        mine[at[there]] += counts[there]
        made = SortedCounts(np.insert(self.pairs, at[new], pairs[new]), np.insert(mine, at[new], counts[new]))
        left = made.counts != 0
        return made if left.all() else SortedCounts(made.pairs[left], made.counts[left])


class AdaptiveCounts:
    """Counts of texts by context.

    Args:
        contexts: the kinds that the table counts.
    """

    def __init__(self, contexts: ContextHasher) -> None:
        """No text."""
        self._contexts = contexts
        self.believed = np.array(
            [BELIEF * max(0, min(_LONGEST, _length(name)) - 4) for name in contexts.kinds], np.float32
        )
        """(K,): by kind of context."""
        self._texts: Counter[bytes] = Counter()
        self._teaching = Lock()  # who reads needs none
        self.levels = (SortedCounts(), SortedCounts())
        """All that is counted: what was at first, and what came since, or went. A pair may stand in both."""

    def __len__(self) -> int:
        """How many texts were learnt, each as often as it was."""
        return self._texts.total()

    def learn(self, texts: Sequence[Ids]) -> None:
        """Count texts, (T,) each, with their ends. `IndexError` for an id that is not in the vocabulary."""
        with self._teaching:
            self._change(texts, 1)
            self._texts.update(ids.tobytes() for ids in texts)

    def forget(self, ids: Ids) -> bool:
        """Take a learnt text out again; false, and nothing of it, for one that was not learnt."""
        text = ids.tobytes()
        with self._teaching:
            if not self._texts[text]:
                return False
            self._change([ids], -1)
            self._texts[text] -= 1
            if not self._texts[text]:
                del self._texts[text]
            if not self._texts:
                self.levels = (
                    SortedCounts(),
                    SortedCounts(),
                )  # counts that cancel each other say nothing, but they are there
        return True

    def _change(self, texts: Sequence[Ids], by: int) -> None:
        """Count texts once more, or once less."""
        if not texts:
            return
        pairs, often = np.unique(np.concatenate([self._pairs(batch) for batch in _batches(texts)]), return_counts=True)
        first, since = self.levels
        since = since.merged(pairs, (by * often).astype(np.int32))
        if len(since.pairs) > _MUCH:
            first, since = first.merged(since.pairs, since.counts), SortedCounts()
        self.levels = first, since

    def look_up(self, known: IndexMatches, keys: Keys, experts: int) -> IndexMatches:
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
        pairs = np.concatenate([places.repeat(widths) << ID_BITS | known.followers[0], *(pair for pair, _ in added)])
        counts = np.concatenate([known.followers[1], *(count for _, count in added)])
        own = counts.copy()  # of what was learnt
        own[: known.followers.shape[1]] = 0
        pairs, counts, own = _summed(pairs, counts, own)
        kept = counts > 0
        pairs, counts, own = pairs[kept], counts[kept], own[kept]
        place = pairs >> ID_BITS
        begins, lengths = runs(place)
        contexts = np.zeros((3, len(begins)), np.int64)
        contexts[0], contexts[1] = place[begins], lengths
        contexts[2, np.searchsorted(contexts[0], places)] = lost
        share = own / (np.add.reduceat(counts, begins) + contexts[2]).repeat(lengths)  # (N,)
        expert = place % experts
        believed = np.where(expert < len(self.believed), self.believed[expert % len(self.believed)], np.float32(0))
        return IndexMatches(contexts, np.stack([pairs & _ID_MASK, counts]), (believed * share).astype(np.float32))

    def _found(self, keys: Keys, experts: int) -> Iterator[tuple[Index, Index]]:
        """What followed the contexts of some positions, (P, K), (n,): place and id as one number, and how often. A
        place is position * experts + kind."""
        kinds, least = keys.shape[1], keys.reshape(-1).astype(np.uint64) << np.uint64(ID_BITS)
        for level in self.levels:
            begins = level.pairs.searchsorted(least)
            widths = level.pairs.searchsorted(least | np.uint64(_ID_MASK), side="right") - begins
            (hits,) = widths.nonzero()
            if len(hits):
                taken = expand(begins[hits], widths[hits])
                place = (hits // kinds * experts + hits % kinds).repeat(widths[hits])
                ids = (level.pairs[taken] & np.uint64(_ID_MASK)).astype(np.int64)
                yield place << ID_BITS | ids, level.counts[taken].astype(np.int64)

    def _pairs(self, texts: Sequence[Ids]) -> Pairs:
        """Contexts of texts of about one length with what followed each, (n,)."""
        read = np.full((len(texts), max(map(len, texts)) + 1), PAD, np.int64)  # (B, T + 1)
        followers = np.full(read.shape, PAD, np.int64)
        for row, ids in enumerate(texts):
            read[row, : len(ids) + 1] = [BOS, *ids]
            followers[row, : len(ids) + 1] = [*ids, EOS]
        if followers.min() < 0 or followers.max() >= len(self._contexts.in_word):
            raise IndexError("an id that is not in the vocabulary")
        hashes, _ = self._contexts.hash_contexts(read, self._contexts.initial_state(len(texts)))  # (B, T + 1, K)
        here = followers != PAD
        keys = keys_of(hashes[here]).astype(np.uint64)  # (P, K)
        return (keys << np.uint64(ID_BITS) | followers[here].astype(np.uint64)[:, None]).reshape(-1)


def _summed(pairs: Index, *counts: Index) -> tuple[Index, ...]:
    """Each number once, ascending, with its counts added up."""
    order = pairs.argsort(kind="stable")
    pairs = pairs[order]
    first, _ = runs(pairs)
    return pairs[first], *(np.add.reduceat(some[order], first) for some in counts)


def _length(kind: str) -> int:
    """About how many characters a kind of context looks at."""
    return int(kind[1:]) if kind[:1] == "o" else _AS_LONG_AS.get(kind, 0)


def _batches(texts: Sequence[Ids]) -> Iterator[list[Ids]]:
    """The texts by length, in batches of a bounded size."""
    batch: list[Ids] = []
    for ids in sorted(texts, key=len):
        if batch and (len(batch) + 1) * (len(ids) + 1) > _BATCH:
            yield batch
            batch = []
        batch.append(ids)
    yield batch
