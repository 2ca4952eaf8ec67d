"""A small writer of ONNX graphs: what a running side says of its network, node by node.

Written by hand instead of by `torch.onnx`, which unrolls a recurrence and names things its own way.

Shapes: B batch, T time, S positions in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.engine.onnx.protobuf import Attribute, Node, Value, graph, model
from kammil.engine.onnx.runtime import GROWING, IDS, LAST, LOG_PROBABILITIES, STATE_IN, STATE_OUT


class GraphBuilder:
    """Writes an ONNX graph node by node, for networks with a memory; each call gives the name of what it computes.

    By hand, as in `gru.py`: what the running side does can be read here, and no exporter's version changes it.
    """

    END = int(np.iinfo(np.int64).max)
    """Where a slice that goes to the end stops."""

    def __init__(self, prefix: str = "") -> None:
        """Nothing yet. `prefix`: of all names, for a graph inside another one, which must not repeat its names."""
        self._prefix = prefix
        self._nodes: list[Node] = []
        self._constants: dict[str, NDArray[np.generic]] = {}

    def constant(self, value: NDArray[np.generic] | np.generic, name: str | None = None) -> str:
        """A number or array that is part of the graph."""
        name = self._prefix + (name or f"constant_{len(self._constants)}")
        self._constants[name] = np.ascontiguousarray(value).reshape(np.shape(value))
        return name

    def whole(self, *values: int) -> str:
        """Whole numbers, (n,), as axes, bounds and shapes are given; the same ones are kept once."""
        return self.constant(np.array(values, np.int64), "_".join(["whole", *map(str, values)]))

    def add_multi(
        self,
        n: int,
        op: str,
        *inputs: str | NDArray[np.generic] | np.generic,
        domain: str = "",
        **attributes: Attribute,
    ) -> list[str]:
        """A node with n outputs; inputs are names or constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        outputs = [f"{self._prefix}{op.lower()}_{len(self._nodes)}_{i}" for i in range(n)]
        self._nodes.append(Node(op, names, outputs, attributes, domain))
        return list(outputs)

    def add(
        self,
        op: str,
        *inputs: str | NDArray[np.generic] | np.generic,
        output: str | None = None,
        domain: str = "",
        **attributes: Attribute,
    ) -> str:
        """A node with one output, called `output` where the contract names it."""
        (name,) = self.add_multi(1, op, *inputs, domain=domain, **attributes)
        if output is not None:
            self._nodes[-1].outputs[0] = output
        return output or name

    def append_to_cache(self, state: int, new: str, *, axis: int, window: int) -> str:
        """What state number `state` held and, behind it along the axis, what is new; the last `window` are kept."""
        both = self.add("Concat", STATE_IN.format(state), new, axis=axis)
        self.add(
            "Slice", both, self.whole(-window), self.whole(self.END), self.whole(axis), output=STATE_OUT.format(state)
        )
        return both

    def mask(self, asking: str, remembered: str, window: int) -> str:
        """0 where one of the last `asking` positions sees one of the `remembered`, else minus infinity: (asking, S)."""
        zero, one = np.int64(0), np.int64(1)
        total = self.add("Squeeze", remembered)
        begin = self.add("Sub", total, self.add("Squeeze", asking))
        row = self.add("Unsqueeze", self.add("Range", begin, total, one), self.whole(1))  # (asking, 1)
        distance = self.add("Sub", row, self.add("Range", zero, total, one))  # (asking, S)
        near = self.add("Less", distance, np.int64(window))
        visible = self.add("And", near, self.add("GreaterOrEqual", distance, zero))
        return self.add("Where", visible, np.float32(0), np.float32(-np.inf))

    def finish(self, name: str, vocabulary_size: int, states: Sequence[Sequence[int | str]]) -> bytes:
        """The graph as it is stored; `states` gives the shape of each without the batch."""
        number, whole = np.float32, np.int64
        shapes = list(enumerate(["B", *shape] for shape in states))
        inputs: list[Value] = [(IDS, whole, ["B", "T"]), (LAST, whole, [1])]
        inputs += [(STATE_IN.format(i), number, shape) for i, shape in shapes]
        outputs: list[Value] = [(LOG_PROBABILITIES, number, ["B", "last", vocabulary_size])]
        # A memory that grows ends with another length than it began with, so that has another name.
        outputs += [
            (STATE_OUT.format(i), number, ["S_next" if n == GROWING else n for n in shape]) for i, shape in shapes
        ]
        return self.write(name, inputs, outputs)

    def write(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> bytes:
        """The graph as it is stored, with inputs and outputs of its own."""
        return model(name, self._nodes, inputs, outputs, self._constants)

    def body(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> bytes:
        """The graph as an attribute of a node, such as `Scan`; it may use names of the graph that the node is in."""
        return graph(name, self._nodes, inputs, outputs, self._constants)
