"""The graphs of the families that are networks, written node by node with the `onnx` package.

By hand instead of by `torch.onnx`, which unrolls a recurrence and names things its own way: what a file holds can be
read here, no exporter's version changes it, and no PyTorch is needed to export. A recurrence is ONNX's own GRU
operator, which reads a prompt of 65 characters three times faster than a loop of single steps.

Every graph reads `ids` (B, T), `last` (1,) and `state_0`, `state_1`, ..., and gives `log_probabilities` (B, last, V)
and `next_state_0`, ...; see `docs/export.md`.

Shapes: B batch, T time, S positions in memory, V vocabulary, E embedding, H hidden, A attention, D model width,
N heads, K = D / N, M inner width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kammil.models.attention.model import TINY, WINDOW
from kammil.models.transformer.model import EPSILON, TransformerSettings, rotary_frequencies
from kammil.ngrams.features import Floats

IDS, LAST, LOG_PROBABILITIES = "ids", "last", "log_probabilities"
STATE_IN, STATE_OUT = "state_{}", "next_state_{}"
GROWING = "S"
"""Name of the only dynamic dimension of a state: the ids in memory. It is 0 at the start; a call adds the ids that it
reads, and drops the oldest beyond the window."""
END = int(np.iinfo(np.int64).max)
"""End of a slice without an end."""
IR, OPSET = 8, 17
"""Versions of the format and its operators, which every ONNX Runtime since 1.12 reads."""

Weights = Mapping[str, Floats]
Value = str | NDArray[np.generic] | np.generic
"""Input of a node: the name of what another node computes, or a constant."""


class Graph:
    """Builds a graph node by node; each method returns the name of what it computes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[np.generic]] = {}

    def constant(self, value: NDArray[np.generic] | np.generic, name: str | None = None) -> str:
        """Add a number or an array to the graph."""
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = np.asarray(value)
        return name

    def ints(self, *values: int) -> str:
        """Add a constant of integers, (n,), such as axes, bounds and shapes; equal ones are stored once."""
        return self.constant(np.array(values, np.int64), "_".join(["ints", *map(str, values)]))

    def add_many(self, n: int, op: str, *inputs: Value, **attributes: Any) -> list[str]:
        """Add a node with n outputs."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        outputs = [f"{op.lower()}_{len(self._nodes)}_{i}" for i in range(n)]
        self._nodes.append(helper.make_node(op, names, outputs, **attributes))
        return outputs

    def add(self, op: str, *inputs: Value, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, which is called `output` if the contract names it."""
        (name,) = self.add_many(1, op, *inputs, **attributes)
        if output is not None:
            self._nodes[-1].output[0] = output
        return output or name

    def append(self, state: int, new: str, *, axis: int, window: int) -> str:
        """Append `new` to the memory in state number `state`, whose next value is the last `window` of both."""
        joined = self.add("Concat", STATE_IN.format(state), new, axis=axis)
        self.add("Slice", joined, self.ints(-window), self.ints(END), self.ints(axis), output=STATE_OUT.format(state))
        return joined

    def mask(self, num_queries: str, num_keys: str, window: int) -> str:
        """Return a causal mask (Q, S): 0 where one of the last Q positions sees one of the S in memory, else -inf."""
        zero, one = np.int64(0), np.int64(1)
        total = self.add("Squeeze", num_keys)
        begin = self.add("Sub", total, self.add("Squeeze", num_queries))
        row = self.add("Unsqueeze", self.add("Range", begin, total, one), self.ints(1))  # (Q, 1)
        distance = self.add("Sub", row, self.add("Range", zero, total, one))  # (Q, S)
        in_window = self.add("Less", distance, np.int64(window))
        visible = self.add("And", in_window, self.add("GreaterOrEqual", distance, zero))
        return self.add("Where", visible, np.float32(0), np.float32(-np.inf))

    def finish(self, name: str, vocabulary_size: int, states: Sequence[Sequence[int | str]]) -> onnx.ModelProto:
        """Return the model; `states` gives the shape of each state without the batch."""

        def value(name: str, shape: Sequence[int | str], number: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, number, shape)

        inputs = [value(IDS, ["B", "T"], TensorProto.INT64), value(LAST, [1], TensorProto.INT64)]
        inputs += [value(STATE_IN.format(i), ["B", *shape]) for i, shape in enumerate(states)]
        outputs = [value(LOG_PROBABILITIES, ["B", "last", vocabulary_size])]
        # The dynamic dimension has another size after a call, so it needs another name.
        later = [["S_next" if n == GROWING else n for n in shape] for shape in states]
        outputs += [value(STATE_OUT.format(i), ["B", *shape]) for i, shape in enumerate(later)]
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, inputs, outputs, constants)
        operators = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, ir_version=IR, opset_imports=operators, producer_name="kammil")


def gru(name: str, weights: Weights, members: Sequence[str] = ("",)) -> onnx.ModelProto:
    """Build the graph of GRUs that read the same ids, whose scores are averaged.

    Args:
        name: name of the graph.
        weights: arrays by PyTorch's names: `embedding.weight` (V, E), those of the layer `gru`, `output.weight` (V, H)
            and `output.bias` (V,).
        members: prefix of the names of each network's weights; each network has its own state (B, H).
    """
    g = Graph()
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    parts = [_scores(g, i, prefix, weights, by_time) for i, prefix in enumerate(members)]  # (last, B, V)
    scores = parts[0] if len(parts) == 1 else g.add("Mean", *parts)
    scores = g.add("LogSoftmax", scores, axis=-1)
    g.add("Transpose", scores, perm=[1, 0, 2], output=LOG_PROBABILITIES)  # (B, last, V)
    sizes = [weights[f"{prefix}output.weight"].shape for prefix in members]  # (V, H)
    return g.finish(name, sizes[0][0], [[hidden] for _, hidden in sizes])


def _scores(g: Graph, number: int, prefix: str, weights: Weights, by_time: str) -> str:
    """Add network `number`, which reads and writes its state; return its scores at the last positions, (last, B, V)."""

    def weight(name: str) -> NDArray[np.float32]:
        return weights[prefix + name].astype(np.float32, copy=False)

    output = weight("output.weight")  # (V, H)
    h = _states(g, number, prefix, weights, by_time)
    h = g.add("Slice", h, g.add("Neg", LAST), g.ints(END), g.ints(0))  # (last, B, H)
    scores = g.add("MatMul", h, g.constant(output.T, f"{prefix}output"))  # (last, B, V)
    return g.add("Add", scores, g.constant(weight("output.bias"), f"{prefix}output_bias"))


def _states(g: Graph, number: int, prefix: str, weights: Weights, by_time: str) -> str:
    """Add the recurrence of network `number`; return its states after all ids, (T, B, H)."""

    def gates(name: str) -> NDArray[np.float32]:
        """Reorder gates: PyTorch stacks reset, update, new; ONNX expects update, reset, new."""
        r, z, n = np.split(weights[f"{prefix}gru.{name}_l0"].astype(np.float32, copy=False), 3)
        return np.concatenate([z, r, n])

    embedding = weights[f"{prefix}embedding.weight"].astype(np.float32, copy=False)
    recurrent = gates("weight_hh")
    h, end = g.add_many(
        2,
        "GRU",
        g.add("Gather", g.constant(embedding, f"{prefix}embedding"), by_time),  # (T, B, E)
        gates("weight_ih")[None],  # (1, 3H, E)
        recurrent[None],  # (1, 3H, H)
        np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],  # (1, 6H)
        "",
        g.add("Unsqueeze", STATE_IN.format(number), g.ints(0)),  # (1, B, H)
        hidden_size=recurrent.shape[1],
        linear_before_reset=1,
    )  # (T, 1, B, H), (1, B, H)
    g.add("Squeeze", end, g.ints(0), output=STATE_OUT.format(number))  # (B, H)
    return g.add("Squeeze", h, g.ints(1))


def attention(weights: Weights) -> onnx.ModelProto:
    """Build the graph of a GRU with attention; its states are h, then the keys, values and ids in memory."""
    size, _ = weights["output.weight"].shape
    attention, hidden = weights["key.weight"].shape
    g = Graph()
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    h = g.add("Transpose", _states(g, 0, "", weights, by_time), perm=[1, 0, 2])  # (B, T, H)
    first = g.add("Unsqueeze", STATE_IN.format(0), g.ints(1))  # (B, 1, H)
    before = g.add("Slice", g.add("Concat", first, h, axis=1), g.ints(0), g.ints(-1), g.ints(1))  # (B, T, H)

    keys = g.append(1, g.add("MatMul", before, weights["key.weight"].T), axis=1, window=WINDOW)  # (B, S + T, A)
    values = g.append(2, g.add("MatMul", h, weights["value.weight"].T), axis=1, window=WINDOW)  # (B, S + T, A)
    read_ids = g.append(3, g.add("Cast", IDS, to=TensorProto.FLOAT), axis=1, window=WINDOW)  # (B, S + T)

    h = g.add("Slice", h, g.add("Neg", LAST), g.ints(END), g.ints(1))  # (B, last, H)
    query = g.add("MatMul", h, weights["query.weight"].T / np.float32(math.sqrt(attention)))  # (B, last, A)
    scores = g.add("MatMul", query, g.add("Transpose", keys, perm=[0, 2, 1]))  # (B, last, S + T)
    mask = g.mask(LAST, g.add("Shape", read_ids, start=1, end=2), WINDOW)  # (last, S + T)
    attended = g.add("Softmax", g.add("Add", scores, mask), axis=-1)  # (B, last, S + T)
    y = g.add("Concat", h, g.add("MatMul", attended, values), axis=-1)  # (B, last, H + A)
    generated = g.add("Add", g.add("MatMul", y, weights["output.weight"].T), weights["output.bias"])  # (B, last, V)
    generated = g.add("LogSoftmax", generated, axis=-1)

    targets = g.add("Unsqueeze", g.add("Cast", read_ids, to=TensorProto.INT64), g.ints(1))  # (B, 1, S + T)
    targets = g.add("Expand", targets, g.add("Shape", attended))  # (B, last, S + T)
    zeros = g.add("ConstantOfShape", g.add("Shape", generated))  # zeros
    copied = g.add("ScatterElements", zeros, targets, attended, axis=2, reduction="add")  # (B, last, V)
    copied = g.add("Log", g.add("Add", copied, np.float32(TINY)))
    gate = g.add("Add", g.add("MatMul", y, weights["gate.weight"].T), weights["gate.bias"])  # (B, last, 1)
    generated = g.add("Sub", generated, g.add("Softplus", gate))  # log sigmoid(-x) = -softplus(x)
    copied = g.add("Sub", copied, g.add("Softplus", g.add("Neg", gate)))
    largest = g.add("Max", generated, copied)
    total = g.add("Add", g.add("Exp", g.add("Sub", generated, largest)), g.add("Exp", g.add("Sub", copied, largest)))
    g.add("Add", largest, g.add("Log", total), output=LOG_PROBABILITIES)  # (B, last, V)
    states = [[hidden], [GROWING, attention], [GROWING, attention], [GROWING]]
    return g.finish("kammil-attention", size, states)


def transformer(settings: TransformerSettings, weights: Weights) -> onnx.ModelProto:
    """Build the graph of a Transformer; its states are keys and values, layer by layer."""
    size, width = weights["lm_head.weight"].shape
    heads, window = settings.heads, settings.window
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
    for i in range(settings.layers):
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
    return g.finish("kammil-transformer", size, [[heads, GROWING, head_size]] * (2 * settings.layers))
