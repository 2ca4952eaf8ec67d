"""Bases as others publish them: what is opened, what is refused without running it, and what of a text is kept."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.pretrained.bases import GPT2_SIZES, LLAMA_SIZES, gpt2, llama
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
)

from kammil.errors import OptionError
from kammil.models.pretrained import checkpoint
from kammil.models.pretrained.checkpoint import (
    KeyValueCache,
    build,
    config_text,
    open_base,
    own_weights,
    positions,
)
from kammil.models.pretrained.model import Context

TOKENS = 30
kinds = pytest.mark.parametrize("make", [gpt2, llama])
REFUSED = (
    r"^base is '.*', which cannot be opened \(.+\); name a causal language model with a fast tokenizer and weights "
)


@pytest.fixture
def folder(tmp_path: Path, texts: list[str]) -> Path:
    return gpt2(tmp_path / "base", texts[:60])


@kinds
def test_a_folder_is_opened_as_it_was_written(tmp_path: Path, texts: list[str], make: Callable[..., Path]) -> None:
    folder = make(tmp_path / "base", texts[:60])
    base = open_base(str(folder))
    stored = load_file(folder / "model.safetensors")
    for name, value in own_weights(base.model).items():
        assert value.dtype == torch.float32 and torch.equal(value, stored[name])
    assert (base.bos, base.eos, base.unknown) == ((0, 0, 0) if make is gpt2 else (1, 2, 0))
    assert json.loads(base.tokenizer)["model"]["type"] == "BPE"
    assert positions(base.model.config) == (64 if make is gpt2 else 128)


@kinds
def test_built_from_its_parts_it_is_the_same(tmp_path: Path, texts: list[str], make: Callable[..., Path]) -> None:
    base = open_base(str(make(tmp_path / "base", texts[:60])))
    config = json.loads(config_text(base.model.config))
    again = build(config, {name: value.detach().numpy() for name, value in own_weights(base.model).items()}).eval()
    ids = torch.randint(0, 300, (2, 9))
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, base.model(input_ids=ids).logits)
    assert again.config.tie_word_embeddings == (make is gpt2)


def test_weights_in_half_precision_are_opened(folder: Path) -> None:
    halves = {name: value.bfloat16() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(halves, folder / "model.safetensors", {"format": "pt"})
    assert {value.dtype for value in own_weights(open_base(str(folder)).model).values()} == {torch.float32}


def test_a_pickle_is_not_read(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(OptionError, match=REFUSED):
        open_base(str(folder))


def test_code_of_others_does_not_run(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    named = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model", "AutoTokenizer": ["code.Model", None]}
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for changed in ({"auto_map": named, "model_type": "strange"}, {"auto_map": named}):
        (folder / "config.json").write_text(json.dumps(config | changed))
        try:
            open_base(str(folder))  # a model that transformers knows is opened with its code alone
        except OptionError as error:
            assert re.match(REFUSED, str(error))
        assert not (tmp_path / "ran").exists()


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")


def take_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def another_kind(folder: Path) -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=20, **sizes)).save_pretrained(folder)


def test_a_model_that_reads_both_ways_is_refused(folder: Path) -> None:
    another_kind(folder)
    with pytest.raises(OptionError, match=r"base is '.*', .*causal"):
        open_base(str(folder))


@pytest.mark.parametrize("damage", [break_config, break_weights, take_tokenizer, shutil.rmtree])
def test_what_cannot_be_opened_is_said_in_one_sentence(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(OptionError, match=REFUSED) as caught:
        open_base(str(folder))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module", params=["gpt2", "llama", "mamba"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Learnt positions; rotary ones and shared heads; and a model whose layers keep no keys and values."""
    torch.manual_seed(0)
    if request.param == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=TOKENS, **GPT2_SIZES)).eval()
    if request.param == "llama":
        return LlamaForCausalLM(LlamaConfig(vocab_size=TOKENS, **LLAMA_SIZES)).eval()
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
    monkeypatch.setattr(checkpoint, "_MAX_LOGITS", 3 * TOKENS)
    contexts, asked = KeyValueCache(model), sequences(9, 10, 3)
    for context, scores in zip(asked, contexts.log_probabilities(asked), strict=True):
        assert scores == pytest.approx(slow(model, context), abs=1e-4)
