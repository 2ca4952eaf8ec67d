"""Teacher forcing's loss: at every counted position, how surprised the model was by the true next character.

Always sums and counts, never a mean of batch means: batches hold different numbers of characters.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossSums:
    """Sums over the counted positions; they add up over batches."""

    nats: Tensor
    """Summed negative log-likelihood in nats, scalar, with gradient."""
    count: int
    """Number of positions."""
    correct: int
    """Positions where the most probable id was the true one."""


def teacher_forced(logits: Tensor, targets: Tensor, counted: Tensor) -> LossSums:
    """Totals of logits (B, T, V) against targets (B, T) where `counted` (B, T) is true.

    Position t of the logits was computed from the true characters up to t and is asked for the one after: targets are
    the inputs shifted by one. Uncounted positions are taken out before the softmax, so padding costs nothing.
    """
    kept = logits[counted]  # (N, V)
    answers = targets[counted]  # (N,)
    nats = F.cross_entropy(kept, answers, reduction="sum")
    with torch.no_grad():
        correct = int((kept.argmax(-1) == answers).sum())
    return LossSums(nats, answers.numel(), correct)
