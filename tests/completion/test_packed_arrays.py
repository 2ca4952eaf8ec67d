"""Arrays come out of a block as they went in."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from kammil.completion.state_cache import PackedArrays


@given(
    st.lists(
        arrays(
            st.sampled_from([np.uint8, np.float16, np.float32, np.int64, np.uint64]),
            st.tuples(st.just(1), st.integers(0, 5), st.integers(0, 5)),
        ),
        max_size=5,
    )
)
def test_what_is_packed_comes_back_as_it_was(contiguous: list[NDArray[np.generic]]) -> None:
    originals = [array.swapaxes(1, 2) for array in contiguous]  # not in the order of memory
    for array, copy in zip(originals, PackedArrays.of(originals).arrays(), strict=True):
        assert array.dtype == copy.dtype and array.shape == copy.shape and array.tobytes() == copy.tobytes()
        assert copy.flags.aligned and not copy.flags.writeable
