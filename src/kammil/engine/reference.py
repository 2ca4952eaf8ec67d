"""The reference engine: GRUs and blends in NumPy, written like the equations; `native` is tested against it.

Matrix columns are rounded to 7 bits with their own scales, states to steps of 1 / 127. Sums of integers below 2^24 are
exact in single precision, so a row is the same in every batch.

Shapes: B batch, T time, V vocabulary, M networks, H hidden, G a gate's width, K experts, P = B * last positions, n
contexts found, N followers of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.engine.weights import (
    STATE_MAX,
    WEIGHT_MAX,
    BlendWeights,
    GRUWeights,
    fold_absent_feature,
    input_gates,
    quantize_rows,
)
from kammil.language_model import Ids, LogProbabilities, State
from kammil.ngrams.adaptive import START, AdaptiveCounts
from kammil.ngrams.count_table import Keys, keys_of
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats, TextCache
from kammil.ngrams.index import IndexMatches

Real = TypeVar("Real", bound=np.floating)


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function by a tanh, which cannot overflow."""
    return np.tanh(x * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)


def softmax(x: Floats, mask: Floats | None = None) -> Floats:
    """Return probabilities along the last axis of scores plus `mask` (`visible`)."""
    if mask is not None:
        x = x + mask
    x = np.exp(x - np.maximum.reduce(x, -1, keepdims=True))
    x /= np.add.reduce(x, -1, keepdims=True)
    return x


def log_softmax(x: NDArray[Real]) -> NDArray[Real]:
    """Return log-probabilities along the last axis, each line of which must hold a finite entry."""
    x = x - np.maximum.reduce(x, -1, keepdims=True)
    x -= np.log(np.add.reduce(np.exp(x), -1, keepdims=True))
    return x


def visible(queries: int, total: int, window: int) -> Floats | None:
    """Return the mask of causal attention in a window, (queries, total): 0 or -inf; None if all is visible."""
    if queries == 1 and total <= window:
        return None
    distance = np.arange(total - queries, total)[:, None] - np.arange(total)
    return np.where((distance >= 0) & (distance < window), np.float32(0), np.float32(-np.inf))


def gru_step(x: Floats, q: Floats, bias: Floats, h: Floats) -> Floats:
    """Return the next state of GRUs, PyTorch's variant (reset gate after the product).

        r = sigmoid(x_r + q_r)    z = sigmoid(x_z + q_z)    n = tanh(x_n + r * (q_n + bias))    h' = (1 - z) n + z h

    Args:
        x: gate inputs, (..., 3H), stacked r, z, n, with the biases of r and z.
        q: state times recurrent weights, (..., 3H).
        bias: recurrent bias of n, (..., H).
        h: state, (..., H).
    """
    size = h.shape[-1]
    gates = sigmoid(x[..., : 2 * size] + q[..., : 2 * size])
    new = np.tanh(x[..., 2 * size :] + gates[..., :size] * (q[..., 2 * size :] + bias))
    return new + gates[..., size:] * (h - new)


class QuantizedProduct:
    """Integer products of M matrices (H, N), as floats for BLAS: double precision if sums may reach 2^24."""

    def __init__(self, weights: Sequence[Floats]) -> None:
        quantized, scales = zip(*(quantize_rows(matrix.T) for matrix in weights), strict=True)  # (N, H), (N,) each
        dtype = np.float32 if STATE_MAX * WEIGHT_MAX * len(weights[0]) < 1 << 24 else np.float64
        self._weights = np.stack([matrix.T for matrix in quantized]).astype(dtype, order="C")  # (M, H, N)
        self._scales = np.stack(scales)[:, None] / np.float32(STATE_MAX)  # (M, 1, N)

    def __call__(self, x: Floats) -> Floats:
        """Multiply x (M, B, H), between -1 and 1, to (M, B, N)."""
        steps = np.rint(x * np.float32(STATE_MAX)).astype(self._weights.dtype, copy=False)
        return np.matmul(steps, self._weights).astype(np.float32, copy=False) * self._scales


class QuantizedGRUs:
    """M GRUs of one size that read the same ids."""

    def __init__(self, layers: Sequence[GRUWeights]) -> None:
        self.networks, self.hidden = len(layers), len(layers[0].recurrent)
        self._recurrent = QuantizedProduct([layer.recurrent for layer in layers])
        self._output_weights = QuantizedProduct([layer.output for layer in layers])
        h = self.hidden
        size = len(layers[0].input)
        self._input_weights = np.empty((self.networks, size, 3 * h), np.float16)
        self._bias = np.empty((self.networks, 1, h), np.float32)
        for network, layer in enumerate(layers):
            gates, new = input_gates(layer)
            self._input_weights[network, :, : 2 * h], self._input_weights[network, :, 2 * h :] = gates[:, : 2 * h], new
            self._bias[network] = gates[:1, 2 * h :]

    def forward(self, ids: Ids, state: Floats, last: int) -> tuple[Floats, Floats]:
        """Return states (B, M * H) after ids (B, T), and outputs at the last positions, (M, P, V + G)."""
        batch, time = ids.shape
        h = state.reshape(batch, self.networks, self.hidden).swapaxes(0, 1).astype(np.float32, copy=False)  # (M, B, H)
        states = np.empty((self.networks, batch, last, self.hidden), np.float32)
        for t in range(time):
            x = self._input_weights.take(ids[:, t], axis=1).astype(np.float32)  # (M, B, 3H)
            h = gru_step(x, self._recurrent(h), self._bias, h)
            if t >= time - last:
                states[:, :, t - time] = h
        outputs = self._output_weights(states.reshape(self.networks, batch * last, self.hidden))
        return h.swapaxes(0, 1).reshape(state.shape), outputs


class ReferenceEngine:
    """Runs a blend, or a GRU alone; arguments as for `NativeEngine`."""

    def __init__(
        self, layers: Sequence[GRUWeights], bias: Floats, size: int, blend: BlendWeights | None = None
    ) -> None:
        self._size, self._blend, self._bias = size, blend, bias
        self._networks = QuantizedGRUs(layers)
        if blend is not None:
            self._experts = blend.gate.experts
            self._history = TextCache(len(blend.columns))
            self._bias, feature_weights = fold_absent_feature(bias, blend.gate, size)
            self._feature_weights = feature_weights.reshape(GATE_FEATURES * self._experts, -1)  # (K * FEATURES, M * G)

    def forward(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        """Return log-probabilities (B, last, V) at the last positions of ids (B, T), and the state."""
        if self._blend is None:
            hidden, scores, _ = self._step(ids, state, last)
            return log_softmax(scores).reshape(len(ids), last, self._size), (hidden, *state[1:])
        learnt = bool(self._blend.adaptive.layer) and len(self._blend.adaptive) > 0
        positions = ids.shape[1] if learnt else last  # trust in the writer's layer is a matter of every position
        hidden, scores, gate_in = self._step(ids, state, positions)
        matches, keys, rest = self._look_up(self._blend, ids, state, positions)
        places, added = self._weigh(self._blend, gate_in, matches)
        np.add.at(scores.reshape(-1), places // self._experts * self._size + matches.followers[0], added)
        log_probabilities = log_softmax(scores).reshape(len(ids), positions, self._size)
        if learnt:
            log_probabilities, trust = self._mix(self._blend, log_probabilities, keys, ids, state)
        else:
            trust = state[-1][:, :0]
        return log_probabilities[:, positions - last :], (hidden, *rest, trust)

    def expert_scores(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """Return the networks' logits and what each expert adds, (P, 2 + K, V), the writer's layer last, and the
        state."""
        assert self._blend is not None
        log_probabilities, after = self.forward(ids, state, ids.shape[1])
        _, scores, gate_in = self._step(ids, state, ids.shape[1])
        matches, *_ = self._look_up(self._blend, ids, state, ids.shape[1])
        places, added = self._weigh(self._blend, gate_in, matches)
        parts = np.zeros((len(scores), 2 + self._experts, self._size), np.float32)
        parts[:, 0] = scores
        position, expert = np.divmod(places, self._experts)
        parts[position, expert + 1, matches.followers[0]] = added
        if after[-1].shape[1]:
            parts[:, -1] = log_probabilities.reshape(len(parts), -1) - log_softmax(parts.sum(axis=1))
        return parts, after

    def _mix(
        self, blend: BlendWeights, log_probabilities: LogProbabilities, keys: Keys, ids: Ids, state: State
    ) -> tuple[LogProbabilities, Floats]:
        """Return log-probabilities (B, T, V) mixed with the writer's layer, and the state of trust, (B, 1 + V): in the
        layer, and after each id that may come next; empty before the first text is learnt."""
        rows = np.arange(len(ids))
        _, recent, *_, trust = state
        line, before = np.concatenate([recent.astype(np.int64), ids], axis=1), recent.shape[1]
        start = np.full((len(ids), 1 + self._size), START, np.float32)
        trust = trust.astype(np.float32) if trust.shape[1] else start
        mixed = np.empty_like(log_probabilities)
        for t in range(ids.shape[1]):
            trust[:, 0] = now = trust[rows, 1 + ids[:, t]]
            last = line[:, t + 1 : before + t + 1]
            mixed[:, t], trust[:, 1:] = blend.adaptive.mix(log_probabilities[:, t], keys[:, t], last, now)
        return mixed, trust

    def _step(self, ids: Ids, state: State, last: int) -> tuple[Floats, Floats, Floats]:
        """Return states (B, M * H), logits (P, V), gate inputs (P, M * G)."""
        hidden, outputs = self._networks.forward(ids, np.asarray(state[0], np.float32), last)  # (M, P, V + G)
        scores = np.add.reduce(outputs[..., : self._size], 0) + self._bias[: self._size]
        gate_in = (
            outputs[..., self._size :].swapaxes(0, 1).reshape(len(scores), len(self._bias) - self._size)
            + self._bias[self._size :]
        )
        return hidden, scores, gate_in

    def fork(self, adaptive: AdaptiveCounts) -> Self:
        """Return an engine with other adaptive counts."""
        assert self._blend is not None
        forked = copy(self)
        forked._blend = replace(self._blend, adaptive=adaptive)
        return forked

    def _look_up(self, blend: BlendWeights, ids: Ids, state: State, last: int) -> tuple[IndexMatches, Keys, State]:
        """Return matches at the last positions, keys of all contexts, (B, T, K + W), and the state but for trust."""
        batch, time = ids.shape
        _, recent, words, *history, _ = state
        hashes, context = blend.contexts.hash_contexts(ids, (recent, words))
        keys = keys_of(hashes)  # (B, T, K)
        entries, history = self._history.look_up(ids, keys[..., blend.columns], tuple(history), last=last)
        first = blend.index.table_experts
        cached = IndexMatches.of(
            entries.flat_index, entries.ids, entries.counts.astype(np.int64), len(blend.columns), first, self._experts
        )
        if not last:
            return cached, keys, (*context, *history)
        flat = keys[:, time - last :, : blend.index.context_types].reshape(batch * last, -1)  # (P, K)
        matches = blend.index.look_up(flat)
        if len(blend.adaptive):
            matches = blend.adaptive.look_up(matches, flat, self._experts)
        return matches.extended(cached), keys, (*context, *history)

    def _weigh(self, blend: BlendWeights, gate_in: Floats, matches: IndexMatches) -> tuple[NDArray[np.int64], Floats]:
        """Return position * K + expert of each follower, (N,), and what its logit gains."""
        places, widths, pruned = matches.contexts
        counts = matches.followers[1].astype(np.float32)
        if not len(places):
            return places, counts
        begins = widths.cumsum() - widths
        totals = np.add.reduceat(counts, begins) + pruned.astype(np.float32)  # (n,)
        distinct = (widths + pruned).astype(np.float32)
        gate_features = np.zeros((len(gate_in) * self._experts, GATE_FEATURES), np.float32)
        rows = np.empty((len(places), GATE_FEATURES), np.float32)  # as in `ExpertFeatures.gate`
        rows[:, 0], rows[:, 1] = np.log1p(totals), np.log1p(distinct)
        rows[:, 2] = np.maximum.reduceat(counts, begins) / totals
        rows[:, 3], rows[:, 4] = 1, distinct == 1
        gate_features[places] = rows
        pre_activation = gate_in + gate_features.reshape(len(gate_in), -1) @ self._feature_weights  # (P, M * G)
        hidden = np.maximum(pre_activation, np.float32(0))
        expert_weights = hidden @ blend.gate.score_weights + blend.gate.bias  # (P, K * SCORE_FEATURES)
        expert_weights = expert_weights.reshape(-1, SCORE_FEATURES).take(places, axis=0)  # (n, SCORE_FEATURES)
        expert_weights[:, 1] /= totals
        log_weight, share_weight = expert_weights.repeat(widths, axis=0).T  # (N,) each
        return places.repeat(widths), log_weight * np.log1p(counts * np.float32(10)) + share_weight * counts
