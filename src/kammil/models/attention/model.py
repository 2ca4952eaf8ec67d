"""Forward pass of the GRU with attention in NumPy; `network` explains architecture and shapes; P = B * last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.reference import log_softmax, softmax, visible
from kammil.engine.weights import checked
from kammil.language_model import Artifacts, Ids, LogProbabilities, SavedModel, State, read_in_pieces
from kammil.models.gru.model import Recurrence, add_states
from kammil.ngrams.features import Floats

if TYPE_CHECKING:
    from onnx import ModelProto

WINDOW = 4096
"""Maximum number of characters in memory: bounds the state of an endless text."""
TINY = 1e-30
"""Added to the probability of copying, so that its logarithm is finite for every character."""
_PIECE = 512
"""Maximum number of ids read at a time, since attention takes quadratic memory."""


class AttentionModel(SavedModel):
    """Runs a GRU with attention; `KeyError` or `ValueError` for arrays that do not fit.

    The state is h, (B, H), and the keys (B, S, A), values (B, S, A) and ids (B, S) in memory.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.generic]]) -> None:
        self._gru = Recurrence(weights)
        hidden, size, attention = self._gru.hidden, self._gru.vocabulary_size, len(weights["key.weight"])
        shapes = {f"{name}.weight": (attention, hidden) for name in ("query", "key", "value")}
        shapes |= {"output.weight": (size, hidden + attention), "gate.weight": (1, hidden + attention)}
        query, key, value, output, gate, output_bias, gate_bias = checked(
            weights, {**shapes, "output.bias": (size,), "gate.bias": (1,)}
        ).values()
        self.vocabulary_size, self._attention = size, attention
        self._query = np.ascontiguousarray(query.T / np.float32(math.sqrt(attention)))
        self._key, self._value = np.ascontiguousarray(key.T), np.ascontiguousarray(value.T)
        self._output = np.ascontiguousarray(np.concatenate([output, gate]).T)  # (H + A, V + 1)
        self._bias = np.concatenate([output_bias, gate_bias])

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a GRU with attention."""
        del settings
        return cls(artifacts.weights)

    def initial_state(self, batch: int) -> State:
        """Return a zero h and an empty memory."""
        nothing = np.zeros((batch, 0, self._attention), np.float32)
        return np.zeros((batch, self._gru.hidden), np.float32), nothing, nothing, np.zeros((batch, 0), np.int64)

    def state_size(self, length: int) -> int:
        """Count the numbers of h and memory."""
        return self._gru.hidden + (2 * self._attention + 1) * min(length, WINDOW)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids in pieces."""
        return read_in_pieces(self._read, ids, state, last, _PIECE)

    def _read(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        batch, time = ids.shape
        h = self._gru.forward(ids, state[0])  # (B, 1 + T, H)
        width = self._attention
        new_keys: Floats = (h[:, :-1].reshape(batch * time, -1) @ self._key).reshape(batch, time, width)
        new_values: Floats = (h[:, 1:].reshape(batch * time, -1) @ self._value).reshape(batch, time, width)
        keys = np.concatenate([state[1], new_keys], axis=1, dtype=np.float32)  # (B, S + T, A)
        values = np.concatenate([state[2], new_values], axis=1, dtype=np.float32)
        read = np.concatenate([state[3], ids], axis=1, dtype=np.int64)

        current = h[:, 1 + time - last :]  # (B, last, H)
        query = np.matmul(current.reshape(batch * last, self._gru.hidden), self._query)
        fit = np.matmul(query.reshape(batch, last, width), keys.swapaxes(1, 2))  # (B, last, S + T)
        weights = softmax(fit, visible(last, read.shape[1], WINDOW))
        y = np.concatenate([current, weights @ values], axis=2).reshape(batch * last, -1)  # (P, H + A)
        scores = y @ self._output + self._bias  # (P, V + 1)
        generated, gate = log_softmax(scores[:, :-1]), scores[:, -1:]
        first = np.arange(batch * last).reshape(batch, last, 1) * self.vocabulary_size
        place = first + read[:, None]
        copied = np.bincount(place.reshape(-1), weights.reshape(-1), generated.size).reshape(generated.shape)
        copied = np.log(copied + TINY).astype(np.float32)  # (P, V)
        mixed = np.logaddexp(generated + _log_sigmoid(-gate), copied + _log_sigmoid(gate))
        memory = (array[:, -WINDOW:] for array in (keys, values, read))
        return mixed.reshape(batch, last, self.vocabulary_size), (h[:, -1].copy(), *memory)


def _log_sigmoid(x: Floats) -> Floats:
    return -np.logaddexp(np.float32(0), -x)


def graph(settings: Mapping[str, Any], weights: Mapping[str, Floats]) -> ModelProto:
    """Build the ONNX graph; its states are h, then the keys, values and ids in memory."""
    from kammil.models.graph import FLOAT, GROWING, IDS, INT64, LAST, LOG_PROBABILITIES, STATE_IN, Graph

    del settings
    size, _ = weights["output.weight"].shape
    attention, hidden = weights["key.weight"].shape
    g = Graph()
    by_time = g.add("Transpose", IDS, perm=[1, 0])
    h = g.add("Transpose", add_states(g, 0, "", weights, by_time), perm=[1, 0, 2])  # (B, T, H)
    first = g.add("Unsqueeze", STATE_IN.format(0), g.ints(1))
    before = g.add("Slice", g.add("Concat", first, h, axis=1), g.ints(0), g.ints(-1), g.ints(1))  # (B, T, H)

    keys = g.append(1, g.add("MatMul", before, weights["key.weight"].T), axis=1, window=WINDOW)  # (B, S + T, A)
    values = g.append(2, g.add("MatMul", h, weights["value.weight"].T), axis=1, window=WINDOW)
    read_ids = g.append(3, g.add("Cast", IDS, to=FLOAT), axis=1, window=WINDOW)

    h = g.tail(h, 1)  # (B, last, H)
    query = g.add("MatMul", h, weights["query.weight"].T / np.float32(math.sqrt(attention)))
    scores = g.add("MatMul", query, g.add("Transpose", keys, perm=[0, 2, 1]))  # (B, last, S + T)
    mask = g.mask(LAST, g.add("Shape", read_ids, start=1, end=2), WINDOW)
    attended = g.add("Softmax", g.add("Add", scores, mask), axis=-1)
    y = g.add("Concat", h, g.add("MatMul", attended, values), axis=-1)  # (B, last, H + A)
    generated = g.add("Add", g.add("MatMul", y, weights["output.weight"].T), weights["output.bias"])  # (B, last, V)
    generated = g.add("LogSoftmax", generated, axis=-1)

    targets = g.add("Unsqueeze", g.add("Cast", read_ids, to=INT64), g.ints(1))  # (B, 1, S + T)
    targets = g.add("Expand", targets, g.add("Shape", attended))
    zeros = g.add("ConstantOfShape", g.add("Shape", generated))
    copied = g.add("ScatterElements", zeros, targets, attended, axis=2, reduction="add")  # (B, last, V)
    copied = g.add("Log", g.add("Add", copied, np.float32(TINY)))
    gate = g.add("Add", g.add("MatMul", y, weights["gate.weight"].T), weights["gate.bias"])  # (B, last, 1)
    generated = g.add("Sub", generated, g.add("Softplus", gate))  # log sigmoid(-x) = -softplus(x)
    copied = g.add("Sub", copied, g.add("Softplus", g.add("Neg", gate)))
    largest = g.add("Max", generated, copied)
    total = g.add("Add", g.add("Exp", g.add("Sub", generated, largest)), g.add("Exp", g.add("Sub", copied, largest)))
    g.add("Add", largest, g.add("Log", total), output=LOG_PROBABILITIES)
    states = [[hidden], [GROWING, attention], [GROWING, attention], [GROWING]]
    return g.finish("kammil-attention", size, states)
