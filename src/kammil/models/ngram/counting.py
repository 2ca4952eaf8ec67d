"""Count n-grams and estimate the discounts of interpolated Kneser-Ney."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Artifacts, Ids, forward_in_pieces
from kammil.models.family import CountingLearner
from kammil.models.ngram.model import MAX_ORDER, Keys, NGramModel, NGramSettings, extend_keys
from kammil.progress import tracked
from kammil.vocabulary import BOS, EOS, PAD, UNK

_MIN_GAIN = 0.01
"""Least gain in bits a character for which a longer order is chosen."""
_MAX_SORTED = 1 << 24
"""Most positions that are sorted at once: a gigabyte."""
_MAX_VALIDATION_CHARACTERS = 20_000
"""Most validation characters that choose the order: they settle the second digit, and more would take seconds."""


def fit(
    train: Sequence[Ids], validation: Sequence[Ids], size: int, settings: NGramSettings
) -> tuple[NGramSettings, Artifacts]:
    """Count the training texts. Without a set order, choose the shortest that is nearly the best on validation texts.

    Args:
        train: encoded texts, specials left out.
        validation: encoded texts; ignored when the order is set.
        size: V.
        settings: the order, or None.

    Returns: settings with the order, and the counts.
    """
    levels = _count(train, settings.order or MAX_ORDER)
    if settings.order is not None:
        return settings, _artifacts(levels, size, settings.order)
    sample: list[Ids] = []
    for text in validation:
        if sum(map(len, sample)) < _MAX_VALIDATION_CHARACTERS:
            sample.append(text)
    best, order = math.inf, 0
    while order < MAX_ORDER:
        candidate = NGramSettings(order=order + 1)
        bits = _bits(NGramModel(candidate, _artifacts(levels, size, order + 1).weights), sample)
        if bits > best - _MIN_GAIN:
            break
        best, order = bits, order + 1
    return NGramSettings(order=order), _artifacts(levels, size, order)


def _bits(model: NGramModel, texts: Sequence[Ids]) -> float:
    """Return the bits per character and end of text."""
    total = 0.0
    for text in texts:
        targets = np.append(text, EOS)
        for _, part, (rows,) in forward_in_pieces(model, np.concatenate([[BOS], text])[None]):
            total -= float(rows[np.arange(len(rows)), targets[part]].sum())
    return total / math.log(2) / sum(len(text) + 1 for text in texts)


@dataclass(frozen=True)
class _Counts:
    """The two kinds of counts of one context length."""

    keys: Keys
    offsets: NDArray[np.int64]
    ids: NDArray[np.int32]
    occurrences: NDArray[np.int32]
    """(F,): how often the follower occurred: used for the longest contexts of a model."""
    preceded: NDArray[np.int32]
    """(F,): after how many different longer contexts it occurred: used for all shorter contexts."""


def _count(texts: Sequence[Ids], order: int) -> list[_Counts]:
    """Count the followers of every context of 0 to order - 1 characters.

    Only the longest contexts are counted position by position, in parts, which bounds the memory of sorting. The pairs
    found are then merged by the contexts that are one character shorter, and so on: far fewer.
    """
    stream, at = _stream(texts, order)  # (S,), (N,)
    occurrences = preceded = np.ones(len(at), np.int32)
    levels: list[_Counts] = []
    for k in tracked(range(order - 1, -1, -1), "counting"):
        at, occurrences, preceded, keys = _distinct_pairs(stream, at, occurrences, preceded, k)
        ids, counted, contexts = stream[at], occurrences, preceded
        begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        if k == 0:
            place, rare = int(np.searchsorted(ids, UNK)), _expected_unknown(texts)
            keys, ids = np.insert(keys, place, keys[0]), np.insert(ids, place, UNK)
            counted, contexts = np.insert(counted, place, rare), np.insert(contexts, place, rare)
        levels.append(_Counts(keys[begins], np.append(begins, len(keys)), ids, counted, contexts))
        preceded = np.ones(len(at), np.int32)  # for the next level each pair is one longer context
    return levels[::-1]


def _stream(texts: Sequence[Ids], order: int) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """Join all texts, (S,), each as order - 1 PAD, BOS, text, EOS; returns the stream and the positions of targets."""
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
    """Merge equal pairs of a context of k characters and its follower: one position each, sorted, and summed counts."""
    parts = min(256, max(1, len(at) // _MAX_SORTED))
    key = _keys_at(stream, at, k)
    # By the highest bits of the keys, so that the sorted parts are sorted as a whole.
    part = (key >> np.uint64(56)).astype(np.uint16) * np.uint16(parts) >> np.uint16(8) if parts > 1 else None
    columns: list[tuple[NDArray[np.generic], ...]] = []
    for number in range(parts):
        chosen = np.flatnonzero(part == number) if part is not None else np.arange(len(at))
        if not len(chosen):
            continue
        keys, ids = key[chosen], stream[at[chosen]]
        by_pair = np.lexsort((ids, keys))
        keys, ids, chosen = keys[by_pair], ids[by_pair], chosen[by_pair]
        firsts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]) | (ids[1:] != ids[:-1])))
        columns.append(
            (
                at[chosen[firsts]],
                np.add.reduceat(occurrences[chosen], firsts),
                np.add.reduceat(preceded[chosen], firsts),
                keys[firsts],
            )
        )
    place, counted, contexts, keys = (np.concatenate(column) for column in zip(*columns, strict=True))
    return place, counted, contexts, keys  # pyright: ignore[reportReturnType]


def _keys_at(stream: NDArray[np.int32], at: NDArray[np.integer], k: int) -> Keys:
    """Return the keys (N,) of the k ids before each position, as `context_keys` does."""
    key = np.zeros(len(at), np.uint64)
    for back in range(1, k + 1):
        key = extend_keys(key, stream[at - back].astype(np.uint64))
    return key


def _artifacts(levels: Sequence[_Counts], size: int, order: int) -> Artifacts:
    """Return the arrays of a model of this order, in the smallest types that hold them."""
    weights: dict[str, NDArray[np.generic]] = {"size": np.array([size], np.int64)}
    for k, level in enumerate(levels[:order]):
        counts = level.occurrences if k == order - 1 else level.preceded
        weights[f"keys.{k}"] = level.keys
        weights[f"offsets.{k}"] = level.offsets.astype(np.int32)
        weights[f"ids.{k}"] = level.ids.astype(np.uint16 if size < 1 << 16 else np.int32)
        weights[f"counts.{k}"] = counts.astype(np.uint16 if counts.max() < 1 << 16 else np.int32)
    return Artifacts(weights)


def _expected_unknown(texts: Sequence[Ids]) -> int:
    """Return the count of UNK: half the number of characters that only one text has.

    As many new characters are to be expected as there were rare ones (Good 1953); but a rare one may occur again.
    """
    in_texts = np.bincount(np.concatenate([np.unique(text) for text in texts]))
    return max(1, int((in_texts == 1).sum()) // 2)


LEARNER = CountingLearner(settings=NGramSettings, count=fit)
