"""Train a blend's gate and character frequencies before its network, from the n-gram tables alone.

That takes a tenth of the time per character. Trained together from the start, the gate learns only as fast as the
network: where texts have thousands of different characters, a minute of that ends behind an n-gram model
(`docs/log.md#why-does-a-short-blend-lose`).

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from kammil.training.batches import TrainingData, batches, make_rows
from kammil.training.loss import teacher_forced
from kammil.training.optim import make_optimiser, warmup_then_cosine
from kammil.training.options import TrainingOptions
from kammil.training.time_budget import TimeBudget

_CHARACTERS = 200_000
"""Maximum number of positions to train on: a few seconds."""
_SHARE = 0.1
"""Maximum time of the warm-up as a share of the run's minutes."""
_BATCH = 16


@runtime_checkable
class GateNetwork(Protocol):
    """A network with a gate that can be trained without the rest."""

    def gate_parameters(self) -> list[nn.Parameter]:
        """Return the parameters to train."""
        ...

    @property
    def forward_gate(self) -> Callable[..., Tensor]:
        """Compute logits (B, T, V) from ids (B, T) and the model's extra inputs, with these parameters alone."""
        ...


def warm_up(models: Sequence[GateNetwork], data: TrainingData, options: TrainingOptions) -> None:
    """Train the gates of several models in place on the same batches: one pass over texts drawn by the seed.

    It runs on the CPU, and does nothing without extra inputs, from which the gates are computed.
    """
    if data.extra_inputs is None:
        return
    generator = np.random.default_rng(np.random.SeedSequence([options.seed, 0x09E]))
    rows = make_rows(data.train, objective=options.objective, block=options.block)
    order = generator.permutation(len(rows))
    last = int(np.searchsorted(np.cumsum((rows.stops - rows.firsts)[order]), _CHARACTERS)) + 1
    stream = list(batches(rows.take(order[:last]), _BATCH, rare=data.rare, generator=generator))
    parameters = nn.ParameterList(p for model in models for p in model.gate_parameters())
    optimiser = make_optimiser(parameters, options)
    budget = TimeBudget(None if options.minutes is None else _SHARE * options.minutes, options.clock)
    for step, batch in enumerate(stream):
        if not budget.left:
            return
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * warmup_then_cosine(step / len(stream), warmup=options.warmup)
        inputs, targets, counted, *extra = (
            torch.from_numpy(np.ascontiguousarray(a))
            for a in (batch.inputs, batch.targets, batch.counted, *data.extra_inputs(batch, learning=True))
        )
        losses = [teacher_forced(model.forward_gate(inputs, *extra), targets, counted) for model in models]
        optimiser.zero_grad()
        torch.stack([loss.nats / loss.count for loss in losses]).sum().backward()
        optimiser.step()
