"""Report the progress of any phase of work, from reading to evaluating, to a listener.

A listener is set around the work; loops deep within report to it, at next to no cost where there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_MIN_INTERVAL = 0.1
"""Fewest seconds between two events of one loop: nobody can read faster."""


@dataclass(frozen=True)
class PhaseProgress:
    """An event: a phase other than learning has progressed."""

    phase: str
    """Name of the phase, such as `counting`."""
    done: float
    """Share of the phase that is done, 0 to 1; 0 also where it is unknown."""
    elapsed: float
    """Seconds of this phase so far."""


@dataclass(frozen=True)
class Notice:
    """An event: something that a person should know of the run, in one sentence."""

    sentence: str


Listener = Callable[[PhaseProgress | Notice], None]


@dataclass
class _Phase:
    """A phase of several loops, one after the other."""

    name: str
    loops: int
    began: float
    finished: int = 0


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_phase: ContextVar[_Phase | None] = ContextVar("phase", default=None)


@contextmanager
def listening(listen: Listener) -> Generator[None]:
    """Send the events of the block to `listen`."""
    token = _listener.set(listen)
    try:
        yield
    finally:
        _listener.reset(token)


def note(sentence: str) -> None:
    """Send a notice to the listener, if there is one."""
    if (listen := _listener.get()) is not None:
        listen(Notice(sentence))


@contextmanager
def phase(name: str, loops: int = 1) -> Generator[None]:
    """Report the block as a phase of `loops` `tracked` loops; a phase within another one is a part of that."""
    listen = _listener.get()
    if listen is None or _phase.get() is not None:
        yield
        return
    token = _phase.set(_Phase(name, loops, time.monotonic()))
    try:
        listen(PhaseProgress(name, 0.0, 0.0))
        yield
    finally:
        _phase.reset(token)


def steps(name: str, total: int) -> Callable[[], None]:
    """Return a function to call at each of the `total` steps of a loop; `name` names the phase if there is none."""
    listen, current = _listener.get(), _phase.get() or _Phase(name, 1, time.monotonic())
    if listen is None or total < 1:
        return lambda: None
    done, reported = 0, 0.0

    def step() -> None:
        nonlocal done, reported
        now = time.monotonic()
        if now - reported >= _MIN_INTERVAL:
            reported = now
            share = (current.finished + min(1.0, done / total)) / current.loops
            listen(PhaseProgress(current.name, min(1.0, share), now - current.began))
        done += 1
        if done == total:
            current.finished += 1

    return step


def tracked(items: Collection[T], name: str) -> Iterator[T]:
    """Yield the items and report the progress; `name` as in `steps`."""
    step = steps(name, len(items))
    for item in items:
        step()
        yield item
