"""How far work has come, told to whoever listens: one way for all phases, from reading to evaluating.

A listener is set around the work; loops deep within say where they are, and cost next to nothing where nobody listens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_OFTEN = 0.1
"""Seconds between two events of one loop: more often nobody can read."""


@dataclass(frozen=True)
class PhaseProgress:
    """A phase other than learning goes on."""

    phase: str
    """What is being done, such as `counting`."""
    done: float
    """Share of it; 0 also where it cannot be told."""
    elapsed: float
    """Seconds of this phase so far."""


@dataclass(frozen=True)
class Notice:
    """Something that a person should know of the run, in one sentence."""

    sentence: str


Heard = Callable[[PhaseProgress | Notice], None]


@dataclass
class _Phase:
    """A phase that is made of several loops, one after the other."""

    name: str
    loops: int
    began: float
    finished: int = 0


_listener: ContextVar[Heard | None] = ContextVar("listener", default=None)
_phase: ContextVar[_Phase | None] = ContextVar("phase", default=None)


@contextmanager
def listening(listen: Heard) -> Generator[None]:
    """Within, what is being done is told to `listen`."""
    token = _listener.set(listen)
    try:
        yield
    finally:
        _listener.reset(token)


def note(sentence: str) -> None:
    """Tell something, if anybody listens."""
    if (listen := _listener.get()) is not None:
        listen(Notice(sentence))


@contextmanager
def phase(name: str, loops: int = 1) -> Generator[None]:
    """A phase, which holds so many `tracked` loops; one within another is a part of it and not told by itself."""
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
    """To be called at each of so many steps of a loop; `name` is that of the phase where there is none around."""
    listen, around = _listener.get(), _phase.get()
    if listen is None or total < 1:
        return _nothing
    own = around or _Phase(name, 1, time.monotonic())
    done, said = 0, 0.0

    def step() -> None:
        nonlocal done, said
        now = time.monotonic()
        if now - said >= _OFTEN:
            said = now
            share = (own.finished + min(1.0, done / total)) / own.loops
            listen(PhaseProgress(own.name, min(1.0, share), now - own.began))
        done += 1
        if done == total:
            own.finished += 1

    return step


def _nothing() -> None:
    pass


def tracked(items: Collection[T], name: str) -> Iterator[T]:
    """The items, and how far they are; `name` as in `steps`."""
    step = steps(name, len(items))
    for item in items:
        step()
        yield item
