"""Find texts that must not be learnt from because they resemble others: those of a test, or a base model's.

`near_duplicates` joins texts for a split, where a missed pair costs little, and a false pair makes groups large. Here
a missed pair is a test text that is memorised, so three rules apply.

- The rule of the splits: 30 % of the shorter text's 15-letter runs.
- `QUOTATION_RULE`: 40 % of its 8-letter runs after spelling is folded too, and 16 of them. A quotation from memory has
  a word changed here and there, which breaks runs of 15. The 16 (23 letters in a row) are longer than common formulas:
  of 45 texts found with 8 or more, half shared nothing but "there is no power but in God" and the like, of 40 found
  with 16 five did.
- `VERSION_RULE`: versions of an excluded text, which share half of the *longer* text, are excluded too. Chains of pairs
  that share a part of the shorter text lead anywhere, since "peace upon our prophet" stands in texts with nothing else
  in common: from 3,119 tweets into 170,000 other texts they led to 1,604 more, of which none of 40 resembled a tweet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.data.near_duplicates import RULE, Rule, groups, nearest_duplicates
from kammil.data.shingles import loose_key

QUOTATION_RULE = Rule(shingle=8, share=0.4, min_shared=16, key=loose_key)
"""Quotations in any spelling (docs/log.md#which-near-duplicates-do-15-letter-runs-not-find)."""
VERSION_RULE = Rule(share=0.5, longer=True)
_PART = 100_000
"""Texts compared at a time, since the 8-letter runs that they share among themselves would fill the memory."""


def resembling(texts: Sequence[str], among: Sequence[str]) -> NDArray[np.bool_]:
    """Return for each text, (N,), whether it resembles one of `among`, or is a version of one that does."""
    similar = np.zeros(len(texts), np.bool_)
    for start in range(0, len(texts), _PART):
        part = slice(start, start + _PART)
        for rule in (RULE, QUOTATION_RULE):
            similar[part] |= nearest_duplicates(texts[part], among, rule) >= 0
    version = groups(texts, VERSION_RULE)
    return np.isin(version, version[similar])
