"""All tables in one: what each says by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.ngrams.compression import CompressedTable, pack
from kammil.ngrams.count_table import CountTable
from kammil.ngrams.index import CountIndex, IndexMatches

KEYS = st.sampled_from(
    [0, 1, 2, 2**30, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, *(n * 0x9E3779B1 % 2**32 for n in range(40))]
)
ASKED = st.lists(st.tuples(KEYS, KEYS, KEYS), min_size=1, max_size=6)
PAIRS = st.lists(st.tuples(KEYS, st.integers(4, 9)), max_size=60)
KINDS, EXPERTS = 3, 8


def table(pairs: list[tuple[int, int]], most: int = 4) -> CountTable:
    keys, ids = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    return CountTable.of([(keys.astype(np.uint32), ids)], most=most)


def ledger(tables: list[CountTable]) -> CountIndex:
    return CountIndex([CompressedTable(pack(one, ""), "") for one in tables], KINDS, EXPERTS)


def spelled(known: IndexMatches) -> dict[int, tuple[int, list[tuple[int, float]]]]:
    """Occurrences lost, and followers with counts, by place."""
    entries = list(zip(*known.followers.tolist(), strict=True))
    made: dict[int, tuple[int, list[tuple[int, float]]]] = {}
    for place, width, lost in zip(*known.contexts.tolist(), strict=True):
        made[place], entries = (lost, sorted(entries[:width])), entries[width:]
    assert not entries and len(made) == known.contexts.shape[1]
    return made


def expected(tables: list[CountTable], keys: np.ndarray) -> dict[int, tuple[int, list[tuple[int, float]]]]:
    """The same, table by table, by binary search."""
    found: dict[int, tuple[int, list[tuple[int, float]]]] = {}
    for number, one in enumerate(tables):
        for place, at in enumerate(one.find(keys).reshape(-1).tolist()):
            if at >= 0:
                part = slice(int(one.starts[at]), int(one.starts[at + 1]))
                entries = zip(one.ids[part].tolist(), one.counts[part].tolist(), strict=True)
                position, kind = divmod(place, KINDS)
                found[position * EXPERTS + number * KINDS + kind] = (int(one.lost[at]), sorted(entries))
    return found


@given(PAIRS, PAIRS, ASKED)
def test_it_finds_what_each_table_finds(
    one: list[tuple[int, int]], two: list[tuple[int, int]], asked: list[tuple[int, ...]]
) -> None:
    keys = np.array(asked, np.uint32)
    for tables in ([table(one)], [table(one), table(two)], [table([]), table(two)]):
        assert spelled(ledger(tables).look_up(keys)) == expected(tables, keys)


def test_of_equal_keys_the_first_one_is_found() -> None:
    tables = [CountTable.merged([table([(k, 4) for k in range(0, 2**32, 2**24)]), table([(2**24, 5), (2**25, 6)])])]
    keys = np.array([[0, 2**24, 2**25]], np.uint32)
    read = ledger(tables).look_up(keys)
    assert spelled(read) == {0: (0, [(4, 1)]), 1: (0, [(4, 1)]), 2: (0, [(4, 1)])}


@given(PAIRS, ASKED)
def test_entries_of_one_table_are_known_the_same(pairs: list[tuple[int, int]], asked: list[tuple[int, ...]]) -> None:
    one, keys = table(pairs, most=9), np.array(asked, np.uint32)
    read = one.read(one.find(keys))
    known = IndexMatches.of(read.flat_index, read.ids, read.counts.astype(np.int64), keys.shape[1], 0, EXPERTS)
    assert spelled(known) == expected([one], keys)


def test_keys_that_are_no_hashes_are_refused() -> None:
    with pytest.raises(ValueError, match="no hashes"):
        ledger([table([(k, 4) for k in range(1000)])])


@given(st.lists(st.sampled_from([1, 255, 256, 65_535, 65_536, 131_072, 2**32 - 1]), min_size=1, max_size=9))
def test_large_counts_are_whole(counts: list[int]) -> None:
    ids, key = np.arange(4, 4 + len(counts)), np.array([7], np.uint32)
    one = CountTable(key, np.array([len(counts)]), np.array([70_000]), ids, np.array(counts))
    both = ledger([one, one])
    assert spelled(both.look_up(key.repeat(KINDS)[None])) == expected([one, one], key.repeat(KINDS)[None])
    assert spelled(both.look_up(key.repeat(KINDS)[None])) == expected([one, one], key.repeat(KINDS)[None])


@pytest.mark.parametrize("field", ["counts", "ids", "gaps", "widths", "lost"])
def test_a_broken_field_is_refused_wherever_it_is_unpacked(field: str) -> None:
    packed = pack(table([(1, 5), (9, 6)]), "")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        CountIndex([CompressedTable(packed | {field: np.frombuffer(b"no zlib", np.uint8)}, "")], KINDS, EXPERTS)


def test_a_count_of_nothing_is_refused() -> None:
    packed = pack(table([(1, 5)]), "")  # nothing of it was lost
    with pytest.raises(ValueError, match="never followed"):
        CountIndex([CompressedTable(packed | {"counts": packed["lost"]}, "")], KINDS, EXPERTS)
