"""The loss of teacher forcing: how improbable the model found the true next character, at every counted position.

*Teacher forcing* (Williams & Zipser 1989) trains a model that predicts one character at a time, each from those before it
(an *autoregressive* model): at each position it reads the true characters so far, never its own predictions, and is asked
for the next true one. The loss is the negative log-likelihood of that character, -log p(target). It has no memory of
wrong guesses, so all positions are computed at once; but when the model later reads its own text, it meets mistakes that
it never met while it learned (*exposure bias*; Bengio et al. 2015, arXiv:1506.03099).

The loss is a sum and a count, never a mean of batch means: batches hold different numbers of characters. Divided by
ln 2, nats become bits; bits / characters is *bits per character*, the yes/no questions that a character costs on average.

Shapes: B batch, T time, V vocabulary, N counted positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossSums:
    """Sums over counted positions, so that those of several batches may be added."""

    nats: Tensor
    """Summed negative log-likelihood in nats, scalar, with gradient."""
    count: int
    """Number of positions."""
    correct: int
    """Positions where the most probable id was the true one."""


def teacher_forced(logits: Tensor, targets: Tensor, counted: Tensor) -> LossSums:
    """Sum the loss of logits (B, T, V) against targets (B, T) over the positions where `counted` (B, T) is true.

    The logits at position t were computed from the true characters up to t; the target there is the next one, because
    targets are the inputs shifted by one. Positions that do not count, such as padding, are dropped before the softmax.
    """
    predicted = logits[counted]  # (N, V)
    true = targets[counted]  # (N,)
    nats = F.cross_entropy(predicted, true, reduction="sum")
    with torch.no_grad():
        correct = int((predicted.argmax(-1) == true).sum())
    return LossSums(nats, true.numel(), correct)
