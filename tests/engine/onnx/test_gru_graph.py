"""GRUs in whole numbers say what they say in single precision, nearly, and every row alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from kammil.engine.onnx.gru_graph import QuantisedGRU, graph_of
from kammil.engine.weights import GRUWeights  # pyright: ignore[reportPrivateUsage]

SIZE, HIDDEN, ASKED = 30, 24, 40


def layers(networks: int) -> tuple[list[Callable[[torch.Tensor], np.ndarray]], list[GRUWeights]]:
    """What gives the state after some ids in single precision, and the same network for us."""
    torch.manual_seed(0)
    theirs = [torch.nn.GRU(8, HIDDEN, batch_first=True) for _ in range(networks)]
    embedding = torch.randn(SIZE, 8)
    ours: list[GRUWeights] = []
    for gru in theirs:
        w = {name: value.detach() for name, value in gru.named_parameters()}
        inward = embedding @ w["weight_ih_l0"].T + w["bias_ih_l0"]
        outward = torch.randn(HIDDEN, ASKED)
        parts = (inward, w["weight_hh_l0"].T, w["bias_hh_l0"], outward)
        ours.append(GRUWeights(*(np.ascontiguousarray(part.numpy()) for part in parts)))
    return [(lambda ids, gru=gru: gru(embedding[ids])[1][0].numpy()) for gru in theirs], ours


@pytest.mark.parametrize("networks", [1, 3])
def test_it_steps_as_in_single_precision(networks: int) -> None:
    theirs, ours = layers(networks)
    bias = np.arange(ASKED, dtype=np.float32)
    stepped = QuantisedGRU(ours, bias)
    ids = np.random.default_rng(0).integers(0, SIZE, (5, 12))
    state = np.zeros((5, stepped.width), np.float32)
    said = state
    for t in range(ids.shape[1]):
        state, said = stepped.step(ids[:, t], state)
    with torch.no_grad():
        ends = [end(torch.from_numpy(ids)) for end in theirs]
    assert state == pytest.approx(np.concatenate(ends, axis=1), abs=0.02)
    heard = sum(end @ layer.output for end, layer in zip(ends, ours, strict=True)) + bias
    assert said == pytest.approx(heard, abs=0.3)


def test_a_row_is_the_same_in_every_batch() -> None:
    _, ours = layers(2)
    stepped = QuantisedGRU(ours, np.zeros(ASKED, np.float32))
    ids = np.random.default_rng(0).integers(0, SIZE, 7)
    states = np.random.default_rng(1).uniform(-1, 1, (7, stepped.width)).astype(np.float32)
    together, said = stepped.step(ids, states)
    for i in range(7):
        alone, alone_said = stepped.step(ids[i : i + 1], states[i : i + 1])
        assert alone[0] == pytest.approx(together[i], abs=1e-6)
        assert alone_said[0] == pytest.approx(said[i], abs=1e-5)


@pytest.mark.parametrize("networks", [1, 2])
def test_the_graph_is_sound(networks: int) -> None:
    graph = onnx.load_model_from_string(graph_of(layers(networks)[1], np.zeros(ASKED, np.float32)))
    onnx.checker.check_model(graph)
