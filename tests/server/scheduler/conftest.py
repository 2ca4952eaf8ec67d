"""An engine by itself, and calls for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np

from kammil.completion.completer import Completer
from kammil.decoding.options import Options
from kammil.language_model import Ids
from kammil.server.scheduler import Engine, Suggesting, Writing
from kammil.vocabulary import BOS

T = TypeVar("T")


def ids_of(model: Completer, prompt: str) -> Ids:
    return np.concatenate([[BOS], model.vocabulary.encode(model.normalise(prompt))])


def writing(model: Completer, prompt: str, options: Options, n: int = 1, seconds: float = 60, **more: Any) -> Writing:
    guide = model.constraints(options, n)
    return Writing(time.monotonic() + seconds, model, ids_of(model, prompt), guide, n, **more)


def run(model: Completer, work: Callable[[Engine], Coroutine[Any, Any, T]], **options: int) -> T:
    """Work with an engine, which must then end by itself."""

    async def main() -> T:
        engine = Engine(model, **options)
        try:
            return await asyncio.wait_for(work(engine), 120)
        finally:
            engine.close()
            await asyncio.to_thread(engine.join, 30)
            assert not engine._answers.due  # pyright: ignore[reportPrivateUsage]

    return asyncio.run(main())


def suggesting(model: Completer, prefix: str, *, words: int = 0) -> Suggesting:
    seen = model.normalise(prefix)
    return Suggesting(time.monotonic() + 60, model.prefixes, seen, ids_of(model, prefix), 3, 0.01, words)
