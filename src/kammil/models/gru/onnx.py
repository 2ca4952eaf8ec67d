"""The ONNX graph of GRUs over characters: of one, or of several that read the same ids and are averaged.

Written by hand, around ONNX's own GRU operator: `torch.onnx` unrolls the recurrence, and a loop of single steps reads a
prompt of 65 characters three times slower than this one call.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.runtime import IDS, LAST, LOG_PROBABILITIES, STATE_IN, STATE_OUT

Weights = Mapping[str, NDArray[np.generic]]


def graph(name: str, weights: Weights, members: Sequence[str] = ("",)) -> bytes:
    """GRUs as one graph of the contract, whose scores are the mean of theirs.

    Args:
        name: of the graph.
        weights: under PyTorch's names: `embedding.weight` (V, E), those of the layer `gru`, `output.weight` (V, H) and
            `output.bias` (V,).
        members: what the names of each network's weights begin with; each has a state (B, H) of its own.
    """
    g = GraphBuilder()
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    each = [_scores(g, i, prefix, weights, by_time) for i, prefix in enumerate(members)]  # (last, B, V)
    scores = each[0] if len(each) == 1 else g.add("Mean", *each)
    scores = g.add("LogSoftmax", scores, axis=-1)
    g.add("Transpose", scores, perm=[1, 0, 2], output=LOG_PROBABILITIES)  # (B, last, V)
    sizes = [weights[f"{prefix}output.weight"].shape for prefix in members]  # (V, H)
    return g.finish(name, sizes[0][0], [[hidden] for _, hidden in sizes])


def _scores(g: GraphBuilder, number: int, prefix: str, weights: Weights, by_time: str) -> str:
    """What network `number` says at the last positions, (last, B, V); its state is read and written."""

    def weight(name: str) -> NDArray[np.float32]:
        return weights[prefix + name].astype(np.float32, copy=False)

    def gates(name: str) -> NDArray[np.float32]:
        """PyTorch stacks the gates reset, update, new; ONNX wants update, reset, new."""
        r, z, n = np.split(weight(name), 3)
        return np.concatenate([z, r, n])

    output = weight("output.weight")  # (V, H)
    bias = np.concatenate([gates("gru.bias_ih_l0"), gates("gru.bias_hh_l0")])[None]  # (1, 6H)
    x = g.add("Gather", g.constant(weight("embedding.weight"), f"{prefix}embedding"), by_time)  # (T, B, E)
    before = g.add("Unsqueeze", STATE_IN.format(number), g.whole(0))  # (1, B, H)
    h, end = g.add_multi(
        2,
        "GRU",
        x,
        gates("gru.weight_ih_l0")[None],  # (1, 3H, E)
        gates("gru.weight_hh_l0")[None],  # (1, 3H, H)
        bias,
        "",
        before,
        hidden_size=output.shape[1],
        linear_before_reset=1,
    )  # (T, 1, B, H), (1, B, H)
    g.add("Squeeze", end, g.whole(0), output=STATE_OUT.format(number))  # (B, H)
    h = g.add("Squeeze", h, g.whole(1))  # (T, B, H)
    h = g.add("Slice", h, g.add("Neg", LAST), g.whole(g.END), g.whole(0))  # (last, B, H)
    said = g.add("MatMul", h, g.constant(output.T, f"{prefix}output"))  # (last, B, V)
    return g.add("Add", said, g.constant(weight("output.bias"), f"{prefix}output_bias"))
