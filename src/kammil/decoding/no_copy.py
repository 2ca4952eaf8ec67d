"""No verbatim copy: the character is refused that would make a run of copied letters longer than k.

What is known of the training texts is a Bloom filter of their runs of 12 letters (`kammil.data.bloom`), so k is
at least 12.
More than k letters in a row count as copied if each of their runs of 12 is known. That errs on one side only: a
stretch of a training text is never missed, so no completion holds more than k letters of one in a row. What is refused
beyond need: letters that no training text holds in one piece, but whose runs of 12 stand in several; and, by chance, a
new stretch of k + 1 letters with probability q ** (k - 10), where q is how often the filter takes a new run for a known
one: 0.05 as a rule, at most 0.4 for a filter of a large corpus, such as the bundled model's. There, from k = 18 on,
that is less than one in a thousand.

Letters are those of `text.fold` (no spaces, no vowel points), so that a comma more makes no copy new. Only what is
written counts: a prompt that is a known text may be continued, for k letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.data.bloom import RUN, BloomFilter
from kammil.text import fold

_ADDRESS = regex.compile(r"[@＠]|//|www\.", regex.IGNORECASE)
"""Without any of these there is no address or handle in a text, nor will there be with one letter more."""
_BACK = 32
"""Letters before the end that one more character may still change: a mark composes with the letter it stands on."""


class NoCopy:
    """The filter for texts over some characters.

    Args:
        k: letters in a row that may be copied, at least 12.
        runs: those of the training texts.
        pieces: the character of each id, (V,); "" for one that cannot be written.
    """

    def __init__(self, k: int, runs: BloomFilter, pieces: Sequence[str]) -> None:
        """Find out which characters may add letters, and which may change those before them."""
        self._k, self._runs, self._size = k, runs, len(pieces)
        folded = [fold(piece) for piece in pieces]
        joiners = [id for id, piece in enumerate(pieces) if piece and _joins(piece)]
        self._joiners = [(id, pieces[id]) for id in joiners]
        self._reach = 1 + max((len(folded[id]) for id in joiners), default=0)
        others = [id for id in range(len(pieces)) if folded[id] and id not in set(joiners)]
        # A ligature may stand for a whole phrase of 18 letters, and would have all others looked at in every step.
        widths = sorted({len(folded[id]) for id in others})
        self._others = {n: [(id, pieces[id], folded[id]) for id in others if len(folded[id]) == n] for n in widths}

    def refused_ids(self, text: str) -> NDArray[np.bool_] | None:
        """Which ids must not follow a text that holds no such copy, (V,); None if all may."""
        letters = fold(text)[-(self._k + _BACK) :]
        copied = RUN - 1 + _stretches(self._runs.contains([letters]))[0]  # (L - 11,)
        last = min(len(letters), RUN - 1 if len(copied) == 0 else int(copied[-1]))
        longer: list[tuple[int, str]] = []
        for width, pieces in self._others.items():
            if last + width > self._k:
                if _ADDRESS.search(text):  # one more letter may make an address, whose letters are none
                    longer += [(id, fold(text + piece)) for id, piece, _ in pieces]
                else:
                    longer += [(id, letters[-self._k :] + folded) for id, _, folded in pieces]
        if copied[-_BACK:].max(initial=last) + self._reach > self._k:
            longer += [(id, fold(text + piece)) for id, piece in self._joiners]
        if not longer:
            return None
        refused = np.zeros(self._size, np.bool_)
        longer = [(id, tail[-(self._k + _BACK) :]) for id, tail in longer]
        for _, group in groupby(sorted(longer, key=lambda one: len(one[1])), key=lambda one: len(one[1])):
            ids, texts = zip(*group, strict=True)
            most = _stretches(self._runs.contains(texts)).max(axis=1, initial=0)  # (N,)
            refused[list(ids)] = most + RUN - 1 > self._k
        return refused if refused.any() else None


def _joins(piece: str) -> bool:
    """Whether a character may compose with the one before: a mark, or a part of a Korean syllable."""
    first = unicodedata.normalize("NFKD", piece)[0]
    return unicodedata.category(first)[0] == "M" or "\u1100" <= first <= "\u11ff"


def _stretches(known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many known runs stand in a row up to each one, (N, R)."""
    count = known.cumsum(axis=1)
    return count - np.maximum.accumulate(np.where(known, 0, count), axis=1)
