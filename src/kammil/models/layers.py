"""The layers of a saved model: names, shapes, and numbers of parameters, read from its arrays without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.engine.weights import unpack

_SIZES = ".sizes"
_TABLE_PARTS = ("contexts", "followers")
"""What the two numbers of a compressed table's `.sizes` count."""


@dataclass(frozen=True)
class Layer:
    """One array of a model, or one part of a compressed table of counts."""

    name: str
    """Layer and parameter, such as `gru.weight_hh_l0`, as PyTorch names them."""
    shape: tuple[int, ...]
    parameters: int
    trainable: bool
    """Whether gradient descent learns it; otherwise it is counted."""


def layers(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[Layer, ...]:
    """List the layers of a model, trainable ones first, by name; `ValueError` for arrays that cannot be unpacked.

    A network's arrays hold real numbers; those of counts hold whole ones. Arrays of bytes belong to compressed tables,
    or say which characters are parts of words: neither is a parameter.

    Args:
        arrays: those of `weights.safetensors`.
    """
    found: list[Layer] = []
    for name, array in unpack(arrays).items():
        if name.endswith(_SIZES):
            table = name.removesuffix(_SIZES)
            parts = zip(_TABLE_PARTS, array.ravel().tolist(), strict=True)
            found += [Layer(f"{table}.{part}", (int(n),), int(n), trainable=False) for part, n in parts]
        elif array.dtype != np.uint8:
            found.append(Layer(name, array.shape, int(array.size), trainable=array.dtype.kind == "f"))
    return tuple(sorted(found, key=lambda layer: (not layer.trainable, layer.name)))


def count_parameters(arrays: Mapping[str, NDArray[np.generic]]) -> int:
    """Count weights and counts; of compressed tables, the contexts and followers in them."""
    return sum(layer.parameters for layer in layers(arrays))
