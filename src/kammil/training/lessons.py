"""What a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kammil.models.base import Ids
from kammil.training.batches import Batch

Arrays = tuple[NDArray[np.generic], ...]


class EvidenceOf(Protocol):
    """Arrays for a model's `forward`, beside the ids."""

    def __call__(self, batch: Batch, *, learning: bool) -> Arrays:
        """Of a batch of training texts (`learning`) or of validation texts."""
        ...


@dataclass(frozen=True)
class Lessons:
    """What a network learns from and is judged by while it learns."""

    train: Sequence[Ids]
    """Encoded texts, specials left out."""
    validation: Sequence[Ids]
    """Encoded texts that share no near-duplicate with the training texts."""
    rare: Ids
    """Ids of characters that stand in one training text only: taught as unknown half of the time."""
    unknown_bits: float
    """What an unknown character costs beside its UNK."""
    widths: Ids | None = None
    """Characters of each id, (V,), where ids are units; None where each is one character. Bits are per character and
    end of text either way. Those of units are the bits of one way to cut the texts, so an upper bound: what the running
    side needs is less. The accuracy is that of ids."""
    evidence: EvidenceOf | None = None
    """What a model is shown beside the ids."""
