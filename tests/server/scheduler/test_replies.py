"""Results reach the event loops that await them, also after a failure, and closed loops hold nothing up."""

from __future__ import annotations

import asyncio
import time

import pytest

from kammil.server.scheduler import EngineRequest
from kammil.server.scheduler.replies import ReplyQueue


def test_results_and_errors_arrive_on_the_loop_of_their_request() -> None:
    async def main() -> None:
        replies = ReplyQueue()
        calls = [EngineRequest[int](time.monotonic() + 60) for _ in range(3)]
        replies.register(calls)
        replies.resolve(calls[0], 7)
        replies.fail([calls[1]], MemoryError())
        assert not calls[0].future.done()  # nothing is sent before the end of the round
        await asyncio.to_thread(replies.flush)
        assert await calls[0].future == 7
        with pytest.raises(MemoryError):
            await calls[1].future
        assert replies.unanswered == {calls[2]}

    asyncio.run(main())


def test_a_closed_loop_keeps_no_other_from_its_results() -> None:
    async def create() -> EngineRequest[int]:
        return EngineRequest[int](time.monotonic() + 60)

    gone = asyncio.run(create())  # its loop is closed

    async def main() -> None:
        replies, here = ReplyQueue(), await create()
        replies.register([gone, here])
        replies.resolve(gone, 1)
        replies.resolve(here, 2)
        replies.flush()
        assert await here.future == 2
        assert not replies.unanswered

    asyncio.run(main())


def test_a_request_past_its_deadline_or_abandoned_is_no_longer_wanted() -> None:
    async def main() -> None:
        replies = ReplyQueue()
        late, abandoned, wanted = (EngineRequest[int](time.monotonic() + seconds) for seconds in (-1, 60, 60))
        replies.register([late, abandoned, wanted])
        abandoned.abandoned = True
        assert [replies.still_wanted(call) for call in (late, abandoned, wanted)] == [False, False, True]
        replies.flush()
        with pytest.raises(TimeoutError):
            await late.future
        assert replies.unanswered == {wanted}

    asyncio.run(main())
