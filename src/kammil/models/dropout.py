"""Dropout with a random generator of its own, so that networks which learn in threads do not share one, and processes
which divide a batch drop what one process would."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kammil.distributed import Share


class SeededDropout(nn.Module):
    """Dropout (Srivastava et al. 2014) whose masks depend on the last `reseed` alone.

    PyTorch's own takes its masks from the generator of the process: of two networks that learn at the same time, the
    threads' order would decide which gets which.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.share: Share | None = None
        """Which rows the next batch has; None for all."""
        self._seed = 0
        self._generator: torch.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Restart the sequence of masks from `seed`."""
        self._seed, self._generator = seed, None

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements while training, and scale the others so that the expected sum stays the same."""
        if not self.training or not self.rate:
            return x
        if self._generator is None:
            self._generator = torch.Generator(x.device).manual_seed(self._seed)
        keep = 1 - self.rate
        rows = len(x) if self.share is None else self.share.batch_size
        # Filled in the order of its rows, however x lies in memory: that may depend on the number of rows.
        mask = x.new_empty(rows, *x.shape[1:]).bernoulli_(keep, generator=self._generator)
        return x * ((mask if self.share is None else mask[list(self.share.rows)]) / keep)
