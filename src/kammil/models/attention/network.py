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

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from kammil.language_model import Artifacts, Settings
from kammil.models.attention.model import TINY, WINDOW
from kammil.models.dropout import SeededDropout
from kammil.models.family import NetworkLearner
from kammil.models.gru.backprop import gru_forward
from kammil.vocabulary import PAD


class AttentionSettings(Settings):
    """Sizes of the network; embedding and hidden are those of the plain GRU, to compare with it."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Size of the embedding of a character, E."""
    hidden: int = Field(default=256, ge=1, le=8192)
    """Size of the state of the GRU, H."""
    attention: int = Field(default=64, ge=1, le=1024)
    """Size of queries, keys and values, A."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout rate before the output, in training; keys and queries have none."""


class PointerGRU(nn.Module):
    """A GRU with attention over its past states and a pointer to copy characters: ids (B, T) to logits (B, T, V)."""

    def __init__(self, vocabulary_size: int, embedding: int, hidden: int, attention: int, dropout: float) -> None:
        """Initialise the layers as PyTorch does, except for key and gate; the initial loss is about ln V."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding, padding_idx=PAD)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.key = nn.Linear(hidden, attention, bias=False)
        self.value = nn.Linear(hidden, attention, bias=False)
        self.gate = nn.Linear(hidden + attention, 1)
        self.dropout = SeededDropout(dropout)
        self.output = nn.Linear(hidden + attention, vocabulary_size)
        with torch.no_grad():
            self.key.weight.copy_(self.query.weight)  # so attention begins with the similarity of states
            self.gate.bias.fill_(-2.5)  # a copy is a bad guess before the keys mean anything: 8 % is 0.1 bits

    def forward(self, ids: Tensor) -> Tensor:
        """Return the log-probabilities of what follows each position (log-probabilities are logits too).

        Padding comes after the text, so it changes no state and no query of the text.
        """
        h = gru_forward(self.gru, self.embedding, ids)  # (B, T, H)
        before = F.pad(h[:, :-1], (0, 0, 1, 0))  # (B, T, H)
        fit = self.query(h) @ self.key(before).mT / math.sqrt(self.key.out_features)  # (B, T, T)
        weights = fit.masked_fill(~causal_mask(ids.shape[1], WINDOW, ids.device), -math.inf).softmax(-1)  # (B, T, T)
        y = torch.cat([h, weights @ self.value(h)], -1)  # (B, T, H + A)
        generated = self.output(self.dropout(y)).log_softmax(-1)  # (B, T, V)
        copied = torch.zeros_like(generated).scatter_add(2, ids[:, None].expand_as(weights), weights)  # (B, T, V)
        gate = self.gate(y)  # (B, T, 1)
        return torch.logaddexp(F.logsigmoid(-gate) + generated, F.logsigmoid(gate) + (copied + TINY).log())


def causal_mask(time: int, window: int, device: torch.device) -> Tensor:
    """Return a mask (T, T), true where the row's position attends to the column's: itself and window - 1 before it."""
    distance = torch.arange(time, device=device)[:, None] - torch.arange(time, device=device)  # (T, T)
    return (distance >= 0) & (distance < window)


def build(vocabulary_size: int, settings: AttentionSettings) -> PointerGRU:
    """Create a network; its weights are drawn from PyTorch's global generator."""
    return PointerGRU(vocabulary_size, settings.embedding, settings.hidden, settings.attention, settings.dropout)


def export(model: PointerGRU) -> Artifacts:
    """Return the weights as arrays."""
    return Artifacts({name: value.detach().cpu().numpy() for name, value in model.state_dict().items()})


LEARNER = NetworkLearner(
    settings=AttentionSettings, build=build, export=export, of_base=("embedding", "hidden", "attention")
)
