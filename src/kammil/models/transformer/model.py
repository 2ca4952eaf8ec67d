"""The running side of the Transformer, in NumPy: `network` tells the idea and the equations.

Its state are keys and values of what it read, layer by layer (a key-value cache), so that each new character costs one
position, not all of them. Keys are kept unturned, and turned by their place in the cache: only distances matter, so the
angles stay small however long the text is, and the oldest entries can be dropped.

The pairs of a head, which turn together, stand side by side here, as the real and imaginary part of a complex number:
then turning is one product. What a question and a key have in common does not change when both are reordered alike.

Shapes: B batch, T time, S characters in cache, V vocabulary, D width, L layers, N heads, K = D / N, M inner width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from kammil.engine.reference import log_softmax, sigmoid, softmax, visible
from kammil.engine.weights import checked
from kammil.language_model import Artifacts, Ids, LogProbabilities, SavedModel, Settings, State, read_in_pieces
from kammil.ngrams.features import Floats
from kammil.vocabulary import BOS, EOS, PAD

EPSILON, THETA = 1e-6, 10_000.0
"""Llama's own: keeps the norm of a zero vector a number; the slowest turn takes about 2 pi 10,000 positions."""
LARGEST_STATE = 1 << 24
"""Numbers that one text may carry at most."""
_PIECE = 512
"""Ids read at a time: where each looks at each, 4096 at once would take 64 times the memory of 512."""


class TransformerSettings(Settings):
    """Sizes of the network."""

    width: int = Field(default=128, ge=2, le=4096)
    """Numbers that stand for one position, D."""
    layers: int = Field(default=3, ge=1, le=64)
    """Blocks, L."""
    heads: int = Field(default=4, ge=1, le=64, validate_default=True)
    """Questions asked side by side in a block, N."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of what each half of a block adds that is set to zero while learning."""
    window: int = Field(default=1024, ge=1, le=65_536, validate_default=True)
    """Positions that one position sees, itself included: bounds the cache of an endless text."""

    @field_validator("heads")
    @classmethod
    def _heads_share_the_width(cls, heads: int, info: ValidationInfo) -> int:
        width = info.data.get("width", heads * 2)
        if width % (2 * heads):
            raise ValueError(f"each head takes an even share of the width, and {width} / {heads} is none")
        return heads

    @field_validator("window")
    @classmethod
    def _the_cache_is_bounded(cls, window: int, info: ValidationInfo) -> int:
        most = LARGEST_STATE // (2 * info.data.get("layers", 1) * info.data.get("width", 1))
        if window > most:
            raise ValueError(f"with this width and these layers a text can keep {most} positions at most")
        return window

    @property
    def inner(self) -> int:
        """Width of the gated network, M: 8/3 D, rounded up to 16, so that its three matrices weigh as two of 4 D."""
        return -(-8 * self.width // 48) * 16


class TransformerModel(SavedModel):
    """Runs a Transformer from its weights.

    Args:
        settings: of the model.
        weights: by their Llama names; `KeyError` or `ValueError` for arrays that do not fit.
    """

    def __init__(self, settings: TransformerSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        """Lay the matrices out as they are multiplied: norms folded into what follows them, questions scaled."""
        self._heads, self._window, self._layers = settings.heads, settings.window, settings.layers
        self._each = settings.width // settings.heads
        self._size = len(weights["lm_head.weight"])
        w = checked(weights, shapes_of(self._size, settings))
        self._embedding = w["model.embed_tokens.weight"]
        self._output = _after_norm(w["model.norm.weight"], w["lm_head.weight"])
        pairs = np.arange(self._each).reshape(2, -1).T.reshape(-1)  # (i, i + K / 2) beside each other
        order = (np.arange(settings.heads)[:, None] * self._each + pairs).reshape(-1)
        self._blocks: list[tuple[Floats, Floats, Floats, Floats]] = []
        for name in (f"model.layers.{i}" for i in range(settings.layers)):
            q, k, v, o = (w[f"{name}.self_attn.{part}_proj.weight"] for part in "qkvo")
            asked = np.concatenate([q[order] * np.float32(self._each**-0.5), k[order], v])  # (3D, D)
            inward = np.concatenate([w[f"{name}.mlp.gate_proj.weight"], w[f"{name}.mlp.up_proj.weight"]])  # (2M, D)
            self._blocks.append(
                (
                    _after_norm(w[f"{name}.input_layernorm.weight"], asked),
                    np.ascontiguousarray(o.T),
                    _after_norm(w[f"{name}.post_attention_layernorm.weight"], inward),
                    np.ascontiguousarray(w[f"{name}.mlp.down_proj.weight"].T),
                )
            )
        self._turns = _turns(0, self._each)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a Transformer."""
        return cls(TransformerSettings.model_validate(settings), artifacts.weights)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._size

    def initial_state(self, batch: int) -> State:
        """Keys and values of each layer, (B, N, S, K), of no character yet."""
        return (np.zeros((batch, self._heads, 0, self._each), np.float32),) * (2 * self._layers)

    def state_size(self, length: int) -> int:
        """Keys and values of all layers."""
        return 2 * self._layers * self._heads * self._each * min(length, self._window)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids, some at a time; see `LanguageModel.forward`."""
        return read_in_pieces(self._read, ids, state, last, _PIECE)

    def _read(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        """All positions of a piece side by side."""
        batch, time = ids.shape
        total = state[0].shape[2] + time  # S + T
        if len(self._turns) < total:
            self._turns = _turns(2 * total, self._each)
        turns = self._turns[:total]
        mask = visible(time, total, self._window)
        later: list[Floats] = []
        x: Floats = self._embedding[ids.reshape(-1)]  # (B * T, D)
        for (asked, o, inward, down), *cache in zip(self._blocks, state[::2], state[1::2], strict=True):
            qkv = (_norm(x) @ asked).reshape(batch, time, 3, self._heads, self._each)
            q, *new = qkv.transpose(2, 0, 3, 1, 4)  # (B, N, T, K) each
            k, v = (np.concatenate(both, axis=2, dtype=np.float32) for both in zip(cache, new, strict=True))
            later += [k[:, :, -self._window :], v[:, :, -self._window :]]
            fit = _turned(q, turns[-time:]) @ _turned(k, turns).swapaxes(2, 3)  # (B, N, T, S + T)
            found: Floats = softmax(fit, mask) @ v  # (B, N, T, K)
            x += found.swapaxes(1, 2).reshape(x.shape) @ o
            gate, up = np.split(_norm(x) @ inward, 2, axis=1)  # (B * T, M) each
            x += (gate * sigmoid(gate) * up) @ down
        tail = x.reshape(batch, time, x.shape[1])[:, time - last :].reshape(batch * last, x.shape[1])
        return log_softmax(_norm(tail) @ self._output).reshape(batch, last, self._size), tuple(later)


def _norm(x: Floats) -> Floats:
    """Each row by the root of its mean square."""
    return x / np.sqrt(np.vecdot(x, x) / np.float32(x.shape[1]) + np.float32(EPSILON))[:, None]


def _after_norm(scale: Floats, matrix: Floats) -> Floats:
    """A matrix (N, D) as what multiplies rows from the right, with the norm's own weights (D,) folded in: (D, N)."""
    return np.ascontiguousarray(matrix.T * scale[:, None])


def _turned(x: Floats, turns: NDArray[np.complex64]) -> Floats:
    """Pairs of the last axis turned, (..., T, K), by turns (T, K / 2)."""
    return (x.view(np.complex64) * turns).view(np.float32)


def _turns(places: int, size: int) -> NDArray[np.complex64]:
    """By what each pair turns at each place, as numbers on the unit circle: (places, K / 2)."""
    return np.exp(1j * np.arange(places)[:, None] * rotary_frequencies(size)).astype(np.complex64)


def rotary_frequencies(size: int) -> Floats:
    """Radians a position by which each of the K / 2 pairs of a head turns, (K / 2,): from 1 down to about 1 / theta."""
    return (THETA ** (-np.arange(0, size, 2, dtype=np.float64) / size)).astype(np.float32)


def shapes_of(vocabulary_size: int, settings: TransformerSettings) -> dict[str, tuple[int, ...]]:
    """Of all weights, by name."""
    d, m = settings.width, settings.inner
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary_size, d),
        "model.norm.weight": (d,),
        "lm_head.weight": (vocabulary_size, d),
    }
    for layer in (f"model.layers.{i}" for i in range(settings.layers)):
        shapes |= {f"{layer}.self_attn.{part}_proj.weight": (d, d) for part in "qkvo"}
        shapes |= {f"{layer}.mlp.{part}_proj.weight": (m, d) for part in ("gate", "up")}
        shapes |= {f"{layer}.mlp.down_proj.weight": (d, m)}
        shapes |= {f"{layer}.{part}_layernorm.weight": (d,) for part in ("input", "post_attention")}
    return shapes


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
