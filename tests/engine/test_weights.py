"""Quantized weights are close to the weights, quantizing is idempotent, and invalid arrays are refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kammil.engine.weights import WEIGHT_MAX, pack, quantize_rows, unpack

# Nothing so small that its scale is no normal number.
WEIGHTS = st.integers(-(10**7), 10**7).map(lambda n: np.float32(n / 1000))
MATRICES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=WEIGHTS)


def test_rounding_is_to_the_nearest_of_each_row() -> None:
    weights = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
    weights[:6] *= np.array([0, 1e-3, 1, 5, 100, 1e4], np.float32)[:, None]
    integers, scales = quantize_rows(weights)
    assert np.abs(integers).max() == WEIGHT_MAX
    assert (np.abs(integers * scales[:, None] - weights) <= scales[:, None] / 2 * 1.001).all()


@given(MATRICES)
def test_what_was_packed_once_is_the_same_ever_after(weights: np.ndarray) -> None:
    other = np.arange(3, dtype=np.float16)
    packed = pack({"a.weight": weights, "b": other}, ["a.weight"])
    assert "a.weight" not in packed and packed["b"] is other
    once = unpack(packed)
    assert once.keys() == {"a.weight", "b"} and once["a.weight"].dtype == np.float32
    assert np.abs(once["a.weight"] - weights).max() <= np.abs(weights).max() / WEIGHT_MAX
    again = unpack(pack(once, ["a.weight"]))["a.weight"]
    assert again == pytest.approx(once["a.weight"], rel=1e-6, abs=0)
    assert (
        quantize_rows(once["a.weight"].astype(np.float32))[0] == quantize_rows(weights)[0]
    ).all()  # a product is rounded to the very same


@pytest.mark.parametrize(
    "wrong",
    [
        {"a.shape": np.array([3, 4])},
        {"a.shape": np.array([4, 3])},
        {"a.shape": np.array([-3, -5])},
        {"a.shape": np.array([3.0, 5.0])},
        {"a.shape": np.array([1 << 40, 1 << 40])},
        {"a.scales": np.ones(4, np.float32)},
        {"a.scales": np.full(3, np.nan, np.float32)},
        {"a.scales": np.full(3, np.inf, np.float32)},
        {"a.scales": -np.ones(3, np.float32)},
        {"a.scales": np.ones(3, np.int64)},
        {"a.whole": np.zeros(9, np.uint8)},
        {"a.whole": np.frombuffer(zlib.compress(bytes(1 << 20)), np.uint8)},
        {"a.whole": np.frombuffer(zlib.compress(bytes(15))[:-4], np.uint8)},
        {"a": np.zeros((3, 5), np.float32)},
    ],
)
def test_anything_else_is_refused(wrong: dict[str, np.ndarray]) -> None:
    packed = pack({"a": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)}, ["a"])
    unpack(packed)
    with pytest.raises(ValueError, match="a "):
        unpack(packed | wrong)


@pytest.mark.parametrize("missing", ["a.scales", "a.shape"])
def test_a_part_that_is_missing_is_refused(missing: str) -> None:
    packed = pack({"a": np.ones((3, 5), np.float32)}, ["a"])
    del packed[missing]
    with pytest.raises(ValueError, match="a says no size"):
        unpack(packed)


def test_many_matrices_that_hold_nothing_are_refused() -> None:
    """Each may be as large as this; together they would fill the memory, and a folder holds them in a few bytes."""
    matrix = np.zeros((1 << 12, 1 << 12), np.int8)
    integers = np.frombuffer(zlib.compress(matrix.tobytes()), np.uint8)
    packed: dict[str, np.ndarray] = {}
    for name in "abcdefghi":
        packed[f"{name}.whole"], packed[f"{name}.shape"] = integers, np.array(matrix.shape)
        packed[f"{name}.scales"] = np.ones(len(matrix), np.float32)
    with pytest.raises(ValueError, match="more weights than"):
        unpack(packed)
