"""What a model learns before the rest of it: a part that is small, and soon knows most of what it will.

A blend's gate and the frequencies of characters are learnt from counts alone, without the network, which takes a tenth
of the time a character. All at once they learn as slowly as the network does: of thousands of characters, one minute of
which was the usual, a blend was behind a counter then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from kammil.training.batches import TrainingData, batches, make_rows
from kammil.training.loss import teacher_forced
from kammil.training.optim import make_adamw, warmup_then_cosine
from kammil.training.options import TrainingOptions

_CHARACTERS = 200_000
"""Positions learnt from at most: a few seconds."""
_SHARE = 0.1
"""Of the minutes, at most."""
_BATCH = 16


@runtime_checkable
class GateNetwork(Protocol):
    """A model of which a part can learn before the rest."""

    def opening(self) -> list[nn.Parameter]:
        """What learns first."""
        ...

    @property
    def opened(self) -> Callable[..., Tensor]:
        """What that part predicts by itself: logits (B, T, V) of ids (B, T) and the arrays shown beside them."""
        ...


def learn(models: Sequence[GateNetwork], lessons: TrainingData, options: TrainingOptions) -> None:
    """One pass over texts drawn by the seed, on the processor, in place; several models learn from the same batches."""
    evidence = lessons.evidence
    if evidence is None:
        return
    generator = np.random.default_rng(np.random.SeedSequence([options.seed, 0x09E]))
    rows = make_rows(lessons.train, objective=options.objective, block=options.block)
    order = generator.permutation(len(rows))
    upto = np.searchsorted(np.cumsum([rows[i].stop - rows[i].first for i in order]), _CHARACTERS) + 1
    made = list(batches([rows[i] for i in order[:upto]], _BATCH, rare=lessons.rare, generator=generator))
    parameters = nn.ParameterList(p for model in models for p in model.opening())
    optimiser = make_adamw(parameters, options)
    end = time.monotonic() + (np.inf if options.minutes is None else 60 * _SHARE * options.minutes)
    for step, batch in enumerate(made):
        if time.monotonic() > end:
            return
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * warmup_then_cosine(
                step / len(made), warmup=options.warmup, floor=options.floor
            )
        inputs, targets, counted, *seen = (
            torch.from_numpy(np.ascontiguousarray(a))
            for a in (batch.inputs, batch.targets, batch.counted, *evidence(batch, learning=True))
        )
        losses = [teacher_forced(model.opened(inputs, *seen), targets, counted) for model in models]
        optimiser.zero_grad()
        torch.stack([loss.nats / loss.count for loss in losses]).sum().backward()
        optimiser.step()
