"""Arrays that stay, in one block of memory.

Half a dozen small arrays that are kept, each allocated by itself among many that go, leave holes that nothing fits
into, and a server grows by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_ALIGNED = 8
"""Bytes that every array begins at a multiple of."""

Form = tuple[np.dtype[Any], tuple[int, ...], int]
"""Of an array: its numbers, its shape, and where it begins."""
Forms = tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A copy of some arrays."""

    data: bytes
    forms: Forms

    @classmethod
    def of(cls, arrays: Sequence[NDArray[np.generic]]) -> Self:
        """Copy them."""
        forms: list[Form] = []
        parts: list[bytes] = []
        at = 0
        for array in arrays:
            parts.append(array.tobytes())
            forms.append((array.dtype, array.shape, at))
            at += len(parts[-1])
            if rest := at % _ALIGNED:
                parts.append(bytes(_ALIGNED - rest))
                at += _ALIGNED - rest
        return cls(b"".join(parts), _shared(tuple(forms)))

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The same arrays, which cannot be written to."""
        return tuple(np.ndarray(shape, dtype, self.data, at) for dtype, shape, at in self.forms)


@lru_cache(1024)
def _shared(forms: Forms) -> Forms:
    """The same for all states after texts of a length: a kilobyte each."""
    return forms
