"""Quantization of weights to integers from -63 to 63, in which networks run and matrices are stored in a folder.

Each row of a matrix has its own scale, so that its largest weight becomes the largest integer. A matrix that is
multiplied when the model runs would be quantized to the same integers then, so storing them costs no accuracy.

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
"""Largest integer. 7 bits, not 8: processors without VNNI add pairs of products in 16 bits, which 255 * 63 * 2
fits and 255 * 127 * 2 does not (docs/log.md#do-eight-bit-weights-pay)."""
_ROWS = 128
"""Rows quantized at a time, which bounds the memory of intermediate results."""
_INTEGERS, _SCALES, _SHAPE = ".whole", ".scales", ".shape"
_MAX_SCALE = 1e6
"""Largest scale that is read; no trained weights need a larger one."""
_LARGEST = 1 << 26
"""Elements of the largest matrix that is unpacked."""
_MAX_NUMBERS = 1 << 27
"""Elements of all matrices: half a gigabyte when unpacked, which may be compressed a thousandfold in a folder."""


def quantize_rows(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return weights (R, C) as integers, and the scale of each row, (R,): weights = integers * scales[:, None]."""
    integers, scales = np.empty(weights.shape, np.int8), np.ones(len(weights), np.float32)
    for begin in range(0, len(weights), _ROWS):
        part = slice(begin, begin + _ROWS)
        row_scales = np.abs(weights[part]).max(axis=1, initial=0) / np.float32(WEIGHT_MAX)
        scales[part][row_scales > 0] = row_scales[row_scales > 0]
        integers[part] = np.rint(weights[part] / scales[part, None])
    return integers, scales


def pack(weights: Arrays, names: Collection[str]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays with each of the matrices `names` replaced by compressed integers, scales and shape."""
    packed: dict[str, NDArray[np.generic]] = {}
    for name, value in weights.items():
        if name not in names:
            packed[name] = value
            continue
        integers, scales = quantize_rows(value.astype(np.float32))
        packed[name + _INTEGERS] = np.frombuffer(zlib.compress(integers.tobytes(), 9), np.uint8)
        packed[name + _SCALES], packed[name + _SHAPE] = scales, np.array(integers.shape, np.int64)
    return packed


def unpack(arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """Return the arrays that were packed, matrices in single precision; `ValueError` for what `pack` cannot return."""
    unpacked = {name: value for name, value in arrays.items() if not name.endswith((_INTEGERS, _SCALES, _SHAPE))}
    names = [name.removesuffix(_INTEGERS) for name in arrays if name.endswith(_INTEGERS)]
    if sum(math.prod(_sizes(arrays, name)) for name in names) > _MAX_NUMBERS:
        raise ValueError("there are more weights than in any model of ours")
    for name in names:
        if name in unpacked:
            raise ValueError(f"{name} is there twice")
        unpacked[name] = _matrix(arrays, name)
    return unpacked


def _sizes(arrays: Arrays, name: str) -> list[int]:
    """Rows and columns of a packed matrix; `ValueError` for an invalid shape."""
    shape = arrays.get(name + _SHAPE, np.zeros(0))
    sizes = [int(n) for n in shape.tolist()] if shape.dtype == np.int64 and shape.shape == (2,) else []
    if not sizes or min(sizes) < 1 or math.prod(sizes) > _LARGEST:
        raise ValueError(f"{name} says no size that it may have")
    return sizes


def _matrix(arrays: Arrays, name: str) -> Floats:
    sizes = _sizes(arrays, name)
    integers, scales = (arrays.get(name + part, np.zeros(0)) for part in (_INTEGERS, _SCALES))
    if scales.shape != (sizes[0],):
        raise ValueError(f"{name} says no size that it may have")
    if scales.dtype != np.float32 or not (scales.min() >= 0 and scales.max() <= _MAX_SCALE):
        raise ValueError(f"{name} holds something else than weights")
    stream, size = zlib.decompressobj(), sizes[0] * sizes[1]
    try:
        content = stream.decompress(np.ascontiguousarray(integers).tobytes(), size + 1)
    except zlib.error as error:
        raise ValueError(f"{name} cannot be unpacked") from error
    if len(content) != size or not stream.eof:
        raise ValueError(f"{name} has another size than it says")
    return np.frombuffer(content, np.int8).reshape(sizes) * np.asarray(scales, np.float32)[:, None]
