"""The memory and the copy path: by hand, by brute force, and by what can be learnt with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kammil.language_model import Ids, LanguageModel
from kammil.models.attention import model as attention_model
from kammil.models.attention import network as attention_network
from kammil.models.attention.network import AttentionSettings, PointerGRU
from kammil.models.family import NetworkLearner, export, family, load_model

SIZE = 12


def small(seed: int = 0) -> PointerGRU:
    """A network whose weights are big enough to show every mistake."""
    torch.manual_seed(seed)
    network = PointerGRU(SIZE, AttentionSettings(embedding=5, hidden=6, attention=3)).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(std=0.8)
    return network


def running(network: PointerGRU) -> LanguageModel:
    return load_model("attention", {}, export(network))


def drawn(rows: int, time: int) -> Ids:
    return np.random.default_rng(1).integers(1, SIZE, (rows, time))


@torch.no_grad()
def log_probabilities(network: nn.Module, ids: Ids) -> NDArray[np.float32]:
    logits: Tensor = network(torch.from_numpy(ids))
    return logits.log_softmax(-1).numpy()


@torch.no_grad()
def by_hand(network: PointerGRU, ids: Ids, window: int) -> NDArray[np.float64]:
    """One text, (T,), one position after the other, as the docstring tells it; probabilities (T, V)."""
    states, _ = network.gru(network.embedding(torch.from_numpy(ids)[None]))
    h: NDArray[np.float64] = states[0].double().numpy()
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    rows: list[NDArray[np.float64]] = []
    for t in range(len(ids)):
        window_range = range(max(0, t - window + 1), t + 1)
        query = w["query.weight"] @ h[t]
        fit = np.array([math.exp(query @ (w["key.weight"] @ before[j]) / math.sqrt(3)) for j in window_range])
        fit /= fit.sum()
        y = np.concatenate([h[t], sum(a * (w["value.weight"] @ h[j]) for a, j in zip(fit, window_range, strict=True))])
        generated = np.exp(w["output.weight"] @ y + w["output.bias"])
        gate = 1 / (1 + math.exp(-(w["gate.weight"] @ y + w["gate.bias"]).item()))
        row = (1 - gate) * generated / generated.sum()
        for a, j in zip(fit, window_range, strict=True):
            row[ids[j]] += gate * a
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("window", [4096, 4])
def test_both_sides_are_the_formula(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    for side in (attention_network, attention_model):
        monkeypatch.setattr(side, "WINDOW", window)
    network, ids = small(), drawn(3, 15)
    expected = np.log([by_hand(network, row, window) for row in ids])
    assert log_probabilities(network, ids) == pytest.approx(expected, abs=1e-4)
    model = running(network)
    scores, end = model.forward(ids, model.initial_state(3))
    assert scores == pytest.approx(expected, abs=1e-4)
    assert [array.shape[1:] for array in end[1:]] == [(min(window, 15), 3), (min(window, 15), 3), (min(window, 15),)]


def test_a_memory_that_is_full_is_stepped_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for side in (attention_network, attention_model):
        monkeypatch.setattr(side, "WINDOW", 5)
    model, ids = running(small()), drawn(2, 14)
    full, end = model.forward(ids, model.initial_state(2))
    state = model.initial_state(2)
    for t in range(14):
        step, state = model.step(ids[:, t], state)
        assert step == pytest.approx(full[:, t], abs=1e-5)
    for stepped, parallel in zip(state, end, strict=True):
        assert stepped.astype(np.float64) == pytest.approx(parallel.astype(np.float64), abs=1e-5)
    assert state[3].tolist() == ids[:, -5:].tolist()


def test_with_the_gate_open_and_nothing_asked_a_copy_is_the_count_of_the_characters() -> None:
    network = small()
    with torch.no_grad():
        network.query.weight.zero_()  # every entry fits alike
        network.gate.weight.zero_()
        network.gate.bias.fill_(60.0)
    ids = drawn(1, 20)
    model = running(network)
    for scores in (log_probabilities(network, ids), model.forward(ids, model.initial_state(1))[0]):
        for t in range(20):
            counts = np.bincount(ids[0, : t + 1], minlength=SIZE) / (t + 1)
            assert np.exp(scores[0, t].astype(np.float64)) == pytest.approx(counts, abs=1e-5)
        assert np.isfinite(scores).all()  # also what was never there


def test_a_gate_that_is_shut_or_open_has_gradients() -> None:
    for bias in (-200.0, 200.0):
        network = small()
        with torch.no_grad():
            network.gate.bias.fill_(bias)
        ids = torch.from_numpy(drawn(2, 9))
        network(ids).sum().backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def echoes(generator: np.random.Generator, rows: int, length: int) -> Tensor:
    """Rows of random symbols, each row said twice: the second half can be known, but not without looking back."""
    first = generator.integers(4, 44, (rows, length))
    return torch.from_numpy(np.concatenate([np.full((rows, 1), 2), first, first], axis=1))


def echo_bits(name: str, **settings: Any) -> float:
    """Bits a symbol that a family pays for the second half of unseen echoes, its first two symbols left out."""
    chosen = family(name).learner()
    assert isinstance(chosen, NetworkLearner)
    torch.manual_seed(0)
    network = chosen.build(44, chosen.settings(**settings))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    generator = np.random.default_rng(0)
    for step in range(150):
        ids = echoes(generator, 32, 8)
        loss = nn.functional.cross_entropy(network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 - step / 150)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    ids = echoes(np.random.default_rng(1), 100, 8)
    with torch.no_grad():
        logits = network.eval()(ids[:, :-1])  # (B, T, V)
    nats = nn.functional.cross_entropy(logits[:, 10:].flatten(0, 1), ids[:, 11:].flatten())
    return float(nats) / math.log(2)


def test_a_string_that_was_said_can_be_said_again() -> None:
    copying = echo_bits("attention", embedding=32, hidden=48, attention=32, dropout=0.0)
    plain = echo_bits("gru", embedding=32, hidden=48, dropout=0.0)
    assert plain > 4  # an even choice among 40 costs 5.3
    assert copying < plain / 4
