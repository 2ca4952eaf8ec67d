"""The network that is fine-tuned: what it learns is what runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.pretrained.bases import GPT2_SIZES, LLAMA_SIZES
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from kammil.models.pretrained.checkpoint import KeyValueCache
from kammil.models.pretrained.model import PretrainedSettings, extend
from kammil.models.pretrained.network import LEARNER, PretrainedNetwork, merged, with_lora
from kammil.training.loss import teacher_forced
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

TOKENS = 30
UNKNOWN, START, END = 3, 1, 2


def make(kind: str, *, rank: int = 0, window: int = 64, start: int = START) -> PretrainedNetwork:
    torch.manual_seed(0)
    model: PreTrainedModel
    if kind == "gpt2":
        still: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        model = GPT2LMHeadModel(GPT2Config(vocab_size=TOKENS, **GPT2_SIZES, **still))
    else:
        model = LlamaForCausalLM(LlamaConfig(vocab_size=TOKENS, **LLAMA_SIZES))
    adapted = with_lora(model, PretrainedSettings(lora_rank=rank))
    return PretrainedNetwork(adapted, unknown=UNKNOWN, bos=start, eos=END, window=window).eval()


kinds = pytest.mark.parametrize("kind", ["gpt2", "llama"])


def drawn(rows: int, time: int, seed: int = 0) -> np.ndarray:
    """Random texts: BOS, tokens without those of special ids, an unknown character."""
    ids = np.random.default_rng(seed).integers(SPECIALS + 4, SPECIALS + TOKENS, (rows, time))
    ids[:, 0], ids[:, 2] = BOS, UNK
    return ids


@kinds
@pytest.mark.parametrize(("window", "start"), [(64, START), (8, START), (9, END)])
def test_it_learns_what_runs(kind: str, window: int, start: int) -> None:
    network, ids = make(kind, window=window, start=start), drawn(2, 31)
    with torch.no_grad():
        learnt = torch.log_softmax(network(torch.from_numpy(ids)), -1).numpy()
    contexts = KeyValueCache(merged(network))
    special = {UNK: UNKNOWN, BOS: start}
    for row, scores in zip(ids.tolist(), learnt, strict=True):
        context: tuple[int, ...] = ()
        for t, id in enumerate(row):
            context = extend(context, [special[id] if id in special else id - SPECIALS], window)
            (runs,) = contexts.log_probabilities([context])
            assert scores[t, [UNK, EOS]] == pytest.approx(runs[[UNKNOWN, END]], abs=1e-4)
            rest = [token for token in range(TOKENS) if token not in (UNKNOWN, END)]
            assert scores[t, SPECIALS:][rest] == pytest.approx(runs[rest], abs=1e-4)
    assert np.exp(learnt).sum(-1) == pytest.approx(1, abs=1e-5)
    assert np.isneginf(learnt[..., [PAD, BOS, SPECIALS + UNKNOWN, SPECIALS + END]]).all()


@kinds
def test_the_future_is_not_seen(kind: str) -> None:
    network, ids = make(kind, window=8), drawn(1, 21)
    changed = ids.copy()
    changed[:, 15:] = SPECIALS + 5
    with torch.no_grad():
        one, other = (network(torch.from_numpy(each)) for each in (ids, changed))
    assert torch.allclose(one[:, :15], other[:, :15], atol=1e-5)


@kinds
def test_padding_moves_no_gradient(kind: str) -> None:
    network, ids = make(kind), torch.from_numpy(drawn(2, 12))
    padded = torch.cat([ids, torch.full((2, 6), PAD)], dim=1)
    gradients: list[list[torch.Tensor]] = []
    for batch in (ids, padded):
        counted = (batch[:, 1:] != PAD) & (batch[:, :-1] != PAD)
        network.zero_grad()
        teacher_forced(network(batch[:, :-1]), batch[:, 1:], counted).nats.backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5) and torch.isfinite(one).all()


@kinds
def test_the_loss_at_birth_is_that_of_an_even_choice(kind: str) -> None:
    network = make(kind)
    ids = torch.randint(SPECIALS + 4, SPECIALS + TOKENS, (8, 31))
    with torch.no_grad():
        nats = torch.nn.functional.cross_entropy(network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert float(nats) == pytest.approx(math.log(TOKENS), abs=0.15)


@kinds
def test_lora_alone_learns_and_is_merged(kind: str) -> None:
    network, ids = make(kind, rank=2), torch.from_numpy(drawn(2, 12))
    state = network.state_dict()
    assert state and all("lora_" in name for name in state)
    untouched = make(kind)
    with torch.no_grad():
        assert torch.allclose(network(ids), untouched(ids), atol=1e-6)  # it begins as the base
        for name, value in network.named_parameters():
            if "lora_" in name:
                value.normal_(std=0.1)
        learnt = network(ids)
        assert not torch.allclose(learnt, untouched(ids), atol=1e-2)
        plain = merged(network)
        again = PretrainedNetwork(plain, unknown=UNKNOWN, bos=START, eos=END, window=64).eval()
        assert torch.allclose(again(ids), learnt, atol=1e-5)
    assert {name for name, _ in plain.named_parameters()} == {
        name.removeprefix("model.") for name, _ in untouched.named_parameters()
    }


@kinds
@pytest.mark.parametrize("rank", [0, 2])
def test_the_state_is_what_is_trained(kind: str, rank: int) -> None:
    network, ids = make(kind, rank=rank), torch.from_numpy(drawn(2, 12))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    assert len({value.data_ptr() for value in network.state_dict().values()}) == len(state)  # each tied weight once
    with torch.no_grad():
        before = network(ids)
        for value in network.parameters():
            if value.requires_grad:
                value.add_(torch.randn_like(value))
        assert not torch.allclose(network(ids), before, atol=1e-2)
        network.load_state_dict(state)
        assert torch.equal(network(ids), before)
    with pytest.raises(RuntimeError, match="another network"):
        network.load_state_dict(dict[str, Any](list(state.items())[1:]))


def test_lora_learns_faster() -> None:
    assert LEARNER.training_defaults({"lora_rank": 8})["learning_rate"] == 1e-3
    assert LEARNER.training_defaults({}) == LEARNER.training_defaults({"lora_rank": 0}) == {"learning_rate": 1e-4}
