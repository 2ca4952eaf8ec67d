"""Counts of texts that a blend learns while it runs, added to those of its own table.

A text is counted like a training text, and can be subtracted again. A gate learns the worth of counts from texts of
strangers, so a *layer* of the writer's own counts stands above the blend. It is trusted as far as it has foretold the
text so far better than the blend: a stranger's text is not taken for the writer's.

Shapes: B batch, P positions, K context types, T time, V vocabulary, n contexts or pairs found, N pairs, W context types
of the layer.
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
from kammil.ngrams.count_table import Floats, Index, Keys, expand, keys_of, runs
from kammil.ngrams.index import IndexMatches
from kammil.vocabulary import BOS, EOS, PAD

ID_BITS = 16
"""In a pair, key << ID_BITS | id."""
_ID_MASK = (1 << ID_BITS) - 1
_MAX_RECENT_PAIRS = 1 << 17
"""Maximum number of recent pairs: inserting a text takes 0.6 ms, 2.7 ms among a thousand texts."""
_BATCH = 1 << 14  # positions

LEVELS = 5
"""Base counts and recent ones, then those of a fork, of its fork, and so on: none copies what it shares."""
LAYER = {"o4": 10.0, "l": 10.0, "l1": 3.0, "o12": 0.3}
"""Context types of the layer, each above the one before, and how many counts that one is worth
(docs/log.md#what-is-a-writers-own-layer-worth)."""
START, SHARED = 0.3, 0.05
"""Trust in the layer before anything is foretold, and what layer and blend exchange of it where the layer says
something."""

Pairs = NDArray[np.uint64]


@dataclass(frozen=True)
class SortedCounts:
    """Immutable, so that readers need no lock."""

    pairs: Pairs = field(default_factory=lambda: np.zeros(0, np.uint64))
    """(N,): key << ID_BITS | follower; ascending, distinct."""
    counts: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """(N,): negative once a text of the base is forgotten, never 0."""

    @cached_property
    def addresses(self) -> tuple[int, int, int]:
        """Addresses of pairs and counts, and N."""
        return self.pairs.ctypes.data, self.counts.ctypes.data, len(self.pairs)

    def add(self, pairs: Pairs, counts: NDArray[np.int32]) -> SortedCounts:
        """Add counts of other pairs, (n,) each, ascending and distinct."""
        if not len(self.pairs):
            return SortedCounts(pairs, counts)
        at = self.pairs.searchsorted(pairs)
        known = at < len(self.pairs)
        known[known] = self.pairs[at[known]] == pairs[known]
        sums, new = self.counts.copy(), ~known
        sums[at[known]] += counts[known]
        pairs, counts = np.insert(self.pairs, at[new], pairs[new]), np.insert(sums, at[new], counts[new])
        kept = counts != 0
        return SortedCounts(pairs, counts) if kept.all() else SortedCounts(pairs[kept], counts[kept])


class AdaptiveCounts:
    """Counts of learnt texts, by context."""

    def __init__(self, contexts: ContextHasher) -> None:
        self._contexts = contexts
        types = contexts.context_types
        self.layer = {types.index(name): weight for name, weight in LAYER.items() if name in types}
        """Columns of the layer's context types, and their weights."""
        self._texts: Counter[bytes] = Counter()
        self._lock = Lock()  # for writers; readers need none
        self.levels: tuple[SortedCounts, ...] = (SortedCounts(),) * LEVELS
        """A pair may be in several."""
        self._own = 1  # level that takes what is learnt here

    def copy(self) -> AdaptiveCounts:
        """Return a copy on write."""
        copied = AdaptiveCounts(self._contexts)
        with self._lock:
            copied._texts, copied.levels = self._texts.copy(), self.levels
            is_shared = self._own < 2 or len(self.levels[self._own].pairs) > 0
            copied._own = min(self._own + is_shared, LEVELS - 1)
        return copied

    def __len__(self) -> int:
        """Return the number of learnt texts, with repeats."""
        return self._texts.total()

    def learn(self, texts: Sequence[Ids]) -> None:
        """Add texts, (T,) each; `IndexError` for an id outside the vocabulary."""
        with self._lock:
            self._add(texts, 1)
            self._texts.update(ids.tobytes() for ids in texts)

    def forget(self, *texts: Ids) -> int:
        """Subtract texts; return how many of them were learnt."""
        with self._lock:
            left = self._texts.copy()
            learnt = [ids for ids in texts if left[ids.tobytes()] > 0 and not left.subtract([ids.tobytes()])]
            self._add(learnt, -1)
            self._texts = +left
            if not self._texts:
                self.levels = (SortedCounts(),) * LEVELS  # counts that cancel each other
        return len(learnt)

    def _add(self, texts: Sequence[Ids], times: int) -> None:
        if not texts:
            return
        pairs, counts = np.unique(np.concatenate([self._pairs(batch) for batch in _batches(texts)]), return_counts=True)
        levels, own = list(self.levels), self.levels[self._own].add(pairs, (times * counts).astype(np.int32))
        levels[self._own] = own
        if self._own == 1 and len(own.pairs) > _MAX_RECENT_PAIRS:
            levels[:2] = levels[0].add(own.pairs, own.counts), SortedCounts()
        self.levels = tuple(levels)

    def look_up(self, matches: IndexMatches, keys: Keys, experts: int) -> IndexMatches:
        """Return the matches of P positions with keys (P, K), as if the first table had counted the learnt texts."""
        added = list(self._followers(keys, experts))
        if not added:
            return matches
        places, widths, pruned = matches.contexts
        pairs = np.concatenate([places.repeat(widths) << ID_BITS | matches.followers[0], *(pair for pair, _ in added)])
        counts = np.concatenate([matches.followers[1], *(count for _, count in added)])
        order = pairs.argsort(kind="stable")
        pairs = pairs[order]
        first, _ = runs(pairs)  # equal pairs are added up
        pairs, counts = pairs[first], np.add.reduceat(counts[order], first)
        pairs, counts = pairs[counts > 0], counts[counts > 0]
        place = pairs >> ID_BITS
        begins, lengths = runs(place)
        contexts = np.zeros((3, len(begins)), np.int64)
        contexts[0], contexts[1] = place[begins], lengths
        contexts[2, np.searchsorted(contexts[0], places)] = pruned
        return IndexMatches(contexts, np.stack([pairs & _ID_MASK, counts]))

    def mix(self, log_probabilities: Floats, keys: Keys, ids: Ids, trust: Floats) -> tuple[Floats, Floats]:
        """Return log-probabilities, (B, V), mixed with the layer's, and the trust after each id, (B, V).

        Args:
            keys: of the contexts, (B, K).
            ids: the last of the text, (B, n), as many as the longest context has.
            trust: in the layer, (B,).
        """
        p, trust = np.exp(log_probabilities), trust[:, None]
        layered, share = p, np.zeros_like(trust)
        for column, weight in self.layer.items():
            counts, order = np.zeros_like(p), self._contexts.spec[column][1]
            for pairs, found in self._followers(keys[:, [column]], 1):
                np.add.at(counts, (pairs >> ID_BITS, pairs & _ID_MASK), found)
            if order:  # a context that begins before the text says nothing
                counts[np.isin(ids[:, -order], (BOS, PAD))] = 0
            total = counts.sum(axis=1, keepdims=True)
            layered = (counts + np.float32(weight) * layered) / (total + np.float32(weight))
            share[total > 0] = SHARED
        mixed = trust * layered + (1 - trust) * p
        after = trust * layered / mixed
        return np.log(mixed), (after + share * (1 - 2 * after)).astype(np.float32)

    def _followers(self, keys: Keys, experts: int) -> Iterator[tuple[Index, Index]]:
        """Yield (position * experts + type) << ID_BITS | follower, and counts, (n,), level by level."""
        context_types, lowest = keys.shape[1], keys.reshape(-1).astype(np.uint64) << np.uint64(ID_BITS)
        for level in self.levels:
            begins = level.pairs.searchsorted(lowest)
            widths = level.pairs.searchsorted(lowest | np.uint64(_ID_MASK), side="right") - begins
            (hits,) = widths.nonzero()
            if len(hits):
                found = expand(begins[hits], widths[hits])
                place = (hits // context_types * experts + hits % context_types).repeat(widths[hits])
                ids = (level.pairs[found] & np.uint64(_ID_MASK)).astype(np.int64)
                yield place << ID_BITS | ids, level.counts[found].astype(np.int64)

    def _pairs(self, texts: Sequence[Ids]) -> Pairs:
        inputs = np.full((len(texts), max(map(len, texts)) + 1), PAD, np.int64)  # (B, T + 1)
        followers = np.full(inputs.shape, PAD, np.int64)
        for row, ids in enumerate(texts):
            inputs[row, : len(ids) + 1] = [BOS, *ids]
            followers[row, : len(ids) + 1] = [*ids, EOS]
        if followers.min() < 0 or followers.max() >= len(self._contexts.in_word):
            raise IndexError("an id that is not in the vocabulary")
        hashes, _ = self._contexts.hash_contexts(inputs, self._contexts.initial_state(len(texts)))  # (B, T + 1, K)
        real = followers != PAD
        keys = keys_of(hashes[real]).astype(np.uint64)  # (P, K)
        return (keys << np.uint64(ID_BITS) | followers[real].astype(np.uint64)[:, None]).reshape(-1)


def _batches(texts: Sequence[Ids]) -> Iterator[list[Ids]]:
    batch: list[Ids] = []
    for ids in sorted(texts, key=len):
        if batch and (len(batch) + 1) * (len(ids) + 1) > _BATCH:
            yield batch
            batch = []
        batch.append(ids)
    yield batch
