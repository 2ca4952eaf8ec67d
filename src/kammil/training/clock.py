"""Measure how much of a run's time is left, from the beginning of its command."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

TimeKind = Literal["wall", "processor"]
"""Time as it passes, or that for which the processor works for this program, all its threads together."""


class Clock:
    """A timer that starts when it is constructed; `minutes` None sets no limit."""

    def __init__(self, minutes: float | None, kind: TimeKind = "wall") -> None:
        """Start the timer."""
        self.now = time.process_time if kind == "processor" else time.monotonic
        """Returns the time in seconds, from any beginning."""
        self.seconds = None if minutes is None else 60 * minutes
        self._started = self.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without those in `stopped`."""
        return self.now() - self._started

    @property
    def left(self) -> float:
        """Seconds until the limit, at least 0; infinite without a limit."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Pause the timer within the block: a base that is trained there has a time limit of its own."""
        before = self.now()
        try:
            yield
        finally:
            self._started += self.now() - before
