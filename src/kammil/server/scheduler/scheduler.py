"""The thread that runs a model for all clients.

A round begins new requests, reads a piece of every prompt, answers suggestions, and generates a character of every
text. Texts equal those of `Completer.complete`, whatever else is in the batch. A failure answers only the requests
that it concerns; if the thread ends, all requests are answered.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.state_cache import STRIDE, Prefill
from kammil.completion.stock_phrases import are_enough
from kammil.decoding.beam_search import beam_steps
from kammil.language_model import LogProbabilities, State, concat_states, max_rows, select_rows
from kammil.server.scheduler.decode import Batch, DecodeBatches
from kammil.server.scheduler.prefill import PrefillQueue, row_shapes
from kammil.server.scheduler.requests import (
    EngineRequest,
    Generation,
    ModelUpdate,
    ReplyQueue,
    RoundError,
    ScoreCall,
    StoppedError,
    SuggestCall,
)

MAX_BATCH = 64
"""Maximum number of rows in a call, for which all texts wait."""
TRIM_SECONDS = 5.0
"""Interval between returns of free memory to the system."""

Answer = TypeVar("Answer")

log = logging.getLogger("kammil.server")


@dataclass
class SchedulerStats:
    """Numbers for metrics; only the scheduler's thread writes them."""

    steps: int = 0
    rows: int = 0
    """Of all steps."""
    live: int = 0
    """Texts being generated."""
    waiting: int = 0
    """Requests with unread prompts."""
    exported: tuple[int, int] = (0, 0)
    """Steps and rows in `Metrics`."""


class Scheduler:
    """Runs a model, which no other thread may use; `max_batch=1` switches batching off."""

    def __init__(self, completer: Completer, *, max_batch: int = MAX_BATCH) -> None:
        self.completer, self.stats = completer, SchedulerStats()
        self._unbatched = max_batch == 1
        self._inbox: deque[EngineRequest[Any]] = deque()
        self._wake = threading.Condition()
        self._closing = self._stopped = False
        self._replies = ReplyQueue()
        self._prefills = PrefillQueue(completer, self._replies, batched=not self._unbatched)
        self._batches = DecodeBatches(completer, self._replies, max_rows(completer.language_model, max_batch, STRIDE))
        self._searches: list[Iterator[bool]] = []
        self._trimmed_at, self._worked = time.monotonic(), False
        self.thread = threading.Thread(target=self._main, name="kammil-scheduler", daemon=True)
        self.thread.start()

    def submit(self, call: EngineRequest[Answer]) -> EngineRequest[Answer]:
        """Queue a request on its event loop."""
        with self._wake:
            if not self._stopped:
                self._inbox.append(call)
                self._wake.notify()
                return call
        call.fail(StoppedError())
        return call

    async def run(self, call: EngineRequest[Answer]) -> Answer:
        """Queue a request and await its result; abandon it if cancelled."""
        self.submit(call)
        try:
            return await call.future
        finally:
            call.abandoned = True

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self.thread.is_alive() and not self._stopped

    def fail_remaining(self) -> None:
        """Fail all requests of an ended thread; idempotent."""
        with self._wake:
            self._stopped = True
            left = [*self._replies.unanswered, *self._inbox]
            self._inbox.clear()
        for call in left:
            with suppress(RuntimeError):  # a closed loop, where no client waits
                call.loop.call_soon_threadsafe(call.fail, StoppedError())
        self._drop_all()

    def close(self) -> None:
        """Let the thread end after the queued requests, without waiting for it."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _main(self) -> None:
        try:
            while self._iterate():
                pass
        except BaseException as error:
            log.critical("the thread of a model has ended", exc_info=error)
        finally:
            self.fail_remaining()

    def _iterate(self) -> bool:
        """Return whether to go on."""
        try:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._inbox or self._has_work or self._closing, TRIM_SECONDS if self._worked else None
                )
                self._replies.unanswered.update(self._inbox)
                new_calls = list(self._inbox)
                self._inbox.clear()
                if self._closing and not (new_calls or self._has_work):
                    return False
            if new_calls or self._has_work:
                self._round(new_calls)
                self._worked = True
            if self._worked and time.monotonic() >= self._trimmed_at + TRIM_SECONDS:
                trim_heap()
                self._trimmed_at, self._worked = time.monotonic(), False
        except Exception as error:
            log.error("a round failed, and with it every request that it worked on", exc_info=error)
            self._fail_round(MemoryError() if isinstance(error, MemoryError) else RoundError())
        return True

    def _fail_round(self, error: Exception) -> None:
        calls = [call for call in self._replies.unanswered if not call.answered]
        self._drop_all()
        for state_cache in {call.state_cache for call in calls if isinstance(call, Generation | SuggestCall)}:
            state_cache.clear()  # its states may be half written
        self._replies.fail(calls, error)
        self._update_stats()
        self._replies.flush()

    def _drop_all(self) -> None:
        self._prefills.pending = []
        self._batches.batches = []
        self._searches = []

    def _round(self, new_calls: Sequence[EngineRequest[Any]]) -> None:
        for call in new_calls:
            self._start(call)
        self._batches.step(self._prefill())
        self._searches = [search for search in self._searches if next(search, False)]
        self._update_stats()
        self._replies.flush()

    @property
    def _has_work(self) -> bool:
        return bool(self._prefills.pending or self._batches.batches or self._searches)

    def _update_stats(self) -> None:
        self.stats.steps, self.stats.rows = self._batches.steps, self._batches.rows
        self.stats.live = self._batches.live
        self.stats.waiting = len(self._prefills.pending) + len(self._inbox)

    def _start(self, call: EngineRequest[Any]) -> None:
        call.started_at = time.monotonic()
        if call.abandoned and not self._replies.still_wanted(call):
            return
        with self._replies.failing([call]):
            if isinstance(call, ModelUpdate):
                self._replies.resolve(call, call.action())
            elif isinstance(call, Generation) and not (call.live or call.scorer):
                self._replies.finish(call)
            else:
                assert isinstance(call, Generation | SuggestCall | ScoreCall)
                self._prefills.pending.append((call, call.reader()))

    def _prefill(self) -> list[Batch]:
        """Read prompts, answer scores and suggestions, and return new batches."""
        begun: list[Batch] = []
        prefixes: list[tuple[SuggestCall, Prefill]] = []
        for call, reader in self._prefills.step():
            with self._replies.failing([call]):
                if isinstance(call, ScoreCall):
                    self._replies.resolve(call, call.scorer.tokens)
                elif isinstance(call, SuggestCall):
                    assert isinstance(reader, Prefill)
                    prefixes.append((call, reader))
                else:
                    begun.extend(self._start_decoding(call, *reader.result))
        if prefixes:
            self._suggest(prefixes)
        return begun

    def _start_decoding(self, call: Generation, log_probabilities: LogProbabilities, state: State) -> list[Batch]:
        """Return the batch of a read prompt, or register its beam search."""
        model, rows = self.completer.language_model, len(call.live)
        if call.live and call.constraints.options.beams > 1:
            self._searches.append(self._beam_search(call, log_probabilities, state))
            return []
        if rows > call.n:
            stock = self.completer.stock_hypotheses(call.constraints, log_probabilities, state)
            call.add_stock(stock, model, log_probabilities, state)
            if are_enough(stock, call.constraints):
                call.keep([])
        if not call.live:
            self._replies.finish(call)
            return []
        if rows > 1:
            log_probabilities = log_probabilities.repeat(rows, axis=0)
            state = select_rows(state, np.zeros(rows, np.int64))
        return [Batch([call], log_probabilities, state)]

    def _suggest(self, prefixes: Sequence[tuple[SuggestCall, Prefill]]) -> None:
        """Requests with equal options share one search."""
        failing = self._replies.failing
        groups: dict[object, list[tuple[SuggestCall, Prefill, State]]] = {}
        with failing([call for call, _ in prefixes]):
            states = self.completer.language_model.pad_states([reader.result[1] for _, reader in prefixes])
            for (call, reader), state in zip(prefixes, states, strict=True):
                options, refusals = call.query.options, id(call.query.refusals)
                key = options, refusals, id(call) if self._unbatched else None, row_shapes(state)
                groups.setdefault(key, []).append((call, reader, state))
        for group in groups.values():
            with failing([call for call, _, _ in group]):
                found = self.completer.suggest_after(
                    [call.query for call, _, _ in group],
                    np.concatenate([reader.result[0] for _, reader, _ in group]),
                    concat_states([state for _, _, state in group]),
                    [self.completer.begun_word(call.query, call.state_cache) for call, _, _ in group],
                )
                for (call, reader, _), words in zip(group, found, strict=True):
                    if call.ghost and not self._replies.still_wanted(call):  # ghost text takes a while
                        continue
                    with failing([call]):
                        ghost = self.completer.phrase_after(call.query, reader) if call.ghost else None
                        self._replies.resolve(call, (words, ghost))

    def _beam_search(self, call: Generation, log_probabilities: LogProbabilities, state: State) -> Iterator[bool]:
        """Yield True after all steps but the last."""
        model, best_so_far = self.completer.language_model, None
        with self._replies.failing([call]):
            steps = beam_steps(model, call.constraints, log_probabilities, state, call.n)
            while True:
                if call.timed_out and best_so_far is not None:
                    call.set_hypotheses(best_so_far())
                if not self._replies.still_wanted(call):
                    return
                try:
                    best_so_far = next(steps)
                except StopIteration as end:
                    call.set_hypotheses(end.value)
                    self._replies.finish(call)
                    return
                yield True


def trim_heap() -> None:
    """Return free memory to the system, if the C library can: 11 of 146 MB lay in gaps of short-lived allocations."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
