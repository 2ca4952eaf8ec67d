"""The ONNX graph of a Transformer.

Shapes: B batch, T time, S characters in cache, V vocabulary, D width, N heads, K = D / N, M inner width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from kammil.models.graph import END, GROWING, IDS, LAST, LOG_PROBABILITIES, STATE_IN, Graph
from kammil.models.transformer.model import EPSILON, TransformerSettings, rotary_frequencies
from kammil.ngrams.features import Floats


def graph(settings: Mapping[str, Any], weights: Mapping[str, Floats]) -> onnx.ModelProto:
    """Build the graph; its states are keys and values, layer by layer."""
    sizes = TransformerSettings.model_validate(settings)
    size, width = weights["lm_head.weight"].shape
    heads, window = sizes.heads, sizes.window
    head_size = width // heads
    g = Graph()

    def linear(x: str, name: str, scale: float = 1.0) -> str:
        return g.add("MatMul", x, weights[f"{name}.weight"].T * np.float32(scale))

    def norm(x: str, name: str) -> str:
        mean = g.add("ReduceMean", g.add("Mul", x, x), axes=[-1])  # (B, T, 1)
        root = g.add("Sqrt", g.add("Add", mean, np.float32(EPSILON)))
        return g.add("Mul", g.add("Div", x, root), weights[f"{name}.weight"])

    def split(x: str) -> str:
        x = g.add("Reshape", x, g.ints(0, 0, heads, head_size))
        return g.add("Transpose", x, perm=[0, 2, 1, 3])  # (B, N, T, K)

    def rotate(x: str, cos: str, sin: str) -> str:
        a, b = g.add_many(2, "Split", x, axis=-1)  # (B, N, ., K / 2) each
        left = g.add("Sub", g.add("Mul", a, cos), g.add("Mul", b, sin))
        right = g.add("Add", g.add("Mul", b, cos), g.add("Mul", a, sin))
        return g.add("Concat", left, right, axis=-1)  # (B, N, ., K)

    x = g.add("Gather", g.constant(weights["model.embed_tokens.weight"], "embedding"), IDS)  # (B, T, D)
    time = g.add("Shape", IDS, start=1, end=2)
    total = g.add("Add", time, g.add("Shape", STATE_IN.format(0), start=2, end=3))  # S + T
    position = g.add("Range", np.int64(0), g.add("Squeeze", total), np.int64(1))  # (S + T,)
    position = g.add("Cast", g.add("Unsqueeze", position, g.ints(1)), to=TensorProto.FLOAT)  # (S + T, 1)
    angles = g.add("Mul", position, rotary_frequencies(head_size))  # (S + T, K / 2)
    turns = g.add("Cos", angles), g.add("Sin", angles)
    last_turns = [g.add("Slice", turn, g.add("Neg", time), g.ints(END), g.ints(0)) for turn in turns]  # (T, K / 2)
    mask = g.mask(time, total, window)  # (T, S + T)
    for i in range(sizes.layers):
        name = f"model.layers.{i}"
        y = norm(x, f"{name}.input_layernorm")
        q = rotate(split(linear(y, f"{name}.self_attn.q_proj", head_size**-0.5)), *last_turns)  # (B, N, T, K)
        k = g.append(2 * i, split(linear(y, f"{name}.self_attn.k_proj")), axis=2, window=window)  # (B, N, S + T, K)
        v = g.append(2 * i + 1, split(linear(y, f"{name}.self_attn.v_proj")), axis=2, window=window)
        scores = g.add("MatMul", q, g.add("Transpose", rotate(k, *turns), perm=[0, 1, 3, 2]))  # (B, N, T, S + T)
        attended = g.add("MatMul", g.add("Softmax", g.add("Add", scores, mask), axis=-1), v)  # (B, N, T, K)
        attended = g.add("Reshape", g.add("Transpose", attended, perm=[0, 2, 1, 3]), g.ints(0, 0, width))  # (B, T, D)
        x = g.add("Add", x, linear(attended, f"{name}.self_attn.o_proj"))
        y = norm(x, f"{name}.post_attention_layernorm")
        gate = linear(y, f"{name}.mlp.gate_proj")  # (B, T, M)
        inner = g.add("Mul", g.add("Mul", gate, g.add("Sigmoid", gate)), linear(y, f"{name}.mlp.up_proj"))
        x = g.add("Add", x, linear(inner, f"{name}.mlp.down_proj"))  # (B, T, D)
    x = g.add("Slice", x, g.add("Neg", LAST), g.ints(END), g.ints(1))  # (B, last, D)
    logits = linear(norm(x, "model.norm"), "lm_head")  # (B, last, V)
    g.add("LogSoftmax", logits, axis=-1, output=LOG_PROBABILITIES)
    return g.finish("kammil-transformer", size, [[heads, GROWING, head_size]] * (2 * sizes.layers))
