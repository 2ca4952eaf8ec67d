"""Counts and a network, trained together: each says what it knows, and a gate decides whom to believe.

The idea: what a text says next is partly known by heart (a name, a phrase, the end of a word) and partly a matter of
how such texts go on. Counting knows the first at once, a network learns the second. So the network (a GRU) gives every
character a score; every expert, which is one kind of context looked up in a table of counts (the last 1 to 12
characters, the word so far, the word before it too, ...), adds to the scores of the characters that it has seen follow;
and a small network, the gate, reads how much each expert knows and the GRU's state, and gives each expert its weight.
The softmax of the sums is the prediction. So experts are multiplied, as in a product of experts (Hinton 2002) and in
the logistic mixing of context-mixing compressors (Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data
Compression"), not averaged: the weighted mean of their shares, with the same gate, is 0.04 bits a character behind.

What makes it work is that, while learning, every text is looked up in the counts of the *other* texts (leave one out;
near-duplicates are left out with it): else long contexts would know everything, and the gate would learn to trust them.
All parts learn at once, so the network spends itself on what counting cannot know. A little of the network's own loss
keeps it a good predictor where no context was ever seen.

What was left out: smoothed estimates instead of plain counts and a learnt table of weights by count and share; both
came out equal (2.912, 2.915 and 2.908 bits a character after three epochs on the benchmark's validation texts).

Shapes: B batch, T time, P = B * T positions, V vocabulary, H hidden, K experts, N entries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kammil.models.blend.settings import BlendSettings
from kammil.models.dropout import SeededDropout
from kammil.models.gru.backprop import gru_forward
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES
from kammil.vocabulary import PAD

LossTerms = list[tuple[Tensor, float]]
"""Logits (B, T, V) and weights: the training loss is the weighted sum of their losses."""
_ALONE = 0.3
"""Weight of the loss of a network by itself: it stays a good predictor where no context was ever seen."""


class BlendNetwork(nn.Module):
    """A GRU and a gate over the experts: together they predict."""

    def __init__(self, vocabulary_size: int, experts: int, settings: BlendSettings) -> None:
        """Set up the layers; at birth every expert is trusted a little, the same everywhere."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding, padding_idx=PAD)
        self.gru = nn.GRU(settings.embedding, settings.hidden, batch_first=True)
        self.dropout = SeededDropout(settings.dropout)
        self.output = nn.Linear(settings.hidden, vocabulary_size)
        self.gate_in = nn.Linear(settings.hidden + GATE_FEATURES * experts, settings.gate)
        self.gate_out = nn.Linear(settings.gate, SCORE_FEATURES * experts)
        nn.init.zeros_(self.gate_out.weight)
        nn.init.constant_(self.gate_out.bias, 0.1)

    def forward(
        self, ids: Tensor, clues: Tensor, places: Tensor, followers: Tensor, features: Tensor
    ) -> tuple[Tensor, LossTerms]:
        """Logits (B, T, V) of what follows each position, and those that learn: these, and the network's by itself.

        Args:
            ids: (B, T).
            clues, places, followers, features: `ExpertFeatures` of the B * T positions, row by row.
        """
        h = self.dropout(gru_forward(self.gru, self.embedding, ids))  # (B, T, H)
        alone = self.output(h).float()  # (B, T, V)
        seen = torch.cat([h, clues.view(*ids.shape, -1)], dim=-1)  # (B, T, H + CLUES * K)
        logits = self._heard(alone, self.gate_in(seen), places, followers, features)
        return logits, [(logits, 1.0), (alone, _ALONE)]

    def gate_parameters(self) -> list[nn.Parameter]:
        """Return what is trained without the network (`gate_warmup`): the gate, and the bias of the characters."""
        return [self.output.bias, *self.gate_in.parameters(), *self.gate_out.parameters()]

    def forward_gate(self, ids: Tensor, clues: Tensor, places: Tensor, followers: Tensor, features: Tensor) -> Tensor:
        """Return logits (B, T, V) of the characters' bias and the experts, without the network."""
        alone = self.output.bias.expand(*ids.shape, -1).contiguous()
        weights = self.gate_in.weight[:, self.gru.hidden_size :]  # (G, CLUES * K)
        asked = functional.linear(clues.view(*ids.shape, -1), weights, self.gate_in.bias)
        return self._heard(alone, asked, places, followers, features)

    def _heard(self, alone: Tensor, asked: Tensor, places: Tensor, followers: Tensor, features: Tensor) -> Tensor:
        """Scores (B, T, V) with what the experts add to them, by what the gate was asked, (B, T, G)."""
        trust = self.gate_out(torch.relu(asked))  # (B, T, FEATURES * K)
        experts = trust.shape[-1] // SCORE_FEATURES
        said = (trust.reshape(-1, SCORE_FEATURES)[places] * features).sum(-1)  # (N,)
        at = places // experts * alone.shape[-1] + followers  # (N,)
        return alone.reshape(-1).index_add(0, at, said).view(alone.shape)
