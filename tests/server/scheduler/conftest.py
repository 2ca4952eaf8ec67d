"""A scheduler by itself, and requests for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.suggestions import SuggestOptions
from kammil.decoding.options import Options
from kammil.language_model import Ids
from kammil.server.scheduler.requests import Generation, SuggestCall
from kammil.server.scheduler.scheduler import Scheduler
from kammil.vocabulary import BOS

T = TypeVar("T")


def ids_of(model: Completer, prompt: str) -> Ids:
    return np.concatenate([[BOS], model.vocabulary.encode(model.normalise(prompt))])


def generate_call(
    model: Completer, prompt: str, options: Options, n: int = 1, seconds: float = 60, **more: Any
) -> Generation:
    constraints = model.constraints(options, n)
    return Generation(time.monotonic() + seconds, model, ids_of(model, prompt), constraints, **more)


def run(model: Completer, work: Callable[[Scheduler], Coroutine[Any, Any, T]], **options: int) -> T:
    """Use a scheduler, whose thread must then end by itself."""

    async def main() -> T:
        scheduler = Scheduler(model, **options)
        try:
            return await asyncio.wait_for(work(scheduler), 120)
        finally:
            scheduler.close()
            await asyncio.to_thread(scheduler.thread.join, 30)
            assert not scheduler.thread.is_alive()
            assert not scheduler._replies.unanswered  # pyright: ignore[reportPrivateUsage]

    return asyncio.run(main())


async def until(true: Callable[[], object]) -> None:
    """Wait until a condition is true; `run` bounds the time."""
    while not true():
        await asyncio.sleep(0.001)


def suggest_call(model: Completer, prefix: str, *, words: int = 0) -> SuggestCall:
    query = model.query(prefix, SuggestOptions.of(words=max(1, words)), ghost=words > 0)
    return SuggestCall(time.monotonic() + 60, model.state_cache, query, ghost=words > 0)
