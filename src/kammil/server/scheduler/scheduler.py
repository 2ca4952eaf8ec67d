"""The thread that runs one model for all clients: new requests join between two steps, and all texts are stepped
together.

A round reads one piece of every prompt, answers requests for suggestions, and generates one character of every text. So
a long text delays a short one by no more than the cost of its row in the batch, and an abandoned request leaves within
one round. The texts are those of `Completer.complete`, whatever else is in the batch. A failure is the answer to the
requests that it concerns; if the thread ends all the same, all waiting requests are answered with an error at once.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.state_cache import STRIDE
from kammil.completion.stock_phrases import are_enough
from kammil.decoding import Hypothesis, beam_steps
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
"""Maximum number of rows in one call: each costs less than the one before, but all texts wait for the whole call.
Further texts make a second batch, which takes turns with the first."""
TRIM_SECONDS = 5.0
"""Seconds between two returns of free memory to the system, while there is work and once after it."""

Answer = TypeVar("Answer")

log = logging.getLogger("kammil.server")


@dataclass
class SchedulerStats:
    """Numbers for metrics, written by the scheduler's thread alone."""

    steps: int = 0
    rows: int = 0
    """Number of rows in all steps."""
    live: int = 0
    """Number of texts being generated now."""
    waiting: int = 0
    """Number of requests whose prompts are being read, or that have not been begun."""
    exported: tuple[int, int] = (0, 0)
    """Steps and rows already added to the metrics; `Metrics` writes it."""


@dataclass(eq=False)
class RunningBeamSearch:
    """A generation by beam search; see `decoding.beam_steps`."""

    generation: Generation
    steps: Generator[Callable[[], list[Hypothesis]], None, list[Hypothesis]]
    best_so_far: Callable[[], list[Hypothesis]] | None = None
    """Returns the best texts after the last step."""


class Scheduler:
    """Runs a model, which no other thread may use, on a thread of its own.

    Args:
        completer: the model.
        max_batch: maximum number of texts stepped in one call; 1 switches micro-batching off.
    """

    def __init__(self, completer: Completer, *, max_batch: int = MAX_BATCH) -> None:
        self.completer, self.stats = completer, SchedulerStats()
        self._unbatched = max_batch == 1
        self._inbox: deque[EngineRequest[Any]] = deque()
        self._wake = threading.Condition()
        self._closing = self._stopped = False
        self._replies = ReplyQueue()
        self._prefills = PrefillQueue(completer, self._replies, batched=not self._unbatched)
        self._batches = DecodeBatches(completer, self._replies, max_rows(completer.language_model, max_batch, STRIDE))
        self._searches: list[RunningBeamSearch] = []
        self._trimmed_at, self._worked = time.monotonic(), False
        self._thread = threading.Thread(target=self._main, name="kammil-scheduler", daemon=True)
        self._thread.start()

    def submit(self, call: EngineRequest[Answer]) -> EngineRequest[Answer]:
        """Queue a request, on the event loop that created it; its `future` gets the result there."""
        with self._wake:
            if not self._stopped:
                self._inbox.append(call)
                self._wake.notify()
                return call
        call.fail(StoppedError())
        return call

    async def run(self, call: EngineRequest[Answer]) -> Answer:
        """Queue a request and await its result; if the wait is cancelled, the request is abandoned."""
        self.submit(call)
        try:
            return await call.future
        finally:
            call.abandoned = True

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._stopped

    def fail_remaining(self) -> None:
        """Fail all requests that an ended thread has left. The thread calls it last; it may be called again."""
        with self._wake:
            self._stopped = True
            left = [*self._replies.unanswered, *self._inbox]
            self._inbox.clear()
        for call in left:
            with suppress(RuntimeError):  # the loop is closed, so no client waits any more
                call.loop.call_soon_threadsafe(call.fail, StoppedError())
        self._drop_all()

    def close(self) -> None:
        """Finish the queued requests, then end the thread; returns at once."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended; `TimeoutError` if it does not."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError("the scheduler does not end")

    def _main(self) -> None:
        try:
            while self._iterate():
                pass
        except BaseException as error:
            log.critical("the thread of a model has ended", exc_info=error)
        finally:
            self.fail_remaining()

    def _iterate(self) -> bool:
        """Wait for work and run one round; return whether to go on."""
        try:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._inbox or self._has_work or self._closing, TRIM_SECONDS if self._worked else None
                )
                self._replies.register(self._inbox)
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
        """Answer all requests at work with an error, and drop what they hold."""
        calls = [call for call in self._replies.unanswered if not call.answered]
        self._drop_all()
        for state_cache in {call.state_cache for call in calls if isinstance(call, Generation | SuggestCall)}:
            state_cache.clear()  # a failure may have left its states half written
        self._replies.fail(calls, error)
        self._update_stats()
        self._replies.flush()

    def _drop_all(self) -> None:
        self._prefills.clear()
        self._batches.clear()
        self._searches = []

    def _round(self, new_calls: Sequence[EngineRequest[Any]]) -> None:
        """Begin the new requests, read a piece of every prompt, and generate one more character of every text."""
        for call in new_calls:
            self._start(call)
        self._batches.step(self._prefill())
        self._searches = [search for search in self._searches if self._step_search(search)]
        self._update_stats()
        self._replies.flush()

    @property
    def _has_work(self) -> bool:
        return bool(self._prefills or self._batches or self._searches)

    def _update_stats(self) -> None:
        self.stats.steps, self.stats.rows = self._batches.steps, self._batches.rows
        self.stats.live = self._batches.live
        self.stats.waiting = len(self._prefills) + len(self._inbox)

    def _start(self, call: EngineRequest[Any]) -> None:
        """Begin a request."""
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
                self._prefills.add(call)

    def _prefill(self) -> list[Batch]:
        """Read a piece of every prompt, answer requests that need no more, and return a batch for each generation to
        start."""
        begun: list[Batch] = []
        prefixes: list[tuple[SuggestCall, LogProbabilities, State]] = []
        for call, reader in self._prefills.step():
            with self._replies.failing([call]):
                if isinstance(call, ScoreCall):
                    self._replies.resolve(call, call.scorer.tokens)
                elif isinstance(call, SuggestCall):
                    prefixes.append((call, *reader.result))
                else:
                    begun.extend(self._start_decoding(call, *reader.result))
        if prefixes:
            self._suggest(prefixes)
        return begun

    def _start_decoding(self, call: Generation, log_probabilities: LogProbabilities, state: State) -> list[Batch]:
        """Start to generate after a prompt that was read: return its batch, or register its beam search."""
        model, rows = self.completer.language_model, len(call.live)
        if call.live and call.constraints.options.beams > 1:
            steps = beam_steps(model, call.constraints, log_probabilities, state, call.n)
            self._searches.append(RunningBeamSearch(call, steps))
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

    def _suggest(self, prefixes: Sequence[tuple[SuggestCall, LogProbabilities, State]]) -> None:
        """Search the next words after prefixes; requests with equal options share one search."""
        failing = self._replies.failing
        groups: dict[object, list[tuple[SuggestCall, LogProbabilities, State]]] = {}
        with failing([call for call, _, _ in prefixes]):
            states = self.completer.language_model.pad_states([state for _, _, state in prefixes])
            shapes = [row_shapes(state) for state in states]
            for (call, log_probabilities, _), state, shape in zip(prefixes, states, shapes, strict=True):
                options, alone = call.query.options, id(call) if self._unbatched else None
                key = (options.k, options.threshold, id(call.query.refusals), alone, shape)
                groups.setdefault(key, []).append((call, log_probabilities, state))
        for group in groups.values():
            with failing([call for call, _, _ in group]):
                found = self.completer.suggest_after(
                    [call.query for call, _, _ in group],
                    np.concatenate([log_probabilities for _, log_probabilities, _ in group]),
                    concat_states([state for _, _, state in group]),
                    [self.completer.begun_word(call.query, call.state_cache) for call, _, _ in group],
                )
                for (call, log_probabilities, state), words in zip(group, found, strict=True):
                    if call.ghost and not self._replies.still_wanted(call):  # ghost text takes a while
                        continue
                    with failing([call]):
                        query = call.query
                        ghost = self.completer.phrase_after(query, log_probabilities, state) if call.ghost else None
                        self._replies.resolve(call, (words, ghost))

    def _step_search(self, search: RunningBeamSearch) -> bool:
        """Run one step of a beam search; return whether there are more."""
        generation = search.generation
        with self._replies.failing([generation]):
            if generation.timed_out and search.best_so_far is not None:
                generation.set_hypotheses(search.best_so_far())
            if not self._replies.still_wanted(generation):
                return False
            try:
                search.best_so_far = next(search.steps)
                return True
            except StopIteration as end:
                generation.set_hypotheses(end.value)
                self._replies.finish(generation)
        return False


def trim_heap() -> None:
    """Return free memory of the heap to the system; takes a millisecond or two, and does nothing without the GNU C
    library.

    Lasting and short-lived allocations lie side by side, so the gaps of the latter would stay with the process: 11 of
    146 MB after the tables of a model are unpacked, and more every minute in a server.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
