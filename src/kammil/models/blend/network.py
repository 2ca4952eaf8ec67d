"""The blend: n-gram counts and a GRU, trained together and weighted by a gate.

The idea: what follows in a text is partly memorized (a name, a phrase, the end of a word) and partly a matter of how
similar texts go on. Counts hold the first at once, a network learns the second. So the network (a GRU) gives every
character a logit; every expert, which is one context type looked up in a table of counts (the last 1 to 12
characters, the word so far, the word before it too, ...), adds to the logits of the characters that it has seen follow;
and a small network, the gate, reads features of each expert's counts and the GRU's state, and weights the experts.
The softmax of the sums is the prediction. So experts are multiplied, as in a product of experts (Hinton 2002) and in
the logistic mixing of context-mixing compressors (Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data
Compression"), not averaged: a weighted mean of probabilities, with the same gate, is 0.04 bits a character behind.

While learning, every text is looked up in the counts of the *other* texts (leave one out; near-duplicates are left out
with it): else long contexts would predict everything, and the gate would give them all the weight. All parts learn at
once, so the network learns what counts cannot predict. A share of the loss of the network alone keeps it a good
predictor where no context was ever seen.

Left out: smoothed estimates instead of plain counts and a learnt table of weights by count and share; both
came out equal (2.912, 2.915 and 2.908 bits a character after three epochs on the benchmark's validation texts).

Shapes: B batch, T time, P = B * T positions, V vocabulary, H hidden, G the gate's width, K experts, N entries.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kammil.models.blend.settings import BlendSettings
from kammil.models.dropout import SeededDropout
from kammil.models.family import LossTerms
from kammil.models.gru.backprop import gru_forward
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES
from kammil.vocabulary import PAD

FIRST_WEIGHT = 0.1
"""Weight of every expert's scores in a new gate."""
_NETWORK_LOSS = 0.3
"""Weight of the loss of the network without experts, which must predict where no context was ever seen."""


class ExpertTensors(NamedTuple):
    """`ExpertFeatures` of the P positions of a batch, row by row, as tensors."""

    gate: Tensor
    """(P, GATE_FEATURES * K): features of the experts, for the gate."""
    places: Tensor
    """(N,): position * K + expert of each entry."""
    ids: Tensor
    """(N,): the follower."""
    scores: Tensor
    """(N, SCORE_FEATURES): features of each follower, for its score."""


class BlendNetwork(nn.Module):
    """A GRU and a gate over n-gram experts, whose summed logits are the prediction."""

    def __init__(self, vocabulary_size: int, experts: int, settings: BlendSettings) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding, padding_idx=PAD)
        self.gru = nn.GRU(settings.embedding, settings.hidden, batch_first=True)
        self.dropout = SeededDropout(settings.dropout)
        self.output = nn.Linear(settings.hidden, vocabulary_size)
        self.gate_in = nn.Linear(settings.hidden + GATE_FEATURES * experts, settings.gate)
        self.gate_out = nn.Linear(settings.gate, SCORE_FEATURES * experts)
        nn.init.zeros_(self.gate_out.weight)
        nn.init.constant_(self.gate_out.bias, FIRST_WEIGHT)

    def forward(self, ids: Tensor, *extra: Tensor) -> tuple[Tensor, LossTerms]:
        """Return logits (B, T, V) of what follows each position, and the loss's terms: these, and the network's alone.

        Args:
            ids: (B, T).
            extra: the four `ExpertTensors`.
        """
        experts = ExpertTensors(*extra)
        h = self.dropout(gru_forward(self.gru, self.embedding, ids))  # (B, T, H)
        network = self.output(h).float()  # (B, T, V)
        gate_in = torch.cat([h, experts.gate.view(*ids.shape, -1)], dim=-1)  # (B, T, H + FEATURES * K)
        logits = self._add_experts(network, self.gate_in(gate_in), experts)
        return logits, [(logits, 1.0), (network, _NETWORK_LOSS)]

    def gate_parameters(self) -> list[nn.Parameter]:
        """Return what is trained without the network (`gate_warmup`): the gate, and the bias of the characters."""
        return [self.output.bias, *self.gate_in.parameters(), *self.gate_out.parameters()]

    def forward_gate(self, ids: Tensor, *extra: Tensor) -> Tensor:
        """Return logits (B, T, V) of the characters' bias and the counts, without the network.

        Args: as for `forward`.
        """
        experts = ExpertTensors(*extra)
        network = self.output.bias.expand(*ids.shape, -1).contiguous()
        weights = self.gate_in.weight[:, self.gru.hidden_size :]  # (G, FEATURES * K)
        pre_activation = functional.linear(experts.gate.view(*ids.shape, -1), weights, self.gate_in.bias)
        return self._add_experts(network, pre_activation, experts)

    def _add_experts(self, network: Tensor, pre_activation: Tensor, experts: ExpertTensors) -> Tensor:
        """Logits (B, T, V) of network and experts; `pre_activation` (B, T, G) is that of the gate's hidden layer."""
        weights = self.gate_out(torch.relu(pre_activation))  # (B, T, FEATURES * K)
        added = (weights.reshape(-1, SCORE_FEATURES)[experts.places] * experts.scores).sum(-1)  # (N,)
        num_experts = weights.shape[-1] // SCORE_FEATURES
        at = experts.places // num_experts * network.shape[-1] + experts.ids  # (N,)
        return network.reshape(-1).index_add(0, at, added).view(network.shape)
