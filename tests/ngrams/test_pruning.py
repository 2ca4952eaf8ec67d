"""What goes first when tables must be small."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.language_model import Ids
from kammil.ngrams.compression import pack
from kammil.ngrams.count_table import CountTable, Keys
from kammil.ngrams.pruning import count_cutoffs

SEEN = 3000


def kind(seed: int) -> tuple[CountTable, Keys]:
    """3,000 contexts, a third seen once, twice and three times; their keys in that order."""
    keys = np.random.default_rng(seed).choice(2**32, SEEN, replace=False).astype(np.uint32)
    times = np.repeat([1, 2, 3], SEEN // 3)
    return CountTable.of([(np.repeat(keys, times), np.repeat(np.full(SEEN, 7), times))], most=4), keys


def test_without_a_budget_nothing_goes() -> None:
    table, keys = kind(0)
    (least,) = count_cutoffs([[table]], keys[:, None], np.full(SEEN, 7), None)
    assert least.tolist() == [1]


def test_what_helped_nobody_goes_first() -> None:
    (useful, one), (useless, other) = kind(1), kind(2)
    positions: Keys = np.stack([one, np.roll(other, 1)], axis=1)
    followers: Ids = np.full(SEEN, 7)
    read = np.where(np.arange(2) == 0, positions, np.uint32(0))  # the second kind is never met
    size = sum(sum(a.nbytes for a in pack(t, "").values()) for t in (useful, useless)) / 1e6
    for megabytes, expected in ((size, [1, 1]), (0.8 * size, [1, 3]), (0.5 * size, [1, 4])):
        (least,) = count_cutoffs([[useful, useless]], read, followers, megabytes)
        assert least[0] == expected[0]
        assert least[1] >= expected[1] - 1


def test_a_follower_never_seen_is_no_help() -> None:
    (told, one), (untold, other) = kind(1), kind(2)
    followers: Ids = np.where(np.arange(2 * SEEN) < SEEN, 7, 8)  # every context is met, but what follows differs
    positions: Keys = np.zeros((2 * SEEN, 2), np.uint32)
    positions[:SEEN, 0], positions[SEEN:, 1] = one, other
    (least,) = count_cutoffs([[told, untold]], positions, followers, 0.015)
    assert least[0] == 1 and least[1] > 1


@pytest.mark.parametrize("megabytes", [0.002, 0.005, 0.008])
def test_the_budget_is_kept(megabytes: float) -> None:
    table, keys = kind(4)
    (least,) = count_cutoffs([[table]], keys[:, None], np.full(SEEN, 7), megabytes)
    kept = table.where(table.totals >= least[0])
    assert sum(array.nbytes for array in pack(kept, "").values()) <= 1.2e6 * megabytes + 200
