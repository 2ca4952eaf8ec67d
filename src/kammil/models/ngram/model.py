"""N-gram model with interpolated modified Kneser-Ney smoothing.

After a context of k characters, relative frequencies are discounted, and the freed probability goes to the estimate
after the last k - 1 characters, down to a uniform choice. Below the longest context a character counts once for each
different character before it (Kneser & Ney 1995; Chen & Goodman 1999, section 3: three discounts for each order). A
context that was pruned has the estimate of the next shorter one.

Shapes: B batch, T time, V vocabulary, N = B * T positions, K order, C contexts, F followers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kammil.language_model import Artifacts, Ids, LogProbabilities, SavedModel, Settings, State, max_positions
from kammil.ngrams.count_table import CountTable, expand
from kammil.vocabulary import CODE_POINTS, EOS, PAD, SPECIALS, UNK

MAX_ORDER = 8
"""Longest order tried (docs/log.md#which-smoothing-and-which-order)."""

Keys = NDArray[np.uint64]


class NGramSettings(Settings):
    """Settings of an n-gram model."""

    order: int | None = Field(default=None, ge=1, le=16)
    """Order K, the next character included; None lets the validation texts choose."""
    megabytes: float | None = Field(default=40, gt=0)
    """Maximum megabytes of the counts in the folder; contexts that help least for their size are left out, below some
    two million characters none. None keeps all."""


class NGramModel(SavedModel):
    """Runs an n-gram model; `KeyError` or `ValueError` for arrays that do not fit."""

    def __init__(self, settings: NGramSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        if settings.order is None:
            raise ValueError("the order of a counted model must be set")
        (size,) = whole_numbers(weights["size"]).tolist()
        if not EOS < size <= SPECIALS + CODE_POINTS:
            raise ValueError(f"{size} is no size of a vocabulary")
        self.vocabulary_size = int(size)
        self._order = settings.order
        self._levels = [_Level(weights, k, self.vocabulary_size) for k in range(settings.order)]
        self._uniform = np.zeros(self.vocabulary_size)
        self._uniform[EOS:] = self._uniform[UNK] = 1 / (self.vocabulary_size - 2)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a counted model."""
        return cls(NGramSettings.model_validate(settings), artifacts.weights)

    def initial_state(self, batch: int) -> State:
        """Return the last K - 1 ids, (B, K - 1), all PAD."""
        return (np.full((batch, self._order - 1), PAD, np.int64),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Look up the contexts of the last positions."""
        history = np.concatenate([state[0].astype(np.int64), ids], axis=1)  # (B, K - 1 + T)
        wanted = ids.shape[1] if last is None else last
        keys = list(context_keys(history, wanted, self._order))  # (N,) each
        rows = np.empty((len(ids) * wanted, self.vocabulary_size), np.float32)
        piece = max_positions(len(rows), self.vocabulary_size)
        for begin in range(0, len(rows), piece):
            part = slice(begin, begin + piece)
            p = np.tile(self._uniform, (len(rows[part]), 1))  # (N, V)
            for level, contexts in zip(self._levels, keys, strict=True):
                level.refine(p, contexts[part])
            with np.errstate(divide="ignore"):
                rows[part] = np.log(p, out=p)
        return rows.reshape(len(ids), wanted, self.vocabulary_size), (history[:, history.shape[1] - self._order + 1 :],)


class _Level:
    """Smoothed probabilities after contexts of k ids."""

    def __init__(self, weights: Mapping[str, NDArray[np.generic]], k: int, size: int) -> None:
        keys, offsets, ids, counts = (
            whole_numbers(weights[f"{name}.{k}"]) for name in ("keys", "offsets", "ids", "counts")
        )
        ids, counts, starts = ids.astype(np.int64), counts.astype(np.float64), offsets[:-1].astype(np.int64)
        if len(keys) == 0 or len(offsets) != len(keys) + 1 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise ValueError("the counts are not consistent")
        if (offsets[1:] <= offsets[:-1]).any() or ((ids < UNK) | (ids >= size)).any():  # differences may wrap
            raise ValueError("the counts are not consistent")
        widths = np.diff(offsets.astype(np.int64))
        self._table = CountTable(keys.astype(np.uint64), widths, np.zeros_like(widths), ids, counts.astype(np.int64))
        stored = weights.get(f"discounts.{k}")
        taken_off = discounts(counts) if stored is None else stored.astype(np.float64)
        if taken_off.shape != (4,) or not ((taken_off[1:] > 0) & (taken_off[1:] < [1, 2, 3])).all():
            raise ValueError("the discounts are not consistent")
        discount = taken_off[np.minimum(counts, 3).astype(np.int64)]  # (F,)
        totals = np.add.reduceat(counts, starts)  # (C,)
        self._probabilities = (counts - discount) / np.repeat(totals, widths)  # (F,)
        self._backoff = np.add.reduceat(discount, starts) / totals  # (C,)

    def refine(self, p: NDArray[np.float64], keys: Keys) -> None:
        """Interpolate estimates p, (N, V), of shorter contexts with those of keys, (N,), in place."""
        table, found = self._table, self._table.find(keys)
        rows = np.flatnonzero(found >= 0)
        found = found[rows]
        p[rows] *= self._backoff[found, None]
        lengths = table.num_followers[found]
        followers = expand(table.starts[found], lengths)
        p[np.repeat(rows, lengths), table.ids[followers]] += self._probabilities[followers]


def whole_numbers(array: NDArray[np.generic]) -> NDArray[np.integer]:
    """Return the array; `ValueError` for anything but whole numbers, (n,)."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("an array is no list of whole numbers")
    return cast(NDArray[np.integer], array)


def context_keys(history: Ids, last: int, order: int) -> Iterator[Keys]:
    """Yield the keys (B * last,) of contexts of 0 to order - 1 ids at the last positions of history (B, S)."""
    end = history.shape[1]
    key = np.zeros((len(history), last), np.uint64)
    for k in range(order):
        yield key.ravel()
        if k + 1 < order:
            older = history[:, end - last - k : end - k].astype(np.uint64)
            key = extend_keys(key, older)


def extend_keys(key: Keys, older: NDArray[np.uint64]) -> Keys:
    """Return the keys of contexts one character longer."""
    key = (key ^ (older + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(32))


def discounts(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return Chen & Goodman's discounts of counts 0, 1, 2, and 3 or more, (4,), within (0, count)."""
    n = np.array([0.0] + [(counts == c).sum() for c in (1, 2, 3, 4)])
    if not n[1:].all():  # too little text
        return np.array([0.0, 0.5, 0.75, 0.75])
    y = n[1] / (n[1] + 2 * n[2])
    raw = [c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3)]
    return np.array([0.0, *(min(max(d, 0.05), c - 0.05) for c, d in zip((1, 2, 3), raw, strict=True))])
