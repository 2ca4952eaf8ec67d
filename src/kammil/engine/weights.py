"""All that an engine is given: the networks' weights, the gate's, and what experts without a match say.

Shapes: V vocabulary, E embedding, H hidden, K experts, G gate.
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
"""Which clue says that a context was never seen."""


@dataclass(frozen=True)
class GateWeights:
    """Whom to believe: what it hears from the networks is read from their states as scores are."""

    features: Floats
    """(GATE_FEATURES * K, G): of the clues, all of a kind together, as `features` gives them."""
    trust: Floats
    """(G, K * SCORE_FEATURES): what comes of the hidden layer, the features of an expert together."""
    bias: Floats
    """(K * SCORE_FEATURES,)."""

    @property
    def experts(self) -> int:
        """K."""
        return len(self.bias) // SCORE_FEATURES


@dataclass(frozen=True)
class BlendWeights:
    """All that the experts know. Those of the tables come first, then those who look into the text itself."""

    contexts: ContextHasher
    """How what was read is hashed."""
    index: CountIndex
    """The tables."""
    adaptive: AdaptiveCounts
    """Texts laid over the first table."""
    columns: Index
    """Of the kinds of context, those that are looked up in the text itself."""
    gate: GateWeights


def fold_absent_feature(bias: Floats, gate: GateWeights, size: int) -> tuple[Floats, Floats]:
    """The bias of scores and gate, (V + G,), and the gate's weights of clues by expert, (K, GATE_FEATURES, G).

    An expert that knows nothing says one thing, always: that goes into the bias, and the clue of an expert that knows
    something takes it back.
    """
    heard = gate.features.reshape(GATE_FEATURES, gate.experts, -1).swapaxes(0, 1)
    bias = np.concatenate([bias[:size], bias[size:] + heard[:, _ABSENT].sum(axis=0)])
    return bias, heard * np.where(np.arange(GATE_FEATURES) == _ABSENT, np.float32(-1), np.float32(1))[:, None]


STATE_MAX = 127
"""Largest whole number of what is carried, above and below its zero of 128."""
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class GRUWeights:
    """One GRU, PyTorch's variant: the reset gate is applied after the product. Gates are stacked reset, update, new."""

    input: Floats
    """(V, 3H): what each id adds to the gates, its bias included."""
    recurrent: Floats
    """(H, 3H)."""
    bias: Floats
    """(3H,): of the recurrent product."""
    output: Floats
    """(H, V + A): what is read from the new state; what the networks say is summed."""


def input_gates(layer: GRUWeights) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """What each id adds: (V, 3H) to the recurrent product, the recurrent bias included, and (V, H) to the new state.

    One addition does for reset gate, update gate and bias; what an id adds to the new state waits for the reset gate.
    In half precision, which changes no figure: of all that a runner keeps, only the counts are larger.
    """
    hidden = layer.recurrent.shape[0]
    gates = layer.input + layer.bias
    gates[:, 2 * hidden :] = layer.bias[2 * hidden :]
    with np.errstate(over="ignore"):  # only weights that nobody learnt go so far
        return gates.astype(np.float16), layer.input[:, 2 * hidden :].astype(np.float16)


def checked(
    weights: Mapping[str, NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """The named arrays in single precision; `ValueError` for one of another shape, or beyond half precision."""
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has the shape {weights[name].shape}, where {shape} is expected")
        if not (weights[name].min(initial=0) >= -_LARGEST and weights[name].max(initial=0) <= _LARGEST):
            raise ValueError(f"{name} holds something else than weights")
    return {name: np.ascontiguousarray(weights[name], np.float32) for name in shapes}
