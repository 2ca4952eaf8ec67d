"""What the loop tells its listeners; progress bars, logs, plots and histories are made of these."""

from __future__ import annotations

from dataclasses import dataclass

from kammil.progress import Notice, PhaseProgress


@dataclass(frozen=True)
class TrainingStarted:
    """Training begins, or goes on."""

    device: str
    """Where."""
    precision: str
    """Of the factors of products."""
    threads: int | None
    """On a processor, how many."""


@dataclass(frozen=True)
class TrainingProgress:
    """One step was taken."""

    epoch: int
    """From 1."""
    step: int
    """Within the epoch, from 1."""
    steps: int
    """Steps in an epoch."""
    epochs: int
    """Epochs at most."""
    train_bits: float
    """Bits a position, mean of this epoch so far, with dropout."""
    elapsed: float
    """Seconds of training so far."""
    progress: float
    """Share of the run that is done, by epochs or by minutes, whichever is further."""


@dataclass(frozen=True)
class EpochEnded:
    """One pass over the training texts has ended and the model was validated."""

    epoch: int
    """From 1."""
    train_bits: float
    """Bits a counted position over the epoch, measured while learning: with dropout, weights still moving."""
    train_accuracy: float
    """Share of counted positions whose most probable id was the true one, measured likewise."""
    validation_bits: float
    """Bits a counted position of the validation texts, unknown characters charged in full."""
    validation_accuracy: float
    """Share right on the validation texts."""
    learning_rate: float
    """At the last step."""
    elapsed: float
    """Seconds of training so far, validation included."""
    best: bool
    """Whether no earlier epoch had fewer validation bits."""
    early: tuple[tuple[float, float], ...] = ()
    """Seconds and validation bits on the way, in the first epoch only: where most is learnt."""


@dataclass(frozen=True)
class Interrupted:
    """Training was ended early by Ctrl-C; the best so far is kept."""

    epoch: int
    """The last one after which the model was validated."""


@dataclass(frozen=True)
class CounterAhead:
    """After the last epoch a counter of the same texts, which takes seconds, is ahead on the validation texts."""

    model_bits: float
    """Bits a character and end of text of what was trained."""
    counter_bits: float
    published: bool
    """Whether the counter is the model now: where no family was asked for."""


@dataclass(frozen=True)
class MemberEvent:
    """What one of several networks tells that learn side by side, to be the members of one model."""

    member: int
    """From 1."""
    members: int
    """How many there are."""
    event: PhaseProgress | Notice | TrainingStarted | TrainingProgress | EpochEnded | Interrupted


Event = (
    PhaseProgress | Notice | TrainingStarted | TrainingProgress | EpochEnded | Interrupted | CounterAhead | MemberEvent
)


def ignore(event: Event) -> None:
    """A listener that does nothing."""
    del event
