"""A GRU at run time: quantized as a family of its own, in single precision within other families.

A step is faster than the call around it, so prompts are read, and texts sampled, in one call. Shapes as in `network`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.build import load_native
from kammil.engine.native import NativeEngine
from kammil.engine.reference import ReferenceEngine, gru_step, log_softmax
from kammil.engine.weights import GRUWeights, checked
from kammil.language_model import Artifacts, BulkSampler, Ids, LanguageModel, LogProbabilities, SavedModel, State
from kammil.ngrams.features import Floats

if TYPE_CHECKING:
    from onnx import ModelProto

    from kammil.models.graph import Graph

Weights = Mapping[str, NDArray[np.generic]]


def layer_shapes(size: int, embedding: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of embedding and GRU by PyTorch's names."""
    return {
        "embedding.weight": (size, embedding),
        "gru.weight_ih_l0": (3 * hidden, embedding),
        "gru.weight_hh_l0": (3 * hidden, hidden),
        "gru.bias_ih_l0": (3 * hidden,),
        "gru.bias_hh_l0": (3 * hidden,),
    }


def output_shapes(size: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the output layer."""
    return {"output.weight": (size, hidden), "output.bias": (size,)}


def folded(layer: Sequence[Floats], output: Floats) -> GRUWeights:
    """Fold the embedding of a GRU, in the order of `layer_shapes`, into its input weights.

    In double precision, or the bits would depend on the processor, and half precision would double the difference.
    """
    embedding, input_weights, recurrent, bias, recurrent_bias = layer
    inputs = (embedding.astype(np.float64) @ input_weights.T).astype(np.float32)
    return GRUWeights(inputs + bias, recurrent.T, recurrent_bias, output)


def _sizes(weights: Weights) -> tuple[int, int, int]:
    size, embedding = weights["embedding.weight"].shape
    return size, embedding, len(weights["gru.weight_ih_l0"]) // 3


class GRUModel(SavedModel, BulkSampler):
    """Runs a GRU with quantized weights; `KeyError` or `ValueError` for arrays that do not fit."""

    def __init__(self, weights: Weights) -> None:
        size, embedding, hidden = _sizes(weights)
        shapes = layer_shapes(size, embedding, hidden) | output_shapes(size, hidden)
        *layer, output, bias = checked(weights, shapes).values()
        self.vocabulary_size, self._hidden, networks = size, hidden, [folded(layer, output.T)]
        self.engine: NativeEngine | ReferenceEngine
        if code := load_native():
            self.engine = NativeEngine(code, networks, bias, size)
        else:
            self.engine = ReferenceEngine(networks, bias, size)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a GRU."""
        del settings
        return cls(artifacts.weights)

    def initial_state(self, batch: int) -> State:
        """Return zero states (B, H)."""
        return (np.zeros((batch, self._hidden), np.float32),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids in one call."""
        wanted = ids.shape[1] if last is None else last
        log_probabilities, (after, *_) = self.engine.forward(ids, _engine_state(state), wanted)
        return log_probabilities, (after,)

    def can_sample(self, temperature: float) -> bool:
        """Return whether the native engine runs."""
        del temperature
        return isinstance(self.engine, NativeEngine)

    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Sample in one call."""
        assert isinstance(self.engine, NativeEngine)
        ids, log_probabilities, (after, *_) = self.engine.sample(_engine_state(state), chances, temperature, refused)
        return ids, log_probabilities, (after,)


def _engine_state(state: State) -> State:
    return (state[0], *NativeEngine.initial_state(len(state[0])))


class Recurrence:
    """The recurrence in single precision; `KeyError` or `ValueError` for arrays that do not fit."""

    def __init__(self, weights: Weights) -> None:
        self.vocabulary_size, embedding, self.hidden = _sizes(weights)
        layer = checked(weights, layer_shapes(self.vocabulary_size, embedding, self.hidden)).values()
        self._embedding, input_weights, recurrent, bias, recurrent_bias = layer
        fixed = 2 * self.hidden
        self._input_weights, self._bias = np.ascontiguousarray(input_weights.T), bias.copy()
        self._bias[:fixed] += recurrent_bias[:fixed]
        self._recurrent, self._recurrent_bias = np.ascontiguousarray(recurrent.T), recurrent_bias[fixed:]

    def forward(self, ids: Ids, h: NDArray[np.generic]) -> Floats:
        """Return h (B, H) and the states after each of ids (B, T), (B, 1 + T, H)."""
        batch, time = ids.shape
        states = np.empty((batch, 1 + time, self.hidden), np.float32)
        states[:, 0] = h
        x = self._embedding[ids.T.reshape(-1)] @ self._input_weights + self._bias  # (T * B, 3H)
        for t, gates in enumerate(x.reshape(time, batch, -1)):
            states[:, t + 1] = gru_step(gates, states[:, t] @ self._recurrent, self._recurrent_bias, states[:, t])
        return states


class SinglePrecisionGRU(LanguageModel):
    """Runs a GRU in single precision; errors as those of `GRUModel`."""

    def __init__(self, weights: Weights) -> None:
        self._gru = Recurrence(weights)
        shapes = output_shapes(self._gru.vocabulary_size, self._gru.hidden)
        output, self._bias = checked(weights, shapes).values()
        self.vocabulary_size = len(self._bias)
        self._output = np.ascontiguousarray(output.T)

    def initial_state(self, batch: int) -> State:
        """Return zero states (B, H)."""
        return (np.zeros((batch, self._gru.hidden), np.float32),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Compute all states, then the last logits."""
        batch, time = ids.shape
        wanted = time if last is None else last
        states = self._gru.forward(ids, state[0])
        scores = states[:, 1 + time - wanted :].reshape(batch * wanted, self._gru.hidden) @ self._output + self._bias
        return log_softmax(scores).reshape(batch, wanted, self.vocabulary_size), (states[:, -1].copy(),)


def graph(settings: Mapping[str, Any], weights: Mapping[str, Floats]) -> ModelProto:
    """Build the ONNX graph; ONNX's GRU operator is three times faster than a loop."""
    del settings
    return graph_of_networks("kammil-gru", weights, [""])


def graph_of_networks(name: str, weights: Mapping[str, Floats], prefixes: Sequence[str]) -> ModelProto:
    """Build the ONNX graph of GRUs, by prefixes of their weights, whose scores are averaged."""
    from kammil.models.graph import IDS, LOG_PROBABILITIES, Graph

    g = Graph()
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    parts: list[str] = []
    for number, prefix in enumerate(prefixes):
        output = weights[f"{prefix}output.weight"]
        h = g.tail(add_states(g, number, prefix, weights, by_time), 0)  # (last, B, H)
        scores = g.add("MatMul", h, g.constant(output.T, f"{prefix}output"))  # (last, B, V)
        parts.append(g.add("Add", scores, g.constant(weights[f"{prefix}output.bias"], f"{prefix}output_bias")))
    scores = parts[0] if len(parts) == 1 else g.add("Mean", *parts)
    scores = g.add("LogSoftmax", scores, axis=-1)
    g.add("Transpose", scores, perm=[1, 0, 2], output=LOG_PROBABILITIES)  # (B, last, V)
    sizes = [weights[f"{prefix}output.weight"].shape for prefix in prefixes]  # (V, H)
    return g.finish(name, sizes[0][0], [[hidden] for _, hidden in sizes])


def add_states(g: Graph, number: int, prefix: str, weights: Mapping[str, Floats], by_time: str) -> str:
    """Add the recurrence of network `number`; return its states (T, B, H) after ids (T, B)."""
    from kammil.models.graph import STATE_IN, STATE_OUT

    def gates(name: str) -> Floats:
        """Reorder gates: PyTorch stacks r, z, n; ONNX expects z, r, n."""
        r, z, n = np.split(weights[f"{prefix}gru.{name}_l0"], 3)
        return np.concatenate([z, r, n])

    recurrent = gates("weight_hh")
    h, end = g.add_many(
        2,
        "GRU",
        g.add("Gather", g.constant(weights[f"{prefix}embedding.weight"], f"{prefix}embedding"), by_time),  # (T, B, E)
        gates("weight_ih")[None],  # (1, 3H, E)
        recurrent[None],  # (1, 3H, H)
        np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],  # (1, 6H)
        "",
        g.add("Unsqueeze", STATE_IN.format(number), g.ints(0)),  # (1, B, H)
        hidden_size=recurrent.shape[1],
        linear_before_reset=1,
    )  # (T, 1, B, H), (1, B, H)
    g.add("Squeeze", end, g.ints(0), output=STATE_OUT.format(number))
    return g.add("Squeeze", h, g.ints(1))
