"""The Transformer as an ONNX graph, and its settings as `transformers` names them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.protobuf import FLOAT
from kammil.engine.onnx.runtime import GROWING, IDS, LAST, LOG_PROBABILITIES, STATE_IN
from kammil.language_model import Artifacts
from kammil.models.transformer.network import (
    EPSILON,
    THETA,
    Block,
    Transformer,
    TransformerSettings,
    rotary_frequencies,
)
from kammil.vocabulary import BOS, EOS, PAD


def export(model: Transformer) -> Artifacts:
    """The weights under their Llama names, and the running side: its states are keys and values, layer by layer."""
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    size, width = weights["lm_head.weight"].shape
    blocks = [block for block in model.model.layers if isinstance(block, Block)]
    heads, window = blocks[0].self_attn.heads, blocks[0].self_attn.window
    each = width // heads
    g = GraphBuilder()

    def linear(x: str, name: str, scale: float = 1.0) -> str:
        return g.add("MatMul", x, weights[f"{name}.weight"].T * np.float32(scale))

    def norm(x: str, name: str) -> str:
        mean = g.add("ReduceMean", g.add("Mul", x, x), axes=[-1])  # (B, T, 1)
        root = g.add("Sqrt", g.add("Add", mean, np.float32(EPSILON)))
        return g.add("Mul", g.add("Div", x, root), weights[f"{name}.weight"])

    def split(x: str) -> str:
        return g.add("Transpose", g.add("Reshape", x, g.whole(0, 0, heads, each)), perm=[0, 2, 1, 3])  # (B, N, T, K)

    def turn(x: str, cos: str, sin: str) -> str:
        a, b = g.add_multi(2, "Split", x, axis=-1)  # (B, N, ., K / 2) each
        left = g.add("Sub", g.add("Mul", a, cos), g.add("Mul", b, sin))
        right = g.add("Add", g.add("Mul", b, cos), g.add("Mul", a, sin))
        return g.add("Concat", left, right, axis=-1)  # (B, N, ., K)

    x = g.add("Gather", g.constant(weights["model.embed_tokens.weight"], "embedding"), IDS)  # (B, T, D)
    time = g.add("Shape", IDS, start=1, end=2)
    total = g.add("Add", time, g.add("Shape", STATE_IN.format(0), start=2, end=3))  # S + T
    place = g.add("Range", np.int64(0), g.add("Squeeze", total), np.int64(1))  # (S + T,)
    place = g.add("Cast", g.add("Unsqueeze", place, g.whole(1)), to=FLOAT)  # (S + T, 1)
    angles = g.add("Mul", place, rotary_frequencies(each))  # (S + T, K / 2)
    around = g.add("Cos", angles), g.add("Sin", angles)
    tail = [g.add("Slice", turn_by, g.add("Neg", time), g.whole(g.END), g.whole(0)) for turn_by in around]  # (T, K / 2)
    mask = g.mask(time, total, window)  # (T, S + T)
    for i in range(len(blocks)):
        name = f"model.layers.{i}"
        y = norm(x, f"{name}.input_layernorm")
        q = turn(split(linear(y, f"{name}.self_attn.q_proj", each**-0.5)), *tail)  # (B, N, T, K)
        k = g.append_to_cache(
            2 * i, split(linear(y, f"{name}.self_attn.k_proj")), axis=2, window=window
        )  # (B, N, S + T, K)
        v = g.append_to_cache(2 * i + 1, split(linear(y, f"{name}.self_attn.v_proj")), axis=2, window=window)
        fit = g.add("MatMul", q, g.add("Transpose", turn(k, *around), perm=[0, 1, 3, 2]))  # (B, N, T, S + T)
        found = g.add("MatMul", g.add("Softmax", g.add("Add", fit, mask), axis=-1), v)  # (B, N, T, K)
        found = g.add("Reshape", g.add("Transpose", found, perm=[0, 2, 1, 3]), g.whole(0, 0, width))  # (B, T, D)
        x = g.add("Add", x, linear(found, f"{name}.self_attn.o_proj"))
        y = norm(x, f"{name}.post_attention_layernorm")
        gate = linear(y, f"{name}.mlp.gate_proj")  # (B, T, M)
        inner = g.add("Mul", g.add("Mul", gate, g.add("Sigmoid", gate)), linear(y, f"{name}.mlp.up_proj"))
        x = g.add("Add", x, linear(inner, f"{name}.mlp.down_proj"))  # (B, T, D)
    x = g.add("Slice", x, g.add("Neg", LAST), g.whole(g.END), g.whole(1))  # (B, last, D)
    logits = linear(norm(x, "model.norm"), "lm_head")  # (B, last, V)
    g.add("LogSoftmax", logits, axis=-1, output=LOG_PROBABILITIES)
    return Artifacts(weights, g.finish("kammil-transformer", size, [[heads, GROWING, each]] * (2 * len(blocks))))


def llama_config(vocabulary_size: int, settings: TransformerSettings) -> dict[str, Any]:
    """The `config.json` with which `LlamaForCausalLM` loads the weights as they are stored."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary_size,
        "hidden_size": settings.width,
        "intermediate_size": settings.inner,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.heads,
        "max_position_embeddings": settings.window,
        "hidden_act": "silu",
        "rms_norm_eps": EPSILON,
        "rope_theta": THETA,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
