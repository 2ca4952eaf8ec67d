"""What an engine is given: the weights of networks and gate, and the n-gram experts.

Shapes: V vocabulary, M networks, H hidden, G a gate's width, K experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.ngrams.adaptive import AdaptiveCounts
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.count_table import Index
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats
from kammil.ngrams.index import CountIndex

_ABSENT = 3
"""Position of the gate feature that is 1 for a context that was never seen."""


@dataclass(frozen=True)
class GateWeights:
    """The gate, which weighs the experts. Its weights of the networks' states are in `GRUWeights.output`."""

    feature_weights: Floats
    """(GATE_FEATURES * K, M * G): from the gate features to the hidden layer, in the order of `ExpertFeatures.gate`."""
    score_weights: Floats
    """(M * G, K * SCORE_FEATURES): from the hidden layer to the weights of each expert's score features."""
    bias: Floats
    """(K * SCORE_FEATURES,): of the weights of the score features."""

    @property
    def experts(self) -> int:
        """K."""
        return len(self.bias) // SCORE_FEATURES


@dataclass(frozen=True)
class BlendWeights:
    """The n-gram experts and their gate. The experts of the tables come first, then those of the text cache."""

    contexts: ContextHasher
    """Hashes the contexts of each position."""
    index: CountIndex
    """The tables of counts."""
    adaptive: AdaptiveCounts
    """Counts learnt at run time, which are added to those of the first table."""
    columns: Index
    """Context types that are looked up in the text cache too."""
    gate: GateWeights


def fold_absent_feature(bias: Floats, gate: GateWeights, size: int) -> tuple[Floats, Floats]:
    """Return the bias of logits and gate, (V + M * G,), and the feature weights by expert, (K, GATE_FEATURES, M * G).

    An expert without a match has one feature, which is constant and so added to the bias; for an expert with a match
    it is subtracted again.
    """
    weights = gate.feature_weights.reshape(GATE_FEATURES, gate.experts, -1).swapaxes(0, 1)
    bias = np.concatenate([bias[:size], bias[size:] + weights[:, _ABSENT].sum(axis=0)])
    return bias, weights * np.where(np.arange(GATE_FEATURES) == _ABSENT, np.float32(-1), np.float32(1))[:, None]


STATE_MAX = 127
"""Largest integer of a quantized state, which is stored with a zero point of 128."""
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class GRUWeights:
    """One GRU, PyTorch's variant: the reset gate is applied after the product. Gates are stacked reset, update, new."""

    input: Floats
    """(V, 3H): input of the gates from each id, the input bias included."""
    recurrent: Floats
    """(H, 3H)."""
    bias: Floats
    """(3H,): of the recurrent product."""
    output: Floats
    """(H, V + G): from the state to the logits, which are summed over networks, and to the gate's hidden layer."""


def input_gates(layer: GRUWeights) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return each id's input to the recurrent product, (V, 3H), recurrent bias included, and to the candidate, (V, H).

    Reset gate, update gate and bias take one addition; the input of the candidate is added after the reset gate.
    In half precision, which changes no figure: of all the arrays of a model, only the counts are larger.
    """
    hidden = layer.recurrent.shape[0]
    gates = layer.input + layer.bias
    gates[:, 2 * hidden :] = layer.bias[2 * hidden :]
    with np.errstate(over="ignore"):  # no trained weights are as large
        return gates.astype(np.float16), layer.input[:, 2 * hidden :].astype(np.float16)


def checked(
    weights: Mapping[str, NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """Return the named arrays in single precision; `ValueError` for a wrong shape or a value beyond half precision."""
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has the shape {weights[name].shape}, where {shape} is expected")
        if not (weights[name].min(initial=0) >= -_LARGEST and weights[name].max(initial=0) <= _LARGEST):
            raise ValueError(f"{name} holds something else than weights")
    return {name: np.ascontiguousarray(weights[name], np.float32) for name in shapes}
