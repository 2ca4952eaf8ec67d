"""The running side of the blend: a GRU, tables of counts and a gate, on NumPy alone.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kammil.models.base import Ids, LogProbabilities, Runner, Settings, State
from kammil.models.contexts import Contexts
from kammil.models.counts import Counts, keys_of
from kammil.models.evidence import CLUES, FEATURES, Floats, evidence
from kammil.models.packing import unpack

Kind = Literal[
    "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10", "o12", "o16", "w", "w1", "w2", "w1s"
]  # fmt: skip
OWN, BACKGROUND = "counts.", "background."
"""Prefixes of the arrays of the two tables."""
IN_WORD = "in_word"
_PIECE = 1 << 22
"""Numbers of V-wide rows worked on at a time: bounds the memory of a long read."""


class BlendSettings(Settings):
    """Sizes of the network and of the gate, and what is counted."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Numbers that stand for one character, E."""
    hidden: int = Field(default=320, ge=1, le=8192)
    """Numbers that the network carries from step to step, H."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the hidden numbers set to zero while learning, before output and gate."""
    gate: int = Field(default=64, ge=1, le=4096)
    """Width of the gate's hidden layer."""
    kinds: tuple[Kind, ...] = Field(
        default=("o1", "o2", "o3", "o4", "o5", "o6", "o8", "o10", "o12", "w", "w1", "w2", "w1s"), min_length=1
    )
    """Kinds of context that are counted."""
    most: int = Field(default=64, ge=1, le=65_535)
    """Followers kept of each context: the rarer ones say little, and short contexts have hundreds."""
    megabytes: float | None = Field(default=None, gt=0)
    """Size of the tables of counts in the folder; contexts that help least for their size go. None keeps all."""


class BlendRunner(Runner):
    """Adds to the network's scores what each expert has seen follow, weighted by the gate.

    Args:
        settings: of the model.
        weights: those of the network and the gate, the tables, and which ids belong to words, as `blend.export` makes
            them.

    `KeyError` or `ValueError` for arrays that do not fit together.
    """

    def __init__(self, settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        """Unpack half-precision weights and fold the embedding into the input's share of the gates."""
        v, h = len(weights["output.bias"]), settings.hidden
        self._contexts = Contexts(settings.kinds, weights[IN_WORD].astype(np.bool_))
        prefixes = [p for p in (OWN, BACKGROUND) if f"{p}sizes" in weights]
        self._tables: Sequence[Counts] = [unpack(weights, prefix) for prefix in prefixes]
        if any(len(t.ids) and int(t.ids.max()) >= v for t in self._tables) or not self._tables:
            raise ValueError("the tables of counts hold ids that the vocabulary has not")
        experts = len(settings.kinds) * len(self._tables)
        inner, gated = h + CLUES * experts, FEATURES * experts
        expected = {
            "embedding.weight": (v, settings.embedding),
            "gru.weight_ih_l0": (3 * h, settings.embedding),
            "gru.weight_hh_l0": (3 * h, h),
            "gru.bias_ih_l0": (3 * h,),
            "gru.bias_hh_l0": (3 * h,),
            "output.weight": (v, h),
            "output.bias": (v,),
            "gate_in.weight": (settings.gate, inner),
            "gate_in.bias": (settings.gate,),
            "gate_out.weight": (gated, settings.gate),
            "gate_out.bias": (gated,),
            IN_WORD: (v,),
        }
        for name, shape in expected.items():
            if weights[name].shape != shape:
                raise ValueError(f"{name} has the shape {weights[name].shape}, where {shape} is expected")
        w = {name: np.ascontiguousarray(weights[name], np.float32) for name in expected}
        self._input = w["embedding.weight"] @ w["gru.weight_ih_l0"].T + w["gru.bias_ih_l0"]  # (V, 3H)
        self._recurrent = np.ascontiguousarray(w["gru.weight_hh_l0"].T)  # (H, 3H)
        self._recurrent_bias = w["gru.bias_hh_l0"]
        self._output, self._output_bias = np.ascontiguousarray(w["output.weight"].T), w["output.bias"]  # (H, V)
        self._gate_in, self._gate_in_bias = np.ascontiguousarray(w["gate_in.weight"].T), w["gate_in.bias"]
        self._gate_out, self._gate_out_bias = np.ascontiguousarray(w["gate_out.weight"].T), w["gate_out.bias"]

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return len(self._output_bias)

    def start(self, batch: int) -> State:
        """The network's hidden state (B, H), all zero, and the state of the contexts."""
        return (np.zeros((batch, len(self._recurrent)), np.float32), *self._contexts.start(batch))

    def read(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T); see `Runner.read`."""
        batch, time = ids.shape
        wanted = time if last is None else last
        first, *context = state
        hidden, states = first.astype(np.float32), np.empty((batch, wanted, len(self._recurrent)), np.float32)
        for t in range(time):
            hidden = self._step(ids[:, t], hidden)
            if t >= time - wanted:
                states[:, t - time + wanted] = hidden
        hashes, context = self._contexts.read(ids, tuple(context))
        keys = keys_of(hashes[:, time - wanted :]).reshape(batch * wanted, -1)  # (P, K)
        flat = states.reshape(batch * wanted, -1)  # (P, H)
        rows = max(1, _PIECE // self.vocabulary_size)
        out = np.concatenate([self._mix(flat[i : i + rows], keys[i : i + rows]) for i in range(0, len(flat), rows)])
        return out.reshape(batch, wanted, -1), (hidden, *context)

    def _step(self, ids: Ids, hidden: Floats) -> Floats:
        """One step of the GRU (PyTorch's variant: the reset gate is applied after the product), (B, H)."""
        size = hidden.shape[1]
        x = self._input[ids]  # (B, 3H)
        g = hidden @ self._recurrent  # (B, 3H)
        g += self._recurrent_bias
        gates = x[:, : 2 * size] + g[:, : 2 * size]
        np.negative(gates, out=gates)
        np.exp(np.minimum(gates, 80, out=gates), out=gates)
        gates += 1
        np.reciprocal(gates, out=gates)
        reset, update = gates[:, :size], gates[:, size:]
        new: Floats = np.tanh(x[:, 2 * size :] + reset * g[:, 2 * size :])
        new += update * (hidden - new)
        return new

    def _mix(self, hidden: Floats, keys: NDArray[np.uint32]) -> LogProbabilities:
        """Log-probabilities (P, V) from hidden states (P, H) and the keys of the contexts (P, K)."""
        known = evidence([table.read(table.find(keys)) for table in self._tables])
        inner = np.concatenate([hidden, known.clues], axis=1) @ self._gate_in + self._gate_in_bias  # (P, G)
        trust = np.maximum(inner, 0) @ self._gate_out + self._gate_out_bias  # (P, K * FEATURES)
        experts = trust.shape[1] // FEATURES
        said = (trust.reshape(-1, FEATURES)[known.places] * known.features).sum(axis=1)  # (N,)
        scores = hidden @ self._output + self._output_bias  # (P, V)
        at = known.places // experts * scores.shape[1] + known.ids
        scores += np.bincount(at, said, scores.size).reshape(scores.shape).astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return scores
