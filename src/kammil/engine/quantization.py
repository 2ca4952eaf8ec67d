"""Weights in whole numbers from -63 to 63: what networks run in, and what a folder holds of their matrices.

Each row of a matrix has its own scale, so that its largest weight is a whole number too. What a folder holds of a
product's matrix is what the product would be rounded to anyway, so there it costs nothing.

Shapes: R rows, C columns.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.generic]]

WEIGHT_MAX = 63
"""Largest whole number. 7 bits, not 8: processors without VNNI add pairs of products in 16 bits, which 255 * 63 * 2
fits and 255 * 127 * 2 does not (docs/log.md#do-eight-bit-weights-pay)."""
_ROWS = 128
"""Rows rounded at a time: what is in between needs little memory."""
_WHOLE, _SCALES, _SHAPE = ".whole", ".scales", ".shape"
_MAX_SCALE = 1e6
"""Largest scale: no weights are as large as that."""
_LARGEST = 1 << 26
"""Numbers in the largest matrix that is opened."""
_MAX_NUMBERS = 1 << 27
"""Numbers in all of them: half a gigabyte once they are unpacked, of which a folder may hold a thousandth."""


def quantize_rows(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights (R, C) as whole numbers, and what one of them is worth in each row, (R,)."""
    whole, scales = np.empty(weights.shape, np.int8), np.ones(len(weights), np.float32)
    for begin in range(0, len(weights), _ROWS):
        part = slice(begin, begin + _ROWS)
        most = np.abs(weights[part]).max(axis=1, initial=0) / np.float32(WEIGHT_MAX)
        scales[part][most > 0] = most[most > 0]
        whole[part] = np.rint(weights[part] / scales[part, None])
    return whole, scales


def pack(weights: Arrays, names: Collection[str]) -> dict[str, NDArray[np.generic]]:
    """The same arrays, with the named matrices as compressed whole numbers."""
    made: dict[str, NDArray[np.generic]] = {}
    for name, value in weights.items():
        if name not in names:
            made[name] = value
            continue
        whole, scales = quantize_rows(value.astype(np.float32))
        made[name + _WHOLE] = np.frombuffer(zlib.compress(whole.tobytes(), 9), np.uint8)
        made[name + _SCALES], made[name + _SHAPE] = scales, np.array(whole.shape, np.int64)
    return made


def unpack(arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """The arrays that were packed, their matrices in single precision; `ValueError` for what `pack` does not make."""
    made = {name: value for name, value in arrays.items() if not name.endswith((_WHOLE, _SCALES, _SHAPE))}
    names = [name.removesuffix(_WHOLE) for name in arrays if name.endswith(_WHOLE)]
    if sum(math.prod(_sizes(arrays, name)) for name in names) > _MAX_NUMBERS:
        raise ValueError("there are more weights than in any model of ours")
    for name in names:
        if name in made:
            raise ValueError(f"{name} is there twice")
        made[name] = _matrix(arrays, name)
    return made


def _sizes(arrays: Arrays, name: str) -> list[int]:
    """Rows and columns that a packed matrix says that it has; `ValueError` for no size that it may have."""
    shape = arrays.get(name + _SHAPE, np.zeros(0))
    sizes = [int(n) for n in shape.tolist()] if shape.dtype == np.int64 and shape.shape == (2,) else []
    if not sizes or min(sizes) < 1 or math.prod(sizes) > _LARGEST:
        raise ValueError(f"{name} says no size that it may have")
    return sizes


def _matrix(arrays: Arrays, name: str) -> Floats:
    sizes = _sizes(arrays, name)
    whole, scales = (arrays.get(name + part, np.zeros(0)) for part in (_WHOLE, _SCALES))
    if scales.shape != (sizes[0],):
        raise ValueError(f"{name} says no size that it may have")
    if scales.dtype != np.float32 or not (scales.min() >= 0 and scales.max() <= _MAX_SCALE):
        raise ValueError(f"{name} holds something else than weights")
    stream, size = zlib.decompressobj(), sizes[0] * sizes[1]
    try:
        content = stream.decompress(np.ascontiguousarray(whole).tobytes(), size + 1)
    except zlib.error as error:
        raise ValueError(f"{name} cannot be unpacked") from error
    if len(content) != size or not stream.eof:
        raise ValueError(f"{name} has another size than it says")
    return np.frombuffer(content, np.int8).reshape(sizes) * np.asarray(scales, np.float32)[:, None]
