"""The ONNX graph of a GRU with attention.

Shapes: B batch, T time, S characters in memory, V vocabulary, H hidden, A attention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from kammil.models.attention.model import TINY, WINDOW
from kammil.models.graph import END, GROWING, IDS, LAST, LOG_PROBABILITIES, STATE_IN, Graph
from kammil.models.gru.graph import states_of
from kammil.ngrams.features import Floats


def graph(settings: Mapping[str, Any], weights: Mapping[str, Floats]) -> onnx.ModelProto:
    """Build the graph; its states are h, then the keys, values and ids in memory."""
    del settings
    size, _ = weights["output.weight"].shape
    attention, hidden = weights["key.weight"].shape
    g = Graph()
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    h = g.add("Transpose", states_of(g, 0, "", weights, by_time), perm=[1, 0, 2])  # (B, T, H)
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
