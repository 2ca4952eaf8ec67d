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
def test_what_is_packed_comes_back_as_it_was(some: list[NDArray[np.generic]]) -> None:
    given_ = [array.swapaxes(1, 2) for array in some]  # not in the order of memory
    for one, other in zip(given_, PackedArrays.of(given_).arrays(), strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        assert other.flags.aligned and not other.flags.writeable
