"""A GRU that looks back over its own text, and may copy what it finds there.

The idea: a recurrent network squeezes all that was read into H numbers, and a hashtag or a name that it never saw while
learning does not survive that. So beside its state this network keeps a memory with one entry for each character read:
the state before that character (the key: "where I stood"), what came of it (the value), and the character itself. At
each position the present state asks the memory: when did I stand where I stand now? Two things are made of the answer:

- the mean of the values, weighted by how well each key fits, is put beside the state before the next character is
  scored (attention: Bahdanau et al. 2015, arXiv:1409.0473; dot products scaled as in Vaswani et al. 2017,
  arXiv:1706.03762);
- the same weights, laid on the characters that stood there, are a distribution over the next character: what followed
  then may follow now. A gate, one number in (0, 1), says how much of the answer is copied so and how much comes from
  the softmax (See et al. 2017, arXiv:1704.04368; Merity et al. 2016, arXiv:1609.07843, mix in the same spirit).

Causal by construction: the entry of a character holds that character and the states around it, nothing later, and a
position sees its own entry and the earlier ones. The first entry (the text's beginning) is where attention rests when
nothing fits; a null entry of its own would do what it does.

Left out: coverage (See et al.), which keeps a summary from repeating itself, where here repeating is the point; several
heads and layers, as tiny data over-fit first; distances, since a state knows what it follows, not how far.

Shapes: B batch, T time, S characters in memory, V vocabulary, E embedding, H hidden, A attention.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from kammil.models.base import Artifacts, Settings
from kammil.models.graph import Graph
from kammil.models.network import GROWING, IDS, LAST, LOG_PROBABILITIES, STATE_IN, STATE_OUT
from kammil.models.recurrence import recur
from kammil.models.wire import FLOAT, WHOLE
from kammil.vocabulary import PAD

WINDOW = 4096
"""Characters remembered at most: bounds the memory of an endless text. A tweet has 280."""
_TINY = 1e-30
"""Stands in for the probability of copying a character that is not in memory: its logarithm must be a number."""


class AttentionSettings(Settings):
    """Sizes of the network; embedding and hidden are those of the plain GRU, to compare with it."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Numbers that stand for one character, E."""
    hidden: int = Field(default=256, ge=1, le=8192)
    """Numbers carried from step to step, H."""
    attention: int = Field(default=64, ge=1, le=1024)
    """Numbers of a question, a key and a value, A."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the numbers set to zero while learning, before the output; keys and questions stay whole."""


class AttentiveGRU(nn.Module):
    """Embedding, one GRU layer, a memory of its states, a copy path: `forward(ids: (B, T)) -> logits (B, T, V)`."""

    def __init__(self, vocabulary_size: int, embedding: int, hidden: int, attention: int, dropout: float) -> None:
        """Set up the layers with PyTorch's own initial weights, but for two; the loss at birth is about ln V."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding, padding_idx=PAD)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.key = nn.Linear(hidden, attention, bias=False)
        self.value = nn.Linear(hidden, attention, bias=False)
        self.gate = nn.Linear(hidden + attention, 1)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden + attention, vocabulary_size)
        with torch.no_grad():
            self.key.weight.copy_(self.query.weight)  # from birth a state finds the states that are like it
            self.gate.bias.fill_(-2.5)  # a copy is a bad guess before the keys mean anything: 8 % is 0.1 bits

    def forward(self, ids: Tensor) -> Tensor:
        """Log-probabilities, which are logits too, of what follows each position.

        Padding stands after the text, where no state and no question can feel it.
        """
        h = recur(self.gru, self.embedding, ids)  # (B, T, H)
        before = F.pad(h[:, :-1], (0, 0, 1, 0))  # (B, T, H)
        fit = self.query(h) @ self.key(before).mT / math.sqrt(self.key.out_features)  # (B, T, T)
        weights = fit.masked_fill(~seen(ids.shape[1], WINDOW, ids.device), -math.inf).softmax(-1)  # (B, T, T)
        y = torch.cat([h, weights @ self.value(h)], -1)  # (B, T, H + A)
        own = self.output(self.dropout(y)).log_softmax(-1)  # (B, T, V)
        copied = torch.zeros_like(own).scatter_add(2, ids[:, None].expand_as(weights), weights)  # (B, T, V)
        gate = self.gate(y)  # (B, T, 1)
        return torch.logaddexp(F.logsigmoid(-gate) + own, F.logsigmoid(gate) + (copied + _TINY).log())


def seen(time: int, window: int, device: torch.device) -> Tensor:
    """(T, T), true where the position of the row sees that of the column: itself and the window - 1 before it."""
    distance = torch.arange(time, device=device)[:, None] - torch.arange(time, device=device)  # (T, T)
    return (distance >= 0) & (distance < window)


def build(vocabulary_size: int, settings: AttentionSettings) -> AttentiveGRU:
    """A new network; PyTorch's global generator decides its weights."""
    return AttentiveGRU(vocabulary_size, settings.embedding, settings.hidden, settings.attention, settings.dropout)


def export(model: AttentiveGRU) -> Artifacts:
    """The weights as arrays, and the running side: its states are h, then the keys, values and ids in memory."""
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    size, _ = weights["output.weight"].shape
    attention, hidden = weights["key.weight"].shape
    g = Graph()

    def gates(name: str) -> NDArray[np.float32]:
        """PyTorch stacks the gates reset, update, new; ONNX wants update, reset, new."""
        r, z, n = np.split(weights[name], 3)
        return np.concatenate([z, r, n])

    bias = np.concatenate([gates("gru.bias_ih_l0"), gates("gru.bias_hh_l0")])[None]  # (1, 6H)
    by_time = g.add("Transpose", IDS, perm=[1, 0])  # (T, B)
    x = g.add("Gather", g.constant(weights["embedding.weight"], "embedding"), by_time)  # (T, B, E)
    h0 = g.add("Unsqueeze", STATE_IN.format(0), g.whole(0))  # (1, B, H)
    h, end = g.several(
        2, "GRU", x, gates("gru.weight_ih_l0")[None], gates("gru.weight_hh_l0")[None], bias, "", h0,
        hidden_size=hidden, linear_before_reset=1,
    )  # (T, 1, B, H), (1, B, H)  # fmt: skip
    g.add("Squeeze", end, g.whole(0), output=STATE_OUT.format(0))  # (B, H)
    h = g.add("Transpose", g.add("Squeeze", h, g.whole(1)), perm=[1, 0, 2])  # (B, T, H)
    first = g.add("Unsqueeze", STATE_IN.format(0), g.whole(1))  # (B, 1, H)
    before = g.add("Slice", g.add("Concat", first, h, axis=1), g.whole(0), g.whole(-1), g.whole(1))  # (B, T, H)

    keys = g.remember(1, g.add("MatMul", before, weights["key.weight"].T), axis=1, window=WINDOW)  # (B, S + T, A)
    values = g.remember(2, g.add("MatMul", h, weights["value.weight"].T), axis=1, window=WINDOW)  # (B, S + T, A)
    read = g.remember(3, g.add("Cast", IDS, to=FLOAT), axis=1, window=WINDOW)  # (B, S + T)

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
    copied = g.add("Log", g.add("Add", copied, np.float32(_TINY)))
    gate = g.add("Add", g.add("MatMul", y, weights["gate.weight"].T), weights["gate.bias"])  # (B, last, 1)
    own = g.add("Sub", own, g.add("Softplus", gate))  # log sigmoid(-x) = -softplus(x)
    copied = g.add("Sub", copied, g.add("Softplus", g.add("Neg", gate)))
    most = g.add("Max", own, copied)
    both = g.add("Add", g.add("Exp", g.add("Sub", own, most)), g.add("Exp", g.add("Sub", copied, most)))
    g.add("Add", most, g.add("Log", both), output=LOG_PROBABILITIES)  # (B, last, V)
    states = [[hidden], [GROWING, attention], [GROWING, attention], [GROWING]]
    return Artifacts(weights, g.finish("kammil-attention", size, states))
