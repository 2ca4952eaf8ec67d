"""Texts that must not be learnt from because they resemble others: those of a test, or a model's own.

`near_duplicates` joins texts for a split, where a missed pair costs little, and a pair too many makes groups large.
Here a missed pair is a test text that is known by heart, so three rules look.

- The rule of the splits: 30 % of the shorter text's 15-letter runs.
- `SPELLED`: 40 % of its 8-letter runs after spelling is folded too, and 16 of them. A quotation from memory has a
  word changed here and there, which breaks runs of 15. The 16 (23 letters in a row) are longer than what everybody
  says: of 45 texts found with 8 or more, half shared nothing but "there is no power but in God" and the like, of 40
  found with 16 five did.
- `SAME`: what resembles one that goes goes too, if half of the *longer* text is the same. Chains of pairs that share
  a part of the shorter one lead anywhere, since "peace upon our prophet" stands in texts with nothing else in common:
  from 3,119 tweets into 170,000 other texts they led to 1,604 more, of which none of 40 resembled a tweet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.data.near_duplicates import RULE, Rule, groups, nearest_duplicates
from kammil.data.shingles import loose_key

SPELLED = Rule(shingle=8, share=0.4, least=16, key=loose_key)
"""Quotations in any spelling (docs/log.md#which-near-duplicates-do-15-letter-runs-not-find)."""
SAME = Rule(share=0.5, longer=True)
"""Two versions of one text."""


def resembling(texts: Sequence[str], among: Sequence[str]) -> NDArray[np.bool_]:
    """Which texts resemble one of `among`, or another one that does, (N,)."""
    near = (nearest_duplicates(texts, among, RULE) >= 0) | (nearest_duplicates(texts, among, SPELLED) >= 0)
    version = groups(texts, SAME)
    return np.isin(version, version[near])
