"""Packed tables unpack to the same tables; broken ones are refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.ngrams.compression import pack, unpack
from kammil.ngrams.count_table import CountTable

FIELDS = ("keys", "num_followers", "pruned", "ids", "counts")


def table(pairs: list[tuple[int, int]], max_followers: int = 2) -> CountTable:
    keys, ids = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    return CountTable.of([(keys.astype(np.uint32), ids)], max_followers=max_followers)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 7, 300, 2**31, 2**32 - 1]), st.integers(0, 2**16 - 1)), max_size=40))
def test_packing_is_reversible(pairs: list[tuple[int, int]]) -> None:
    original = table(pairs)
    unpacked = unpack(pack(original, "x."), "x.")
    for field in FIELDS:
        assert (getattr(original, field) == getattr(unpacked, field)).all()


def test_a_context_with_one_follower_takes_few_bytes() -> None:
    drawn = np.random.default_rng(0)
    contexts, followers = drawn.integers(0, 2**32, 100_000), drawn.geometric(0.1, 100_000)
    packed = pack(table(list(zip(contexts.tolist(), followers.tolist(), strict=True))), "")
    assert sum(array.nbytes for array in packed.values()) / 100_000 < 3.5  # 8 as plain arrays of keys and ids alone


def compress(numbers: list[int]) -> np.ndarray:
    planes = np.array(numbers, "<u4").view(np.uint8).reshape(-1, 4).T
    return np.frombuffer(zlib.compress(planes.tobytes()), np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        {"gaps": compress([1])},  # another number than said
        {"gaps": compress([2**32 - 1, 2])},  # keys beyond 32 bits
        {"widths": compress([1, 2])},  # more followers than there are
        {"widths": compress([0, 2])},
        {"counts": compress([1, 0])},
        {"ids": compress([1, 2, 3])},
        {"ids": np.frombuffer(b"no zlib at all", np.uint8)},
        {"ids": np.array([1, 2])},
        {"sizes": np.array([2, 3])},
        {"sizes": np.array([2**40, 2])},
        {"sizes": np.array([-1, 2])},
        {"sizes": np.array([2.0, 2.0])},
        {"sizes": np.array([2])},
    ],
)
def test_broken_tables_are_refused(change: dict[str, np.ndarray]) -> None:
    arrays = pack(table([(1, 5), (9, 6)]), "")
    unpack(arrays, "")
    with pytest.raises(ValueError, match="counts"):
        unpack(arrays | change, "")


def test_a_table_that_swells_is_stopped() -> None:
    arrays = pack(table([(1, 5), (9, 6)]), "")
    bomb = np.frombuffer(zlib.compress(bytes(1 << 26), 9), np.uint8)
    with pytest.raises(ValueError, match="another size"):
        unpack(arrays | {"ids": bomb}, "")


def test_a_table_of_more_contexts_than_its_bytes_can_hold_is_stopped() -> None:
    def packed(contexts: int) -> dict[str, np.ndarray]:
        ones = np.frombuffer(
            zlib.compress(np.repeat(np.array([1, 0, 0, 0], np.uint8), contexts).tobytes(), 9), np.uint8
        )
        fields = dict.fromkeys(("gaps", "widths", "lost", "ids", "counts"), ones)
        return {**fields, "sizes": np.array([contexts, contexts], np.int64)}

    assert len(unpack(packed(1 << 20), "").keys) == 1 << 20
    with pytest.raises(ValueError, match="no size that it may have"):
        unpack(packed((1 << 20) + 1), "")  # a legal table else, whose keys are no hashes
