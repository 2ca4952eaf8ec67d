"""Bases as others publish them: what is opened, and what is refused without running it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.pretrained.bases import gpt2, llama
from transformers import BertConfig, BertModel

from kammil.errors import OptionError
from kammil.models.pretrained.checkpoint import build, config_text, open_base, own_weights, positions

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
