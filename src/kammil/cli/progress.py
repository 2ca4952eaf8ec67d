"""Show progress on stderr: a live bar on a terminal; elsewhere a line per epoch, and one after ten silent seconds."""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from kammil import process_group
from kammil.progress import Notice, PhaseProgress
from kammil.training.events import (
    CounterAhead,
    EpochEnded,
    Event,
    MemberEvent,
    TrainingEnded,
    TrainingProgress,
    TrainingStarted,
)
from kammil.views.tables import harmless

QUIET = 10.0
"""Seconds without a line after which a line names the current phase."""
_TOO_EARLY = 0.005
"""Share of the work from which on the time left is estimated."""


class ProgressDisplay(ABC):
    """Shows the events of reading, training and evaluating; it is called with each, and remembers the current phase."""

    def __init__(self) -> None:
        """Start without a phase."""
        self.latest: PhaseProgress | TrainingProgress | None = None
        self.latest_time = time.monotonic()
        self.member = ""  # which of several networks that learn side by side told the latest event

    @property
    def activity(self) -> str:
        """Name the current phase in a few words, to follow "it was"."""
        match self.latest:
            case PhaseProgress(phase=phase):
                return harmless(phase)
            case TrainingProgress(epoch=epoch):
                return f"learning, in epoch {epoch}"
            case None:
                return "at its beginning"

    def __call__(self, event: Event) -> None:
        """Show a step of progress; print any other event as a line."""
        self.member = ""
        if isinstance(event, MemberEvent):
            self.member, event = f"member {event.member}: ", event.event
        if isinstance(event, PhaseProgress | TrainingProgress):
            self.latest, self.latest_time = event, time.monotonic()
            self.show_progress()
        else:
            self.print_line(self.member + harmless(line(event)))

    @abstractmethod
    def show_progress(self) -> None:
        """Show the progress of the latest event."""

    @abstractmethod
    def print_line(self, text: str) -> None:
        """Print a line."""


class Lines(ProgressDisplay):
    """Prints lines, for a pipe or a file. A thread calls `show_progress` every second: one call may take long."""

    def __init__(self) -> None:
        """Start the clock of silent seconds."""
        super().__init__()
        self._printed = time.monotonic()
        self._lock = threading.Lock()

    def print_line(self, text: str) -> None:
        """Print a line; two threads print, so a lock keeps their lines apart."""
        with self._lock:
            self._printed = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def show_progress(self) -> None:
        """Print the progress of the latest event, if no line was printed for `QUIET` seconds."""
        now = time.monotonic()
        if self.latest is None or now - self._printed < QUIET:
            return
        self.print_line(self.member + described(self.latest, since=now - self.latest_time))


class Bar(ProgressDisplay):
    """Moves one bar through all phases, for a terminal; members that learn side by side have one each."""

    def __init__(self, bar: Progress) -> None:
        """Add a task to a bar of rich, whose columns show the task's field `left`."""
        super().__init__()
        self._bar, self._tasks = bar, {"": bar.add_task("", total=None, left="")}
        self._shown: dict[str, str | int] = {}
        """Phase or epoch that the bar of each member shows, by the member's label."""

    def print_line(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False)

    def show_progress(self) -> None:
        """Move the bar to the progress of the latest event."""
        event = self.latest
        assert event is not None
        share = event.done if isinstance(event, PhaseProgress) else event.progress
        if self.member not in self._tasks:
            self._tasks[self.member] = self._bar.add_task("", total=None, left="")
        for member, task in self._tasks.items():
            self._bar.update(task, visible=bool(member) == bool(self.member))
        self._bar.update(
            self._tasks[self.member],
            description=self.member + label(event),
            total=1.0 if share else None,  # the bar pulses while the share is unknown
            completed=share,
            left=left(event.elapsed, share),
        )
        shown = event.phase if isinstance(event, PhaseProgress) else event.epoch
        if self._shown.get(self.member) != shown:
            self._shown[self.member] = shown
            self._bar.refresh()  # which it does ten times a second: what is over sooner would never be seen


@contextmanager
def progress() -> Generator[ProgressDisplay]:
    """Yield a display on stderr, which is called with events."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal and process_group.is_first():  # no event reaches the others
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[left]}"))
        with Progress(*columns, console=console, transient=True) as bar:
            yield Bar(bar)
        return
    lines, finished = Lines(), threading.Event()

    def show_every_second() -> None:
        while not finished.wait(1.0):
            lines.show_progress()

    thread = threading.Thread(target=show_every_second, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        finished.set()
        thread.join()


def label(event: PhaseProgress | TrainingProgress) -> str:
    """Name the phase or the epoch of an event."""
    if isinstance(event, PhaseProgress):
        return harmless(event.phase)
    return f"epoch {event.epoch}/{event.epochs}, {event.train_bits:.3f} bits"


def described(event: PhaseProgress | TrainingProgress, since: float = 0.0) -> str:
    """Return the phase, the share that is done, and the time left, `since` seconds after the event."""
    share = event.done if isinstance(event, PhaseProgress) else event.progress
    remaining = left(event.elapsed, share, since)
    if not remaining:
        return f"{label(event)}: {event.elapsed + since:.0f} s so far"
    return f"{label(event)}: {100 * share:.0f} %, {remaining}"


def line(event: EpochEnded | TrainingStarted | TrainingEnded | CounterAhead | Notice) -> str:
    """Return the line that is printed for an event other than a step of progress."""
    match event:
        case Notice() | TrainingEnded() | CounterAhead():
            return event.sentence
        case TrainingStarted(device=device, precision=precision, threads=threads, processes=processes):
            used = f" with {threads} thread{'' if threads == 1 else 's'}" if threads is not None else ""
            together = f" in each of {processes} processes" if processes > 1 else ""
            return f"learning {event.parameters:,} parameters on {device} in {precision}{used}{together}"
        case EpochEnded():
            cut = "" if event.share == 1 else f" ({100 * event.share:.0f} % of it)"
            return (
                f"epoch {event.epoch}{cut}: train {event.train_bits:.3f} bits, "
                f"validation {event.validation_bits:.3f} bits "
                f"{100 * event.validation_accuracy:.1f} % right, {event.elapsed:.0f} s{', best' if event.best else ''}"
            )


def left(elapsed: float, share: float, since: float = 0.0) -> str:
    """Return the time left, `since` seconds after a share was done in so many seconds, or "" while it is too early, at
    the end, and where it takes longer than was expected.

    For training this is an upper bound: it may stop early.
    """
    if share < _TOO_EARLY or share >= 1:  # what comes after all that was counted takes time, too
        return ""
    seconds = elapsed * (1 - share) / share - since
    return (
        "" if seconds < 0 else time.strftime("%H:%M:%S left" if seconds >= 3600 else "%M:%S left", time.gmtime(seconds))
    )


class _Stopped(BaseException):
    """Ctrl-C, under a name that the training loop does not catch.

    The loop takes a KeyboardInterrupt for "enough, keep the best so far", and half a training would be ranked among
    complete ones. This one leaves the checkpoint, and the same command continues from it.
    """


@contextmanager
def resumable_after_interrupt() -> Generator[None]:
    """Let Ctrl-C leave everything on the disk as it is."""
    import signal
    import threading

    def stop(_number: int, _frame: object) -> NoReturn:
        raise _Stopped

    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except _Stopped:
        print("what is done is kept; the same command goes on from there", file=sys.stderr)
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
