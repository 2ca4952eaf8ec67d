"""Count n-grams and estimate the discounts of interpolated Kneser-Ney."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Artifacts, Ids, forward_in_pieces
from kammil.models.family import CountingLearner
from kammil.models.ngram.model import MAX_ORDER, Keys, NGramModel, NGramSettings, context_keys, discounts, extend_keys
from kammil.ngrams.count_table import CountTable, Level, count_cutoffs, frequency_levels, hits
from kammil.progress import tracked
from kammil.vocabulary import BOS, EOS, PAD, UNK

_MIN_GAIN = 0.01
"""Minimum bits a character that a longer order must gain."""
_MAX_SORTED = 1 << 24
"""Maximum positions sorted at once: a gigabyte."""
_MAX_VALIDATION_CHARACTERS, _MAX_PRUNING_CHARACTERS = 20_000, 200_000
"""Maximum validation characters to choose the order, and to prune contexts."""
_PART = 10_000
"""Texts searched for rare characters at once."""
_MAX_ID = 1 << 21
"""Above any id: text and character make one sortable number."""
_CONTEXT_BYTES = 12
"""Bytes of a stored context: key and offset."""


def fit(
    train: Sequence[Ids], validation: Sequence[Ids], size: int, settings: NGramSettings
) -> tuple[NGramSettings, Artifacts]:
    """Count the training texts within the settings' megabytes.

    Where no order is set, the shortest nearly best one on the validation texts is chosen.
    """
    longest = settings.order or MAX_ORDER
    levels = _count(train, longest, _first(validation, _MAX_PRUNING_CHARACTERS), settings.megabytes)
    if settings.order is not None:
        return settings, _artifacts(_within(levels, settings.megabytes), size)
    sample = _first(validation, _MAX_VALIDATION_CHARACTERS)
    best, chosen = math.inf, (settings, Artifacts({}))
    for order in range(1, longest + 1):
        candidate = settings.model_copy(update={"order": order})
        artifacts = _artifacts(_within(levels[:order], settings.megabytes), size)
        bits = _bits(NGramModel(candidate, artifacts.weights), sample)
        if bits > best - _MIN_GAIN:
            break
        best, chosen = bits, (candidate, artifacts)
    return chosen


def _first(texts: Sequence[Ids], characters: int) -> list[Ids]:
    before = np.cumsum([0, *map(len, texts)])[:-1]
    return [text for text, begin in zip(texts, before.tolist(), strict=True) if begin < characters]


def _bits(model: NGramModel, texts: Sequence[Ids]) -> float:
    total = 0.0
    for text in texts:
        targets = np.append(text, EOS)
        for _, part, (rows,) in forward_in_pieces(model, np.concatenate([[BOS], text])[None]):
            total -= float(rows[np.arange(len(rows)), targets[part]].sum())
    return total / math.log(2) / sum(len(text) + 1 for text in texts)


@dataclass(frozen=True)
class _Counts:
    """Both kinds of counts of one context length."""

    table: CountTable
    """Occurrences, for the longest contexts of a model."""
    preceded: NDArray[np.int32]
    """(F,): number of different characters before context and follower, for shorter contexts."""
    levels: Sequence[Level] = ()
    """How much contexts helped on validation texts, by their counts."""
    discounts: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """Discounts of `table` and `preceded` before pruning; None if nothing was pruned."""

    def graded(self, keys: Keys, followers: Ids) -> _Counts:
        table = self.table
        stored = _narrow(table.ids).itemsize + _narrow(table.counts).itemsize
        sizes = (_CONTEXT_BYTES + stored * table.num_followers).astype(np.float64)
        return replace(self, levels=frequency_levels([(table.totals, sizes, hits(table, keys, followers))]))

    def select(self, cutoff: int) -> _Counts:
        """Keep contexts of this total or more, or else the most frequent ones."""
        table, totals = self.table, self.table.totals
        kept = totals >= min(cutoff, int(totals.max()))
        if kept.all():
            return self
        whole = self.discounts or (discounts(table.counts), discounts(self.preceded))
        preceded = self.preceded[np.repeat(kept, table.num_followers)]
        return _Counts(table.select(kept), preceded, self.levels, whole)


def _within(levels: Sequence[_Counts], megabytes: float | None) -> list[_Counts]:
    (cutoffs,) = count_cutoffs([[level.levels for level in levels[1:]]], megabytes)
    return [levels[0], *(level.select(int(n)) for level, n in zip(levels[1:], cutoffs, strict=True))]


def _count(
    texts: Sequence[Ids], order: int, validation: Sequence[Ids] = (), megabytes: float | None = None
) -> list[_Counts]:
    """Count the followers of every context of 0 to order - 1 characters, the longest first.

    Pairs of shorter contexts are merged from longer ones. Contexts that even all megabytes could not hold are dropped.
    """
    stream, at = _stream(texts, order)
    occurrences = preceded = np.ones(len(at), np.int32)
    held_out = [*_positions(validation, order)] if megabytes is not None else []
    levels: list[_Counts] = []
    for k in tracked(range(order - 1, -1, -1), "counting"):
        at, occurrences, preceded, keys = _distinct_pairs(stream, at, occurrences, preceded, k)
        ids, counted, contexts = stream[at], occurrences, preceded
        begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        if k == 0:
            place, rare = int(np.searchsorted(ids, UNK)), _expected_unknown(texts)
            keys, ids = np.insert(keys, place, keys[0]), np.insert(ids, place, UNK)
            counted, contexts = np.insert(counted, place, rare), np.insert(contexts, place, rare)
        widths = np.diff(begins, append=len(keys))
        table = CountTable(keys[begins], widths, np.zeros(len(widths), np.uint8), ids, counted)
        level = _Counts(table, contexts)
        del keys, begins
        if k > 0 and megabytes is not None:
            level = level.graded(*held_out[k])
            ((cutoff,),) = count_cutoffs([[level.levels]], megabytes)
            level = level.select(int(cutoff))
        levels.append(level)
        preceded = np.ones(len(at), np.int32)  # each pair is one longer context of the next level
    return levels[::-1]


def _positions(texts: Sequence[Ids], order: int) -> Iterator[tuple[Keys, Ids]]:
    """Yield contexts and followers at all positions, sorted by context, for each length below the order."""
    keys: list[list[Keys]] = [[np.empty(0, np.uint64)] for _ in range(order)]
    for text in texts:
        history = np.concatenate([np.full(order - 1, PAD), [BOS], text])[None]
        for of_length, found in zip(keys, context_keys(history, len(text) + 1, order), strict=True):
            of_length.append(found)
    followers = np.concatenate([np.empty(0, np.int64), *(np.append(text, EOS) for text in texts)])
    for of_length in keys:
        found = np.concatenate(of_length)
        by_key = np.argsort(found)
        yield found[by_key], followers[by_key]


def _stream(texts: Sequence[Ids], order: int) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """Join the texts, each as order - 1 PAD, BOS, text, EOS; return the stream, (S,), and target positions, (N,)."""
    lengths = np.array([len(text) for text in texts], np.int64) + order + 1
    starts = lengths.cumsum() - lengths
    stream = np.full(int(lengths.sum()), PAD, np.int32)
    target = np.ones(len(stream), np.bool_)
    for start, text in zip(starts.tolist(), texts, strict=True):
        stream[start + order - 1] = BOS
        stream[start + order : start + order + len(text)] = text
        stream[start + order + len(text)] = EOS
        target[start : start + order] = False
    at = np.flatnonzero(target)
    return stream, at.astype(np.int32) if len(stream) < 1 << 31 else at


def _distinct_pairs(
    stream: NDArray[np.int32],
    at: NDArray[np.integer],
    occurrences: NDArray[np.int32],
    preceded: NDArray[np.int32],
    k: int,
) -> tuple[NDArray[np.integer], NDArray[np.int32], NDArray[np.int32], Keys]:
    """Return positions, counts and keys of distinct pairs of k ids and a follower, sorted in parts to bound memory."""
    parts = min(256, max(1, len(at) // _MAX_SORTED))
    key = np.zeros(len(at), np.uint64)
    for back in range(1, k + 1):
        key = extend_keys(key, stream[at - back].astype(np.uint64))
    part = (key >> np.uint64(56)).astype(np.uint16) * np.uint16(parts) >> np.uint16(8) if parts > 1 else None
    columns: list[list[NDArray[Any]]] = [[], [], [], []]
    for number in range(parts):
        chosen = np.flatnonzero(part == number) if part is not None else np.arange(len(at))
        if not len(chosen):
            continue
        keys, ids = key[chosen], stream[at[chosen]]
        by_pair = _sorted_pairs(keys, ids)
        keys, ids, chosen = keys[by_pair], ids[by_pair], chosen[by_pair]
        firsts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]) | (ids[1:] != ids[:-1])))
        columns[0].append(at[chosen[firsts]])
        columns[1].append(np.add.reduceat(occurrences[chosen], firsts))
        columns[2].append(np.add.reduceat(preceded[chosen], firsts))
        columns[3].append(keys[firsts])
    place, counted, contexts, keys = (np.concatenate(columns.pop(0)) for _ in range(4))  # frees each in turn
    return place, counted, contexts, keys


def _sorted_pairs(keys: Keys, ids: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the order of pairs of a key and an id, (N,).

    The id replaces the lowest bits of the key, since one number sorts five times as fast as two; where keys differ in
    these bits alone, which is rare, both are sorted.
    """
    low = np.uint64((1 << int(ids.max()).bit_length()) - 1)
    order = np.argsort(keys & ~low | ids.astype(np.uint64))
    by_pair = keys[order]
    alike = by_pair[1:] & ~low == by_pair[:-1] & ~low
    if (by_pair[1:] != by_pair[:-1])[alike].any():
        return np.lexsort((ids, keys))
    return order


def _artifacts(levels: Sequence[_Counts], size: int) -> Artifacts:
    weights: dict[str, NDArray[np.generic]] = {"size": np.array([size], np.int64)}
    for k, level in enumerate(levels):
        longest, table = k == len(levels) - 1, level.table
        counts = table.counts if longest else level.preceded
        weights[f"keys.{k}"] = table.keys
        weights[f"offsets.{k}"] = table.starts.astype(np.int32)
        weights[f"ids.{k}"] = table.ids.astype(_narrow(table.ids))
        weights[f"counts.{k}"] = counts.astype(_narrow(counts))
        if level.discounts is not None:
            weights[f"discounts.{k}"] = level.discounts[0 if longest else 1]
    return Artifacts(weights)


def _narrow(numbers: NDArray[np.integer]) -> np.dtype[np.generic]:
    return np.dtype(np.uint16 if numbers.max() < 1 << 16 else np.int32)


def _expected_unknown(texts: Sequence[Ids]) -> int:
    """Return the count of UNK: half the number of characters in only one text (compare Good 1953)."""
    in_texts = np.zeros(_MAX_ID, np.int64)
    for begin in range(0, len(texts), _PART):
        part = texts[begin : begin + _PART]
        numbers = np.repeat(np.arange(len(part)), [len(text) for text in part])
        pairs = np.sort(numbers * _MAX_ID + np.concatenate(part))
        in_texts += np.bincount(pairs[np.diff(pairs, prepend=-1) > 0] % _MAX_ID, minlength=_MAX_ID)
    return max(1, int((in_texts == 1).sum()) // 2)


LEARNER = CountingLearner(settings=NGramSettings, count=fit)
