"""Layers of saved models: against the networks they were saved from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kammil import model_folder as folders
from kammil.engine.weights import Layer, count_parameters, layers, pack, unpack


def test_layers_are_the_arrays(trained: Path) -> None:
    model = folders.read(trained)
    found = layers(model.artifacts.weights)
    assert sum(layer.parameters for layer in found) == model.metrics["parameters"]
    arrays = unpack(model.artifacts.weights)
    for layer in found:
        if layer.trainable:
            assert layer.shape == arrays[layer.name].shape and arrays[layer.name].dtype.kind == "f"
        assert layer.parameters == np.prod(layer.shape)
    assert any(layer.trainable for layer in found) == (model.description.family != "ngram")
    assert any(not layer.trainable for layer in found) == (model.description.family in ("ngram", "blend", "subwords"))


def test_the_layers_of_a_gru_are_those_of_pytorch(folder_of: Callable[[str], Path]) -> None:
    model = folders.read(folder_of("gru"))
    torch = pytest.importorskip("torch")
    settings, v = model.description.settings, model.vocabulary.size
    embedding, gru = (
        torch.nn.Embedding(v, settings["embedding"]),
        torch.nn.GRU(settings["embedding"], settings["hidden"]),
    )
    output = torch.nn.Linear(settings["hidden"], v)
    expected = {
        f"{name}.{parameter}": tuple(value.shape)
        for name, module in (("embedding", embedding), ("gru", gru), ("output", output))
        for parameter, value in module.named_parameters()
    }
    assert {layer.name: layer.shape for layer in layers(model.artifacts.weights)} == expected


def test_packed_arrays_are_counted_as_they_are_unpacked() -> None:
    weights = {"a.weight": np.ones((3, 4), np.float32), "in_word": np.ones(9, np.uint8), "n": np.array([1, 2])}
    weights["counts.sizes"] = np.array([5, 7])
    expected = (
        Layer("a.weight", (3, 4), 12, trainable=True),
        Layer("counts.contexts", (5,), 5, trainable=False),
        Layer("counts.followers", (7,), 7, trainable=False),
        Layer("n", (2,), 2, trainable=False),
    )
    assert layers(weights) == layers(pack(weights, ["a.weight"])) == expected
    assert count_parameters(weights) == 12 + 5 + 7 + 2


def test_the_bundled_model_has_the_parameters_it_says() -> None:
    model = folders.read(Path(folders.PRETRAINED))
    assert count_parameters(model.artifacts.weights) == model.metrics["parameters"]
