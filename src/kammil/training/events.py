"""The events of training, from which progress bars, logs, plots and histories are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kammil.progress import Notice, PhaseProgress


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
    """Number of processes that divide each batch."""


@dataclass(frozen=True)
class TrainingProgress:
    """One step of gradient descent has ended."""

    epoch: int
    """Number of the epoch, from 1."""
    step: int
    """Number of the step within the epoch, from 1."""
    steps: int
    """Steps in an epoch."""
    epochs: int
    """Most epochs of the run."""
    train_bits: float
    """Bits per character of this epoch so far, with dropout."""
    elapsed: float
    """Seconds of training so far."""
    progress: float
    """Share of the run that is done, by epochs or by minutes, whichever is further."""
    learning_rate: float
    """Learning rate of the step."""


@dataclass(frozen=True)
class EpochEnded:
    """One pass over the training texts has ended and the model was validated."""

    epoch: int
    """Number of the epoch, from 1."""
    train_bits: float
    """Bits per character over the epoch, measured during training: with dropout, and weights that change."""
    train_accuracy: float
    """Share of counted positions whose most probable id was the true one, measured during training."""
    validation_bits: float
    """Bits per character of the validation texts, with the cost of naming unknown characters."""
    validation_accuracy: float
    """Share of counted positions of the validation texts whose most probable id was the true one."""
    learning_rate: float
    """Learning rate of the last step."""
    elapsed: float
    """Seconds of training so far, validation included."""
    best: bool
    """Whether no earlier epoch had fewer validation bits."""
    early: tuple[tuple[float, float], ...] = ()
    """Seconds and validation bits within the first epoch, where they fall fastest; empty for later epochs."""


@dataclass(frozen=True)
class Interrupted:
    """Training was ended early by Ctrl-C; the best weights so far are kept."""

    epoch: int
    """Number of the last epoch that was validated."""


@dataclass(frozen=True)
class CounterAhead:
    """An n-gram model of the same texts, counted in seconds, is ahead of the trained model on validation."""

    model_bits: float
    """Bits per character and end of text of the trained model."""
    counter_bits: float
    """Bits per character and end of text of the n-gram model."""
    published: bool
    """Whether the n-gram model was written in its place, as happens where no family was asked for."""


@dataclass(frozen=True)
class MemberEvent:
    """An event of one of several networks that are trained in parallel, as members of one model."""

    member: int
    """Number of the member, from 1."""
    members: int
    """Number of members."""
    event: PhaseProgress | Notice | TrainingStarted | TrainingProgress | EpochEnded | Interrupted


Event = (
    PhaseProgress | Notice | TrainingStarted | TrainingProgress | EpochEnded | Interrupted | CounterAhead | MemberEvent
)

Listener = Callable[[Event], None]
"""Hears every event of a run."""


def ignore(event: Event) -> None:
    """A listener that does nothing."""
    del event
