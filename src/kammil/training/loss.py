"""The loss of teacher forcing: how improbable the model finds the true next character, at every counted position.

An *autoregressive* model predicts one character at a time, each from the characters before it. *Teacher forcing*
(Williams & Zipser 1989) trains it on true characters: at each position it reads those so far, never its own
predictions, and is asked for the next one. The loss is the negative log-likelihood of that character, -log p(target).
No input depends on a prediction, so the losses of all positions are computed at once. But a model that writes reads its
own text, with mistakes that it never met while it learned: *exposure bias* (Bengio et al. 2015, arXiv:1506.03099).

The loss is a sum and a count, never a mean of batch means: batches hold different numbers of characters. Nats divided
by ln 2 are bits, and bits divided by characters are *bits per character*.

Shapes: B batch, T time, V vocabulary, N counted positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossSums:
    """Sums over counted positions, which may be added over batches."""

    nats: Tensor
    """Summed negative log-likelihood in nats, scalar, with gradient."""
    count: int
    correct: int
    """Positions where the most probable id was the true one."""


def teacher_forced(logits: Tensor, targets: Tensor, counted: Tensor) -> LossSums:
    """Sum the loss of logits (B, T, V) against targets (B, T) over the positions where `counted` (B, T) is true.

    The logits at position t come from the true characters up to t; the target there is the next one. Positions that do
    not count, such as padding, are dropped before the softmax.
    """
    predicted = logits[counted]  # (N, V)
    true = targets[counted]  # (N,)
    nats = F.cross_entropy(predicted, true, reduction="sum")
    with torch.no_grad():
        correct = int((predicted.argmax(-1) == true).sum())
    return LossSums(nats, true.numel(), correct)
