"""Batches are as few as the bound on their rows allows, and do not change what is generated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.server.scheduler.conftest import generate_call

import kammil
from kammil.completion.completer import Completer
from kammil.language_model import select_rows
from kammil.server.scheduler.decode import Batch, DecodeBatches
from kammil.server.scheduler.requests import Generation, ReplyQueue


@pytest.fixture(scope="module")
def model(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("gru"))


def batch(model: Completer, call: Generation) -> Batch:
    log_probabilities, state = model.state_cache.decoder(call.ids).result
    n = len(call.live)
    return Batch([call], log_probabilities.repeat(n, axis=0), select_rows(state, np.zeros(n, np.int64)))


@pytest.mark.parametrize("max_batch", [1, 3, 64])
def test_batches_are_bounded_and_change_no_text(model: Completer, max_batch: int) -> None:
    async def main() -> None:
        replies = ReplyQueue()
        batches = DecodeBatches(model, replies, max_batch)
        calls = [generate_call(model, "شو", {"length": 9 + i, "min_length": 9 + i, "seed": i}) for i in range(7)]
        for i, call in enumerate(calls):
            batches.step([batch(model, call)])
            assert batches.live == i + 1  # none has ended yet
            sizes = [len(one.log_probabilities) for one in batches.batches]
            assert max(sizes) <= max_batch and sum(sizes) == batches.live
            assert len(sizes) == -(-batches.live // max_batch)
        while batches.batches:
            batches.step([])
        replies.flush()
        for i, call in enumerate(calls):
            (text,) = await call.future
            wanted = model.complete("شو", length=9 + i, min_length=9 + i, seed=i)
            assert (text.text, text.finish_reason) == (wanted.text, wanted.finish_reason)
        assert batches.live == 0

    asyncio.run(main())


def test_abandoned_texts_leave_and_the_others_stay(model: Completer) -> None:
    async def main() -> None:
        replies = ReplyQueue()
        batches = DecodeBatches(model, replies, 64)
        calls = [generate_call(model, "شو", {"length": 9, "min_length": 9, "seed": i}, 2) for i in range(3)]
        batches.step([batch(model, call) for call in calls])
        assert (batches.live, len(batches.batches)) == (6, 1)
        calls[1].abandoned = True
        batches.step([])
        assert batches.live == 4
        while batches.batches:
            batches.step([])
        replies.flush()
        for call in (calls[0], calls[2]):
            wanted = model.samples("شو", 2, length=9, min_length=9, seed=call.constraints.options.seed)
            assert [text.text for text in await call.future] == [text.text for text in wanted]

    asyncio.run(main())
