"""Answers on their way from an engine's thread to the event loops that wait for them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from kammil.server.scheduler.requests import Call, Writing

log = logging.getLogger("kammil.server")


class Answers:
    """What calls have come to in one round; the thread's alone."""

    def __init__(self) -> None:
        """Nothing answered."""
        self._out: list[tuple[Call[Any], Callable[[], None]]] = []
        self.due: set[Call[Any]] = set()
        """Calls that were taken up, and whose answer has not left."""

    def take_up(self, calls: Iterable[Call[Any]]) -> None:
        """Owe these calls an answer."""
        self.due.update(calls)

    def wanted(self, call: Call[Any]) -> bool:
        """Whether a call is still to be worked on; one whose time is over is answered with what there is."""
        if call.left:
            call.settled = True
            self.due.discard(call)
        elif call.late and not call.settled:
            if isinstance(call, Writing):
                self.settle_writing(call)
            else:
                self.fail([call], TimeoutError())
        return not call.settled

    def note(self, writing: Writing) -> None:
        """Tell whoever follows a writing what is new."""
        if writing.progress is not None and (pieces := writing.pieces()):
            self._out.append((writing, partial(writing.progress, pieces)))

    def settle_writing(self, writing: Writing) -> None:
        """Answer a writing with its texts as they stand."""
        try:
            self.settle(writing, writing.written())
        except Exception as error:
            self.fail([writing], error)

    def settle(self, call: Call[Any], answer: object) -> None:
        """Answer a call, with the other answers of this round."""
        call.settled, call.finished = True, time.monotonic()
        self._out.append((call, partial(call.settle, answer)))

    def fail(self, calls: Iterable[Call[Any]], error: Exception) -> None:
        """Answer calls with an error."""
        for call in calls:
            call.settled = True
            self._out.append((call, partial(call.fail, error)))

    def hand_out(self) -> None:
        """Bring the answers of a round to their event loops, all in one go.

        What has not left when this fails is still there, and leaves the next time.
        """
        for loop in {call.loop for call, _ in self._out}:
            some = [act for call, act in self._out if call.loop is loop]
            done = [call for call, _ in self._out if call.loop is loop and call.settled]
            rest = [pair for pair in self._out if pair[0].loop is not loop]
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_all, some)
            self._out = rest
            self.due.difference_update(done)


def _all(acts: Sequence[Callable[[], None]]) -> None:
    for act in acts:
        try:
            act()
        except Exception as error:  # the other answers leave all the same
            log.error("an answer could not be given", exc_info=error)
