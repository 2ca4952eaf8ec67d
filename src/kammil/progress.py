"""Events of work, from reading to evaluating, each with its words, and their listener, which is set around the work;
loops deep within report to it, at next to no cost where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")

_MIN_INTERVAL = 0.1
"""Minimum seconds between two events of one loop: nobody can read faster."""
_TOO_EARLY = 0.005
"""Share of the work from which on the time left is estimated."""


@dataclass(frozen=True)
class PhaseProgress:
    """A phase other than learning has progressed."""

    label: str
    """Name of the phase, such as `counting`."""
    share: float
    """Share of the phase that is done, 0 to 1; 0 also where it is unknown."""
    elapsed: float
    """Seconds of this phase so far."""


@dataclass(frozen=True)
class Notice:
    """Something that a person should know of the run."""

    sentence: str


@dataclass(frozen=True)
class TrainingStarted:
    """Training begins, or is resumed."""

    device: str
    """`cpu`, `cuda` or `mps`."""
    precision: str
    """Precision of the factors of matrix products, `float32` or `bfloat16`."""
    threads: int | None
    """CPU threads of each process; None on another device."""
    processes: int = 1
    parameters: int = 0

    @property
    def sentence(self) -> str:
        """What learns, and on what."""
        used = f" with {self.threads} thread{'' if self.threads == 1 else 's'}" if self.threads is not None else ""
        together = f" in each of {self.processes} processes" if self.processes > 1 else ""
        return f"learning {self.parameters:,} parameters on {self.device} in {self.precision}{used}{together}"


@dataclass(frozen=True)
class TrainingProgress:
    """One step of gradient descent has ended."""

    epoch: int
    step: int
    """Step within the epoch; both count from 1."""
    steps: int
    """Number of steps in an epoch."""
    epochs: int
    """Maximum number of epochs of the run."""
    train_bits: float
    """Bits per character of this epoch so far, with dropout."""
    elapsed: float
    """Seconds of training so far."""
    progress: float
    """Share of the run that is done, by epochs or by minutes, whichever is further."""
    learning_rate: float

    @property
    def label(self) -> str:
        """The epoch and its bits."""
        return f"epoch {self.epoch}/{self.epochs}, {self.train_bits:.3f} bits"

    @property
    def share(self) -> float:
        """The share of the run that is done."""
        return self.progress


Step = PhaseProgress | TrainingProgress


def time_left(step: Step, since: float = 0.0) -> str:
    """Return the time left, `since` seconds after the event; empty while it is too early, at the end, and where it
    takes longer than was expected. For training this is an upper bound: it may stop early.
    """
    if step.share < _TOO_EARLY or step.share >= 1:  # later phases are not counted
        return ""
    seconds = step.elapsed * (1 - step.share) / step.share - since
    form = "%H:%M:%S left" if seconds >= 3600 else "%M:%S left"
    return "" if seconds < 0 else time.strftime(form, time.gmtime(seconds))


def described(step: Step, since: float = 0.0) -> str:
    """Return what is being done, the share that is done, and the time left, `since` seconds after the event."""
    if remaining := time_left(step, since):
        return f"{step.label}: {100 * step.share:.0f} %, {remaining}"
    return f"{step.label}: {step.elapsed + since:.0f} s so far"


@dataclass(frozen=True)
class EpochEnded:
    """One pass over the training texts has ended and the model was validated."""

    epoch: int
    train_bits: float
    """Bits per character over the epoch, measured during training: with dropout, and weights that change."""
    train_accuracy: float
    """Share of counted positions whose most probable id was the true one, measured during training."""
    validation_bits: float
    """Bits per character of the validation texts, with the cost of naming unknown characters."""
    validation_accuracy: float
    """Share of counted positions of the validation texts whose most probable id was the true one."""
    learning_rate: float
    """That of the last step."""
    elapsed: float
    """Seconds of training so far, validation included."""
    best: bool
    """Whether no earlier epoch had fewer validation bits."""
    early: tuple[tuple[float, float], ...] = ()
    """Seconds and validation bits within the first epoch, where they fall fastest; empty for later epochs."""
    share: float = 1.0
    """Share of its steps that were made: below 1 where the minutes, or Ctrl-C, ended it."""

    @property
    def sentence(self) -> str:
        """What the epoch reached."""
        cut = "" if self.share == 1 else f" ({100 * self.share:.0f} % of it)"
        return (
            f"epoch {self.epoch}{cut}: train {self.train_bits:.3f} bits, validation {self.validation_bits:.3f} bits "
            f"{100 * self.validation_accuracy:.1f} % right, {self.elapsed:.0f} s{', best' if self.best else ''}"
        )


@dataclass(frozen=True)
class TrainingEnded:
    """Gradient descent has ended; the weights that were best on validation are kept."""

    passes: float
    """Number of passes over the training texts that were made."""
    epochs: int
    """Maximum number of passes."""
    reason: Literal["epochs", "minutes", "patience", "interrupt", "loss"]
    best: int
    """The epoch whose weights are kept."""

    @property
    def sentence(self) -> str:
        """How many passes were made, why no more, and whether more minutes would help."""
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
    """An n-gram model of the same texts, counted in seconds, is ahead of the trained model on validation, or not shown
    to be behind."""

    model_bits: float
    """Bits per character and end of text of the trained model."""
    counter_bits: float
    """Those of the n-gram model."""
    texts: int
    """Number of texts that it counted: all."""
    published: bool
    """Whether it was written in place of the other, as happens where no family was asked for."""

    @property
    def sentence(self) -> str:
        """Which of the two is published, and what else could be."""
        how = "is ahead on" if self.counter_bits < self.model_bits else "is not shown to be worse on"
        ahead = (
            f"a counter of all {self.texts:,} texts {how} the validation texts, {self.counter_bits:.3f} bits "
            f"against {self.model_bits:.3f}"
        )
        if self.published:
            return f"{ahead}, so it is your model; give more minutes, or --model blend to keep what was trained"
        return f"{ahead}; give more minutes, or --model ngram"


@dataclass(frozen=True)
class MemberEvent:
    """An event of one of several networks that are trained in parallel, as members of one model."""

    member: int
    """Counted from 1."""
    members: int
    event: Step | Notice | TrainingStarted | EpochEnded | TrainingEnded


Event = Step | Notice | TrainingStarted | EpochEnded | TrainingEnded | CounterAhead | MemberEvent

Listener = Callable[[Event], None]
"""Hears every event of a run."""


def ignore(event: Event) -> None:
    """A listener that does nothing."""
    del event


@dataclass
class _Phase:
    """A phase of several loops, one after the other."""

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
