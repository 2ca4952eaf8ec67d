"""Measure how much of a run's time is left, from the beginning of its command."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

TimeKind = Literal["wall", "processor"]
"""Time as it passes, or that for which the processor works for this program, all its threads together."""
_LEAST_SHARE = 0.5
"""Processor time as a share of time as it passes, below which a run is told that it got little of the processor."""


class Clock:
    """A timer that starts when it is constructed; `minutes` None sets no limit."""

    def __init__(self, minutes: float | None, kind: TimeKind = "wall") -> None:
        """Start the timer."""
        self._timers: dict[TimeKind, Callable[[], float]] = {"wall": time.monotonic, "processor": time.process_time}
        self._kind: TimeKind = kind
        self.now = self._timers[kind]
        """Returns the time in seconds, from any beginning."""
        self.seconds = None if minutes is None else 60 * minutes
        self._started = {each: now() for each, now in self._timers.items()}

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without those in `stopped`."""
        return self.seconds_of(self._kind)

    def seconds_of(self, kind: TimeKind) -> float:
        """Return the seconds of either kind since the start, without those in `stopped`."""
        return self._timers[kind]() - self._started[kind]

    @property
    def left(self) -> float:
        """Seconds until the limit, at least 0; infinite without a limit."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Pause the timer within the block: a base that is trained there has a time limit of its own."""
        before = {kind: now() for kind, now in self._timers.items()}
        try:
            yield
        finally:
            for kind, now in self._timers.items():
                self._started[kind] += now() - before[kind]

    def overrun(self) -> str | None:
        """Return a sentence if the limit was passed by more than a tenth."""
        if self.seconds is None or self.elapsed <= 1.1 * self.seconds:
            return None
        return (
            f"this took {self.elapsed:.0f} seconds, not {self.seconds:.0f}: all texts are counted and measured, "
            "however long that takes"
        )

    def shortfall(self) -> str | None:
        """Return a sentence if minutes passed of which the processor worked for this program less than half.

        None where no minutes are set, or those of the processor: then others take nothing from the run.
        """
        passed, worked = self.seconds_of("wall"), self.seconds_of("processor")
        if self.seconds is None or self._kind == "processor" or worked >= _LEAST_SHARE * passed:
            return None
        return (
            f"the processor worked on this run for {worked:.0f} of {passed:.0f} seconds, probably because other "
            "programs used it too; with --set clock=processor the minutes count only such seconds"
        )
