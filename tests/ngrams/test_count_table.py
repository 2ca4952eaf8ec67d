"""Tables of counts against dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kammil.ngrams.count_table import Contribution, CountTable, Matches

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=60)


def table(pairs: list[tuple[int, int]], *, most: int = 9, least: int = 1) -> CountTable:
    """Two kinds: contexts below 3, and the others."""
    parts = [[p for p in pairs if (p[0] < 3) == low] for low in (True, False)]
    return CountTable.of(
        ((np.array([c for c, _ in part], np.uint32), np.array([f for _, f in part], np.int64)) for part in parts),
        most=most,
        least=least,
    )


def spelled(entries: Matches) -> tuple[list[list[tuple[float, float]]], dict[tuple[int, int], float]]:
    """Totals and distinct of every place, and count of every (place, id)."""
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
    totals, counts = spelled(entries)
    assert totals == [[[wanted[c].total(), len(wanted[c])]] for c in asked]
    assert counts == {(p, f): n for p, c in enumerate(asked) for f, n in wanted[c].items()}
    assert (np.diff(entries.flat_index) >= 0).all()


@given(PAIRS, PAIRS)
def test_reading_without_a_text_is_having_counted_the_rest(
    rest: list[tuple[int, int]], text: list[tuple[int, int]]
) -> None:
    whole, other = table(rest + text), table(rest)
    asked = np.arange(6, dtype=np.uint32)[:, None]
    contexts, followers = (np.array([p[i] for p in text], np.int64) for i in (0, 1))
    part = Contribution.of(whole.find(contexts.astype(np.uint32)[:, None]), followers)
    without = whole.read_without(whole.find(asked), [part])
    assert spelled(without) == spelled(other.read(other.find(asked)))


def test_no_count_is_too_large_to_be_told_from_the_next() -> None:
    """A cut-off one would show which followers a text has, by what is missing from the limit."""
    rest, text = [(1, 2)] * 70_000 + [(1, 3)] * 80_000, [(1, 2), (1, 2)]
    whole, other = table(rest + text), table(rest)
    found = whole.find(np.array([[1]], np.uint32))
    without = whole.read_without(found, [Contribution.of(found.repeat(2, axis=0), np.array([2, 2]))])
    assert spelled(without) == spelled(other.read(other.find(np.array([[1]], np.uint32))))
    assert spelled(without)[1] == {(0, 2): 70_000, (0, 3): 80_000}


def test_another_row_keeps_its_counts() -> None:
    counted = table([(1, 2), (1, 2), (1, 3)])
    found = counted.find(np.array([[1], [1]], np.uint32))
    entries = counted.read_without(
        found, [Contribution.of(found[:1], np.array([2])), Contribution.of(found[:0], np.array([], np.int64))]
    )
    assert spelled(entries) == ([[[2, 2]], [[3, 2]]], {(0, 2): 1, (0, 3): 1, (1, 2): 2, (1, 3): 1})


def test_what_a_text_lacks_and_nobody_counted_takes_nothing_away() -> None:
    """Of two contexts with one key, the one that is found may never have had what the other's text takes out."""
    counted = table([(1, 2)])
    found = counted.find(np.array([[1]], np.uint32))
    entries = counted.read_without(found, [Contribution.of(found.repeat(3, axis=0), np.array([3, 3, 4]))])
    assert spelled(entries) == ([[[1, 1]]], {(0, 2): 1})


def test_only_the_commonest_followers_stay() -> None:
    counted = table([(1, 0), (1, 1), (1, 1), (1, 2), (1, 2), (1, 2), (4, 0)], most=2, least=2)
    entries = counted.read(counted.find(np.array([[1], [4]], np.uint32)))
    assert spelled(entries) == ([[[6, 3]], [[0, 0]]], {(0, 1): 2, (0, 2): 3})


@given(PAIRS, st.integers(1, 4))
def test_rare_contexts_can_be_left_out(pairs: list[tuple[int, int]], least: int) -> None:
    """Of what is read, or of the table: the same."""
    counted = table(pairs)
    asked = np.arange(6, dtype=np.uint32)[:, None]
    entries = counted.read(counted.find(asked))
    totals = counted.read(np.arange(len(counted), dtype=np.int32)[:, None]).totals[:, 0]
    fewer = counted.where(totals >= least)
    assert spelled(entries.at_least(np.array([least]))) == spelled(fewer.read(fewer.find(asked)))
