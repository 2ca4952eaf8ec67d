"""`recipes/average.py`: weights between those of two models, everything else of the second."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import average
from kammil.engine.quantization import pack, unpack

Arrays = dict[str, NDArray[np.generic]]


def arrays(seed: int, rows: int = 3) -> Arrays:
    """Weights of a small blend as a folder holds them, and a table of its own."""
    rng = np.random.default_rng(seed)
    weights: Arrays = {
        "output.weight": rng.normal(size=(rows, 4)).astype(np.float32),
        "output.bias": rng.normal(size=rows).astype(np.float32),
        "counts.ids": rng.integers(0, 9, 5).astype(np.uint16),
        "in_word": rng.integers(0, 2, rows).astype(np.bool_),
    }
    return pack(weights, ["output.weight"])


@given(st.integers(0, 99), st.integers(100, 199), st.floats(0, 1))
def test_each_weight_lies_between_those_of_the_models(one: int, other: int, share: float) -> None:
    first, second = unpack(arrays(one)), unpack(arrays(other))
    mean = unpack(average.averaged(arrays(one), arrays(other), share))
    assert set(mean) == set(second)
    expected = (1 - share) * first["output.bias"].astype(float) + share * second["output.bias"].astype(float)
    np.testing.assert_allclose(mean["output.bias"].astype(float), expected, atol=1e-6)
    exact = (1 - share) * first["output.weight"].astype(float) + share * second["output.weight"].astype(float)
    step = np.abs(exact).max(axis=1, keepdims=True) / 63  # of the integers that a matrix is stored in
    assert (np.abs(mean["output.weight"].astype(float) - exact) <= step / 2 + 1e-6).all()


def test_tables_and_ends_of_the_scale() -> None:
    first, second = arrays(1), arrays(2)
    for share, kept in ((0.0, first), (1.0, second)):
        mean = unpack(average.averaged(first, second, share))
        np.testing.assert_allclose(
            mean["output.weight"].astype(float), unpack(kept)["output.weight"].astype(float), atol=1e-6
        )
        np.testing.assert_array_equal(mean["counts.ids"], second["counts.ids"])
        np.testing.assert_array_equal(mean["in_word"], second["in_word"])


def test_models_of_other_shapes_are_refused() -> None:
    with pytest.raises(SystemExit, match="other names or shapes"):
        average.averaged(arrays(1), arrays(2, rows=4), 0.5)
