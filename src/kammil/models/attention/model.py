"""Forward pass of the GRU with attention in NumPy; `network` explains the architecture.

Shapes: B batch, T time, S characters in memory, V vocabulary, E embedding, H hidden, A attention, P = B * last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kammil.engine.reference import log_softmax, softmax, visible
from kammil.engine.weights import checked
from kammil.language_model import Artifacts, Ids, LogProbabilities, SavedModel, State, read_in_pieces
from kammil.models.gru.model import Recurrence
from kammil.ngrams.features import Floats

WINDOW = 4096
"""Maximum number of characters in memory: bounds the state of an endless text. A tweet has 280."""
TINY = 1e-30
"""Added to the probability of copying: for a character that is not in memory its logarithm must be finite."""
_PIECE = 512
"""Maximum number of ids read at a time: attention takes quadratic memory, for 4096 ids 64 times as much as for 512."""


class AttentionModel(SavedModel):
    """Runs a GRU with attention from its weights; `KeyError` or `ValueError` for arrays that do not fit.

    The state is h, (B, H), and for each character in memory its key, (B, S, A), value, (B, S, A), and id, (B, S).
    """

    def __init__(self, weights: Mapping[str, NDArray[np.generic]]) -> None:
        self._gru = Recurrence(weights)
        hidden, size = self._gru.hidden, self._gru.vocabulary_size
        attention = len(weights["key.weight"])
        shapes = {f"{name}.weight": (attention, hidden) for name in ("query", "key", "value")}
        shapes |= {"output.weight": (size, hidden + attention), "gate.weight": (1, hidden + attention)}
        query, key, value, output, gate, output_bias, gate_bias = checked(
            weights, {**shapes, "output.bias": (size,), "gate.bias": (1,)}
        ).values()
        self._size, self._attention = size, attention
        self._query = np.ascontiguousarray(query.T / np.float32(math.sqrt(attention)))
        self._key, self._value = np.ascontiguousarray(key.T), np.ascontiguousarray(value.T)
        self._output = np.ascontiguousarray(np.concatenate([output, gate]).T)  # (H + A, V + 1)
        self._bias = np.concatenate([output_bias, gate_bias])

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a GRU with attention."""
        del settings
        return cls(artifacts.weights)

    @property
    def vocabulary_size(self) -> int:
        """Return V, the number of ids."""
        return self._size

    def initial_state(self, batch: int) -> State:
        """Return h of zeros, and an empty memory."""
        nothing = np.zeros((batch, 0, self._attention), np.float32)
        return np.zeros((batch, self._gru.hidden), np.float32), nothing, nothing, np.zeros((batch, 0), np.int64)

    def state_size(self, length: int) -> int:
        """Return the numbers of h, and of key, value and id of each character in memory."""
        return self._gru.hidden + (2 * self._attention + 1) * min(length, WINDOW)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids in pieces; see `LanguageModel.forward`."""
        return read_in_pieces(self._read, ids, state, last, _PIECE)

    def _read(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        """Step the GRU over all ids, then attend from all last positions in parallel."""
        batch, time = ids.shape
        h = self._gru.forward(ids, state[0])  # (B, 1 + T, H), the state before them in front
        width = self._attention
        new_keys: Floats = (h[:, :-1].reshape(batch * time, -1) @ self._key).reshape(batch, time, width)
        new_values: Floats = (h[:, 1:].reshape(batch * time, -1) @ self._value).reshape(batch, time, width)
        keys = np.concatenate([state[1], new_keys], axis=1, dtype=np.float32)  # (B, S + T, A)
        values = np.concatenate([state[2], new_values], axis=1, dtype=np.float32)  # (B, S + T, A)
        read = np.concatenate([state[3], ids], axis=1, dtype=np.int64)  # (B, S + T)

        current = h[:, 1 + time - last :]  # (B, last, H)
        query = np.matmul(current.reshape(batch * last, self._gru.hidden), self._query)
        fit = np.matmul(query.reshape(batch, last, width), keys.swapaxes(1, 2))  # (B, last, S + T)
        weights = softmax(fit, visible(last, read.shape[1], WINDOW))
        y = np.concatenate([current, weights @ values], axis=2).reshape(
            batch * last, self._gru.hidden + width
        )  # (P, H + A)
        scores = y @ self._output + self._bias  # (P, V + 1)
        generated, gate = log_softmax(scores[:, :-1]), scores[:, -1:]
        place = np.arange(batch * last).reshape(batch, last, 1) * self._size + read[:, None]  # (B, last, S + T)
        copied = np.bincount(place.reshape(-1), weights.reshape(-1), batch * last * self._size).reshape(generated.shape)
        copied = np.log(copied + TINY).astype(np.float32)  # (P, V)
        mixed = np.logaddexp(generated + _log_sigmoid(-gate), copied + _log_sigmoid(gate))
        memory = (array[:, -WINDOW:] for array in (keys, values, read))
        return mixed.reshape(batch, last, self._size), (h[:, -1].copy(), *memory)


def _log_sigmoid(x: Floats) -> Floats:
    return -np.logaddexp(np.float32(0), -x)
