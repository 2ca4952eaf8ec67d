"""Layers of several families: seeded dropout and the causal mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kammil.distributed import Share


class SeededDropout(nn.Module):
    """Dropout (Srivastava et al. 2014) whose masks depend on the last `reseed` alone.

    So threads share no generator, and processes that divide a batch drop what one would.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.share: Share | None = None
        """Rows of the next batch here; None: all."""
        self._seed = 0
        self._generator: torch.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Restart the masks from `seed`."""
        self._seed, self._generator = seed, None

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements while training, and scale the others up."""
        if not self.training or not self.rate:
            return x
        if self._generator is None:
            self._generator = torch.Generator(x.device).manual_seed(self._seed)
        keep = 1 - self.rate
        rows = len(x) if self.share is None else self.share.batch_size
        # Row by row, however x lies in memory, which may depend on the number of rows.
        mask = x.new_empty(rows, *x.shape[1:]).bernoulli_(keep, generator=self._generator)
        return x * ((mask if self.share is None else mask[list(self.share.rows)]) / keep)


def causal_mask(time: int, window: int, device: torch.device) -> Tensor:
    """Return a mask (T, T), true where a row attends: to itself and the window - 1 positions before."""
    distance = torch.arange(time, device=device)[:, None] - torch.arange(time, device=device)  # (T, T)
    return (distance >= 0) & (distance < window)
