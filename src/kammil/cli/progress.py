"""Show progress on stderr: a live bar on a terminal; elsewhere a line an epoch, and one in ten silent seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from kammil.progress import Notice, PhaseProgress
from kammil.training.events import (
    CounterAhead,
    EpochEnded,
    Event,
    Interrupted,
    MemberEvent,
    TrainingProgress,
    TrainingStarted,
)

QUIET = 10.0
"""Seconds without a line after which one says what is being done."""
_TOO_EARLY = 0.005
"""Share of the work below which no time left is estimated."""


class Listener:
    """Keeps what is being done; called with every event."""

    def __init__(self) -> None:
        """Start without a phase."""
        self.state: PhaseProgress | TrainingProgress | None = None
        self.member = ""  # which of several networks that learn side by side told the state
        self.heard = time.monotonic()

    @property
    def doing(self) -> str:
        """Name the phase of the last event, in a word or two."""
        match self.state:
            case PhaseProgress(phase=phase):
                return phase
            case TrainingProgress(epoch=epoch):
                return f"learning, in epoch {epoch}"
            case None:
                return "at its beginning"

    def __call__(self, event: Event) -> None:
        """Say what is worth a line; remember the rest."""
        self.member = ""
        if isinstance(event, MemberEvent):
            self.member, event = f"member {event.member}: ", event.event
        if isinstance(event, PhaseProgress | TrainingProgress):
            self.state, self.heard = event, time.monotonic()
            self.moved()
        else:
            self.say(self.member + line(event))

    def moved(self) -> None:
        """Show how far it is."""

    def say(self, text: str) -> None:
        """Print a line."""
        raise NotImplementedError


class Lines(Listener):
    """For a pipe or a file. A thread of its own speaks up where one call takes long."""

    def __init__(self) -> None:
        """Start the clock of silent seconds."""
        super().__init__()
        self._spoke = time.monotonic()
        self._turn = threading.Lock()

    def say(self, text: str) -> None:
        """Print a line, whole: the thread prints too."""
        with self._turn:
            self._spoke = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def moved(self) -> None:
        """A line, if there was none for long."""
        self.beat()

    def beat(self) -> None:
        """Say what is being done if nothing was said for long."""
        now = time.monotonic()
        if self.state is None or now - self._spoke < QUIET:
            return
        self.say(self.member + described(self.state, since=now - self.heard))


class Bar(Listener):
    """For a terminal."""

    def __init__(self, bar: Progress) -> None:
        """One bar for everything, one phase after the other; members that learn side by side have one each."""
        super().__init__()
        self._bar, self._tasks = bar, {"": bar.add_task("", total=None, left="")}

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False)

    def moved(self) -> None:
        """Draw how far it is."""
        event = self.state
        assert event is not None
        share = event.done if isinstance(event, PhaseProgress) else event.progress
        if self.member not in self._tasks:
            self._tasks[self.member] = self._bar.add_task("", total=None, left="")
        for member, task in self._tasks.items():
            self._bar.update(task, visible=bool(member) == bool(self.member))
        self._bar.update(
            self._tasks[self.member],
            description=self.member + label(event),
            total=1.0 if share else None,  # what cannot be told pulses
            completed=share,
            left=left(event.elapsed, share),
        )


@contextmanager
def progress() -> Generator[Listener]:
    """A listener that shows on stderr what is being done."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[left]}"))
        with Progress(*columns, console=console, transient=True) as bar:
            yield Bar(bar)
        return
    lines, over = Lines(), threading.Event()

    def beats() -> None:
        while not over.wait(1.0):
            lines.beat()

    thread = threading.Thread(target=beats, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        over.set()
        thread.join()


def label(event: PhaseProgress | TrainingProgress) -> str:
    """Name the phase or the epoch of an event."""
    if isinstance(event, PhaseProgress):
        return event.phase
    return f"epoch {event.epoch}/{event.epochs}, {event.train_bits:.3f} bits"


def described(event: PhaseProgress | TrainingProgress, since: float = 0.0) -> str:
    """Name the phase, its share that is done, and the time left, `since` seconds after the event."""
    share = event.done if isinstance(event, PhaseProgress) else event.progress
    remains = left(event.elapsed, share, since)
    if not remains:
        return f"{label(event)}: {event.elapsed + since:.0f} s so far"
    return f"{label(event)}: {100 * share:.0f} %, {remains}"


def line(event: EpochEnded | Interrupted | TrainingStarted | Notice | CounterAhead) -> str:
    """What is worth a line of its own."""
    match event:
        case Notice(sentence=sentence):
            return sentence
        case Interrupted(epoch=epoch):
            return "ended early: " + (f"the best of {epoch} epochs" if epoch > 1 else "epoch 1") + " is kept"
        case CounterAhead(model_bits=model_bits, counter_bits=counter_bits, published=published):
            so = "so the counter is your model; " if published else ""
            instead = "or --model blend to keep what was trained" if published else "or --model ngram"
            return (
                f"a counter is ahead on the validation texts, {counter_bits:.3f} bits against {model_bits:.3f}: "
                f"{so}give more minutes, {instead}"
            )
        case TrainingStarted(device=device, precision=precision, threads=threads):
            with_ = f" with {threads} thread{'' if threads == 1 else 's'}" if threads is not None else ""
            return f"learning on {device} in {precision}{with_}"
        case EpochEnded():
            return (
                f"epoch {event.epoch}: train {event.train_bits:.3f} bits, validation {event.validation_bits:.3f} bits "
                f"{100 * event.validation_accuracy:.1f} % right, {event.elapsed:.0f} s{', best' if event.best else ''}"
            )


def left(elapsed: float, share: float, since: float = 0.0) -> str:
    """What remains, by what it took so far; of a training an upper bound, since it may stop early."""
    if share < _TOO_EARLY:
        return ""
    seconds = max(0.0, elapsed * (1 - share) / share - since)
    return time.strftime("%H:%M:%S left" if seconds >= 3600 else "%M:%S left", time.gmtime(seconds))
