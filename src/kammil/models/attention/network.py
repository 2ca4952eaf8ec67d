"""A GRU that looks back over its own text, and may copy what it finds there.

A recurrent network squeezes all that was read into H numbers. So this one also keeps an entry for each character read:
the state before it (the key), what came of it (the value), and the character itself. The present state asks which keys
fit (attention: Bahdanau et al. 2015, arXiv:1409.0473). The mean of the values is put beside the state for the softmax,
and the same weights, laid on the characters that stood there, are a second distribution: what followed then may follow
now. A gate mixes the two (pointer: See et al. 2017, arXiv:1704.04368).

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
    """A GRU with attention over its past states and a pointer to copy characters: ids (B, T) to logits (B, T, V)."""

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
            self.key.weight.copy_(self.query.weight)  # so attention begins with the similarity of states
            self.gate.bias.fill_(-2.5)  # a copy is a bad guess before the keys mean anything: 8 % is 0.1 bits

    def forward(self, ids: Tensor) -> Tensor:
        """Return the log-probabilities of what follows each position; padding comes after the text."""
        h = gru_forward(self.gru, self.embedding, ids)  # (B, T, H)
        before = F.pad(h[:, :-1], (0, 0, 1, 0))  # (B, T, H)
        fit = self.query(h) @ self.key(before).mT / math.sqrt(self.key.out_features)  # (B, T, T)
        weights = fit.masked_fill(~causal_mask(ids.shape[1], WINDOW, ids.device), -math.inf).softmax(-1)  # (B, T, T)
        y = torch.cat([h, weights @ self.value(h)], -1)  # (B, T, H + A)
        generated = self.output(self.dropout(y)).log_softmax(-1)  # (B, T, V)
        copied = torch.zeros_like(generated).scatter_add(2, ids[:, None].expand_as(weights), weights)  # (B, T, V)
        gate = self.gate(y)  # (B, T, 1)
        return torch.logaddexp(F.logsigmoid(-gate) + generated, F.logsigmoid(gate) + (copied + TINY).log())


LEARNER = NetworkLearner(
    settings=AttentionSettings,
    build=PointerGRU,
    of_base=("embedding", "hidden", "attention"),
)
