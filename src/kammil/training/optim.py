"""The device and precision of training, the optimiser, and the schedule of its learning rate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState, is_initialized
from torch import Tensor, nn
from torch.optim import AdamW

from kammil import distributed
from kammil.errors import OptionError
from kammil.training.recipe import TrainingOptions

_BETAS = (0.9, 0.99)
"""Decay rates of AdamW's two moments: a short memory suits few steps."""
RATE, _MOMENTUM = 8.0, 0.95
"""Learning rate of Muon as a multiple of AdamW's, and its momentum."""
PRECISIONS = ("float32", "bfloat16")


def make_accelerator(device: str) -> Accelerator:
    """Return an accelerator for a device; `OptionError` if this machine has no such device."""
    found = torch.accelerator.current_accelerator(check_available=True)
    available = found.type if found is not None else "cpu"
    if device not in ("auto", "cpu", available):
        raise OptionError(
            f"device is {device!r}, but this machine has {available!r}; leave it out to take what there is."
        )
    wanted = available if device == "auto" else device
    if is_initialized() and AcceleratorState().device.type != wanted:
        # accelerate refuses another device than the first of a process; a notebook may want both.
        vars(AcceleratorState()).clear()
        vars(PartialState()).clear()
    if distributed.is_launched() and not distributed.is_joined():
        raise OptionError(
            "only kammil train divides its work among several processes; start others without a launcher."
        )
    return Accelerator(cpu=wanted == "cpu", mixed_precision="no")


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Return whether matrix products take bfloat16 factors, which are slower than single precision on a processor
    without instructions for them (docs/log.md#is-bfloat16-faster)."""
    if precision != "auto" or device.type != "cpu":
        return precision == "bfloat16"
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def used(options: TrainingOptions) -> dict[str, str]:
    """Resolve `device` and `precision`; `OptionError` for a missing device, or processes with different ones."""
    try:
        device = make_accelerator(options.device).device
        found = {"device": device.type, "precision": PRECISIONS[use_bfloat16(options.precision, device)]}
    except OptionError as error:
        if distributed.size() == 1:
            raise
        found = {"error": str(error)}  # the first process says so
    each: list[dict[str, str]] = [json.loads(content) for content in distributed.gather(json.dumps(found).encode())]
    for number, other in enumerate(each, 1):
        if "error" in other:
            raise OptionError(f"in process {number} of {len(each)}: {other['error']}")
        if changed := next((name for name in other if other[name] != each[0][name]), None):
            raise OptionError(
                f"process {number} of {len(each)} has the {changed} {other[changed]!r} and the first one has "
                f"{each[0][changed]!r}; name one for all with --set {changed}=NAME."
            )
    return each[0]


def make_optimiser(model: nn.Module, options: TrainingOptions) -> AdamW:
    """Return AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) with weight decay of matrices alone, or `MuonAdamW`."""
    recurrent = [p for name, p in model.named_parameters() if options.optimizer == "muon" and "weight_hh" in name]
    others = [p for p in model.parameters() if all(p is not r for r in recurrent)]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in others if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recurrent:
        bfloat16 = use_bfloat16(options.precision, recurrent[0].device)
        muon = {"params": recurrent, "weight_decay": options.weight_decay, "muon": True, "bfloat16": bfloat16}
        return MuonAdamW([*groups, muon], lr=options.learning_rate, betas=_BETAS)
    return AdamW(groups, lr=options.learning_rate, betas=_BETAS)


def warmup_then_cosine(progress: float, *, warmup: float, floor: float = 0.01) -> float:
    """Return the factor on the peak learning rate, in [floor, 1], at `progress` in [0, 1] of the whole run.

    Linear from `floor` over the first `warmup` share, then half a cosine back down (Loshchilov & Hutter 2017,
    arXiv:1608.03983, without restarts).
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(floor, progress / warmup)
    decayed = (progress - warmup) / max(1e-9, 1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * decayed))


class MuonAdamW(AdamW):
    """AdamW, and Muon for the matrices of parameter groups whose option `muon` is true.

    The step of such a matrix is its momentum with all singular values near one, so that rare directions are learnt as
    fast as frequent ones (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").
    `torch.optim.Muon` needs PyTorch 2.9, and a second optimiser.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update Muon's matrices, then all others."""
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

    Five Newton-Schulz iterations of an odd polynomial with the factors of Jordan et al. (2024).
    """
    x = matrix.bfloat16() if bfloat16 else matrix
    tall = matrix.shape[0] > matrix.shape[1]
    x = x.T.contiguous() if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if tall else x).to(matrix.dtype)
