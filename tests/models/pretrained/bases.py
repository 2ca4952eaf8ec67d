"""Small models in the format of transformers, with tokenizers trained on the spot: nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

GPT2_SIZES: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
LLAMA_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
END = "<|endoftext|>"


def byte_tokenizer(texts: Sequence[str], size: int) -> Tokenizer:
    """A tokenizer like GPT-2's: over bytes, one token both begins and ends texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def sentence_piece_tokenizer(texts: Sequence[str], size: int, *, characters: int = 60) -> Tokenizer:
    """A tokenizer like Llama's: a space before every text, and single bytes for characters that are no token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=size - 259, limit_alphabet=characters, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    content = json.loads(tokenizer.to_str())
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    learnt = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    content["model"] |= {"vocab": {token: id for id, token in enumerate([*first, *learnt])}, "byte_fallback": True}
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def gpt2(folder: Path, texts: Sequence[str], *, size: int = 400, scale: float = 1.0, **sizes: Any) -> Path:
    """Write a model of GPT-2's shape with random weights."""
    tokenizer = byte_tokenizer(texts, size)
    end = tokenizer.token_to_id(END)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), bos_token_id=end, eos_token_id=end, **(GPT2_SIZES | sizes)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END)
    return _save(folder, config, fast, scale)


def llama(folder: Path, texts: Sequence[str], *, size: int = 500, scale: float = 1.0, **sizes: Any) -> Path:
    """Write a model of Llama's shape with random weights; two heads share keys and values."""
    tokenizer = sentence_piece_tokenizer(texts, size)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), bos_token_id=1, eos_token_id=2, **(LLAMA_SIZES | sizes))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    return _save(folder, config, fast, scale)


def _save(folder: Path, config: Any, tokenizer: PreTrainedTokenizerFast, scale: float) -> Path:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger weights make choices that are far from even
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
