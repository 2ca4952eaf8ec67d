"""The GRU with attention as an ONNX graph."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.protobuf import FLOAT, WHOLE
from kammil.engine.onnx.runtime import GROWING, IDS, LAST, LOG_PROBABILITIES, STATE_IN, STATE_OUT
from kammil.language_model import Artifacts
from kammil.models.attention.network import TINY, WINDOW, PointerGRU


def export(model: PointerGRU) -> Artifacts:
    """The weights as arrays, and the running side: its states are h, then the keys, values and ids in memory."""
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    size, _ = weights["output.weight"].shape
    attention, hidden = weights["key.weight"].shape
    g = GraphBuilder()

    def gates(name: str) -> NDArray[np.float32]:
        """PyTorch stacks the gates reset, update, new; ONNX wants update, reset, new."""
        r, z, n = np.split(weights[name], 3)
        return np.concatenate([z, r, n])

    bias = np.concatenate([gates("gru.bias_ih_l0"), gates("gru.bias_hh_l0")])[None]  # (1, 6H)
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    x = g.add("Gather", g.constant(weights["embedding.weight"], "embedding"), by_time)  # (T, B, E)
    h0 = g.add("Unsqueeze", STATE_IN.format(0), g.whole(0))  # (1, B, H)
    h, end = g.add_multi(
        2, "GRU", x, gates("gru.weight_ih_l0")[None], gates("gru.weight_hh_l0")[None], bias, "", h0,
        hidden_size=hidden, linear_before_reset=1,
    )  # (T, 1, B, H), (1, B, H)  # fmt: skip
    g.add("Squeeze", end, g.whole(0), output=STATE_OUT.format(0))  # (B, H)
    h = g.add("Transpose", g.add("Squeeze", h, g.whole(1)), perm=[1, 0, 2])  # (B, T, H)
    first = g.add("Unsqueeze", STATE_IN.format(0), g.whole(1))  # (B, 1, H)
    before = g.add("Slice", g.add("Concat", first, h, axis=1), g.whole(0), g.whole(-1), g.whole(1))  # (B, T, H)

    keys = g.append_to_cache(
        1, g.add("MatMul", before, weights["key.weight"].T), axis=1, window=WINDOW
    )  # (B, S + T, A)
    values = g.append_to_cache(2, g.add("MatMul", h, weights["value.weight"].T), axis=1, window=WINDOW)  # (B, S + T, A)
    read = g.append_to_cache(3, g.add("Cast", IDS, to=FLOAT), axis=1, window=WINDOW)  # (B, S + T)

    h = g.add("Slice", h, g.add("Neg", LAST), g.whole(g.END), g.whole(1))  # (B, last, H)
    query = g.add("MatMul", h, weights["query.weight"].T / np.float32(math.sqrt(attention)))  # (B, last, A)
    fit = g.add("MatMul", query, g.add("Transpose", keys, perm=[0, 2, 1]))  # (B, last, S + T)
    mask = g.mask(LAST, g.add("Shape", read, start=1, end=2), WINDOW)  # (last, S + T)
    shares = g.add("Softmax", g.add("Add", fit, mask), axis=-1)  # (B, last, S + T)
    y = g.add("Concat", h, g.add("MatMul", shares, values), axis=-1)  # (B, last, H + A)
    own = g.add("Add", g.add("MatMul", y, weights["output.weight"].T), weights["output.bias"])  # (B, last, V)
    own = g.add("LogSoftmax", own, axis=-1)

    which = g.add("Unsqueeze", g.add("Cast", read, to=WHOLE), g.whole(1))  # (B, 1, S + T)
    which = g.add("Expand", which, g.add("Shape", shares))  # (B, last, S + T)
    empty = g.add("ConstantOfShape", g.add("Shape", own))  # zeros
    copied = g.add("ScatterElements", empty, which, shares, axis=2, reduction="add")  # (B, last, V)
    copied = g.add("Log", g.add("Add", copied, np.float32(TINY)))
    gate = g.add("Add", g.add("MatMul", y, weights["gate.weight"].T), weights["gate.bias"])  # (B, last, 1)
    own = g.add("Sub", own, g.add("Softplus", gate))  # log sigmoid(-x) = -softplus(x)
    copied = g.add("Sub", copied, g.add("Softplus", g.add("Neg", gate)))
    most = g.add("Max", own, copied)
    both = g.add("Add", g.add("Exp", g.add("Sub", own, most)), g.add("Exp", g.add("Sub", copied, most)))
    g.add("Add", most, g.add("Log", both), output=LOG_PROBABILITIES)  # (B, last, V)
    states = [[hidden], [GROWING, attention], [GROWING, attention], [GROWING]]
    return Artifacts(weights, g.finish("kammil-attention", size, states))
