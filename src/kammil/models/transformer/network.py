"""A small Transformer with the architecture of Llama.

A block adds to each vector causal attention (Vaswani et al. 2017, arXiv:1706.03762) and a gated network (Shazeer 2020,
arXiv:2002.05202), each behind a root mean square norm (Zhang & Sennrich 2019, arXiv:1910.07467). Positions rotate
queries and keys (Su et al. 2021, arXiv:2104.09864; halves paired as in Hugging Face's code). Weights have the names of
`LlamaForCausalLM`, so `exporting.huggingface` copies them.

Shapes: B batch, T time, S in cache, V vocabulary, D width, L layers, N heads, K = D / N, M inner width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kammil.models.family import NetworkLearner
from kammil.models.layers import SeededDropout, causal_mask
from kammil.models.transformer.model import EPSILON, TransformerSettings, rotary_frequencies
from kammil.vocabulary import PAD


class Attention(nn.Module):
    """Causal multi-head attention."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attend with rotated queries and keys; cos and sin are (T, K / 2)."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, N, T, K)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
        mask = causal_mask(x.shape[1], self.window, x.device) if x.shape[1] > self.window else None
        attended = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        return self.o_proj(attended.transpose(1, 2).flatten(2))  # (B, T, D)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + K / 2) of the last axis as points in a plane."""
    a, b = x.chunk(2, -1)  # (..., T, K / 2) each
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class SwiGLU(nn.Module):
    """down(silu(gate x) * up x) at each position."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three layers."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention, then the gated network, with residual connections."""

    def __init__(self, width: int, heads: int, inner: int, window: int, dropout: float) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, EPSILON)
        self.self_attn = Attention(width, heads, window)
        self.post_attention_layernorm = nn.RMSNorm(width, EPSILON)
        self.mlp = SwiGLU(width, inner)
        self.dropout = SeededDropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Norm before each half, so that the residual path passes gradients unchanged."""
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cos, sin))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Decoder(nn.Module):
    """`LlamaModel` in transformers; ids (B, T) to vectors (B, T, D)."""

    def __init__(self, vocabulary_size: int, settings: TransformerSettings) -> None:
        super().__init__()
        width, heads = settings.width, settings.heads
        self.embed_tokens = nn.Embedding(vocabulary_size, width, padding_idx=PAD)
        self.layers = nn.ModuleList(
            Block(width, heads, settings.inner, settings.window, settings.dropout) for _ in range(settings.layers)
        )
        self.norm = nn.RMSNorm(width, EPSILON)
        self.register_buffer("frequencies", torch.from_numpy(rotary_frequencies(width // heads)), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Embed the ids, run the blocks, and norm the result."""
        angles = torch.arange(ids.shape[1], device=ids.device)[:, None] * self.get_buffer("frequencies")  # (T, K / 2)
        cos, sin = angles.cos(), angles.sin()
        x = self.embed_tokens(ids)  # (B, T, D)
        for block in self.layers:
            x = block(x, cos, sin)
        return self.norm(x)


class Transformer(nn.Module):
    """Decoder and linear output; ids (B, T), padded at the end, to logits (B, T, V)."""

    def __init__(self, vocabulary_size: int, settings: TransformerSettings) -> None:
        """Initialise as GPT-2: small weights, smaller on the residual path."""
        super().__init__()
        self.model = Decoder(vocabulary_size, settings)
        self.lm_head = nn.Linear(settings.width, vocabulary_size, bias=False)
        for name, weights in self.named_parameters():
            if weights.dim() > 1:
                adds = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weights, std=0.02 / math.sqrt(2 * settings.layers) if adds else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits."""
        return self.lm_head(self.model(ids))  # (B, T, V)


LEARNER = NetworkLearner(
    settings=TransformerSettings,
    build=Transformer,
    # Two epochs of the benchmark: 3.53 bits, with the loop's own rate 3.65.
    training={"learning_rate": 2e-3},
    of_base=("width", "layers", "heads", "window"),
)
