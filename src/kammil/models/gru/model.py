"""A GRU at run time: quantized as a family of its own, in single precision within other families.

A step takes a few microseconds, less than the calls around it. So a prompt is read in one call, and the native engine
samples a text in one call as well, with the same arithmetic as `decoding`. Quantization costs nothing: 3.2717 bits a
character on lev30/validation either way.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, n ids sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.build import load_native
from kammil.engine.native import NativeEngine
from kammil.engine.reference import ReferenceEngine, gru_step, log_softmax
from kammil.engine.weights import GRUWeights, checked
from kammil.language_model import Artifacts, BulkSampler, Ids, LanguageModel, LogProbabilities, SavedModel, State
from kammil.ngrams.features import Floats

Weights = Mapping[str, NDArray[np.generic]]


def shapes_of(size: int, embedding: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of embedding and GRU, by PyTorch's names."""
    return {
        "embedding.weight": (size, embedding),
        "gru.weight_ih_l0": (3 * hidden, embedding),
        "gru.weight_hh_l0": (3 * hidden, hidden),
        "gru.bias_ih_l0": (3 * hidden,),
        "gru.bias_hh_l0": (3 * hidden,),
    }


def network_shapes(size: int, embedding: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays of a network."""
    return shapes_of(size, embedding, hidden) | {"output.weight": (size, hidden), "output.bias": (size,)}


def folded(network: Sequence[Floats], output: Floats) -> GRUWeights:
    """Return the weights of a GRU, in the order of `shapes_of`, whose embedding is folded into its input weights."""
    embedding, input_weights, recurrent, bias, recurrent_bias = network
    return GRUWeights(embedding @ input_weights.T + bias, recurrent.T, recurrent_bias, output)


def _shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    size, embedding = weights["embedding.weight"].shape
    return shapes_of(size, embedding, len(weights["gru.weight_ih_l0"]) // 3)


class GRUModel(SavedModel, BulkSampler):
    """Runs a GRU with quantized weights.

    Args:
        weights: as `network.export` returns them; `KeyError` or `ValueError` for arrays that do not fit together.
    """

    def __init__(self, weights: Weights) -> None:
        (size, embedding), hidden = weights["embedding.weight"].shape, len(weights["gru.weight_ih_l0"]) // 3
        *network, output, output_bias = checked(weights, network_shapes(size, embedding, hidden)).values()
        layer = folded(network, output.T)
        self._size, self._hidden = size, hidden
        self._engine: NativeEngine | ReferenceEngine
        if code := load_native():
            self._engine = NativeEngine(code, [layer], output_bias, size)
        else:
            self._engine = ReferenceEngine([layer], output_bias, size)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a GRU."""
        del settings
        return cls(artifacts.weights)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def initial_state(self, batch: int) -> State:
        """Return the hidden states (B, H), all zero."""
        return (np.zeros((batch, self._hidden), np.float32),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids in one call; see `LanguageModel.forward`."""
        log_probabilities, (after, *_) = self._engine.forward(
            ids, _engine_state(state), ids.shape[1] if last is None else last
        )
        return log_probabilities, (after,)

    def can_sample(self, temperature: float) -> bool:
        """Return whether the native engine runs."""
        del temperature
        return isinstance(self._engine, NativeEngine)

    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Sample in one call; see `BulkSampler.sample`."""
        assert isinstance(self._engine, NativeEngine)
        ids, log_probabilities, (after, *_) = self._engine.sample(_engine_state(state), chances, temperature, refused)
        return ids, log_probabilities, (after,)


def _engine_state(state: State) -> State:
    return (state[0], *NativeEngine.initial_state(len(state[0])))


class Recurrence:
    """The states of a GRU in single precision.

    Args:
        weights: embedding and GRU, by PyTorch's names; `KeyError` or `ValueError` for arrays that do not fit together.
    """

    def __init__(self, weights: Weights) -> None:
        self._embedding, input_weights, recurrent, bias, recurrent_bias = checked(weights, _shapes(weights)).values()
        self.vocabulary_size, self.hidden = len(self._embedding), recurrent.shape[1]
        fixed = 2 * self.hidden
        self._input_weights, self._bias = np.ascontiguousarray(input_weights.T), bias.copy()
        self._bias[:fixed] += recurrent_bias[:fixed]
        self._recurrent, self._recurrent_bias = np.ascontiguousarray(recurrent.T), recurrent_bias[fixed:]

    def forward(self, ids: Ids, h: NDArray[np.generic]) -> Floats:
        """Return the state h (B, H) and those after each of ids (B, T): (B, 1 + T, H)."""
        batch, time = ids.shape
        states = np.empty((batch, 1 + time, self.hidden), np.float32)
        states[:, 0] = h
        x = self._embedding[ids.T.reshape(-1)] @ self._input_weights + self._bias  # (T * B, 3H)
        for t, gates in enumerate(x.reshape(time, batch, -1)):
            states[:, t + 1] = gru_step(gates, states[:, t] @ self._recurrent, self._recurrent_bias, states[:, t])
        return states


class SinglePrecisionGRU(LanguageModel):
    """Runs a GRU in single precision, for the families over subwords.

    Args:
        weights: as `network.export` returns them; `KeyError` or `ValueError` for arrays that do not fit together.
    """

    def __init__(self, weights: Weights) -> None:
        self._gru = Recurrence(weights)
        size = self._gru.vocabulary_size
        output, self._bias = checked(
            weights, {"output.weight": (size, self._gru.hidden), "output.bias": (size,)}
        ).values()
        self._output = np.ascontiguousarray(output.T)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return len(self._bias)

    def initial_state(self, batch: int) -> State:
        """Return the hidden states (B, H), all zero."""
        return (np.zeros((batch, self._gru.hidden), np.float32),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Compute all states, then the logits at the last ones; see `LanguageModel.forward`."""
        batch, time = ids.shape
        wanted = time if last is None else last
        states = self._gru.forward(ids, state[0])
        scores = states[:, 1 + time - wanted :].reshape(batch * wanted, self._gru.hidden) @ self._output + self._bias
        return log_softmax(scores).reshape(batch, wanted, self.vocabulary_size), (states[:, -1].copy(),)
