"""The running side of the blend: a GRU, tables of counts and a gate, on NumPy alone.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, M networks, K experts, G gate, N entries.
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
from kammil.models.evidence import CLUES, FEATURES, Evidence, Floats, evidence
from kammil.models.history import History, columns
from kammil.models.packing import unpack

Kind = Literal[
    "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10", "o12", "o16", "w", "w1", "w2", "w1s"
]  # fmt: skip
OWN, BACKGROUND = "counts.", "background."
"""Prefixes of the arrays of the two tables."""
IN_WORD = "in_word"
_LARGEST = float(np.finfo(np.float16).max)
_PIECE = 256
"""Positions worked on at a time: bounds the memory of a long read."""


class BlendSettings(Settings):
    """Sizes of the network and of the gate, and what is counted."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Numbers that stand for one character, E."""
    hidden: int = Field(default=384, ge=1, le=8192)
    """Numbers that the network carries from step to step, H."""
    networks: int = Field(default=1, ge=1, le=16)
    """Members, M, each a network with a gate of its own: they learn by themselves, and their log-probabilities are
    averaged. Two take twice the time, learning and completing, for about 0.015 bits a character."""
    dropout: float = Field(default=0.4, ge=0, lt=1)
    """Share of the hidden numbers set to zero while learning, before output and gate."""
    gate: int = Field(default=96, ge=1, le=4096)
    """Width of the gate's hidden layer."""
    kinds: tuple[Kind, ...] = Field(
        default=("o1", "o2", "o3", "o4", "o5", "o6", "o8", "o10", "o12", "w", "w1", "w2", "w1s"), min_length=1
    )
    """Kinds of context that are counted."""
    history: tuple[Kind, ...] = ("o1", "o2", "o3", "o4", "o5", "o6", "o8", "w", "w1")
    """Kinds of context that are also looked up in what has been read of the text itself."""
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
        self._columns = columns(settings.kinds, settings.history)
        self._history = History(len(self._columns))
        experts = len(settings.kinds) * len(self._tables) + len(self._columns)
        self._networks = [_Network(settings, weights, v, prefix) for prefix in prefixes_of(settings.networks)]
        self._hidden = h
        _checked(weights, {IN_WORD: (v,)})
        self._size = v
        self._gate_in, self._gate_in_bias, self._gate_out, self._gate_out_bias = _gate(settings, weights, experts)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def start(self, batch: int) -> State:
        """The networks' hidden states (B, M, H), all zero, and the states of contexts and history."""
        hidden = np.zeros((batch, len(self._networks), self._hidden), np.float32)
        return (hidden, *self._contexts.start(batch), *self._history.start(batch))

    def read(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T), some at a time; see `Runner.read`."""
        time = ids.shape[1]
        first = 0 if last is None else time - last
        made: list[LogProbabilities] = []
        for begin in range(0, time, _PIECE):
            piece = ids[:, begin : begin + _PIECE]
            out, state = self._read(piece, state, wanted=max(0, begin + piece.shape[1] - max(begin, first)))
            made.append(out)
        return np.concatenate(made, axis=1), state

    def _read(self, ids: Ids, state: State, *, wanted: int) -> tuple[LogProbabilities, State]:
        """Log-probabilities (B, wanted, V) at the last positions of a piece, and the state after it."""
        batch, time = ids.shape
        before, recent, words, *history = state
        hidden = before.astype(np.float32)
        states = np.empty((batch, wanted, *hidden.shape[1:]), np.float32)  # (B, n, M, H)
        for t in range(time):
            hidden = np.stack([n.step(ids[:, t], hidden[:, m]) for m, n in enumerate(self._networks)], axis=1)
            if t >= time - wanted:
                states[:, t - time + wanted] = hidden
        hashes, context = self._contexts.read(ids, (recent, words))
        keys = keys_of(hashes)  # (B, T, K)
        earlier, history = self._history.read(ids, keys[..., self._columns], tuple(history), last=wanted)
        if wanted:
            flat = keys[:, time - wanted :].reshape(batch * wanted, -1)  # (P, K)
            known = evidence([*(table.read(table.find(flat)) for table in self._tables), earlier])
            out = self._mix(states.reshape(batch * wanted, *hidden.shape[1:]), known)
        else:
            out = np.empty((0, self._size), np.float32)
        return out.reshape(batch, wanted, self._size), (hidden, *context, *history)

    def _mix(self, hidden: Floats, known: Evidence) -> LogProbabilities:
        """Log-probabilities (P, V) from hidden states (P, M, H) and what the experts know."""
        states = hidden.reshape(len(hidden), -1)
        inner = np.concatenate([states, known.clues], axis=1) @ self._gate_in + self._gate_in_bias  # (P, G)
        trust = np.maximum(inner, 0) @ self._gate_out + self._gate_out_bias  # (P, K * FEATURES)
        experts = trust.shape[1] // FEATURES
        said = (trust.reshape(-1, FEATURES)[known.places] * known.features).sum(axis=1)  # (N,)
        scores = sum((n.scores(hidden[:, m]) for m, n in enumerate(self._networks)), np.float32(0))  # (P, V)
        scores /= np.float32(len(self._networks))
        at = known.places // experts * self._size + known.ids
        scores += np.bincount(at, said, scores.size).reshape(scores.shape).astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return scores


class _Network:
    """One GRU with its embedding, which is folded into the input's share of the gates, and its output."""

    def __init__(
        self, settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]], size: int, prefix: str
    ) -> None:
        e, h = settings.embedding, settings.hidden
        shapes = {
            "embedding.weight": (size, e),
            "gru.weight_ih_l0": (3 * h, e),
            "gru.weight_hh_l0": (3 * h, h),
            "gru.bias_ih_l0": (3 * h,),
            "gru.bias_hh_l0": (3 * h,),
            "output.weight": (size, h),
            "output.bias": (size,),
        }
        w = _checked(weights, {prefix + name: shape for name, shape in shapes.items()})
        embedding, inward, recurrent, bias, self._bias, output, self._output_bias = w.values()
        self._input = embedding @ inward.T + bias  # (V, 3H)
        self._recurrent = np.ascontiguousarray(recurrent.T)  # (H, 3H)
        self._output = np.ascontiguousarray(output.T)  # (H, V)

    def step(self, ids: Ids, hidden: Floats) -> Floats:
        """One step of the GRU (PyTorch's variant: the reset gate is applied after the product), (B, H)."""
        size = hidden.shape[1]
        x = self._input[ids]  # (B, 3H)
        g = hidden @ self._recurrent  # (B, 3H)
        g += self._bias
        gates = x[:, : 2 * size] + g[:, : 2 * size]
        np.negative(gates, out=gates)
        np.exp(np.minimum(gates, 80, out=gates), out=gates)
        gates += 1
        np.reciprocal(gates, out=gates)
        reset, update = gates[:, :size], gates[:, size:]
        new: Floats = np.tanh(x[:, 2 * size :] + reset * g[:, 2 * size :])
        new += update * (hidden - new)
        return new

    def scores(self, hidden: Floats) -> Floats:
        """Of every id, (P, V)."""
        return hidden @ self._output + self._output_bias


def _gate(
    settings: BlendSettings, weights: Mapping[str, NDArray[np.generic]], experts: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """The members' gates as one of M times the width: each hears its own network, and what they trust is averaged.

    Returns: weights and bias of the hidden layer, (M * H + CLUES * K, M * G) and (M * G,), and those of what comes of
    it, (M * G, FEATURES * K) and (FEATURES * K,).
    """
    h, g, m = settings.hidden, settings.gate, settings.networks
    inward = np.zeros((m * h + CLUES * experts, m * g), np.float32)
    biases: list[Floats] = []
    outward: list[Floats] = []
    trusts: list[Floats] = []
    for number, prefix in enumerate(prefixes_of(m)):
        shapes = {
            "gate_in.weight": (g, h + CLUES * experts),
            "gate_in.bias": (g,),
            "gate_out.weight": (FEATURES * experts, g),
            "gate_out.bias": (FEATURES * experts,),
        }
        w = _checked(weights, {prefix + name: shape for name, shape in shapes.items()})
        gate_in, bias, gate_out, trust = w.values()
        columns_of = slice(number * g, (number + 1) * g)
        inward[number * h : (number + 1) * h, columns_of] = gate_in[:, :h].T
        inward[m * h :, columns_of] = gate_in[:, h:].T
        biases.append(bias)
        outward.append(gate_out.T / np.float32(m))
        trusts.append(trust / np.float32(m))
    return inward, np.concatenate(biases), np.concatenate(outward), np.sum(trusts, axis=0)


def prefixes_of(networks: int) -> list[str]:
    """What the names of each network's weights begin with; the first one is named like a GRU by itself."""
    return ["", *(f"others.{i}." for i in range(networks - 1))]


def _checked(
    weights: Mapping[str, NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """The named arrays in single precision; `ValueError` for one of another shape, or beyond half precision."""
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has the shape {weights[name].shape}, where {shape} is expected")
        if not (np.abs(weights[name].astype(np.float32)) <= _LARGEST).all():
            raise ValueError(f"{name} holds something else than weights")
    return {name: np.ascontiguousarray(weights[name], np.float32) for name in shapes}
