"""A step of GRUs in whole numbers: weights in one byte each, so that all of them stay in a near cache.

The idea: a step for one text reads every weight once and uses it once, so that it takes as long as the weights take to
come. Some megabytes of them in single precision come from afar; a quarter as many bytes stay near, and processors
multiply whole numbers four at a time. Each column of a matrix has its own scale; the numbers carried from step to step
lie between -1 and 1 (a GRU takes means of them and of a tanh), so that they have one fixed scale, 1 / 127. Sums of
whole numbers are exact, so that a row is the same in every batch, alone or among others.

Weights are rounded to 7 bits (see `rounding`): on the validation texts of the benchmark the bundled model pays 2.5981
bits a character with them as in single precision (`benchmarks/latency.py`).

What was left out: scales found from each batch (`DynamicQuantizeLinear`), with which a row would depend on its
neighbours; unsigned weights, which could keep their eighth bit and take a third longer.

Shapes: B batch, V vocabulary, M networks, H hidden, A what is asked of the states beside the scores, N columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.protobuf import FLOAT, Value
from kammil.engine.onnx.runtime import session
from kammil.engine.quantization import quantize_rows
from kammil.engine.weights import STATE_MAX, GRUWeights, array_names, num_experts, tables
from kammil.language_model import Ids
from kammil.ngrams.features import Floats

_IDS, _BEFORE, _BEGIN, _AFTER, _SAID = "ids", "before", "begin", "after", "said"


class QuantisedGRU:
    """Steps M GRUs that read the same ids.

    Args:
        layers: M of them, of one size.
        bias: (V + A,): added to what is read from their states.
        shares: what is read are scores, A = 0, and is given as log-probabilities.
    """

    def __init__(self, layers: Sequence[GRUWeights], bias: Floats, *, shares: bool = False) -> None:
        """Round the weights and open the graph."""
        self.width = num_experts(layers)
        self.columns = len(bias)
        self._session = session(graph_of(layers, bias, shares), few=True)
        self._tables = tables(layers)
        self._outputs = [_AFTER, _SAID]

    def step(self, ids: Ids, before: Floats) -> tuple[Floats, Floats]:
        """The states (B, M * H) after one more id each, (B,), and what is read from them, (B, V + A)."""
        after, said = self.read(ids[:, None], before, last=1)
        return after, said[:, 0]

    def read(self, ids: Ids, before: Floats, *, last: int) -> tuple[Floats, Floats]:
        """The states (B, M * H) after some more ids each, (B, T), and what is read from the states after the last
        ones, (B, last, V + A)."""
        begin = np.array([ids.shape[1] - last])
        after, said = self._session.run(self._outputs, {_IDS: ids, _BEFORE: before, _BEGIN: begin, **self._tables})
        return after, said  # pyright: ignore[reportReturnType]


def graph_of(layers: Sequence[GRUWeights], bias: Floats, shares: bool = False) -> bytes:
    """Reads ids one after the other, and looks at the last states all at once."""
    state, number = ["B", num_experts(layers)], np.float32
    g = GraphBuilder()
    after, said = stepped(g, layers, bias, _IDS, _BEFORE, _BEGIN)
    g.add("Identity", after, output=_AFTER)
    g.add("LogSoftmax", said, axis=-1, output=_SAID) if shares else g.add("Identity", said, output=_SAID)
    return g.write(
        "kammil-quantised-gru",
        [(_IDS, np.int64, ["B", "T"]), (_BEFORE, number, state), (_BEGIN, np.int64, [1]), *given(layers)],
        [(_AFTER, number, state), (_SAID, number, ["B", "last", len(bias)])],
    )


def stepped(
    g: GraphBuilder, layers: Sequence[GRUWeights], bias: Floats, ids: str, before: str, begin: str
) -> tuple[str, str]:
    """Nodes that read ids one after the other, and look at the states from `begin` on all at once.

    Args:
        g: they are added to it; it is given `tables`, too.
        layers, bias: as in `QuantisedGRU`.
        ids: (B, T).
        before: the states before them, (B, M * H).
        begin: position of the first that is asked for, (1,).

    Returns: the states after the last id, (B, M * H), and what is read from those asked for, (B, last, V + A).
    """
    state, number = ["B", num_experts(layers)], np.float32
    by_time = g.add("Transpose", ids, perm=[1, 0])  # (T, B)
    read: list[str] = []
    shown: list[Value] = [("state", number, state)]
    states: list[str] = []
    step = GraphBuilder("step_")
    for i, (layer, h) in enumerate(zip(layers, _parts(step, "state", layers), strict=True)):
        names = f"step_gates_{i}", f"step_new_{i}"
        read += _looked_up(g, i, by_time)  # (T, B, 3H), (T, B, H)
        hidden = layer.recurrent.shape[0]
        shown += [(name, number, ["B", size]) for name, size in zip(names, (3 * hidden, hidden), strict=True)]
        states.append(gru_step(step, h, quantized_matmul(step, h, layer.recurrent), *names, hidden))
    now = states[0] if len(states) == 1 else step.add("Concat", *states, axis=-1)
    kept = step.add("Identity", now)
    body = step.body("step", shown, [(now, number, state), (kept, number, state)])
    after, along = g.add_multi(2, "Scan", before, *read, num_scan_inputs=len(read), body=body)
    along = g.add("Slice", along, begin, g.whole(g.END), g.whole(0))  # (last, B, M * H)
    along = g.add("Transpose", along, perm=[1, 0, 2])
    return after, _said(g, layers, _parts(g, along, layers), bias)


def turned(g: GraphBuilder, layers: Sequence[GRUWeights], bias: Floats, ids: str, before: str) -> tuple[str, str]:
    """As `stepped` for one id each, (B, 1), without the loop, which costs something by itself."""
    flat = g.add("Reshape", ids, g.whole(-1))
    states = [
        gru_step(g, h, quantized_matmul(g, h, layer.recurrent), *_looked_up(g, i, flat), layer.recurrent.shape[0])
        for i, (layer, h) in enumerate(zip(layers, _parts(g, before, layers), strict=True))
    ]
    after = states[0] if len(states) == 1 else g.add("Concat", *states, axis=-1)
    return after, g.add("Unsqueeze", _said(g, layers, states, bias), g.whole(1))


def _looked_up(g: GraphBuilder, network: int, ids: str) -> tuple[str, str]:
    """What each id adds to the gates and to the new state, (..., 3H) and (..., H)."""
    gates, new = (g.add("Cast", g.add("Gather", table, ids), to=FLOAT) for table in array_names(network))
    return gates, new


def _said(g: GraphBuilder, layers: Sequence[GRUWeights], states: Sequence[str], bias: Floats) -> str:
    """What is read from the states of all networks, (..., V + A)."""
    heard = [quantized_matmul(g, h, layer.output) for h, layer in zip(states, layers, strict=True)]
    return g.add("Add", heard[0] if len(heard) == 1 else g.add("Sum", *heard), bias)


def given(layers: Sequence[GRUWeights]) -> list[Value]:
    """Of `tables`, what a graph is told."""
    sizes = [(i, *layer.input.shape) for i, layer in enumerate(layers)]
    return [
        (name, np.float16, [size, numbers])
        for i, size, thrice in sizes
        for name, numbers in zip(array_names(i), (thrice, thrice // 3), strict=True)
    ]


def gru_step(g: GraphBuilder, h: str, brought: str, gates: str, read: str, hidden: int) -> str:
    """Nodes that make the next state of one network, (B, H).

    Args:
        g: they are added to it.
        h: the state before.
        brought: its product with the recurrent weights, (B, 3H).
        gates: what the id read adds to that, (B, 3H).
        read: what it adds to the new state, (B, H).
        hidden: H.
    """
    thirds = g.whole(hidden, hidden, hidden)
    r, z, heard = g.add_multi(3, "Split", g.add("Add", brought, gates), thirds, axis=-1)
    reset, update = g.add("Sigmoid", r), g.add("Sigmoid", z)
    new = g.add("Tanh", g.add("Add", read, g.add("Mul", reset, heard)))
    return g.add("Add", new, g.add("Mul", update, g.add("Sub", h, new)))


def quantized_matmul(g: GraphBuilder, x: str, weights: Floats) -> str:
    """Nodes of x @ weights, (..., N): x in [-1, 1]. The operator that multiplies and scales at once takes longer."""
    whole, scales = quantize_rows(weights.T)
    zero = g.constant(np.uint8(STATE_MAX + 1), "zero")
    near = g.add("QuantizeLinear", x, g.constant(np.float32(1 / STATE_MAX), "scale"), zero)
    summed = g.add("Cast", g.add("MatMulInteger", near, whole.T, zero), to=FLOAT)
    return g.add("Mul", summed, scales / np.float32(STATE_MAX))


def _parts(g: GraphBuilder, joined: str, layers: Sequence[GRUWeights]) -> list[str]:
    """What belongs to each network."""
    if len(layers) == 1:
        return [joined]
    sizes = g.whole(*(layer.recurrent.shape[0] for layer in layers))
    return g.add_multi(len(layers), "Split", joined, sizes, axis=-1)
