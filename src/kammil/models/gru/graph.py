"""The ONNX graph of a GRU: ONNX's own operator, which reads a prompt three times faster than a loop of single steps.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from kammil.models.graph import END, IDS, LAST, LOG_PROBABILITIES, STATE_IN, STATE_OUT, Graph
from kammil.ngrams.features import Floats

Weights = Mapping[str, Floats]


def graph(settings: Mapping[str, Any], weights: Weights) -> onnx.ModelProto:
    """Build the graph of a GRU."""
    del settings
    return of_networks("kammil-gru", weights, [""])


def of_networks(name: str, weights: Weights, prefixes: Sequence[str]) -> onnx.ModelProto:
    """Build the graph of GRUs that read the same ids, whose scores are averaged; each has its own state (B, H).

    Args:
        name: of the graph.
        weights: arrays by PyTorch's names: `embedding.weight` (V, E), those of the layer `gru`, `output.weight` (V, H)
            and `output.bias` (V,).
        prefixes: of the names of each network's weights.
    """
    g = Graph()
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    parts = [_scores(g, i, prefix, weights, by_time) for i, prefix in enumerate(prefixes)]  # (last, B, V)
    scores = parts[0] if len(parts) == 1 else g.add("Mean", *parts)
    scores = g.add("LogSoftmax", scores, axis=-1)
    g.add("Transpose", scores, perm=[1, 0, 2], output=LOG_PROBABILITIES)  # (B, last, V)
    sizes = [weights[f"{prefix}output.weight"].shape for prefix in prefixes]  # (V, H)
    return g.finish(name, sizes[0][0], [[hidden] for _, hidden in sizes])


def _scores(g: Graph, number: int, prefix: str, weights: Weights, by_time: str) -> str:
    """Add network `number`, which reads and writes its state; return its scores at the last positions, (last, B, V)."""

    def weight(name: str) -> NDArray[np.float32]:
        return weights[prefix + name].astype(np.float32, copy=False)

    output = weight("output.weight")  # (V, H)
    h = states_of(g, number, prefix, weights, by_time)
    h = g.add("Slice", h, g.add("Neg", LAST), g.ints(END), g.ints(0))  # (last, B, H)
    scores = g.add("MatMul", h, g.constant(output.T, f"{prefix}output"))  # (last, B, V)
    return g.add("Add", scores, g.constant(weight("output.bias"), f"{prefix}output_bias"))


def states_of(g: Graph, number: int, prefix: str, weights: Weights, by_time: str) -> str:
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
