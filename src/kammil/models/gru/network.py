"""A gated recurrent unit (GRU) over characters: the notebook's model, whose decoder reads every character it writes.

A hidden vector h is carried from character to character. At each step the network reads one character and decides,
number by number, how much of h to keep and how much to replace. A linear layer turns h into one score (logit) for each
character that could come next. Prompt and completion are one sequence, so there is no separate encoder and decoder.

`textbook_gru` defines the recurrence (Cho et al. 2014, arXiv:1406.1078, with the reset gate after the product as in
cuDNN and PyTorch). For a character's embedding x and the state h before it:

    r  = sigmoid(W_ir x + b_ir + W_hr h + b_hr)           reset gate: how much of the past the candidate sees
    z  = sigmoid(W_iz x + b_iz + W_hz h + b_hz)           update gate: how much of the state is kept
    n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))        candidate: the new content
    h' = (1 - z) * n + z * h                              the next state

Learning uses `backprop.gru_forward`, the same function with a backward pass written by hand; tests compare it with
`textbook_gru` and `torch.nn.GRU`. Weights have PyTorch's names.

While learning, the network reads the true characters (teacher forcing, see `training/loss.py`); while completing, its
own (see `decoding/sampling.py`).

Shapes: B batch, T time, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from kammil.language_model import Settings
from kammil.models.family import NetworkLearner
from kammil.models.gru.backprop import gru_forward
from kammil.models.layers import SeededDropout
from kammil.vocabulary import PAD


class GRUSettings(Settings):
    """Sizes of the network; the defaults are the notebook's."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Size of the embedding of a character, E."""
    hidden: int = Field(default=256, ge=1, le=8192)
    """Size of the state, H."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout rate before the output. Dropping embeddings as well costs about 0.06 bits per character."""


def textbook_gru(gru: nn.GRU, x: Tensor) -> Tensor:
    """Return the states (B, T, H) of a one-layer GRU after each of x (B, T, E), from a zero state."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    w_x, w_h, b_x, b_h = (cast(Tensor, getattr(gru, name)) for name in names)  # rows: those of r, of z, of n
    h = x.new_zeros(len(x), gru.hidden_size)  # (B, H)
    states: list[Tensor] = []
    for x_t in x.unbind(1):  # (B, E)
        x_r, x_z, x_n = (x_t @ w_x.T + b_x).chunk(3, -1)  # (B, H) each
        h_r, h_z, h_n = (h @ w_h.T + b_h).chunk(3, -1)  # (B, H) each
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        h = (1 - z) * n + z * h
        states.append(h)
    return torch.stack(states, 1)


class GRU(nn.Module):
    """Embedding, one GRU layer, linear output: `forward(ids: (B, T)) -> logits (B, T, V)`."""

    def __init__(self, vocabulary_size: int, embedding: int, hidden: int, dropout: float) -> None:
        """Draw PyTorch's own initial weights; the untrained loss is about ln V nats a character."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding, padding_idx=PAD)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.dropout = SeededDropout(dropout)
        self.output = nn.Linear(hidden, vocabulary_size)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of what follows each position; padding, after the text, changes no state of it."""
        h = gru_forward(self.gru, self.embedding, ids)  # (B, T, H)
        return self.output(self.dropout(h))  # (B, T, V)


def build(vocabulary_size: int, settings: GRUSettings) -> GRU:
    """Build a network by its settings."""
    return GRU(vocabulary_size, settings.embedding, settings.hidden, settings.dropout)


LEARNER = NetworkLearner(settings=GRUSettings, build=build, of_base=("embedding", "hidden"))
