"""Show progress: a bar on a terminal, a cell of a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kammil import distributed
from kammil.progress import (
    EpochEnded,
    Event,
    MemberEvent,
    PhaseProgress,
    Step,
    TrainingProgress,
    described,
    ignore,
    time_left,
)
from kammil.views.tables import Table, harmless, markup

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET = 30.0
"""Seconds without a line before one names the phase."""
_EVERY = 0.2
"""Seconds between updates of a notebook."""


class ProgressDisplay(ABC):
    """Shows events, and remembers the latest step."""

    def __init__(self) -> None:
        self.latest: Step | None = None
        self.latest_time = time.monotonic()
        self.member = ""  # source of the latest event, of several networks

    @property
    def activity(self) -> str:
        """Name the current phase, to follow "it was"."""
        match self.latest:
            case PhaseProgress(label=phase):
                return harmless(phase)
            case TrainingProgress(epoch=epoch):
                return f"learning, in epoch {epoch}"
            case _:
                return "at its beginning"

    def __call__(self, event: Event) -> None:
        """Show a step of progress; print any other event."""
        self.member = ""
        if isinstance(event, MemberEvent):
            self.member, event = f"member {event.member}: ", event.event
        if isinstance(event, PhaseProgress | TrainingProgress):
            self.latest, self.latest_time = event, time.monotonic()
            self.show_progress()
        elif isinstance(event, EpochEnded):
            self.show_epoch(event)
        elif not isinstance(event, MemberEvent):
            self.print_line(self.member + harmless(event.sentence))

    @abstractmethod
    def show_progress(self) -> None:
        """Show the latest step."""

    @abstractmethod
    def print_line(self, text: str) -> None:
        """Print a line."""

    def show_epoch(self, event: EpochEnded) -> None:
        """Show an ended epoch."""
        self.print_line(self.member + event.sentence)


class Lines(ProgressDisplay):
    """Prints lines to a pipe or file: one an epoch, and one after `QUIET` silent seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._printed = time.monotonic()
        self._lock = threading.Lock()

    def print_line(self, text: str) -> None:
        """Print a line."""
        with self._lock:  # two threads print
            self._printed = time.monotonic()
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def show_progress(self) -> None:
        """Print the latest step after `QUIET` seconds."""
        now = time.monotonic()
        if self.latest is None or now - self._printed < QUIET:
            return
        self.print_line(self.member + harmless(described(self.latest, since=now - self.latest_time)))


class Bar(ProgressDisplay):
    """Moves a bar through all phases, one for each member."""

    def __init__(self, bar: Progress) -> None:
        """Add a task; the bar's columns show its field `left`."""
        super().__init__()
        self._bar, self._tasks = bar, {"": bar.add_task("", total=None, left="")}
        self._shown: dict[str, str | int] = {}  # phase or epoch shown by member

    def print_line(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False)

    def show_progress(self) -> None:
        """Move the bar to the latest step."""
        event = self.latest
        assert event is not None
        if self.member not in self._tasks:
            self._tasks[self.member] = self._bar.add_task("", total=None, left="")
        for member, task in self._tasks.items():
            self._bar.update(task, visible=bool(member) == bool(self.member))
        self._bar.update(
            self._tasks[self.member],
            description=self.member + harmless(event.label),
            total=1.0 if event.share else None,  # pulses while unknown
            completed=event.share,
            left=time_left(event),
        )
        shown = event.epoch if isinstance(event, TrainingProgress) else event.label
        if self._shown.get(self.member) != shown:
            self._shown[self.member] = shown
            self._bar.refresh()  # rich refreshes every 0.1 s, too late for short phases


class Cell(ProgressDisplay):
    """Updates a cell of a notebook: a bar and a table of epochs."""

    def __init__(self) -> None:
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        super().__init__()
        self._html: Callable[[str], object] = HTML
        self._epochs: list[list[str]] = []
        self._notes: list[str] = []
        self._updated = 0.0
        self._handle: Any = display(HTML(self.html()), display_id=True)

    def print_line(self, text: str) -> None:
        """Add a line."""
        self._notes.append(text)
        self._update()

    def show_epoch(self, event: EpochEnded) -> None:
        """Add a row."""
        bits = [f"{event.train_bits:.3f}", f"{event.validation_bits:.3f}"]
        figures = [*bits, f"{100 * event.validation_accuracy:.1f} %", f"{event.elapsed:.0f}", "best" * event.best]
        self._epochs.append([f"{self.member}{event.epoch}", *figures])
        self._update()

    def show_progress(self) -> None:
        """Show the latest step, a few times a second."""
        if time.monotonic() - self._updated >= _EVERY:
            self._update()

    def html(self) -> str:
        """Return the content of the cell."""
        step = self.latest
        label = "reading" if step is None else ", ".join(filter(None, (self.member + step.label, time_left(step))))
        value = f' value="{step.share:.3f}"' if step is not None and step.share else ""
        bar = f'<progress max="1"{value} aria-label="training"></progress> {markup(label)}'
        notes = "".join(f"<div>{markup(note)}</div>" for note in self._notes)
        head = ["epoch", "training bits", "validation bits", "right", "seconds", ""]
        return f"<div>{bar}</div>{notes}" + (Table(head, self._epochs).fragment() if self._epochs else "")

    def _update(self) -> None:
        self._updated = time.monotonic()
        self._handle.update(self._html(self.html()))


def notebook_display() -> Callable[[Event], None]:
    """Return a display in a notebook, elsewhere `ignore`."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return Cell() if hasattr(shell, "kernel") else ignore


@contextmanager
def progress() -> Generator[ProgressDisplay]:
    """Yield a display on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    if console.is_terminal and distributed.is_first():  # no event reaches the others
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
