"""Forward pass of the Transformer in NumPy; `network` explains architecture and shapes.

The state is a key-value cache for each layer. Since only distances matter, keys are rotated by cache position when
they are read. A rotary pair is one complex number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from kammil.engine.reference import log_softmax, sigmoid, softmax, visible
from kammil.engine.weights import checked
from kammil.language_model import Artifacts, Ids, LogProbabilities, SavedModel, Settings, State, read_in_pieces
from kammil.ngrams.features import Floats
from kammil.vocabulary import BOS, EOS, PAD

if TYPE_CHECKING:
    from onnx import ModelProto

EPSILON, THETA = 1e-6, 10_000.0
"""Llama's constants, of norms and of rotary embedding."""
MAX_STATE = 1 << 24
"""Maximum size of the state of one text."""
_PIECE = 512
"""Maximum number of ids read at a time, since attention takes quadratic memory."""


class TransformerSettings(Settings):
    """Sizes of the network."""

    width: int = Field(default=128, ge=2, le=4096)
    """D."""
    layers: int = Field(default=3, ge=1, le=64)
    """Number of blocks, L."""
    heads: int = Field(default=4, ge=1, le=64, validate_default=True)
    """Number of heads, N."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout rate of what attention and the gated network add."""
    window: int = Field(default=1024, ge=1, le=65_536, validate_default=True)
    """Positions that one position attends to, itself included: bounds the cache of an endless text."""

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
        most = MAX_STATE // (2 * info.data.get("layers", 1) * info.data.get("width", 1))
        if window > most:
            raise ValueError(f"with this width and these layers a text can keep {most} positions at most")
        return window

    @property
    def inner(self) -> int:
        """M: 8/3 D, rounded up to a multiple of 16."""
        return -(-8 * self.width // 48) * 16


class TransformerModel(SavedModel):
    """Runs a Transformer; `KeyError` or `ValueError` for arrays that do not fit.

    Norms are folded into the matrices after them, and the scale of scores into the queries.
    """

    def __init__(self, settings: TransformerSettings, weights: Mapping[str, NDArray[np.generic]]) -> None:
        self._heads, self._window, self._layers = settings.heads, settings.window, settings.layers
        self._head_size = settings.width // settings.heads
        self.vocabulary_size = len(weights["lm_head.weight"])
        w = checked(weights, shapes_of(self.vocabulary_size, settings))
        self._embedding = w["model.embed_tokens.weight"]
        self._output = _after_norm(w["model.norm.weight"], w["lm_head.weight"])
        pairs = np.arange(self._head_size).reshape(2, -1).T.reshape(-1)  # (i, i + K / 2) beside each other
        order = (np.arange(settings.heads)[:, None] * self._head_size + pairs).reshape(-1)
        self._blocks: list[tuple[Floats, Floats, Floats, Floats]] = []
        for name in (f"model.layers.{i}" for i in range(settings.layers)):
            q, k, v, o = (w[f"{name}.self_attn.{part}_proj.weight"] for part in "qkvo")
            qkv_weights = np.concatenate([q[order] * np.float32(self._head_size**-0.5), k[order], v])  # (3D, D)
            gate_up = np.concatenate([w[f"{name}.mlp.gate_proj.weight"], w[f"{name}.mlp.up_proj.weight"]])  # (2M, D)
            self._blocks.append(
                (
                    _after_norm(w[f"{name}.input_layernorm.weight"], qkv_weights),
                    np.ascontiguousarray(o.T),
                    _after_norm(w[f"{name}.post_attention_layernorm.weight"], gate_up),
                    np.ascontiguousarray(w[f"{name}.mlp.down_proj.weight"].T),
                )
            )
        self._rotations = _rotations(0, self._head_size)

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a Transformer."""
        return cls(TransformerSettings.model_validate(settings), artifacts.weights)

    def initial_state(self, batch: int) -> State:
        """Return empty keys and values of each layer, (B, N, S, K) with S = 0."""
        return (np.zeros((batch, self._heads, 0, self._head_size), np.float32),) * (2 * self._layers)

    def state_size(self, length: int) -> int:
        """Count the numbers of the caches."""
        return 2 * self._layers * self._heads * self._head_size * min(length, self._window)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids in pieces."""
        return read_in_pieces(self._read, ids, state, last, _PIECE)

    def _read(self, ids: Ids, state: State, last: int) -> tuple[LogProbabilities, State]:
        batch, time = ids.shape
        total = state[0].shape[2] + time  # S + T
        if len(self._rotations) < total:
            self._rotations = _rotations(2 * total, self._head_size)
        rotations = self._rotations[:total]
        mask = visible(time, total, self._window)
        new_state: list[Floats] = []
        x: Floats = self._embedding[ids.reshape(-1)]  # (B * T, D)
        for (qkv_weights, o, gate_up, down), *cache in zip(self._blocks, state[::2], state[1::2], strict=True):
            qkv = (_norm(x) @ qkv_weights).reshape(batch, time, 3, self._heads, self._head_size)
            q, *new = qkv.transpose(2, 0, 3, 1, 4)  # (B, N, T, K) each
            k, v = (np.concatenate(pair, axis=2, dtype=np.float32) for pair in zip(cache, new, strict=True))
            new_state += [k[:, :, -self._window :], v[:, :, -self._window :]]
            scores = _rotate(q, rotations[-time:]) @ _rotate(k, rotations).swapaxes(2, 3)  # (B, N, T, S + T)
            attended: Floats = softmax(scores, mask) @ v
            x += attended.swapaxes(1, 2).reshape(x.shape) @ o
            gate, up = np.split(_norm(x) @ gate_up, 2, axis=1)  # (B * T, M) each
            x += (gate * sigmoid(gate) * up) @ down
        tail = x.reshape(batch, time, x.shape[1])[:, time - last :].reshape(batch * last, x.shape[1])
        return log_softmax(_norm(tail) @ self._output).reshape(batch, last, self.vocabulary_size), tuple(new_state)


def _norm(x: Floats) -> Floats:
    return x / np.sqrt(np.vecdot(x, x) / np.float32(x.shape[1]) + np.float32(EPSILON))[:, None]


def _after_norm(scale: Floats, matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T * scale[:, None])


def _rotate(x: Floats, rotations: NDArray[np.complex64]) -> Floats:
    return (x.view(np.complex64) * rotations).view(np.float32)


def _rotations(places: int, size: int) -> NDArray[np.complex64]:
    return np.exp(1j * np.arange(places)[:, None] * rotary_frequencies(size)).astype(np.complex64)


def rotary_frequencies(size: int) -> Floats:
    """Return the radians a position by which each pair of a head rotates, (K / 2,)."""
    return (THETA ** (-np.arange(0, size, 2, dtype=np.float64) / size)).astype(np.float32)


def shapes_of(vocabulary_size: int, settings: TransformerSettings) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights, by name."""
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
    """Return the `config.json` with which `LlamaForCausalLM` loads the stored weights."""
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


def graph(settings: Mapping[str, Any], weights: Mapping[str, Floats]) -> ModelProto:
    """Build the ONNX graph."""
    from kammil.models.graph import FLOAT, GROWING, IDS, LOG_PROBABILITIES, STATE_IN, Graph

    sizes = TransformerSettings.model_validate(settings)
    size, width = weights["lm_head.weight"].shape
    heads, window = sizes.heads, sizes.window
    head_size = width // heads
    g = Graph()

    def linear(x: str, name: str, scale: float = 1.0) -> str:
        return g.add("MatMul", x, weights[f"{name}.weight"].T * np.float32(scale))

    def norm(x: str, name: str) -> str:
        mean = g.add("ReduceMean", g.add("Mul", x, x), axes=[-1])
        root = g.add("Sqrt", g.add("Add", mean, np.float32(EPSILON)))
        return g.add("Mul", g.add("Div", x, root), weights[f"{name}.weight"])

    def split(x: str) -> str:
        x = g.add("Reshape", x, g.ints(0, 0, heads, head_size))
        return g.add("Transpose", x, perm=[0, 2, 1, 3])  # (B, N, T, K)

    def rotate(x: str, cos: str, sin: str) -> str:
        a, b = g.add_many(2, "Split", x, axis=-1)  # (B, N, ., K / 2) each
        left = g.add("Sub", g.add("Mul", a, cos), g.add("Mul", b, sin))
        right = g.add("Add", g.add("Mul", b, cos), g.add("Mul", a, sin))
        return g.add("Concat", left, right, axis=-1)

    x = g.add("Gather", g.constant(weights["model.embed_tokens.weight"], "embedding"), IDS)  # (B, T, D)
    time = g.add("Shape", IDS, start=1, end=2)
    total = g.add("Add", time, g.add("Shape", STATE_IN.format(0), start=2, end=3))  # S + T
    position = g.add("Range", np.int64(0), g.add("Squeeze", total), np.int64(1))  # (S + T,)
    position = g.add("Cast", g.add("Unsqueeze", position, g.ints(1)), to=FLOAT)
    angles = g.add("Mul", position, rotary_frequencies(head_size))  # (S + T, K / 2)
    turns = g.add("Cos", angles), g.add("Sin", angles)
    last_turns = [g.tail(turn, 0, time) for turn in turns]  # (T, K / 2)
    mask = g.mask(time, total, window)
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
        x = g.add("Add", x, linear(inner, f"{name}.mlp.down_proj"))
    logits = linear(norm(g.tail(x, 1), "model.norm"), "lm_head")  # (B, last, V)
    g.add("LogSoftmax", logits, axis=-1, output=LOG_PROBABILITIES)
    return g.finish("kammil-transformer", size, [[heads, GROWING, head_size]] * (2 * sizes.layers))
