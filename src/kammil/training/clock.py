"""The time that a run may take, from the beginning of its command."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager


class Clock:
    """Goes from the moment it is made; `minutes` None sets no bound."""

    def __init__(self, minutes: float | None) -> None:
        """Start."""
        self.seconds = None if minutes is None else 60 * minutes
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds until the time is up, 0 at least; infinite without a bound."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Within, it stands still: what is done has a time of its own."""
        before = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - before
