"""ONNX graphs, written node by node, so no exporter's version changes a file.

Every graph reads `ids` (B, T), `last` (1,) and `state_0`, ..., and gives `log_probabilities` (B, last, V) and
`next_state_0`, ...; see `docs/export.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IDS, LAST, LOG_PROBABILITIES = "ids", "last", "log_probabilities"
STATE_IN, STATE_OUT = "state_{}", "next_state_{}"
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
GROWING = "S"
"""The dynamic dimension of a state, the ids in memory: 0 at the start."""
_END = int(np.iinfo(np.int64).max)
IR, OPSET = 8, 17
"""Every ONNX Runtime since 1.12 reads these."""

Value = str | NDArray[np.generic] | np.generic
"""A node's input: another node's output, or a constant."""


class Graph:
    """Builds a graph; methods return the names of what they compute."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[np.generic]] = {}

    def constant(self, value: NDArray[np.generic] | np.generic, name: str | None = None) -> str:
        """Add a constant."""
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = np.asarray(value)
        return name

    def ints(self, *values: int) -> str:
        """Add integers, (n,); equal ones are stored once."""
        return self.constant(np.array(values, np.int64), "_".join(["ints", *map(str, values)]))

    def add_many(self, n: int, op: str, *inputs: Value, **attributes: Any) -> list[str]:
        """Add a node with n outputs."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        outputs = [f"{op.lower()}_{len(self._nodes)}_{i}" for i in range(n)]
        self._nodes.append(helper.make_node(op, names, outputs, **attributes))
        return outputs

    def add(self, op: str, *inputs: Value, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; `output` is its name in the contract."""
        (name,) = self.add_many(1, op, *inputs, **attributes)
        if output is not None:
            self._nodes[-1].output[0] = output
        return output or name

    def tail(self, x: str, axis: int, count: str = LAST) -> str:
        """Return the last `count` entries along an axis."""
        return self.add("Slice", x, self.add("Neg", count), self.ints(_END), self.ints(axis))

    def append(self, state: int, new: str, *, axis: int, window: int) -> str:
        """Append `new` to a state, which keeps the last `window` entries; return all."""
        joined = self.add("Concat", STATE_IN.format(state), new, axis=axis)
        self.add("Slice", joined, self.ints(-window), self.ints(_END), self.ints(axis), output=STATE_OUT.format(state))
        return joined

    def mask(self, num_queries: str, num_keys: str, window: int) -> str:
        """Return a causal mask (Q, S), 0 or -inf, of the last Q positions over S in memory."""
        zero, one = np.int64(0), np.int64(1)
        total = self.add("Squeeze", num_keys)
        begin = self.add("Sub", total, self.add("Squeeze", num_queries))
        row = self.add("Unsqueeze", self.add("Range", begin, total, one), self.ints(1))  # (Q, 1)
        distance = self.add("Sub", row, self.add("Range", zero, total, one))  # (Q, S)
        in_window = self.add("Less", distance, np.int64(window))
        visible = self.add("And", in_window, self.add("GreaterOrEqual", distance, zero))
        return self.add("Where", visible, np.float32(0), np.float32(-np.inf))

    def finish(self, name: str, vocabulary_size: int, states: Sequence[Sequence[int | str]]) -> onnx.ModelProto:
        """Return the model; `states` are shapes without batch."""

        def value(name: str, shape: Sequence[int | str], number: int = FLOAT) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, number, shape)

        inputs = [value(IDS, ["B", "T"], INT64), value(LAST, [1], INT64)]
        inputs += [value(STATE_IN.format(i), ["B", *shape]) for i, shape in enumerate(states)]
        outputs = [value(LOG_PROBABILITIES, ["B", "last", vocabulary_size])]
        # Another size after a call needs another name.
        later = [["S_next" if n == GROWING else n for n in shape] for shape in states]
        outputs += [value(STATE_OUT.format(i), ["B", *shape]) for i, shape in enumerate(later)]
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, inputs, outputs, constants)
        operators = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, ir_version=IR, opset_imports=operators, producer_name="kammil")
