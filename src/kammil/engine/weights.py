"""Inputs of an engine: weights of networks and gate, n-gram experts, and weights as 7-bit integers.

The model runs with the same integers, so storing them costs no accuracy.

Shapes: V vocabulary, M networks, H hidden, G a gate's width, K experts; R rows, C columns of a matrix.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.ngrams.adaptive import AdaptiveCounts
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.count_table import Index
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats
from kammil.ngrams.index import CountIndex

Arrays = Mapping[str, NDArray[np.generic]]

_ABSENT = 3
"""The gate feature that is 1 for an unknown context."""
STATE_MAX = 127
"""Largest integer of a state, whose zero point is 128."""
_MAX_WEIGHT = float(np.finfo(np.float16).max)
WEIGHT_MAX = 63
"""7 bits, not 8: without VNNI, pairs of products are added in 16 bits, which 255 * 63 * 2 fits and 255 * 127 * 2 does
not (docs/log.md#do-eight-bit-weights-pay)."""
_ROWS = 128  # quantized at a time
_INTEGERS, _SCALES, _SHAPE = ".whole", ".scales", ".shape"
_MAX_SCALE = 1e6  # no trained weights need more
_MAX_ELEMENTS = 1 << 26
_MAX_ALL_ELEMENTS = 1 << 27
"""Maximum of a model: half a gigabyte, perhaps compressed a thousandfold."""


@dataclass(frozen=True)
class GRUWeights:
    """A GRU, gates stacked reset, update, new; the reset gate is applied after the product."""

    input: Floats
    """(V, 3H), input bias included."""
    recurrent: Floats
    """(H, 3H)."""
    bias: Floats
    """(3H,): of the recurrent product."""
    output: Floats
    """(H, V + G): to logits, summed over networks, and gate."""


@dataclass(frozen=True)
class GateWeights:
    """The gate, but for its weights of states (`GRUWeights.output`)."""

    feature_weights: Floats
    """(GATE_FEATURES * K, M * G), as `ExpertFeatures.gate`."""
    score_weights: Floats
    """(M * G, K * SCORE_FEATURES)."""
    bias: Floats
    """(K * SCORE_FEATURES,)."""

    @property
    def experts(self) -> int:
        """K."""
        return len(self.bias) // SCORE_FEATURES


@dataclass(frozen=True)
class BlendWeights:
    """Experts of tables, experts of the text cache, and gate."""

    contexts: ContextHasher
    index: CountIndex
    adaptive: AdaptiveCounts
    """Added to the counts of the first table."""
    columns: Index
    """Context types of the text cache."""
    gate: GateWeights


def fold_absent_feature(bias: Floats, gate: GateWeights, size: int) -> tuple[Floats, Floats]:
    """Return the bias of logits and gate, (V + M * G,), and the feature weights, (K, GATE_FEATURES, M * G).

    The bias has the feature of unknown contexts; a known one subtracts it.
    """
    weights = gate.feature_weights.reshape(GATE_FEATURES, gate.experts, -1).swapaxes(0, 1)
    bias = np.concatenate([bias[:size], bias[size:] + weights[:, _ABSENT].sum(axis=0)])
    return bias, weights * np.where(np.arange(GATE_FEATURES) == _ABSENT, np.float32(-1), np.float32(1))[:, None]


def input_gates(layer: GRUWeights) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return each id's input to the recurrent product, (V, 3H), with its bias, and to the candidate, (V, H). Half
    precision changes no figure."""
    hidden = layer.recurrent.shape[0]
    gates = layer.input + layer.bias
    gates[:, 2 * hidden :] = layer.bias[2 * hidden :]
    with np.errstate(over="ignore"):  # no trained weights are as large
        return gates.astype(np.float16), layer.input[:, 2 * hidden :].astype(np.float16)


def checked(weights: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Return named arrays in single precision; `ValueError` for wrong shapes or values."""
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has the shape {weights[name].shape}, where {shape} is expected")
        if not (weights[name].min(initial=0) >= -_MAX_WEIGHT and weights[name].max(initial=0) <= _MAX_WEIGHT):
            raise ValueError(f"{name} holds something else than weights")
    return {name: np.ascontiguousarray(weights[name], np.float32) for name in shapes}


def quantize_rows(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return integers, (R, C), and the scale of each row."""
    integers, scales = np.empty(weights.shape, np.int8), np.ones(len(weights), np.float32)
    for begin in range(0, len(weights), _ROWS):
        part = slice(begin, begin + _ROWS)
        row_scales = np.abs(weights[part]).max(axis=1, initial=0) / np.float32(WEIGHT_MAX)
        scales[part][row_scales > 0] = row_scales[row_scales > 0]
        integers[part] = np.rint(weights[part] / scales[part, None])
    return integers, scales


def pack(weights: Arrays, names: Collection[str]) -> dict[str, NDArray[np.generic]]:
    """Replace the matrices `names` by compressed integers, scales and shape."""
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
    """Undo `pack`, in single precision; `ValueError` for other arrays."""
    unpacked = {name: value for name, value in arrays.items() if not name.endswith((_INTEGERS, _SCALES, _SHAPE))}
    names = [name.removesuffix(_INTEGERS) for name in arrays if name.endswith(_INTEGERS)]
    if sum(math.prod(_sizes(arrays, name)) for name in names) > _MAX_ALL_ELEMENTS:
        raise ValueError("there are more weights than in any model of ours")
    for name in names:
        if name in unpacked:
            raise ValueError(f"{name} is there twice")
        unpacked[name] = _matrix(arrays, name)
    return unpacked


def _sizes(arrays: Arrays, name: str) -> list[int]:
    shape = arrays.get(name + _SHAPE, np.zeros(0))
    sizes = [int(n) for n in shape.tolist()] if shape.dtype == np.int64 and shape.shape == (2,) else []
    if not sizes or min(sizes) < 1 or math.prod(sizes) > _MAX_ELEMENTS:
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


@dataclass(frozen=True)
class Layer:
    """An array of a model, or a part of a compressed table."""

    name: str
    """PyTorch's name, such as `gru.weight_hh_l0`."""
    shape: tuple[int, ...]
    parameters: int
    trainable: bool
    """Learnt by gradient descent, not counted."""


def layers(arrays: Arrays) -> tuple[Layer, ...]:
    """List layers, trainable ones first, by name; `ValueError` for arrays that cannot be unpacked.

    Networks have real numbers, counts whole ones. Bytes are no parameters.
    """
    found: list[Layer] = []
    for name, array in unpack(arrays).items():
        if name.endswith(".sizes"):  # of a compressed table
            parts = zip(("contexts", "followers"), array.ravel().tolist(), strict=True)
            found += [Layer(name.removesuffix("sizes") + part, (int(n),), int(n), trainable=False) for part, n in parts]
        elif array.dtype != np.uint8:
            found.append(Layer(name, array.shape, int(array.size), trainable=array.dtype.kind == "f"))
    return tuple(sorted(found, key=lambda layer: (not layer.trainable, layer.name)))


def count_parameters(arrays: Arrays) -> int:
    """Count weights, and the contexts and followers of tables."""
    return sum(layer.parameters for layer in layers(arrays))
