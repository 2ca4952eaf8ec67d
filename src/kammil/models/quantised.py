"""A step of GRUs in whole numbers: weights in one byte each, so that all of them stay in a near cache.

The idea: a step for one text reads every weight once and uses it once, so that it takes as long as the weights take to
come. Some megabytes of them in single precision come from afar; a quarter as many bytes stay near, and processors
multiply whole numbers four at a time. Each column of a matrix has its own scale; the numbers carried from step to step
lie between -1 and 1 (a GRU takes means of them and of a tanh), so that they have one fixed scale, 1 / 127. Sums of
whole numbers are exact, so that a row is the same in every batch, alone or among others.

Weights are rounded to 7 bits, not 8: processors without VNNI add pairs of products in 16 bits, which 255 * 63 * 2 fits
and 255 * 127 * 2 does not. On the validation texts of the benchmark the bundled model pays 2.6477 bits a character in
single precision, 2.6480 with 7 bits, 2.6478 with 8.

What was left out: scales found from each batch (`DynamicQuantizeLinear`), with which a row would depend on its
neighbours; unsigned weights, which could keep their eighth bit and take a third longer.

Shapes: B batch, V vocabulary, M networks, H hidden, A what is asked of the states beside the scores, N columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.models.base import Ids
from kammil.models.graph import Graph
from kammil.models.network import session
from kammil.models.wire import OURS

Floats = NDArray[np.float32]

_MOST, _STEPS = 63, 127
"""Largest whole number of a weight; and of what is carried, above and below its zero of 128."""
_COLUMNS = 128
"""Columns rounded at a time: what is in between needs little memory."""
_READ, _BEFORE, _AFTER, _SAID = "read", "before", "after", "said"


@dataclass(frozen=True)
class Layer:
    """One GRU, PyTorch's variant: the reset gate is applied after the product. Gates are stacked reset, update, new."""

    inward: Floats
    """(V, 3H): what each id adds to the gates, its bias included."""
    recurrent: Floats
    """(H, 3H)."""
    bias: Floats
    """(3H,): of the recurrent product."""
    outward: Floats
    """(H, V + A): what is read from the new state; what the networks say is summed."""


class QuantisedGRU:
    """Steps M GRUs that read the same ids.

    Args:
        layers: M of them, of one size.
        bias: (V + A,): added to what is read from their states.
    """

    def __init__(self, layers: Sequence[Layer], bias: Floats) -> None:
        """Round the weights and open the graph."""
        self.width = sum(layer.recurrent.shape[0] for layer in layers)
        self.columns = len(bias)
        self._inward = np.concatenate([layer.inward for layer in layers], axis=1)  # (V, M * 3H)
        self._session = session(_graph(layers, bias))
        self._outputs = [_AFTER, _SAID]

    def step(self, ids: Ids, before: Floats) -> tuple[Floats, Floats]:
        """The states (B, M * H) after one more id each, (B,), and what is read from them, (B, V + A)."""
        after, said = self._session.run(self._outputs, {_READ: self._inward[ids], _BEFORE: before})
        return after, said  # pyright: ignore[reportReturnType]


def _graph(layers: Sequence[Layer], bias: Floats) -> bytes:
    g = Graph()
    (hidden, _), columns = layers[0].recurrent.shape, layers[0].outward.shape[1]
    scale, zero = g.constant(np.float32(1 / _STEPS), "scale"), g.constant(np.uint8(_STEPS + 1), "zero")

    def product(x: str, weights: Floats, added: Floats | None = None) -> str:
        """x @ weights + added, (B, N): x in [-1, 1]."""
        rounded, scales = quantised(weights)
        terms = ["" if added is None else g.constant(added)]
        whole = g.add("QuantizeLinear", x, scale, zero)
        return g.add("MatMulIntegerToFloat", whole, rounded, scale, scales, zero, "", *terms, domain=OURS)

    read, before = [_READ], [_BEFORE]
    if len(layers) > 1:
        read, before = (g.several(len(layers), "Split", name, axis=-1) for name in (_READ, _BEFORE))
    states: list[str] = []
    said = ""
    for i, (layer, x, h) in enumerate(zip(layers, read, before, strict=True)):
        both, third = g.whole(2 * hidden, hidden), g.whole(hidden, hidden)
        x_gates, x_new = g.several(2, "Split", x, both, axis=-1)
        h_gates, h_new = g.several(2, "Split", product(h, layer.recurrent, layer.bias), both, axis=-1)
        reset, update = g.several(2, "Split", g.add("Sigmoid", g.add("Add", x_gates, h_gates)), third, axis=-1)
        new = g.add("Tanh", g.add("Add", x_new, g.add("Mul", reset, h_new)))
        last = _AFTER if len(layers) == 1 else None
        states.append(g.add("Add", new, g.add("Mul", update, g.add("Sub", h, new)), output=last))
        heard = product(states[-1], layer.outward, bias if i == 0 else None)
        final = _SAID if i == len(layers) - 1 else None
        said = g.add("Add", said, heard, output=final) if said else g.add("Identity", heard, output=final)
    if len(layers) > 1:
        g.add("Concat", *states, axis=-1, output=_AFTER)
    width = hidden * len(layers)
    return g.write(
        "kammil-quantised-gru",
        [(_READ, np.float32, ["B", 3 * width]), (_BEFORE, np.float32, ["B", width])],
        [(_AFTER, np.float32, ["B", width]), (_SAID, np.float32, ["B", columns])],
    )


def quantised(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights (H, N) as whole numbers from -63 to 63, and what one of them is worth in each column, (N,)."""
    whole, scales = np.empty(weights.shape, np.int8), np.ones(weights.shape[1], np.float32)
    for begin in range(0, weights.shape[1], _COLUMNS):
        part = slice(begin, begin + _COLUMNS)
        most = np.abs(weights[:, part]).max(axis=0, initial=0) / np.float32(_MOST)
        scales[part][most > 0] = most[most > 0]
        whole[:, part] = np.rint(weights[:, part] / scales[part])
    return whole, scales
