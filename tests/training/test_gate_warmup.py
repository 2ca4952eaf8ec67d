"""The gate of a blend is trained before its network."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from kammil.models.blend.experts import NgramExperts
from kammil.models.blend.model import BlendSettings
from kammil.models.blend.network import BlendNetwork
from kammil.models.family import Chunk, NetworkTask
from kammil.training import initial_weights, time_budget
from kammil.training.batches import Arrays
from kammil.training.loop import fit
from kammil.training.recipe import TrainingOptions
from kammil.vocabulary import CharacterVocabulary

OPTIONS = TrainingOptions(epochs=1, learning_rate=0.01, threads=1, device="cpu")


def lessons(texts: list[str]) -> tuple[NetworkTask[Any], list[BlendNetwork]]:
    """Three quarters of the texts to learn from, and two new members of a blend."""
    settings = BlendSettings(embedding=8, hidden=16, gate=8)
    vocabulary = CharacterVocabulary.from_texts(texts)
    encoded = [vocabulary.encode(text) for text in texts]
    part = len(texts) * 3 // 4
    train, held_out = encoded[:part], encoded[part:]
    made = NgramExperts(train, held_out, kin=range(part), background=[], vocabulary=vocabulary, settings=settings)

    def extra_inputs(rows: Sequence[Chunk], width: int, *, learning: bool) -> Arrays:
        seen = made.features(rows, width, learning=learning)
        return seen.gate, seen.places, seen.ids, seen.scores

    torch.manual_seed(0)
    return (
        NetworkTask(
            nn.Module, train, held_out, extra_inputs=extra_inputs, rare=(), unknown_bits=vocabulary.unknown_bits
        ),
        [BlendNetwork(vocabulary.size, made.count, settings) for _ in range(2)],
    )


def bits(network: BlendNetwork, given: NetworkTask[Any]) -> float:
    """On the validation texts, of weights that do not move."""
    (epoch,) = fit(network, given, OPTIONS.model_copy(update={"learning_rate": 1e-12}))
    return epoch.validation_bits


def test_gate_and_frequencies_learn_and_the_network_does_not(few: list[str]) -> None:
    given, networks = lessons(few)
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    at_birth = [bits(network, given) for network in networks]
    for network, weights in zip(networks, before, strict=True):
        network.load_state_dict(weights)
    initial_weights.warm_up_gates(networks, given, OPTIONS)
    for network, weights, born in zip(networks, before, at_birth, strict=True):
        moved = {name for name, value in network.state_dict().items() if not torch.equal(value, weights[name])}
        assert moved == {"output.bias", "gate_in.weight", "gate_in.bias", "gate_out.weight", "gate_out.bias"}
        assert bits(network, given) < born - 0.2  # in three steps


def test_one_seed_gives_one_opening(few: list[str]) -> None:
    made = [lessons(few) for _ in range(2)]
    for given, networks in made:
        initial_weights.warm_up_gates(networks, given, OPTIONS)
    for one, other in zip(*(networks for _, networks in made), strict=True):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_few_minutes_are_not_spent_on_it(few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given, networks = lessons(few)
    before = networks[0].output.bias.clone()
    now = iter([0.0, 5.0, 7.0])  # begins; a tenth of a minute is 6 seconds; the second step is beyond
    times = SimpleNamespace(monotonic=lambda: next(now), process_time=lambda: 0.0)
    monkeypatch.setattr(time_budget, "time", times)
    initial_weights.warm_up_gates(networks, given, OPTIONS.model_copy(update={"minutes": 1.0}))
    assert not torch.equal(networks[0].output.bias, before)
    assert next(now, None) is None
