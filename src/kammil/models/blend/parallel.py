"""Parts of a model that learn at the same time, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import Tensor


class ParallelBackward(torch.autograd.Function):
    """Calls whose results depend on nothing in common, each with its backward pass in a thread of its own."""

    @classmethod
    def run(cls, anchor: Tensor, calls: Sequence[Callable[[], tuple[Tensor, ...]]]) -> tuple[Tensor, ...]:
        """`apply`, with types; `anchor` needs a gradient, which is what makes the results need one."""
        return cast(tuple[Tensor, ...], cls.apply(anchor, calls))

    @staticmethod
    def forward(ctx: Any, _anchor: Tensor, calls: Sequence[Callable[[], tuple[Tensor, ...]]]) -> tuple[Tensor, ...]:
        """All results, one call's after the other's."""
        halves = torch.is_autocast_enabled("cpu")  # what is enabled is so in one thread only

        def call(one: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=halves):
                return one()

        threads = max(1, torch.get_num_threads() // len(calls))
        ctx.pool = ThreadPoolExecutor(len(calls), initializer=torch.set_num_threads, initargs=(threads,))
        ctx.made = list(ctx.pool.map(call, calls))
        return tuple(result.detach() for made in ctx.made for result in made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None]:
        """The gradients of what the calls used are added where they belong."""
        waiting = iter(grads)
        given = [[next(waiting) for _ in made] for made in ctx.made]
        with ctx.pool as pool:
            list(pool.map(torch.autograd.backward, ctx.made, given))
        return None, None
