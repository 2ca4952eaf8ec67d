"""Events of a run, each with its sentence, and the listener to which loops report, at next to no cost without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")

_MIN_INTERVAL = 0.1
"""Minimum seconds between two events of one loop, since nobody reads faster."""
_TOO_EARLY = 0.005
"""Share of the work below which the time left is not estimated."""


@dataclass(frozen=True)
class PhaseProgress:
    """A phase other than learning, such as `counting`, has progressed."""

    label: str
    share: float
    """Share done, 0 to 1; 0 also where unknown."""
    elapsed: float
    """Seconds."""


@dataclass(frozen=True)
class Notice:
    """Something a person should know of the run."""

    sentence: str


@dataclass(frozen=True)
class TrainingStarted:
    """Training begins or is resumed."""

    device: str
    """`cpu`, `cuda` or `mps`."""
    precision: str
    """Of the factors of matrix products: `float32` or `bfloat16`."""
    threads: int | None
    """CPU threads of each process; None on other devices."""
    processes: int = 1
    parameters: int = 0

    @property
    def sentence(self) -> str:
        """Number of parameters, and the device that trains them."""
        used = f" with {self.threads} thread{'' if self.threads == 1 else 's'}" if self.threads is not None else ""
        together = f" in each of {self.processes} processes" if self.processes > 1 else ""
        return f"learning {self.parameters:,} parameters on {self.device} in {self.precision}{used}{together}"


@dataclass(frozen=True)
class TrainingProgress:
    """One step of gradient descent has ended."""

    epoch: int
    step: int
    """Within the epoch; both count from 1."""
    steps: int
    epochs: int
    train_bits: float
    """Bits per character of this epoch so far, with dropout."""
    elapsed: float
    """Seconds."""
    progress: float
    """Share done, by epochs or by minutes, whichever is further."""
    learning_rate: float

    @property
    def label(self) -> str:
        """Epoch and bits."""
        return f"epoch {self.epoch}/{self.epochs}, {self.train_bits:.3f} bits"

    @property
    def share(self) -> float:
        """Share of the run that is done."""
        return self.progress


Step = PhaseProgress | TrainingProgress


def time_left(step: Step, since: float = 0.0) -> str:
    """Return the maximum time left `since` seconds after the event; "" at both ends and beyond the estimate."""
    if step.share < _TOO_EARLY or step.share >= 1:  # later phases are not counted
        return ""
    seconds = step.elapsed * (1 - step.share) / step.share - since
    form = "%H:%M:%S left" if seconds >= 3600 else "%M:%S left"
    return "" if seconds < 0 else time.strftime(form, time.gmtime(seconds))


def described(step: Step, since: float = 0.0) -> str:
    """Return label, share done and time left `since` seconds after the event."""
    if remaining := time_left(step, since):
        return f"{step.label}: {100 * step.share:.0f} %, {remaining}"
    return f"{step.label}: {step.elapsed + since:.0f} s so far"


@dataclass(frozen=True)
class EpochEnded:
    """One pass over the training texts has ended, with a validation."""

    epoch: int
    train_bits: float
    """Bits per character during training, with dropout and weights that change."""
    train_accuracy: float
    """Share of counted positions whose most probable id was the true one, during training."""
    validation_bits: float
    """Bits per character, with the cost of naming unknown characters."""
    validation_accuracy: float
    learning_rate: float
    elapsed: float
    """Seconds of training and validation."""
    best: bool
    """Whether no earlier epoch had fewer validation bits."""
    early: tuple[tuple[float, float], ...] = ()
    """Seconds and validation bits within the first epoch, where they fall fastest."""
    share: float = 1.0
    """Share of its steps made; below 1 where the minutes, or Ctrl-C, ended it."""

    @property
    def sentence(self) -> str:
        """Result of the epoch."""
        cut = "" if self.share == 1 else f" ({100 * self.share:.0f} % of it)"
        return (
            f"epoch {self.epoch}{cut}: train {self.train_bits:.3f} bits, validation {self.validation_bits:.3f} bits "
            f"{100 * self.validation_accuracy:.1f} % right, {self.elapsed:.0f} s{', best' if self.best else ''}"
        )


@dataclass(frozen=True)
class TrainingEnded:
    """Gradient descent has ended; the weights best on validation are kept."""

    passes: float
    epochs: int
    reason: Literal["epochs", "minutes", "patience", "interrupt", "loss"]
    best: int

    @property
    def sentence(self) -> str:
        """Passes made, the reason for the end, and whether more minutes would help."""
        passes = f"{max(0.01, self.passes):.2g}" if self.passes < 10 else f"{self.passes:,.0f}"
        made = f"{passes} of {self.epochs:,} passes over the texts"
        kept = "" if self.best >= self.passes else f"; pass {self.best} was the best and is kept"
        helping = "hardly help" + kept if kept else "help"
        match self.reason:
            case "epochs":
                return f"made all {self.epochs:,} passes over the texts{kept}"
            case "minutes":
                return f"ended after {made} because the minutes were over; more minutes would {helping}"
            case "patience":
                return f"ended after {made} because the last brought no progress{kept}; more minutes would not help"
            case "interrupt":
                return f"interrupted after {made}{kept}"
            case "loss":
                return f"ended after {made} because the loss was no longer a number{kept}; give a lower learning_rate"


@dataclass(frozen=True)
class CounterAhead:
    """On validation, an n-gram model of all texts is ahead of the trained model, or not shown to be behind."""

    model_bits: float
    """Bits per character and end of text."""
    counter_bits: float
    texts: int
    published: bool
    """Whether it replaces the trained model, where no family was asked for."""

    @property
    def sentence(self) -> str:
        """Figures of both, and the way to publish the other."""
        how = "is ahead on" if self.counter_bits < self.model_bits else "is not shown to be worse on"
        ahead = (
            f"a counter of all {self.texts:,} texts {how} the validation texts, {self.counter_bits:.3f} bits "
            f"against {self.model_bits:.3f}"
        )
        if self.published:
            return (
                f"{ahead}, so it is your model; a counter neither learns while it is used nor runs in a browser: give "
                "--model blend for one that does"
            )
        return f"{ahead}; give more minutes, or --model ngram"


@dataclass(frozen=True)
class MemberEvent:
    """An event of one of several networks trained in parallel."""

    member: int
    """Counted from 1."""
    members: int
    event: Step | Notice | TrainingStarted | EpochEnded | TrainingEnded


Event = Step | Notice | TrainingStarted | EpochEnded | TrainingEnded | CounterAhead | MemberEvent

Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing, as a listener."""
    del event


@dataclass
class _Phase:
    name: str
    loops: int
    began: float
    finished: int = 0


_listener: ContextVar[Callable[[PhaseProgress | Notice], None] | None] = ContextVar("listener", default=None)
_phase: ContextVar[_Phase | None] = ContextVar("phase", default=None)


@contextmanager
def listening(listen: Callable[[PhaseProgress | Notice], None]) -> Generator[None]:
    """Send the events of the block to `listen`."""
    token = _listener.set(listen)
    try:
        yield
    finally:
        _listener.reset(token)


def note(sentence: str) -> None:
    """Send a notice to the listener, if any."""
    if (listen := _listener.get()) is not None:
        listen(Notice(sentence))


@contextmanager
def phase(name: str, loops: int = 1) -> Generator[None]:
    """Report the block as a phase of `loops` tracked loops; a phase within another is part of it."""
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
    """Return a function to call at each of `total` steps; outside a phase, `name` names one."""
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
    """Yield the items, reporting progress as `steps` does."""
    step = steps(name, len(items))
    for item in items:
        step()
        yield item
