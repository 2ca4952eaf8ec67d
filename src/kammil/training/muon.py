"""Muon: gradient descent by orthogonalised momentum, for recurrent matrices, beside AdamW for all other parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

RATE = 8.0
"""Learning rate of Muon as a multiple of AdamW's: 0.02 where that has 2.5e-3."""
_MOMENTUM = 0.95


class MuonAdamW(AdamW):
    """AdamW, and Muon for the matrices of parameter groups whose option `muon` is true.

    The step of such a matrix is its momentum with all singular values near one, so that rare directions are learnt as
    fast as frequent ones (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"). Its learning
    rate is `RATE` times that of AdamW. `torch.optim.Muon` exists since PyTorch 2.9 only, and one optimiser keeps one
    checkpoint.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update the matrices of Muon, then all other parameters."""
        for group in self.param_groups:
            for matrix in group["params"] if group.get("muon") else ():
                if matrix.grad is not None:
                    self._update(
                        matrix, matrix.grad, group["lr"] * RATE, group["weight_decay"], bfloat16=group["bfloat16"]
                    )
                    matrix.grad = None  # so that AdamW passes over it
        return super().step(closure)

    def _update(self, matrix: Tensor, gradient: Tensor, rate: float, decay: float, *, bfloat16: bool) -> None:
        state = self.state[matrix]
        if not state:
            state["step"], state["momentum"] = torch.tensor(0.0), torch.zeros_like(matrix)
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        direction = orthogonalise(gradient.lerp(state["momentum"], _MOMENTUM), bfloat16=bfloat16)
        matrix.mul_(1 - rate * decay)
        matrix.add_(direction, alpha=-rate * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5)


def orthogonalise(matrix: Tensor, *, bfloat16: bool = False) -> Tensor:
    """Return a matrix (N, M) with the same singular vectors and singular values near one (0.7 to 1.2).

    Five Newton-Schulz iterations of an odd polynomial, whose factors Jordan et al. (2024) chose for speed.
    """
    x = matrix.bfloat16() if bfloat16 else matrix
    tall = matrix.shape[0] > matrix.shape[1]
    x = x.T.contiguous() if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if tall else x).to(matrix.dtype)
