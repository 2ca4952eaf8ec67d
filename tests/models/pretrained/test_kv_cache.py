"""What is kept of earlier tokens, against reading every sequence as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.models.pretrained.bases import GPT2_SIZES, LLAMA_SIZES
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from kammil.models.pretrained import kv_cache as module
from kammil.models.pretrained.kv_cache import Context, KeyValueCache

TOKENS = 30


@pytest.fixture(scope="module", params=["gpt2", "llama", "mamba"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Learnt positions; rotary ones and shared heads; and a model whose layers keep no keys and values."""
    torch.manual_seed(0)
    if request.param == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=TOKENS, **GPT2_SIZES)).eval()
    if request.param == "llama":
        return LlamaForCausalLM(LlamaConfig(vocab_size=TOKENS, **LLAMA_SIZES)).eval()
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=TOKENS, hidden_size=16, num_hidden_layers=2)).eval()


def sequences(count: int, longest: int, seed: int) -> list[Context]:
    """Random ones; each begins like the one before it."""
    generator, drawn = np.random.default_rng(seed), list[Context]()
    for _ in range(count):
        before = drawn[-1][: int(generator.integers(len(drawn[-1]) + 1))] if drawn else ()
        new = generator.integers(0, TOKENS, generator.integers(1, longest + 1 - min(len(before), longest - 1)))
        drawn.append((*before, *new.tolist())[:longest])
    return drawn


def slow(model: PreTrainedModel, context: Context) -> Any:
    with torch.inference_mode():
        return torch.log_softmax(model(input_ids=torch.tensor([context]), use_cache=False).logits[0, -1], -1).numpy()


@pytest.mark.parametrize("max_bytes", [1 << 29, 2000])
def test_it_is_the_model(model: PreTrainedModel, max_bytes: int) -> None:
    contexts = KeyValueCache(model, max_bytes)
    assert contexts.incremental == (model.config.model_type != "mamba")
    assert contexts.size == TOKENS
    for seed in range(8):
        asked = sequences(6, 20, seed)
        found = contexts.log_probabilities([*asked, asked[0]])
        for context, scores in zip([*asked, asked[0]], found, strict=True):
            assert scores == pytest.approx(slow(model, context), abs=1e-4)


def test_a_known_beginning_is_not_read_again(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = KeyValueCache(model)
    read: list[int] = []
    forward = model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        read.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", counting)
    contexts.log_probabilities([(1, 2, 3)])
    contexts.log_probabilities([(1, 2, 3), (1, 2, 3, 4), (1, 2, 5)])
    contexts.log_probabilities([(1, 2, 3, 4)])
    whole = [3, 4, 3] if not contexts.incremental else [3, 2]
    assert sorted(read) == sorted(whole)


def test_what_was_not_used_for_longest_is_dropped(model: PreTrainedModel) -> None:
    contexts = KeyValueCache(model)
    contexts.log_probabilities([(1, 2, 3), (4, 5)])
    size = contexts._bytes  # pyright: ignore[reportPrivateUsage]
    contexts._max_bytes = 2 * size  # pyright: ignore[reportPrivateUsage]
    known = contexts._entries  # pyright: ignore[reportPrivateUsage]
    for token in range(20):
        contexts.log_probabilities([(1, 2, 3), (7, token)])
        assert contexts._bytes <= 2 * size + 3000  # pyright: ignore[reportPrivateUsage]
        known = contexts._entries  # pyright: ignore[reportPrivateUsage]
        assert (1, 2, 3) in known and sum(entry.bytes for entry in known.values()) == contexts._bytes  # pyright: ignore[reportPrivateUsage]
    assert (4, 5) not in known


def test_many_logits_are_computed_in_pieces(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_LOGITS", 3 * TOKENS)
    contexts, asked = KeyValueCache(model), sequences(9, 10, 3)
    for context, scores in zip(asked, contexts.log_probabilities(asked), strict=True):
        assert scores == pytest.approx(slow(model, context), abs=1e-4)
