"""GRUs and blends in NumPy: reads like the equations, runs wherever Python runs, and is what `native` is tested by.

Networks run in whole numbers, as in `native`: each column of a matrix is rounded to 7 bits with a scale of its own (see
`quantization`), a state, which lies between -1 and 1 since a GRU takes means of states and of a tanh, to steps of
1 / 127. Sums of whole numbers below 2^24 are exact in single precision, so that BLAS multiplies them without error, in
whatever order it adds, and a row is the same in every batch.

Shapes: B batch, T time, V vocabulary, M networks, H hidden, G a gate's width, K experts, P = B * last positions,
n contexts found in all, N followers of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.engine.quantization import WEIGHT_MAX, quantize_rows
from kammil.engine.weights import STATE_MAX, BlendWeights, GRUWeights, fold_absent_feature, input_gates
from kammil.language_model import Ids, LogProbabilities, State
from kammil.ngrams.count_table import keys_of
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats
from kammil.ngrams.index import IndexMatches
from kammil.ngrams.text_cache import TextCache


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), by a tanh, which cannot overflow."""
    return np.tanh(x * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)


def softmax(x: Floats, mask: Floats | None = None) -> Floats:
    """Shares along the last axis; `mask`, as `visible` makes it, is added before."""
    if mask is not None:
        x = x + mask
    x = np.exp(x - np.maximum.reduce(x, -1, keepdims=True))
    x /= np.add.reduce(x, -1, keepdims=True)
    return x


def log_softmax(x: Floats) -> Floats:
    """Logarithms of the shares along the last axis."""
    x = x - np.maximum.reduce(x, -1, keepdims=True)
    x -= np.log(np.add.reduce(np.exp(x), -1, keepdims=True))
    return x


def visible(asking: int, total: int, window: int) -> Floats | None:
    """What to add to how the last `asking` of `total` positions fit to all of them, (asking, total): 0 where one sees
    another, itself and the window - 1 before it, else minus infinity. None where all see all."""
    if asking == 1 and total <= window:
        return None
    distance = np.arange(total - asking, total)[:, None] - np.arange(total)
    return np.where((distance >= 0) & (distance < window), np.float32(0), np.float32(-np.inf))


def gru_step(x: Floats, q: Floats, bias: Floats, h: Floats) -> Floats:
    """The next state of GRUs, PyTorch's variant (the reset gate is applied after the product).

        r = sigmoid(x_r + q_r)    z = sigmoid(x_z + q_z)    n = tanh(x_n + r * (q_n + bias))    h' = (1 - z) n + z h

    Args:
        x: what the id that is read adds to the gates, (..., 3H), stacked r, z, n; the biases of r and z are in it.
        q: the state times the recurrent weights, (..., 3H).
        bias: of the recurrent share of n, (..., H).
        h: the state before, (..., H).
    """
    size = h.shape[-1]
    gates = sigmoid(x[..., : 2 * size] + q[..., : 2 * size])
    new = np.tanh(x[..., 2 * size :] + gates[..., :size] * (q[..., 2 * size :] + bias))
    return new + gates[..., size:] * (h - new)


class QuantizedProduct:
    """x @ weights in whole numbers, for M matrices (H, N) at once.

    The whole numbers stand there as floats, which is the only product that BLAS knows: double precision where the sums
    would reach 2^24.
    """

    def __init__(self, weights: Sequence[Floats]) -> None:
        """Round them."""
        whole, scales = zip(*(quantize_rows(matrix.T) for matrix in weights), strict=True)  # (N, H), (N,) each
        number = np.float32 if STATE_MAX * WEIGHT_MAX * len(weights[0]) < 1 << 24 else np.float64
        self._weights = np.stack([matrix.T for matrix in whole]).astype(number, order="C")  # (M, H, N)
        self._scales = np.stack(scales)[:, None] / np.float32(STATE_MAX)  # (M, 1, N)

    def __call__(self, x: Floats) -> Floats:
        """(M, B, H) between -1 and 1, to (M, B, N)."""
        steps = np.rint(x * np.float32(STATE_MAX)).astype(self._weights.dtype, copy=False)
        return np.matmul(steps, self._weights).astype(np.float32, copy=False) * self._scales


class QuantizedGRUs:
    """M GRUs of one size that read the same ids."""

    def __init__(self, layers: Sequence[GRUWeights]) -> None:
        """Round the weights."""
        self.networks, self.hidden = len(layers), len(layers[0].recurrent)
        self._recurrent = QuantizedProduct([layer.recurrent for layer in layers])
        self._outward = QuantizedProduct([layer.output for layer in layers])
        h = self.hidden
        size = len(layers[0].input)
        self._inward = np.empty((self.networks, size, 3 * h), np.float16)
        self._bias = np.empty((self.networks, 1, h), np.float32)
        for network, layer in enumerate(layers):
            gates, new = input_gates(layer)
            self._inward[network, :, : 2 * h], self._inward[network, :, 2 * h :] = gates[:, : 2 * h], new
            self._bias[network] = gates[:1, 2 * h :]  # the same for every id

    def forward(self, ids: Ids, state: Floats, last: int) -> tuple[Floats, Floats]:
        """States (B, M * H) after ids (B, T), and what is read from the last ones, (M, P, A), text by text."""
        batch, time = ids.shape
        h = state.reshape(batch, self.networks, self.hidden).swapaxes(0, 1).astype(np.float32, copy=False)  # (M, B, H)
        states = np.empty((self.networks, batch, last, self.hidden), np.float32)
        for t in range(time):
            x = self._inward.take(ids[:, t], axis=1).astype(np.float32)  # (M, B, 3H)
            h = gru_step(x, self._recurrent(h), self._bias, h)
            if t >= time - last:
                states[:, :, t - time] = h
        said = self._outward(states.reshape(self.networks, batch * last, self.hidden))
        return h.swapaxes(0, 1).reshape(state.shape), said


class ReferenceEngine:
    """Reads ids: hashes contexts, looks them up, steps the networks and mixes; or steps a GRU alone.

    Args:
        layers: M networks, whose `output` is of the scores and of what their own gates hear, (H, V + G).
        bias: (V + M * G,): of these, the networks taken together.
        size: V.
        panel: the experts; None for a GRU alone.
    """

    def __init__(
        self, layers: Sequence[GRUWeights], bias: Floats, size: int, panel: BlendWeights | None = None
    ) -> None:
        """Round the weights, and fold into the bias what an expert says that knows nothing."""
        self._size, self._panel, self._bias = size, panel, bias
        self._networks = QuantizedGRUs(layers)
        if panel is not None:
            self._experts = panel.gate.experts
            self._history = TextCache(len(panel.columns))
            self._bias, heard = fold_absent_feature(bias, panel.gate, size)
            self._heard = heard.reshape(GATE_FEATURES * self._experts, -1)  # (K * GATE_FEATURES, M * G)

    def forward(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        """Log-probabilities (B, last, V) at the last positions of ids (B, T), and the state after them."""
        hidden, scores, asked = self._step(ids, state, last)
        rest = state[1:]
        if self._panel is not None:
            known, rest = self._look_up(self._panel, ids, state, last)
            which, added = self._weigh(self._panel, asked, known)
            np.add.at(scores.reshape(-1), which // self._experts * self._size + known.followers[0], added)
        return log_softmax(scores).reshape(len(ids), last, self._size), (hidden, *rest)

    def expert_scores(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """What the networks say, and what each expert adds to it, (P, 1 + K, V), and the state after ids (B, T)."""
        assert self._panel is not None
        hidden, scores, asked = self._step(ids, state, ids.shape[1])
        known, rest = self._look_up(self._panel, ids, state, ids.shape[1])
        which, added = self._weigh(self._panel, asked, known)
        parts = np.zeros((len(scores), 1 + self._experts, self._size), np.float32)
        parts[:, 0] = scores
        position, expert = np.divmod(which, self._experts)
        parts[position, expert + 1, known.followers[0]] = added
        return parts, (hidden, *rest)

    def _step(self, ids: Ids, state: State, last: int) -> tuple[Floats, Floats, Floats]:
        """The networks' states after ids, (B, M * H), their scores (P, V), and what their gates hear, (P, M * G)."""
        hidden, said = self._networks.forward(ids, np.asarray(state[0], np.float32), last)  # (M, P, V + G)
        scores = np.add.reduce(said[..., : self._size], 0) + self._bias[: self._size]
        asked = (
            said[..., self._size :].swapaxes(0, 1).reshape(len(scores), len(self._bias) - self._size)
            + self._bias[self._size :]
        )
        return hidden, scores, asked

    def _look_up(self, panel: BlendWeights, ids: Ids, state: State, last: int) -> tuple[IndexMatches, State]:
        """What the experts know of the last positions, and the state of contexts and text cache after ids."""
        batch, time = ids.shape
        _, recent, words, *history = state
        hashes, context = panel.contexts.hash_contexts(ids, (recent, words))
        keys = keys_of(hashes)  # (B, T, K)
        entries, history = self._history.look_up(ids, keys[..., panel.columns], tuple(history), last=last)
        counted = panel.index.table_experts
        cached = IndexMatches.of(
            entries.flat_index, entries.ids, entries.counts.astype(np.int64), len(panel.columns), counted, self._experts
        )
        if not last:
            return cached, (*context, *history)
        flat = keys[:, time - last :].reshape(batch * last, -1)  # (P, K)
        known = panel.index.look_up(flat)
        if len(panel.adaptive):
            known = panel.adaptive.look_up(known, flat, self._experts)
        return known.extended(cached), (*context, *history)

    def _weigh(self, panel: BlendWeights, asked: Floats, known: IndexMatches) -> tuple[NDArray[np.int64], Floats]:
        """Of each follower, (N,): which position and expert know it (position * K + expert), and what is added to its
        score."""
        places, widths, lost = known.contexts
        counts = known.followers[1].astype(np.float32)
        if not len(places):
            return places, counts
        begins = widths.cumsum() - widths
        totals = np.add.reduceat(counts, begins) + lost.astype(np.float32)  # (n,)
        distinct = (widths + lost).astype(np.float32)
        clues = np.zeros((len(asked) * self._experts, GATE_FEATURES), np.float32)
        rows = np.empty((len(places), GATE_FEATURES), np.float32)  # in the order of `ExpertFeatures.gate`
        rows[:, 0], rows[:, 1] = np.log1p(totals), np.log1p(distinct)
        rows[:, 2] = np.maximum.reduceat(counts, begins) / totals
        rows[:, 3], rows[:, 4] = 1, distinct == 1
        clues[places] = rows
        heard = asked + clues.reshape(len(asked), self._experts * GATE_FEATURES) @ self._heard  # (P, M * G)
        trust = np.maximum(heard, np.float32(0)) @ panel.gate.trust + panel.gate.bias  # (P, K * SCORE_FEATURES)
        trust = trust.reshape(-1, SCORE_FEATURES).take(places, axis=0)  # (n, SCORE_FEATURES)
        trust[:, 1] /= totals
        each = trust.repeat(widths, axis=0)  # (N, SCORE_FEATURES)
        added = each[:, 0] * np.log1p(counts * np.float32(10)) + each[:, 1] * counts
        return places.repeat(widths), added if known.score_bonus is None else added + known.score_bonus
