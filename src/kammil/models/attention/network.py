"""A GRU that looks back over its own text, and may copy what it finds there.

Memory holds an entry for each character read: a key from the state before it, a value from the state after it, and the
character. The state attends to the keys (Bahdanau et al. 2015, arXiv:1409.0473); the mean value enters the output layer
beside the state, and the attention weights of the stored characters are a second distribution. A gate mixes the two
(pointer: See et al. 2017, arXiv:1704.04368).

Shapes: B batch, T time, S characters in memory, V vocabulary, E embedding, H hidden, A attention.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from kammil.language_model import Settings
from kammil.models.attention.model import TINY, WINDOW
from kammil.models.family import NetworkLearner
from kammil.models.gru.backprop import gru_forward
from kammil.models.layers import SeededDropout, causal_mask
from kammil.vocabulary import PAD


class AttentionSettings(Settings):
    """Sizes of the network; the defaults of embedding and hidden are those of the plain GRU."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """E."""
    hidden: int = Field(default=256, ge=1, le=8192)
    """H."""
    attention: int = Field(default=64, ge=1, le=1024)
    """Size of queries, keys and values, A."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout rate before the output, in training; keys and queries have none."""


class PointerGRU(nn.Module):
    """A GRU with attention and a pointer: ids (B, T) to log-probabilities (B, T, V)."""

    def __init__(self, vocabulary_size: int, settings: AttentionSettings) -> None:
        super().__init__()
        embedding, hidden, attention = settings.embedding, settings.hidden, settings.attention
        self.embedding = nn.Embedding(vocabulary_size, embedding, padding_idx=PAD)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.key = nn.Linear(hidden, attention, bias=False)
        self.value = nn.Linear(hidden, attention, bias=False)
        self.gate = nn.Linear(hidden + attention, 1)
        self.dropout = SeededDropout(settings.dropout)
        self.output = nn.Linear(hidden + attention, vocabulary_size)
        with torch.no_grad():
            self.key.weight.copy_(self.query.weight)  # attention begins as similarity of states
            self.gate.bias.fill_(-2.5)  # copy little (8 %) before the keys mean anything

    def forward(self, ids: Tensor) -> Tensor:
        """Return log-probabilities; padding must come after the text."""
        h = gru_forward(self.gru, self.embedding, ids)  # (B, T, H)
        before = F.pad(h[:, :-1], (0, 0, 1, 0))
        fit = self.query(h) @ self.key(before).mT / math.sqrt(self.key.out_features)  # (B, T, T)
        weights = fit.masked_fill(~causal_mask(ids.shape[1], WINDOW, ids.device), -math.inf).softmax(-1)
        y = torch.cat([h, weights @ self.value(h)], -1)  # (B, T, H + A)
        generated = self.output(self.dropout(y)).log_softmax(-1)  # (B, T, V)
        copied = torch.zeros_like(generated).scatter_add(2, ids[:, None].expand_as(weights), weights)
        gate = self.gate(y)  # (B, T, 1)
        return torch.logaddexp(F.logsigmoid(-gate) + generated, F.logsigmoid(gate) + (copied + TINY).log())


LEARNER = NetworkLearner(
    settings=AttentionSettings,
    build=PointerGRU,
    of_base=("embedding", "hidden", "attention"),
)
