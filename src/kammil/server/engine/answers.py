"""Answers on their way from an engine's thread to the event loops that wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from kammil.server.engine.calls import Call, Writing


class Answers:
    """What calls have come to in one round; the thread's alone."""

    def __init__(self) -> None:
        """Nothing answered."""
        self._out: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []

    def wanted(self, call: Call[Any]) -> bool:
        """Whether a call is still to be worked on; one whose time is over is answered with what there is."""
        if call.left:
            call.settled = True
        elif call.late:
            if isinstance(call, Writing):
                self.settle(call, call.written())
            else:
                self.fail([call], TimeoutError())
        return not call.settled

    def note(self, writing: Writing) -> None:
        """Tell whoever follows a writing what is new."""
        if writing.progress is not None and (pieces := writing.pieces()):
            self._out.append((writing.loop, partial(writing.progress, pieces)))

    def settle(self, call: Call[Any], answer: object) -> None:
        """Answer a call, with the other answers of this round."""
        call.settled, call.finished = True, time.monotonic()
        self._out.append((call.loop, partial(call.settle, answer)))

    def fail(self, calls: Sequence[Call[Any]], error: Exception) -> None:
        """Answer calls with an error."""
        for call in calls:
            call.settled = True
            self._out.append((call.loop, partial(call.fail, error)))

    def hand_out(self) -> None:
        """Bring the answers of a round to their event loops, all in one go."""
        out, self._out = self._out, []
        for loop in {loop for loop, _ in out}:
            some = [act for one, act in out if one is loop]
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_all, some)


def _all(acts: Sequence[Callable[[], None]]) -> None:
    for act in acts:
        act()
