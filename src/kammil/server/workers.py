"""The threads that answer requests, one a core. A request is a generator that yields between two steps, a character or
a search: there it ends if its client has left, its time is over, or others wait for the thread."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

from kammil.server.metrics import Metrics

SLICE_SECONDS = 0.02  # of work on a request before others have their turn
SILENCE_SECONDS = 15.0  # of a stream before it yields nothing
HUNG_SECONDS = 60.0  # of one step before a thread counts as hung

Answer = TypeVar("Answer")
Work = Generator[bytes | None, None, Answer]
"""Yields parts of a stream, or None, and returns the answer; at its deadline `TimeoutError` is thrown in, once."""


def once(function: Callable[[], Answer]) -> Work[Answer]:
    """Return the work of a single step."""
    yield
    return function()


class Call(Generic[Answer]):
    """A request, created on the event loop that awaits it."""

    def __init__(self, work: Work[Answer], model: str, deadline: float) -> None:
        self.work, self.model, self.deadline = work, model, deadline
        self.submitted_at = time.monotonic()
        self.taken = self.begun = self.late = False
        """Whether a thread has taken it, a step is done, and its time is over."""
        self.left = False
        """Whether the client has left."""
        self.parts = asyncio.Queue[bytes | None]()
        """Of a stream; None at its end."""
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = self._loop.create_future()

    def tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function on the event loop."""
        with suppress(RuntimeError):  # a closed loop, where no client waits
            self._loop.call_soon_threadsafe(function, *arguments)

    def resolve(self, answer: Answer | None, error: Exception | None) -> None:
        """Set the answer or the error, on the event loop."""
        if not self.answer.done():
            if error is None:
                self.answer.set_result(answer)  # pyright: ignore[reportArgumentType]  # one of both is there
            else:
                self.answer.set_exception(error)
                self.answer.exception()  # retrieved, so that asyncio does not warn
        self.parts.put_nowait(None)


class Workers:
    """So many threads, which take requests in the order in which they came."""

    def __init__(self, threads: int, metrics: Metrics) -> None:
        self.metrics, self._executor = metrics, ThreadPoolExecutor(threads, "kammil-worker")
        self._step_begun: dict[int, float] = {}  # by thread at work
        self.num_slices = 0
        """Number of turns so far."""

    @property
    def hung(self) -> bool:
        """Whether a thread has been in one step for too long."""
        return any(time.monotonic() - begun > HUNG_SECONDS for begun in [*self._step_begun.values()])

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False)

    async def run(self, work: Work[Answer], model: str, seconds: float) -> Answer:
        """Do the work of a request to a model within so many seconds; it stops if this is cancelled."""
        call = self._submit(work, model, seconds)
        try:
            return await call.answer
        finally:
            call.left = True

    async def stream(self, work: Work[Any], model: str, seconds: float) -> AsyncGenerator[bytes]:
        """Do the work as `run`, and yield its parts, or nothing after a silence."""
        call = self._submit(work, model, seconds)
        try:
            while True:
                try:
                    part = await asyncio.wait_for(call.parts.get(), SILENCE_SECONDS)
                except TimeoutError:
                    part = b""
                if part is None:
                    break
                yield part
            call.answer.result()
        finally:
            call.left = True

    def _submit(self, work: Work[Answer], model: str, seconds: float) -> Call[Answer]:
        call = Call(work, model, time.monotonic() + seconds)
        self._executor.submit(self._go_on, call)
        self.metrics.queue.inc()
        return call

    def _go_on(self, call: Call[Any]) -> None:
        """Work on a call, in a thread, until it is done or others have their turn."""
        if not call.taken:
            call.taken = True
            self.metrics.count_begun(call.model, time.monotonic() - call.submitted_at)
        self.num_slices += 1
        try:
            is_done, answer, error = self._slice(call)
            if not is_done:
                self._executor.submit(self._go_on, call)
                return
        except RuntimeError as closed:  # of the executor
            answer, error = None, closed
        finally:
            self._step_begun.pop(threading.get_ident(), None)
        if error is not None:
            traceback.clear_frames(error.__traceback__)  # frames hold states, and a model that may be replaced
        call.tell(call.resolve, answer, error)

    def _slice(self, call: Call[Any]) -> tuple[bool, Any, Exception | None]:
        """Return whether a call is done, with its answer or error."""
        thread, end = threading.get_ident(), time.thread_time() + SLICE_SECONDS
        try:
            while time.thread_time() < end:
                self._step_begun[thread] = now = time.monotonic()
                if call.left:
                    call.work.close()
                    return True, None, None
                if now > call.deadline and call.begun and not call.late:
                    call.late = True
                    part = call.work.throw(TimeoutError())
                else:
                    part = next(call.work)
                call.begun = True
                if part:
                    call.tell(call.parts.put_nowait, part)
        except StopIteration as done:
            return True, done.value, None
        except Exception as error:
            return True, None, error
        except BaseException as error:  # no request may end a thread
            return True, None, RuntimeError(f"{type(error).__name__} in a request")
        return False, None, None


def trim_heap() -> None:
    """Return free memory to the system, if the C library can: 11 of 146 MB lay in gaps of short-lived allocations."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
