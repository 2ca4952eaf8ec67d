"""Counting: how often did each character follow the last few? Interpolated modified Kneser-Ney.

The idea: the estimate after a context of k characters is what was counted there, a little discounted; what the
discount frees goes to the estimate after the k - 1 last characters, and so on down to an even choice. Below the longest
context a character is not counted by how often it occurred but by after how many different characters it did: the
rest of the count is already explained by the longer context. (Kneser & Ney 1995; Chen & Goodman 1999, "An empirical
study of smoothing techniques", section 3: three discounts for each order, from the counts of counts.)

What was left out: tuning the discounts on validation, and pruning. Witten-Bell smoothing in its place costs 0.14 bits a
character at its best order on the tweets of the benchmark, plain counts below the longest context cost 0.13.

Shapes: B batch, T time, V vocabulary, N = B * T positions, K order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kammil.models.base import Artifacts, Ids, LogProbabilities, Runner, Settings, State, along, positions_at_once
from kammil.progress import tracked
from kammil.vocabulary import BOS, CODE_POINTS, EOS, PAD, SPECIALS, UNK

LONGEST = 8
"""The longest order tried: on 300,000 characters nothing is gained beyond, and every order adds to the folder."""
_ENOUGH = 0.01
"""Bits a character that a longer order must bring to be chosen."""
_AT_ONCE = 1 << 24
"""Places that are sorted at once: a gigabyte."""
_JUDGES = 20_000
"""Validation characters that choose the order: they settle the second digit, and more would take seconds."""

_Keys = NDArray[np.uint64]


class NGramSettings(Settings):
    """How far a counter looks."""

    order: int | None = Field(default=None, ge=1, le=16)
    """Characters looked at, the next one included; None lets the validation texts choose."""


@dataclass(frozen=True)
class _Order:
    """What followed each context of one length; contexts sorted by key."""

    keys: _Keys
    """(C,): hash of each context. 64 bits: a million contexts collide with a chance of one in 10 million."""
    offsets: NDArray[np.int64]
    """(C + 1,): where the followers of each context begin."""
    ids: NDArray[np.generic]
    """(F,): followers."""
    counts: NDArray[np.generic]
    """(F,): how often, or after how many different characters."""


class NGramRunner(Runner):
    """The running side: looks the last K - 1 ids up in the counts.

    Args:
        settings: with the order chosen.
        weights: `keys.k`, `offsets.k`, `ids.k`, `counts.k` for each context length k, and `size`, as `fit` makes them.
    """

    def __init__(self, settings: NGramSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        """Turn counts into shares and backed-off mass."""
        if settings.order is None:
            raise ValueError("the order of a counted model must be set")
        self._size = _whole_number(weights["size"])
        self._order = settings.order
        self._levels = [
            _Level(
                _Order(
                    _whole(weights[f"keys.{k}"]).astype(np.uint64),
                    _whole(weights[f"offsets.{k}"]).astype(np.int64),
                    _whole(weights[f"ids.{k}"]),
                    _whole(weights[f"counts.{k}"]),
                ),
                self._size,
            )
            for k in range(settings.order)
        ]
        self._even = np.zeros(self._size)
        self._even[EOS:] = self._even[UNK] = 1 / (self._size - 2)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def start(self, batch: int) -> State:
        """The last K - 1 ids, (B, K - 1): none yet."""
        return (np.full((batch, self._order - 1), PAD, np.int64),)

    def read(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Look up every context that is asked for."""
        known = np.concatenate([state[0].astype(np.int64), ids], axis=1)  # (B, K - 1 + T)
        wanted = ids.shape[1] if last is None else last
        keys = list(_context_keys(known, wanted, self._order))  # (N,) each
        rows = np.empty((len(ids) * wanted, self._size), np.float32)
        piece = positions_at_once(len(rows), self._size)
        for begin in range(0, len(rows), piece):
            part = slice(begin, begin + piece)
            p = np.tile(self._even, (len(rows[part]), 1))  # (N, V)
            for level, contexts in zip(self._levels, keys, strict=True):
                level.refine(p, contexts[part])
            with np.errstate(divide="ignore"):
                rows[part] = np.log(p, out=p)
        return rows.reshape(len(ids), wanted, self._size), (known[:, known.shape[1] - self._order + 1 :],)


class _Level:
    """One context length, ready to be looked up: the share of each follower, and the mass left for shorter contexts."""

    def __init__(self, order: _Order, size: int) -> None:
        offsets, ids, counts = order.offsets, order.ids.astype(np.int64), order.counts.astype(np.float64)
        n = len(ids)
        sound = len(order.keys) > 0 and len(offsets) == len(order.keys) + 1 and offsets[0] == 0 and offsets[-1] == n
        if not sound or ((offsets < 0) | (offsets > n)).any() or (np.diff(offsets) < 1).any():
            raise ValueError("the counts are not consistent")
        if len(counts) != n or ((ids < UNK) | (ids >= size)).any() or (counts < 1).any():
            raise ValueError("the counts are not consistent")
        discount = _discounts(counts)[np.minimum(counts, 3).astype(np.int64)]  # (F,)
        starts = offsets[:-1]
        totals = np.add.reduceat(counts, starts)  # (C,)
        self.keys, self.offsets, self.ids = order.keys, offsets, ids
        self.shares = (counts - discount) / np.repeat(totals, np.diff(offsets))  # (F,)
        self.left = np.add.reduceat(discount, starts) / totals  # (C,)

    def refine(self, p: NDArray[np.float64], keys: _Keys) -> None:
        """Turn estimates (N, V) after shorter contexts into those after the contexts of these keys, in place."""
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        found = np.flatnonzero(self.keys[at] == keys)
        at = at[found]
        p[found] *= self.left[at, None]
        lengths = self.offsets[at + 1] - self.offsets[at]
        begins = np.repeat(self.offsets[at] - (lengths.cumsum() - lengths), lengths)
        which = begins + np.arange(len(begins))
        p[np.repeat(found, lengths), self.ids[which]] += self.shares[which]


def _whole(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A row of whole numbers; `ValueError` for anything else."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("the counts are not whole numbers")
    return array


def _whole_number(array: NDArray[np.generic]) -> int:
    """V; `ValueError` if it is none that a vocabulary could have."""
    (size,) = _whole(array).tolist()
    if not EOS < size <= SPECIALS + CODE_POINTS:
        raise ValueError(f"{size} is no size of a vocabulary")
    return int(size)


def fit(
    train: Sequence[Ids], validation: Sequence[Ids], size: int, settings: NGramSettings
) -> tuple[NGramSettings, Artifacts]:
    """Count the training texts; without a set order, the shortest that is nearly the best on validation is taken.

    Args:
        train: encoded texts, specials left out.
        validation: likewise; not looked at when the order is set.
        size: V.
        settings: the order, or None.

    Returns: settings with the order, and the counts.
    """
    levels = _count(train, settings.order or LONGEST)
    if settings.order is not None:
        return settings, _artifacts(levels, size, settings.order)
    judges: list[Ids] = []
    for text in validation:
        if sum(map(len, judges)) < _JUDGES:
            judges.append(text)
    best, order = math.inf, 0
    while order < LONGEST:
        candidate = NGramSettings(order=order + 1)
        bits = _bits(NGramRunner(candidate, _artifacts(levels, size, order + 1).weights), judges)
        if bits > best - _ENOUGH:
            break
        best, order = bits, order + 1
    return NGramSettings(order=order), _artifacts(levels, size, order)


def _bits(runner: NGramRunner, texts: Sequence[Ids]) -> float:
    """Bits a character and end of text."""
    total = 0.0
    for text in texts:
        targets = np.append(text, EOS)
        for _, part, (rows,) in along(runner, np.concatenate([[BOS], text])[None]):
            total -= float(rows[np.arange(len(rows)), targets[part]].sum())
    return total / math.log(2) / sum(len(text) + 1 for text in texts)


@dataclass(frozen=True)
class _Counts:
    """Both counts of one context length."""

    keys: _Keys
    offsets: NDArray[np.int64]
    ids: NDArray[np.int32]
    occurrences: NDArray[np.int32]
    """(F,): how often the follower stood there: for the longest context of a model."""
    preceded: NDArray[np.int32]
    """(F,): after how many different longer contexts: for all shorter ones."""


def _count(texts: Sequence[Ids], order: int) -> list[_Counts]:
    """Followers of every context of 0 to order - 1 characters.

    Only the longest contexts are counted place by place, a part of them after another, which bounds the memory of
    sorting. What was counted is then counted by the contexts that are one character shorter, and so on: far fewer.
    """
    stream, at = _stream(texts, order)  # (S,), (N,)
    occurrences = preceded = np.ones(len(at), np.int32)
    levels: list[_Counts] = []
    for k in tracked(range(order - 1, -1, -1), "counting"):
        at, occurrences, preceded, keys = _distinct(stream, at, occurrences, preceded, k)
        ids, counted, before = stream[at], occurrences, preceded
        begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        if k == 0:
            place, rare = int(np.searchsorted(ids, UNK)), _expected_unknown(texts)
            keys, ids = np.insert(keys, place, keys[0]), np.insert(ids, place, UNK)
            counted, before = np.insert(counted, place, rare), np.insert(before, place, rare)
        levels.append(_Counts(keys[begins], np.append(begins, len(keys)), ids, counted, before))
        preceded = np.ones(len(at), np.int32)  # each pair stands for one longer context of those to come
    return levels[::-1]


def _stream(texts: Sequence[Ids], order: int) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """All texts, (S,), before each as many PAD as an order needs and BOS, after each EOS; and where targets stand."""
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


def _distinct(
    stream: NDArray[np.int32],
    at: NDArray[np.integer],
    occurrences: NDArray[np.int32],
    preceded: NDArray[np.int32],
    k: int,
) -> tuple[NDArray[np.integer], NDArray[np.int32], NDArray[np.int32], _Keys]:
    """One place for each pair of a context of k characters and its follower, sorted, with the sums of both counts."""
    parts = min(256, max(1, len(at) // _AT_ONCE))
    key = _keys_at(stream, at, k)
    # Of sorted keys, so that the parts one after another are sorted too.
    part = (key >> np.uint64(56)).astype(np.uint16) * np.uint16(parts) >> np.uint16(8) if parts > 1 else None
    made: list[tuple[NDArray[np.generic], ...]] = []
    for number in range(parts):
        chosen = np.flatnonzero(part == number) if part is not None else np.arange(len(at))
        if not len(chosen):
            continue
        keys, ids = key[chosen], stream[at[chosen]]
        by_pair = np.lexsort((ids, keys))
        keys, ids, chosen = keys[by_pair], ids[by_pair], chosen[by_pair]
        firsts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]) | (ids[1:] != ids[:-1])))
        made.append(
            (
                at[chosen[firsts]],
                np.add.reduceat(occurrences[chosen], firsts),
                np.add.reduceat(preceded[chosen], firsts),
                keys[firsts],
            )
        )
    place, counted, before, keys = (np.concatenate(column) for column in zip(*made, strict=True))
    return place, counted, before, keys  # pyright: ignore[reportReturnType]


def _keys_at(stream: NDArray[np.int32], at: NDArray[np.integer], k: int) -> _Keys:
    """Keys (N,) of the k ids before each place, as `_context_keys` makes them."""
    key = np.zeros(len(at), np.uint64)
    for back in range(1, k + 1):
        key = _longer(key, stream[at - back].astype(np.uint64))
    return key


def _artifacts(levels: Sequence[_Counts], size: int, order: int) -> Artifacts:
    """The arrays of a model of this order, in the smallest types that hold them."""
    weights: dict[str, NDArray[np.generic]] = {"size": np.array([size], np.int64)}
    for k, level in enumerate(levels[:order]):
        counts = level.occurrences if k == order - 1 else level.preceded
        weights[f"keys.{k}"] = level.keys
        weights[f"offsets.{k}"] = level.offsets.astype(np.int32)
        weights[f"ids.{k}"] = level.ids.astype(np.uint16 if size < 1 << 16 else np.int32)
        weights[f"counts.{k}"] = counts.astype(np.uint16 if counts.max() < 1 << 16 else np.int32)
    return Artifacts(weights)


def _expected_unknown(texts: Sequence[Ids]) -> int:
    """How often UNK is counted: half as often as there are characters that only one text has.

    As many new characters are to be expected as there were rare ones (Good 1953); a rare one may also come back.
    """
    in_texts = np.bincount(np.concatenate([np.unique(text) for text in texts]))
    return max(1, int((in_texts == 1).sum()) // 2)


def _context_keys(known: Ids, last: int, order: int) -> Iterator[_Keys]:
    """Keys (B * last,) of the contexts of 0 to order - 1 ids that end at each of the last positions of known (B, S)."""
    end = known.shape[1]
    key = np.zeros((len(known), last), np.uint64)
    for k in range(order):
        yield key.ravel()
        if k + 1 < order:
            older = known[:, end - last - k : end - k].astype(np.uint64)
            key = _longer(key, older)


def _longer(key: _Keys, older: NDArray[np.uint64]) -> _Keys:
    """Keys of contexts that reach one character further back."""
    key = (key ^ (older + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(32))


def _discounts(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Discounts of counts 0 (none), 1, 2, and 3 or more, (4,), by Chen & Goodman's formula, kept within (0, count)."""
    n = np.array([0.0] + [(counts == c).sum() for c in (1, 2, 3, 4)])
    if not n[1:].all():  # too little text for counts of counts
        return np.array([0.0, 0.5, 0.75, 0.75])
    y = n[1] / (n[1] + 2 * n[2])
    raw = [c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3)]
    return np.array([0.0, *(min(max(d, 0.05), c - 0.05) for c, d in zip((1, 2, 3), raw, strict=True))])
