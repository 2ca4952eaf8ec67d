"""Which contexts a size budget prunes first."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.language_model import Ids
from kammil.ngrams.compression import pack
from kammil.ngrams.count_table import CountTable, Keys, count_cutoffs, levels

SEEN = 3000


def build(seed: int) -> tuple[CountTable, Keys]:
    """Build a table of 3,000 contexts, a third each seen once, twice and three times; return it and the keys."""
    keys = np.random.default_rng(seed).choice(2**32, SEEN, replace=False).astype(np.uint32)
    times = np.repeat([1, 2, 3], SEEN // 3)
    return CountTable.of([(np.repeat(keys, times), np.repeat(np.full(SEEN, 7), times))], max_followers=4), keys


def cutoffs_of(tables: list[CountTable], keys: Keys, followers: Ids, megabytes: float | None) -> list[int]:
    kinds = [levels([table], keys[:, k], followers) for k, table in enumerate(tables)]
    (cutoffs,) = count_cutoffs([kinds], megabytes)
    for levels_of_one, cutoff in zip(kinds, cutoffs, strict=True):
        ((alone,),) = count_cutoffs([[levels_of_one]], megabytes)
        assert alone <= cutoff
    return cutoffs.tolist()


def test_without_a_budget_nothing_is_pruned() -> None:
    table, keys = build(0)
    cutoffs = cutoffs_of([table], keys[:, None], np.full(SEEN, 7), None)
    assert cutoffs == [1]


def test_contexts_without_hits_are_pruned_first() -> None:
    (useful, useful_keys), (useless, useless_keys) = build(1), build(2)
    positions: Keys = np.stack([useful_keys, np.roll(useless_keys, 1)], axis=1)
    followers: Ids = np.full(SEEN, 7)
    read = np.where(np.arange(2) == 0, positions, np.uint32(0))  # the second type never occurs
    size = sum(sum(a.nbytes for a in pack(t, "").values()) for t in (useful, useless)) / 1e6
    for megabytes, expected in ((size, [1, 1]), (0.8 * size, [1, 3]), (0.5 * size, [1, 4])):
        cutoffs = cutoffs_of([useful, useless], read, followers, megabytes)
        assert cutoffs[0] == expected[0]
        assert cutoffs[1] >= expected[1] - 1


def test_a_context_with_other_followers_is_no_hit() -> None:
    (right, right_keys), (wrong, wrong_keys) = build(1), build(2)
    followers: Ids = np.where(
        np.arange(2 * SEEN) < SEEN, 7, 8
    )  # every context occurs, with other followers in the second table
    positions: Keys = np.zeros((2 * SEEN, 2), np.uint32)
    positions[:SEEN, 0], positions[SEEN:, 1] = right_keys, wrong_keys
    cutoffs = cutoffs_of([right, wrong], positions, followers, 0.015)
    assert cutoffs[0] == 1 and cutoffs[1] > 1


@pytest.mark.parametrize("megabytes", [0.002, 0.005, 0.008])
def test_the_budget_is_kept(megabytes: float) -> None:
    table, keys = build(4)
    cutoffs = cutoffs_of([table], keys[:, None], np.full(SEEN, 7), megabytes)
    kept = table.select(table.totals >= cutoffs[0])
    assert sum(array.nbytes for array in pack(kept, "").values()) <= 1.2e6 * megabytes + 200
