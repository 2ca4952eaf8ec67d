"""The reference by independent definitions: PyTorch's GRU over rounded weights, experts added by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kammil.engine.reference import (
    QuantizedGRUs,
    QuantizedProduct,
    ReferenceEngine,
    gru_step,
    log_softmax,
    sigmoid,
    softmax,
    visible,
)
from kammil.engine.weights import STATE_MAX, BlendWeights, GateWeights, GRUWeights, quantize_rows
from kammil.ngrams.adaptive import AdaptiveCounts
from kammil.ngrams.compression import CompressedTable, pack
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.count_table import CountTable, keys_of
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats, TextCache, columns_of, expert_features
from kammil.ngrams.index import CountIndex

SIZE, EMBEDDING, HIDDEN, OUTPUTS = 30, 8, 24, 40


def cells(networks: int) -> tuple[torch.Tensor, list[torch.nn.GRU]]:
    torch.manual_seed(0)
    grus = [torch.nn.GRU(EMBEDDING, HIDDEN, batch_first=True) for _ in range(networks)]
    return torch.randn(SIZE, EMBEDDING), grus


def layer_of(embedding: torch.Tensor, gru: torch.nn.GRU) -> GRUWeights:
    w = {name.removesuffix("_l0"): value.detach() for name, value in gru.named_parameters()}
    inward = embedding @ w["weight_ih"].T + w["bias_ih"]
    outward = torch.randn(HIDDEN, OUTPUTS)
    parts = (inward, w["weight_hh"].T, w["bias_hh"], outward)
    return GRUWeights(*(np.ascontiguousarray(part.numpy()) for part in parts))


@torch.no_grad()
def test_a_step_is_that_of_pytorch() -> None:
    embedding, (gru,) = cells(1)
    layer = layer_of(embedding, gru)
    fixed = layer.bias.copy()
    fixed[2 * HIDDEN :] = 0
    ids, h = np.array([3, 5, 29]), np.random.default_rng(0).uniform(-1, 1, (3, HIDDEN)).astype(np.float32)
    expected, _ = gru(embedding[ids][:, None], torch.from_numpy(h)[None])
    ours = gru_step((layer.input + fixed)[ids], h @ layer.recurrent, layer.bias[2 * HIDDEN :], h)
    assert ours == pytest.approx(expected[:, 0].numpy(), abs=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("networks", [1, 3])
def test_whole_numbers_step_as_pytorch_does_over_the_rounded_weights(networks: int) -> None:
    """One step from any state: both round the state, and PyTorch multiplies by what the quantized numbers are worth."""
    embedding, grus = cells(networks)
    layers = [layer_of(embedding, gru) for gru in grus]
    engine = QuantizedGRUs(layers)
    generator = np.random.default_rng(1)
    ids, h = generator.integers(0, SIZE, (5, 1)), generator.uniform(-1, 1, (5, networks, HIDDEN)).astype(np.float32)
    after, outputs = engine.forward(ids, h.reshape(5, -1), 1)
    assert after.shape == (5, networks * HIDDEN) and outputs.shape == (networks, 5, OUTPUTS)
    for m, layer in enumerate(layers):
        quantized, scales = quantize_rows(layer.recurrent.T)
        near = np.rint(h[:, m] * STATE_MAX) / STATE_MAX  # what is multiplied
        x = layer.input[ids[:, 0]]
        q = near @ (quantized * scales[:, None]).T + layer.bias
        r, z = (1 / (1 + np.exp(-(x + q)[:, part])) for part in (slice(0, HIDDEN), slice(HIDDEN, 2 * HIDDEN)))
        new = np.tanh(x[:, 2 * HIDDEN :] + r * q[:, 2 * HIDDEN :])
        ours = after.reshape(5, networks, HIDDEN)[:, m]
        assert ours == pytest.approx((1 - z) * new + z * h[:, m], abs=1e-3)  # the table of ids is in half precision
        quantized, scales = quantize_rows(layer.output.T)
        state = np.rint(ours * STATE_MAX) / STATE_MAX
        assert outputs[m] == pytest.approx(state @ (quantized * scales[:, None]).T, abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("networks", [1, 3])
def test_whole_texts_are_read_nearly_as_by_pytorch(networks: int) -> None:
    embedding, grus = cells(networks)
    engine = QuantizedGRUs([layer_of(embedding, gru) for gru in grus])
    ids = np.random.default_rng(0).integers(0, SIZE, (5, 12))
    after, _ = engine.forward(ids, np.zeros((5, networks * HIDDEN), np.float32), 0)
    ends = [gru(embedding[ids])[1][0].numpy() for gru in grus]
    assert after == pytest.approx(np.concatenate(ends, axis=1), abs=0.02)


def test_a_row_is_the_same_in_every_batch_and_step_by_step() -> None:
    embedding, grus = cells(2)
    engine = QuantizedGRUs([layer_of(embedding, gru) for gru in grus])
    ids = np.random.default_rng(0).integers(0, SIZE, (7, 6))
    start = np.random.default_rng(1).uniform(-1, 1, (7, 2 * HIDDEN)).astype(np.float32)
    end, outputs = engine.forward(ids, start, 6)
    outputs = outputs.reshape(2, 7, 6, OUTPUTS)
    for row in range(7):
        alone, alone_outputs = engine.forward(ids[row : row + 1], start[row : row + 1], 6)
        assert (alone[0] == end[row]).all() and (alone_outputs == outputs[:, row]).all()
    state = start
    for t in range(6):
        state, step = engine.forward(ids[:, t : t + 1], state, 1)
        assert (step == outputs[:, :, t]).all()
    assert (state == end).all()


@pytest.mark.parametrize("hidden", [2096, 2097, 4000])
def test_sums_of_whole_numbers_are_exact(hidden: int) -> None:
    """All weights at their largest: the sums are as large as they can be, and odd ones among them."""
    weights = np.ones((hidden, 3), np.float32)
    weights[: hidden // 2, 1] = -1
    x = np.ones((1, 2, hidden), np.float32)
    x[0, 1, 0] = 1 / STATE_MAX
    product = QuantizedProduct([weights])(x)[0]
    exact = np.rint(x[0] * STATE_MAX).astype(np.int64) @ np.rint(weights * 63).astype(np.int64)  # (2, 3)
    worth = np.float32(1) / np.float32(63) / np.float32(STATE_MAX)
    assert (product == exact.astype(np.float32) * worth).all()


def test_probabilities() -> None:
    x = np.array([[-200.0, 0, 200], [1, 2, 3]], np.float32)
    assert sigmoid(x) == pytest.approx(np.array([[0, 0.5, 1], [0.731059, 0.880797, 0.952574]]), abs=1e-6)
    assert np.exp(log_softmax(x)) == pytest.approx(softmax(x), abs=1e-6)
    assert softmax(x).sum(-1) == pytest.approx(1)
    mask = visible(2, 3, 2)
    assert mask is not None and (mask == [[0, 0, -np.inf], [-np.inf, 0, 0]]).all()
    assert visible(1, 3, 3) is None
    assert softmax(x, mask)[0, 2] == softmax(x, mask)[1, 0] == 0


# ---- a blend

V, UNITS, GATE = 12, 6, 5
KINDS, CACHED = ("o1", "o2", "w"), ("o1",)
IN_WORD = np.arange(V) > 5


def drawn(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(sum(shape) + seed).normal(0, 0.5, shape).astype(np.float32)


def random_blend(networks: int = 2) -> tuple[ReferenceEngine, list[GRUWeights], Floats, BlendWeights, CountTable]:
    contexts = ContextHasher(KINDS, IN_WORD)
    texts = np.array([[2, 4, 5, 7, 8, 7, 3], [2, 7, 8, 9, 4, 5, 3]])
    hashes, _ = contexts.hash_contexts(texts, contexts.initial_state(2))
    keys = keys_of(hashes)[:, :-1].reshape(-1, 3)
    followers = texts[:, 1:].reshape(-1)
    table = CountTable.of([(keys[:, k], followers) for k in range(3)], max_followers=8)
    index = CountIndex([CompressedTable(pack(table, ""), "")], 3, 4)
    experts = 4
    gate = GateWeights(
        drawn(GATE_FEATURES * experts, networks * GATE),
        drawn(networks * GATE, SCORE_FEATURES * experts),
        drawn(SCORE_FEATURES * experts),
    )
    layers = [
        GRUWeights(
            drawn(V, 3 * UNITS, seed=m),
            drawn(UNITS, 3 * UNITS, seed=m),
            drawn(3 * UNITS, seed=m),
            drawn(UNITS, V + GATE, seed=m),
        )
        for m in range(networks)
    ]
    bias = drawn(V + networks * GATE)
    blend = BlendWeights(contexts, index, AdaptiveCounts(contexts), columns_of(CACHED, KINDS), gate)
    return ReferenceEngine(layers, bias, V, blend), layers, bias, blend, table


IDS = np.array([[2, 4, 5, 7, 8, 4, 5], [2, 7, 9, 4, 5, 4, 5]])


def started(blend: BlendWeights, networks: int) -> tuple[np.ndarray, ...]:
    hidden = np.zeros((2, networks * UNITS), np.float32)
    trust = np.zeros((2, 0), np.float32)
    return (hidden, *blend.contexts.initial_state(2), *TextCache(1).initial_state(2), trust)


@pytest.mark.parametrize("networks", [1, 2])
def test_scores_are_those_by_hand(networks: int) -> None:
    engine, layers, bias, blend, table = random_blend(networks)
    ours, _ = engine.forward(IDS, started(blend, networks), 7)

    _, outputs = QuantizedGRUs(layers).forward(IDS, np.zeros((2, networks * UNITS), np.float32), 7)  # (M, P, V + G)
    scores = outputs[..., :V].sum(0) + bias[:V]
    gate_in = np.concatenate(list(outputs[..., V:]), axis=1) + bias[V:]  # (P, M * G)
    hashes, _ = blend.contexts.hash_contexts(IDS, blend.contexts.initial_state(2))
    keys = keys_of(hashes)
    cached, _ = TextCache(1).look_up(IDS, keys[..., blend.columns], TextCache(1).initial_state(2), last=7)
    seen = expert_features([table.read(table.find(keys.reshape(14, 3))), cached])
    inner = np.maximum(gate_in + seen.gate @ blend.gate.feature_weights, 0)
    expert_weights = inner @ blend.gate.score_weights + blend.gate.bias  # (P, K * SCORE_FEATURES)
    plain = scores.copy()
    added = (expert_weights.reshape(-1, SCORE_FEATURES)[seen.places] * seen.scores).sum(axis=1)
    np.add.at(scores, (seen.places // 4, seen.ids), added)
    assert ours.reshape(14, V) == pytest.approx(log_softmax(scores), abs=1e-4)
    assert np.abs(log_softmax(plain) - log_softmax(scores)).max() > 0.1  # the experts matter


@pytest.mark.parametrize("learnt", [False, True])
def test_contributions_add_up(learnt: bool) -> None:
    engine, _, _, blend, _ = random_blend()
    blend.adaptive.learn([IDS[0, 1:]] * learnt)
    ours, end = engine.forward(IDS, started(blend, 2), 7)
    parts, after = engine.expert_scores(IDS, started(blend, 2))
    assert parts.shape == (14, 6, V)
    assert log_softmax(parts.sum(axis=1)) == pytest.approx(ours.reshape(14, V), abs=1e-5)
    assert all(np.array_equal(one, other) for one, other in zip(after, end, strict=True))


@pytest.mark.parametrize("last", [0, 1, 3])
@pytest.mark.parametrize("learnt", [False, True])
def test_only_the_last_positions_when_asked(learnt: bool, last: int) -> None:
    engine, _, _, blend, _ = random_blend()
    blend.adaptive.learn([IDS[0, 1:]] * learnt)
    full, end = engine.forward(IDS, started(blend, 2), 7)
    tail, after = engine.forward(IDS, started(blend, 2), last)
    assert tail.shape == (2, last, V)
    assert tail == pytest.approx(full[:, 7 - last :], abs=1e-5)
    assert all(np.array_equal(one, other) for one, other in zip(after, end, strict=True))
