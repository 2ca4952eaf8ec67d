"""Tables of counts against dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.language_model import Ids
from kammil.ngrams.compression import pack
from kammil.ngrams.count_table import (
    Contribution,
    CountTable,
    Keys,
    Matches,
    count_cutoffs,
    expand,
    keys_of,
    levels,
    runs,
)

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=60)
POSITIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(3, 5), st.integers(0, 4)), max_size=20)
"""A context of each of two types, and what followed."""


def table(pairs: list[tuple[int, int]], *, max_followers: int = 9, min_count: int = 1) -> CountTable:
    """A table of two context types: contexts below 3, and the others."""
    parts = [[p for p in pairs if (p[0] < 3) == low] for low in (True, False)]
    return CountTable.of(
        ((np.array([c for c, _ in part], np.uint32), np.array([f for _, f in part], np.int64)) for part in parts),
        max_followers=max_followers,
        min_count=min_count,
    )


def as_dict(entries: Matches) -> tuple[list[list[tuple[float, float]]], dict[tuple[int, int], float]]:
    """Return totals and distinct of every context, and the count of every (context, id)."""
    ends = np.stack([entries.totals, entries.distinct], axis=-1).tolist()
    return ends, {
        (int(p), int(i)): float(c) for p, i, c in zip(entries.flat_index, entries.ids, entries.counts, strict=True)
    }


@given(PAIRS, st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_what_is_read_is_what_was_counted(pairs: list[tuple[int, int]], asked: list[int]) -> None:
    counted = table(pairs)
    wanted: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for context, follower in pairs:
        wanted[context][follower] += 1
    entries = counted.read(counted.find(np.array(asked, np.uint32)[:, None]))
    totals, counts = as_dict(entries)
    assert totals == [[[wanted[c].total(), len(wanted[c])]] for c in asked]
    assert counts == {(p, f): n for p, c in enumerate(asked) for f, n in wanted[c].items()}
    assert (np.diff(entries.flat_index) >= 0).all()


@given(PAIRS, PAIRS, st.integers(1, 3))
def test_reading_without_a_text_is_having_counted_the_rest(
    rest: list[tuple[int, int]], text: list[tuple[int, int]], min_count: int
) -> None:
    full, rest_alone = (table(pairs, min_count=min_count) for pairs in (rest + text, rest))
    asked = np.arange(6, dtype=np.uint32)[:, None]
    contexts, followers = (np.array([p[i] for p in text], np.int64) for i in (0, 1))
    part = Contribution.of(full.find(contexts.astype(np.uint32)[:, None]), followers)
    without = full.read_without(full.find(asked), [part], min_count=min_count)
    assert as_dict(without) == as_dict(rest_alone.read(rest_alone.find(asked)))


def test_no_count_is_too_large_to_be_told_from_the_next() -> None:
    """A capped count would show which followers a text has, by what is missing from the cap."""
    rest, text = [(1, 2)] * 70_000 + [(1, 3)] * 80_000, [(1, 2), (1, 2)]
    full, rest_alone = table(rest + text), table(rest)
    found = full.find(np.array([[1]], np.uint32))
    without = full.read_without(found, [Contribution.of(found.repeat(2, axis=0), np.array([2, 2]))])
    assert as_dict(without) == as_dict(rest_alone.read(rest_alone.find(np.array([[1]], np.uint32))))
    assert as_dict(without)[1] == {(0, 2): 70_000, (0, 3): 80_000}


def test_another_row_keeps_its_counts() -> None:
    counted = table([(1, 2), (1, 2), (1, 3)])
    found = counted.find(np.array([[1], [1]], np.uint32))
    entries = counted.read_without(
        found, [Contribution.of(found[:1], np.array([2])), Contribution.of(found[:0], np.array([], np.int64))]
    )
    assert as_dict(entries) == ([[[2, 2]], [[3, 2]]], {(0, 2): 1, (0, 3): 1, (1, 2): 2, (1, 3): 1})


def test_what_a_text_lacks_and_nobody_counted_takes_nothing_away() -> None:
    """Two contexts with one key: the one that is found may never have had what the other's text subtracts."""
    counted = table([(1, 2)])
    found = counted.find(np.array([[1]], np.uint32))
    entries = counted.read_without(found, [Contribution.of(found.repeat(3, axis=0), np.array([3, 3, 4]))])
    assert as_dict(entries) == ([[[1, 1]]], {(0, 2): 1})


def test_only_the_commonest_followers_stay() -> None:
    counted = table([(1, 0), (1, 1), (1, 1), (1, 2), (1, 2), (1, 2), (4, 0)], max_followers=2, min_count=2)
    entries = counted.read(counted.find(np.array([[1], [4]], np.uint32)))
    assert as_dict(entries) == ([[[6, 3]], [[0, 0]]], {(0, 1): 2, (0, 2): 3})


@given(PAIRS, st.integers(1, 4))
def test_pruning_what_is_read_equals_pruning_the_table(pairs: list[tuple[int, int]], cutoff: int) -> None:
    counted = table(pairs)
    asked = np.arange(6, dtype=np.uint32)[:, None]
    entries = counted.read(counted.find(asked))
    totals = counted.read(np.arange(len(counted), dtype=np.int32)[:, None]).totals[:, 0]
    fewer = counted.select(totals >= cutoff)
    assert as_dict(entries.prune(np.array([cutoff]))) == as_dict(fewer.read(fewer.find(asked)))


@given(POSITIONS, POSITIONS, POSITIONS)
def test_each_row_is_read_without_its_text_for_every_context_type(
    rest: list[tuple[int, int, int]], first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]
) -> None:
    def counted(positions: list[tuple[int, int, int]]) -> CountTable:
        return table([(context, follower) for *contexts, follower in positions for context in contexts])

    full = counted(rest + first + second)
    asked = np.array([[0, 3], [1, 4], [2, 5]], np.uint32)
    parts = [
        Contribution.of(
            full.find(np.array([contexts for *contexts, _ in text], np.uint32).reshape(-1, 2)),
            np.array([follower for *_, follower in text], np.int64),
        )
        for text in (first, second)
    ]
    totals, counts = as_dict(full.read_without(full.find(np.concatenate([asked, asked])), parts))
    for row, left in enumerate((rest + second, rest + first)):
        fewer = counted(left)
        expected = as_dict(fewer.read(fewer.find(asked)))
        assert totals[3 * row : 3 * row + 3] == expected[0]
        assert {(p - 6 * row, i): n for (p, i), n in counts.items() if p // 6 == row} == expected[1]


@pytest.mark.parametrize(
    ("followers", "expected"),
    [
        ([0], ([[[5, 2]]], {(0, 1): 2, (0, 2): 3})),  # it had been pruned
        ([2], ([[[5, 3]]], {(0, 1): 2, (0, 2): 2})),
        ([1, 1], ([[[4, 2]]], {(0, 2): 3})),
    ],
)
def test_pruned_followers_can_be_subtracted_too(followers: list[int], expected: object) -> None:
    counted = table([(1, 0), (1, 1), (1, 1), (1, 2), (1, 2), (1, 2)], max_followers=2)
    found = counted.find(np.array([[1]], np.uint32))
    part = Contribution.of(found.repeat(len(followers), axis=0), np.array(followers))
    assert as_dict(counted.read_without(found, [part])) == expected


def test_contexts_of_two_kinds_may_have_one_key() -> None:
    counted = table([(1, 2), (1, 2), (1, 3)])
    found = counted.find(np.array([[1, 1], [1, 9]], np.uint32))
    part = Contribution.of(found, np.array([2, 3]))
    assert part.counts.tolist() == [2, 1]
    assert (np.diff(part.pairs) > 0).all()


def test_of_the_commonest_equals_the_lower_ids_stay() -> None:
    counted = table([(1, follower) for follower in (4, 3, 2, 1, 0)], max_followers=2)
    assert as_dict(counted.read(counted.find(np.array([[1]], np.uint32)))) == ([[[5, 5]]], {(0, 0): 1, (0, 1): 1})


def test_each_context_type_has_its_own_cutoff() -> None:
    counted = table([(1, 0), (1, 1), (4, 2)])
    entries = counted.read(counted.find(np.array([[1, 4], [4, 1], [7, 1]], np.uint32)))
    assert as_dict(entries.prune(np.array([1, 2]))) == (
        [[[2, 2], [0, 0]], [[1, 1], [2, 2]], [[0, 0], [2, 2]]],
        {(0, 0): 1, (0, 1): 1, (2, 2): 1, (3, 0): 1, (3, 1): 1, (5, 0): 1, (5, 1): 1},
    )


def test_of_two_tables_the_first_is_found() -> None:
    counted = CountTable.concat([table([(1, 2)]), table([(1, 3), (1, 3), (0, 4)])])
    assert len(counted) == 3
    assert as_dict(counted.read(counted.find(np.array([[0], [1]], np.uint32))))[1] == {(0, 4): 1, (1, 2): 1}


def test_a_table_of_nothing_knows_nothing() -> None:
    counted = table([])
    found = counted.find(np.array([[0, 7]], np.uint32))
    assert found.tolist() == [[-1, -1]] and len(counted) == 0
    assert as_dict(counted.read(found)) == ([[[0, 0], [0, 0]]], {})
    part = Contribution.of(found, np.array([3]))
    assert as_dict(counted.read_without(found, [part])) == ([[[0, 0], [0, 0]]], {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": [3, 1]},
        {"keys": [1]},
        {"keys": [[1, 3]]},
        {"num_followers": [1, 1]},
        {"num_followers": [3, 0]},
        {"num_followers": [1]},
        {"pruned": [0]},
        {"ids": [5, 6]},
        {"counts": [1, 1]},
        {"counts": [1, 0, 1]},
    ],
)
def test_arrays_that_do_not_fit_are_refused(wrong: dict[str, list[int]]) -> None:
    fitting = {"keys": [1, 3], "num_followers": [1, 2], "pruned": [0, 4], "ids": [5, 5, 6], "counts": [1, 1, 1]}

    def build(arrays: dict[str, list[int]]) -> CountTable:
        return CountTable(*(np.array(arrays[name], np.uint32) for name in fitting))

    assert len(build(fitting)) == 2 and build(fitting | {"keys": [3, 3]}).totals.tolist() == [1, 6]
    with pytest.raises(ValueError, match="the counts of contexts"):
        build(fitting | wrong)


def test_what_was_never_seen_is_minus_one() -> None:
    counted = table([(1, 0), (4, 0)])
    assert counted.find(np.array([[0, 1, 2], [4, 5, 9]], np.uint32)).tolist() == [[-1, 0, -1], [1, -1, -1]]


def test_ranges_and_runs() -> None:
    assert expand(np.array([5, 0, 7]), np.array([2, 0, 3])).tolist() == [5, 6, 7, 8, 9]
    assert expand(np.array([], np.int64), np.array([], np.int64)).tolist() == []
    assert [part.tolist() for part in runs(np.array([2, 2, 5, 7, 7, 7]))] == [[0, 2, 3], [2, 1, 3]]
    assert [part.tolist() for part in runs(np.array([], np.int64))] == [[], []]
    assert keys_of(np.array([(7 << 32) + 9], np.uint64)).tolist() == [7]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 1 << 22), min_size=1, max_size=4), min_size=1, max_size=5), st.integers(0, 1 << 20)
)
def test_counts_fit_16_bits_in_nearly_the_same_shares(counts: list[list[int]], pruned: int) -> None:
    widths = np.array([len(row) for row in counts])
    table = CountTable(
        np.arange(len(counts), dtype=np.uint32),
        widths,
        np.full(len(counts), pruned),
        np.concatenate([np.arange(n) for n in widths]),
        np.concatenate(counts),
    )
    fitted = table.fit_16_bits()
    assert fitted.counts.max() < 1 << 16 and fitted.pruned.max() < 1 << 16 and fitted.counts.min() >= 1
    if max(map(max, counts)) < 1 << 16 and pruned < 1 << 16:
        assert fitted is table
    for i, (begin, width) in enumerate(zip(table.starts, widths, strict=False)):
        row = slice(int(begin), int(begin) + int(width))
        shares = (t.counts[row] / (t.counts[row].sum() + t.pruned[i]) for t in (table, fitted))
        assert next(shares) == pytest.approx(next(shares), abs=1e-3)


# ---- cutoffs

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
