"""Carries results from a scheduler's thread to the event loops that await them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from kammil.server.scheduler.requests import EngineRequest, Generation

log = logging.getLogger("kammil.server")


class ReplyQueue:
    """Collects the results of one round; used by the scheduler's thread alone."""

    def __init__(self) -> None:
        self._outgoing: list[tuple[EngineRequest[Any], Callable[[], None]]] = []
        self.unanswered: set[EngineRequest[Any]] = set()
        """Requests that were begun and whose results have not been sent."""

    def register(self, calls: Iterable[EngineRequest[Any]]) -> None:
        """Note that these requests await a result."""
        self.unanswered.update(calls)

    def still_wanted(self, call: EngineRequest[Any]) -> bool:
        """Whether to go on with a request. One that is past its deadline is answered now: a generation with the texts
        so far, any other with `TimeoutError`."""
        if call.abandoned:
            call.answered = True
            self.unanswered.discard(call)
        elif call.timed_out and not call.answered:
            if isinstance(call, Generation):
                self.finish(call)
            else:
                self.fail([call], TimeoutError())
        return not call.answered

    def send_deltas(self, generation: Generation) -> None:
        """Send the new text of a generation to its callback, if it has one."""
        if generation.on_deltas is not None and (deltas := generation.new_deltas()):
            self._outgoing.append((generation, partial(generation.on_deltas, deltas)))

    def finish(self, generation: Generation) -> None:
        """Answer a generation with the texts so far."""
        try:
            self.resolve(generation, generation.texts())
        except Exception as error:
            self.fail([generation], error)

    def resolve(self, call: EngineRequest[Any], answer: object) -> None:
        """Answer a request; `flush` sends the result at the end of the round."""
        call.answered, call.answered_at = True, time.monotonic()
        self._outgoing.append((call, partial(call.resolve, answer)))

    def fail(self, calls: Iterable[EngineRequest[Any]], error: Exception) -> None:
        """Answer requests with an error."""
        for call in calls:
            call.answered = True
            self._outgoing.append((call, partial(call.fail, error)))

    def flush(self) -> None:
        """Send all results of a round to their event loops, in one call per loop.

        If this fails, what has not been sent yet is sent the next time.
        """
        for loop in {call.loop for call, _ in self._outgoing}:
            actions = [action for call, action in self._outgoing if call.loop is loop]
            done = [call for call, _ in self._outgoing if call.loop is loop and call.answered]
            remaining = [pair for pair in self._outgoing if pair[0].loop is not loop]
            with suppress(RuntimeError):  # the loop is closed, so no client waits any more
                loop.call_soon_threadsafe(_run_all, actions)
            self._outgoing = remaining
            self.unanswered.difference_update(done)


def _run_all(actions: Sequence[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception as error:  # the other results are sent all the same
            log.error("a result could not be delivered", exc_info=error)
