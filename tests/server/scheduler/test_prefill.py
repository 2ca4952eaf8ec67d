"""Prompts that are read together, in pieces, end in the same states as each read alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.server.scheduler.conftest import generate_call, suggest_call

import kammil
from kammil.completion.completer import Completer
from kammil.server.scheduler.prefill import MIN_TO_SPLIT, PrefillQueue
from kammil.server.scheduler.requests import ReplyQueue, ScoreCall

PROMPTS = ["", "ش", "شو حلو", "مرحبا كيفك اليوم يا صديقي", "شو " * 30, "hello", "شو حلوين"]
"""Of many lengths; one is longer than a piece, and some begin alike."""


@pytest.fixture(scope="module")
def model(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("blend"))


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("n", [1, MIN_TO_SPLIT - 1, MIN_TO_SPLIT, len(PROMPTS)])
def test_together_is_one_by_one(model: Completer, n: int, batched: bool) -> None:
    async def main() -> None:
        model.state_cache.clear()
        queue = PrefillQueue(model, ReplyQueue(), batched=batched)
        calls = [
            suggest_call(model, prompt) if i % 2 else generate_call(model, prompt, {"length": 1})
            for i, prompt in enumerate(PROMPTS[-n:])
        ]
        for call in calls:
            queue.pending.append((call, call.reader()))
        finished = 0
        while queue.pending:
            ready = queue.step()
            assert batched or len(ready) <= 1
            for call, prefill in ready:
                finished += 1
                assert not isinstance(call, ScoreCall)
                wanted, _ = model.language_model.forward(call.ids[None], model.language_model.initial_state(1), last=1)
                assert np.allclose(prefill.result[0], wanted[:, 0], atol=1e-4)
        assert finished == n

    asyncio.run(main())


def test_a_prompt_that_no_client_waits_for_leaves(model: Completer) -> None:
    async def main() -> None:
        queue = PrefillQueue(model, ReplyQueue(), batched=True)
        call = suggest_call(model, "شو " * 1000)
        queue.pending.append((call, call.reader()))
        assert queue.step() == [] and len(queue.pending) == 1
        call.abandoned = True
        assert queue.step() == [] and len(queue.pending) == 0

    asyncio.run(main())
