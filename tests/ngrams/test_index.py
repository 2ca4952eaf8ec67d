"""The index over all tables finds what each table finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.ngrams import index as index_module
from kammil.ngrams.compression import CompressedTable, pack
from kammil.ngrams.count_table import CountTable
from kammil.ngrams.index import CountIndex, IndexMatches

KEYS = st.sampled_from(
    [0, 1, 2, 2**30, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, *(n * 0x9E3779B1 % 2**32 for n in range(40))]
)
ASKED = st.lists(st.tuples(KEYS, KEYS, KEYS), min_size=1, max_size=6)
PAIRS = st.lists(st.tuples(KEYS, st.integers(4, 9)), max_size=60)
KINDS, EXPERTS = 3, 8


def table(pairs: list[tuple[int, int]], max_followers: int = 4) -> CountTable:
    keys, ids = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    return CountTable.of([(keys.astype(np.uint32), ids)], max_followers=max_followers)


def index(tables: list[CountTable]) -> CountIndex:
    return CountIndex([CompressedTable(pack(table, ""), "") for table in tables], KINDS, EXPERTS)


def as_dict(known: IndexMatches) -> dict[int, tuple[int, list[tuple[int, float]]]]:
    """Return pruned occurrences, and followers with counts, by context."""
    entries = list(zip(*known.followers.tolist(), strict=True))
    contexts: dict[int, tuple[int, list[tuple[int, float]]]] = {}
    for place, width, pruned in zip(*known.contexts.tolist(), strict=True):
        contexts[place], entries = (pruned, sorted(entries[:width])), entries[width:]
    assert not entries and len(contexts) == known.contexts.shape[1]
    return contexts


def expected(tables: list[CountTable], keys: np.ndarray) -> dict[int, tuple[int, list[tuple[int, float]]]]:
    """As `as_dict`, looked up table by table by binary search."""
    found: dict[int, tuple[int, list[tuple[int, float]]]] = {}
    for number, counted in enumerate(tables):
        for place, at in enumerate(counted.find(keys).reshape(-1).tolist()):
            if at >= 0:
                part = slice(int(counted.starts[at]), int(counted.starts[at + 1]))
                entries = zip(counted.ids[part].tolist(), counted.counts[part].tolist(), strict=True)
                position, kind = divmod(place, KINDS)
                found[position * EXPERTS + number * KINDS + kind] = (int(counted.pruned[at]), sorted(entries))
    return found


@given(PAIRS, PAIRS, ASKED)
def test_it_finds_what_each_table_finds(
    first: list[tuple[int, int]], second: list[tuple[int, int]], asked: list[tuple[int, ...]]
) -> None:
    keys = np.array(asked, np.uint32)
    for tables in ([table(first)], [table(first), table(second)], [table([]), table(second)]):
        assert as_dict(index(tables).look_up(keys)) == expected(tables, keys)


def test_of_equal_keys_the_first_one_is_found() -> None:
    tables = [CountTable.concat([table([(k, 4) for k in range(0, 2**32, 2**24)]), table([(2**24, 5), (2**25, 6)])])]
    keys = np.array([[0, 2**24, 2**25]], np.uint32)
    read = index(tables).look_up(keys)
    assert as_dict(read) == {0: (0, [(4, 1)]), 1: (0, [(4, 1)]), 2: (0, [(4, 1)])}


def test_every_key_of_a_table_that_is_indexed_in_pieces_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_KEYS_AT_ONCE", 3)
    keys = np.random.default_rng(0).integers(0, 2**32, 30 * KINDS, np.uint32)
    large = index([table([(key, 4) for key in keys.tolist()])])
    assert large.look_up(keys.reshape(-1, KINDS)).contexts.shape[1] == keys.size


@given(PAIRS, ASKED)
def test_entries_of_one_table_are_known_the_same(pairs: list[tuple[int, int]], asked: list[tuple[int, ...]]) -> None:
    counted, keys = table(pairs, max_followers=9), np.array(asked, np.uint32)
    read = counted.read(counted.find(keys))
    known = IndexMatches.of(read.flat_index, read.ids, read.counts.astype(np.int64), keys.shape[1], 0, EXPERTS)
    assert as_dict(known) == expected([counted], keys)


def test_keys_that_are_no_hashes_are_refused() -> None:
    with pytest.raises(ValueError, match="no hashes"):
        index([table([(k, 4) for k in range(1000)])])


@given(st.lists(st.sampled_from([1, 255, 256, 65_535, 65_536, 131_072, 2**32 - 1]), min_size=1, max_size=9))
def test_large_counts_are_exact(counts: list[int]) -> None:
    ids, key = np.arange(4, 4 + len(counts)), np.array([7], np.uint32)
    counted = CountTable(key, np.array([len(counts)]), np.array([70_000]), ids, np.array(counts))
    both = index([counted, counted])
    assert as_dict(both.look_up(key.repeat(KINDS)[None])) == expected([counted, counted], key.repeat(KINDS)[None])
    assert as_dict(both.look_up(key.repeat(KINDS)[None])) == expected([counted, counted], key.repeat(KINDS)[None])


@pytest.mark.parametrize("field", ["counts", "ids", "gaps", "widths", "lost"])
def test_a_broken_field_is_refused_wherever_it_is_unpacked(field: str) -> None:
    packed = pack(table([(1, 5), (9, 6)]), "")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        CountIndex([CompressedTable(packed | {field: np.frombuffer(b"no zlib", np.uint8)}, "")], KINDS, EXPERTS)


def test_a_count_of_nothing_is_refused() -> None:
    packed = pack(table([(1, 5)]), "")  # nothing of it was pruned
    with pytest.raises(ValueError, match="never followed"):
        CountIndex([CompressedTable(packed | {"counts": packed["lost"]}, "")], KINDS, EXPERTS)
