"""Measure how much of a run's time is left, from the beginning of its command."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager


class Clock:
    """A timer that starts when it is constructed; `minutes` None sets no limit."""

    def __init__(self, minutes: float | None) -> None:
        """Start the timer."""
        self.seconds = None if minutes is None else 60 * minutes
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without those in `stopped`."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds until the limit, at least 0; infinite without a limit."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Pause the timer within the block: a base that is trained there has a time limit of its own."""
        before = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - before
