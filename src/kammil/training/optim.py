"""Where a network is trained, and the optimiser that changes its weights."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState, is_initialized
from torch import nn
from torch.optim import AdamW

from kammil.errors import OptionError
from kammil.training.options import TrainingOptions


def make_accelerator(device: str) -> Accelerator:
    """An accelerator on a device; `OptionError` if the machine has none of that kind."""
    found = torch.accelerator.current_accelerator(check_available=True)
    here = found.type if found is not None else "cpu"
    if device not in ("auto", "cpu", here):
        raise OptionError(f"device is {device!r}, but this machine has {here!r}; leave it out to take what there is.")
    wanted = here if device == "auto" else device
    if is_initialized() and AcceleratorState().device.type != wanted:
        # accelerate remembers the first device of a process and refuses another; a notebook may well want both.
        vars(AcceleratorState()).clear()
        vars(PartialState()).clear()
    return Accelerator(cpu=wanted == "cpu")


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether factors of products are bfloat16 there.

    On a processor that does not multiply such numbers by itself, they would be slower than single precision.
    """
    if precision != "auto" or device.type != "cpu":
        return precision == "bfloat16"
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def precision(*, halves: bool) -> str:
    """The option's name for it."""
    return "bfloat16" if halves else "float32"


def used(options: TrainingOptions) -> dict[str, str]:
    """What `device` and `precision` come to here, where they are `auto`; `OptionError` as `accelerator` does."""
    device = make_accelerator(options.device).device
    return {"device": device.type, "precision": precision(halves=use_bfloat16(options.precision, device))}


def make_adamw(model: nn.Module, options: TrainingOptions) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) that decays matrices and spares vectors."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": options.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.99))  # a short memory suits few steps


def warmup_then_cosine(progress: float, *, warmup: float, floor: float) -> float:
    """Factor on the peak learning rate, in [floor, 1], at `progress` in [0, 1] of the whole run.

    Linear from near 0 over the first `warmup` share, then half a cosine down to `floor` (Loshchilov & Hutter 2017,
    arXiv:1608.03983, without restarts). Progress, not steps, so that the same curve serves a run that is bounded by
    epochs and one that is bounded by minutes.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(floor, progress / warmup)
    fallen = (progress - warmup) / max(1e-9, 1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fallen))
