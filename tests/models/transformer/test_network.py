"""The Llama layout by an independent reading of it, and the cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kammil.errors import OptionError
from kammil.language_model import Ids, LanguageModel
from kammil.models.family import export, family
from kammil.models.transformer import model as transformer_model
from kammil.models.transformer.model import TransformerModel, TransformerSettings, llama_config
from kammil.models.transformer.network import Transformer

SIZE, WIDTH, HEADS = 12, 8, 2


def small(*, layers: int = 2, window: int = 1024) -> Transformer:
    """A network whose weights are big enough to show every mistake."""
    torch.manual_seed(0)
    network = Transformer(SIZE, TransformerSettings(width=WIDTH, layers=layers, heads=HEADS, window=window)).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(std=0.6)
    return network


def running(network: Transformer, **sizes: int) -> LanguageModel:
    chosen = TransformerSettings(**{"width": WIDTH, "layers": 2, "heads": HEADS, **sizes})
    return TransformerModel(chosen, export(network).weights)


def drawn(rows: int, time: int) -> Ids:
    return np.random.default_rng(1).integers(1, SIZE, (rows, time))


@torch.no_grad()
def log_probabilities(network: Transformer, ids: Ids) -> NDArray[np.float32]:
    return network(torch.from_numpy(ids)).log_softmax(-1).numpy()


def llama(w: dict[str, NDArray[np.float64]], config: dict[str, Any], ids: Ids) -> NDArray[np.float64]:
    """Logits (T, V) of one text, written from the paper, position by position, over the weights by their Llama names.

    A head's pairs are complex numbers here, and turning is a product.
    """
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    each = config["hidden_size"] // heads

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return x / math.sqrt((x**2).mean() + config["rms_norm_eps"]) * w[f"{name}.weight"]

    def turned(x: NDArray[np.float64], t: int) -> NDArray[np.complex128]:
        half = each // 2
        return (x[:half] + 1j * x[half:]) * np.exp(1j * t * config["rope_theta"] ** (-np.arange(half) / half))

    xs = [w["model.embed_tokens.weight"][i] for i in ids]
    for layer in (f"model.layers.{i}" for i in range(layers)):
        ys = [norm(x, f"{layer}.input_layernorm") for x in xs]
        q, k, v = ([w[f"{layer}.self_attn.{c}_proj.weight"] @ y for y in ys] for c in "qkv")
        for t in range(len(xs)):
            begin = max(0, t - config["max_position_embeddings"] + 1)
            found: list[NDArray[np.float64]] = []
            for head in (slice(n * each, (n + 1) * each) for n in range(heads)):
                fit = np.array(
                    [(turned(q[t][head], t) * turned(k[j][head], j).conj()).real.sum() for j in range(begin, t + 1)]
                )
                fit = np.exp(fit / math.sqrt(each))
                found.append(fit / fit.sum() @ np.array(v[begin : t + 1])[:, head])
            xs[t] = xs[t] + w[f"{layer}.self_attn.o_proj.weight"] @ np.concatenate(found)
        for t, x in enumerate(xs):
            y = norm(x, f"{layer}.post_attention_layernorm")
            gate, up = w[f"{layer}.mlp.gate_proj.weight"] @ y, w[f"{layer}.mlp.up_proj.weight"] @ y
            xs[t] = x + w[f"{layer}.mlp.down_proj.weight"] @ (gate / (1 + np.exp(-gate)) * up)
    return np.array([w["lm_head.weight"] @ norm(x, "model.norm") for x in xs])


@pytest.mark.parametrize("window", [1024, 4])
def test_both_sides_are_a_llama(window: int) -> None:
    network, ids = small(window=window), drawn(2, 11)
    config = llama_config(SIZE, TransformerSettings(width=WIDTH, layers=2, heads=HEADS, window=window))
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    expected = torch.log_softmax(torch.from_numpy(np.stack([llama(w, config, row) for row in ids])), -1).numpy()
    assert log_probabilities(network, ids) == pytest.approx(expected, abs=1e-4)
    model = running(network, window=window)
    assert model.forward(ids, model.initial_state(2))[0] == pytest.approx(expected, abs=1e-4)


def test_the_weights_have_the_names_and_shapes_of_a_llama() -> None:
    settings = TransformerSettings(width=WIDTH, layers=2, heads=HEADS)
    inner = llama_config(SIZE, settings)["intermediate_size"]
    expected = {
        "model.embed_tokens.weight": (SIZE, WIDTH),
        "model.norm.weight": (WIDTH,),
        "lm_head.weight": (SIZE, WIDTH),
    }
    for i in range(2):
        layer = f"model.layers.{i}"
        expected |= {f"{layer}.self_attn.{c}_proj.weight": (WIDTH, WIDTH) for c in "qkvo"}
        expected |= {f"{layer}.mlp.{c}_proj.weight": (inner, WIDTH) for c in ("gate", "up")}
        expected |= {f"{layer}.mlp.down_proj.weight": (WIDTH, inner)}
        expected |= {f"{layer}.{c}_layernorm.weight": (WIDTH,) for c in ("input", "post_attention")}
    assert {name: array.shape for name, array in export(small()).weights.items()} == expected


def test_what_left_the_window_changes_nothing() -> None:
    network = small(layers=1, window=4)
    model, ids = running(network, layers=1, window=4), drawn(1, 12)
    full, end = model.forward(ids, model.initial_state(1), last=1)
    alone, _ = model.forward(ids[:, -4:], model.initial_state(1), last=1)  # at other places, at the same distances
    longer, _ = model.forward(ids[:, -5:], model.initial_state(1), last=1)
    assert full == pytest.approx(alone, abs=1e-5)
    assert full == pytest.approx(longer, abs=1e-5)
    nearer, _ = model.forward(ids[:, -3:], model.initial_state(1), last=1)
    assert np.abs(full - nearer).max() > 1e-3
    assert [array.shape for array in end] == [(1, HEADS, 4, WIDTH // HEADS)] * 2


def test_a_full_cache_is_stepped_as_it_is_read() -> None:
    model, ids = running(small(window=5), window=5), drawn(2, 14)
    full, end = model.forward(ids, model.initial_state(2))
    state = model.initial_state(2)
    for t in range(14):
        step, state = model.step(ids[:, t], state)
        assert step == pytest.approx(full[:, t], abs=1e-5)
    for stepped, parallel in zip(state, end, strict=True):
        assert stepped.astype(np.float64) == pytest.approx(parallel.astype(np.float64), abs=1e-5)


@pytest.mark.parametrize("piece", [1, 4, 7, 20])
def test_a_long_text_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    model, ids = running(small()), drawn(2, 20)
    full, end = model.forward(ids, model.initial_state(2))
    monkeypatch.setattr(transformer_model, "_PIECE", piece)
    for last in (1, 4, 5, 19, 20):
        parts, state = model.forward(ids, model.initial_state(2), last=last)
        assert parts == pytest.approx(full[:, -last:], abs=1e-5)
        for stepped, parallel in zip(state, end, strict=True):
            assert stepped.astype(np.float64) == pytest.approx(parallel.astype(np.float64), abs=1e-5)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"width": 10, "heads": 4}, "heads"),
        ({"width": 10}, "heads"),
        ({"width": 12, "heads": 4}, "heads"),  # three each is no pair
        ({"width": 4096, "layers": 64}, "window"),
        ({"width": 0}, "width"),
    ],
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, int], name: str) -> None:
    with pytest.raises(OptionError, match=f"^{name} is [0-9]+, but "):
        family("transformer").learner().check(values)


@pytest.mark.parametrize("values", [{"width": 2, "heads": 1, "layers": 1}, {"width": 64, "heads": 8, "window": 1}])
def test_the_smallest_sizes_run(values: dict[str, int]) -> None:
    torch.manual_seed(0)
    network = Transformer(SIZE, TransformerSettings(**values)).eval()
    model, ids = running(network, **{"layers": 3, **values}), drawn(2, 6)
    assert model.forward(ids, model.initial_state(2))[0] == pytest.approx(log_probabilities(network, ids), abs=1e-5)
