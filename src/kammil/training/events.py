"""The events of training, from which progress bars, logs, plots and histories are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
    parameters: int = 0
    """Number of weights that are learnt."""


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
    share: float = 1.0
    """Share of its steps that were made: below 1 where the minutes, or Ctrl-C, ended it."""


@dataclass(frozen=True)
class TrainingEnded:
    """Gradient descent has ended; the weights that were best on validation are kept."""

    passes: float
    """Number of passes over the training texts that were made."""
    epochs: int
    """Maximum number of passes."""
    reason: Literal["epochs", "minutes", "patience", "interrupt", "loss"]
    """What ended it: all passes, the time limit, no progress, Ctrl-C, or a loss that is not finite."""
    best: int
    """Number of the epoch whose weights are kept."""

    @property
    def sentence(self) -> str:
        """Return in words how many passes were made, why no more, and whether more minutes would help."""
        passes = f"{max(0.01, self.passes):.2g}" if self.passes < 10 else f"{self.passes:,.0f}"
        made = f"{passes} of {self.epochs:,} passes over the texts"
        kept = "" if self.best >= self.passes else f"; pass {self.best} was the best and is kept"
        match self.reason:
            case "epochs":
                return f"made all {self.epochs:,} passes over the texts{kept}"
            case "minutes":
                return f"ended after {made} because the minutes were over; more minutes would {_helping(kept)}"
            case "patience":
                return f"ended after {made} because the last brought no progress{kept}; more minutes would not help"
            case "interrupt":
                return f"interrupted after {made}{kept}"
            case "loss":
                return f"ended after {made} because the loss was no longer a number{kept}; give a lower learning_rate"


def _helping(kept: str) -> str:
    return "hardly help" + kept if kept else "help"


@dataclass(frozen=True)
class CounterAhead:
    """An n-gram model of the same texts, counted in seconds, is ahead of the trained model on validation, or not shown
    to be behind."""

    model_bits: float
    """Bits per character and end of text of the trained model."""
    counter_bits: float
    """Bits per character and end of text of the n-gram model."""
    texts: int
    """Number of texts that the n-gram model counted: all."""
    published: bool
    """Whether the n-gram model was written in its place, as happens where no family was asked for."""

    @property
    def sentence(self) -> str:
        """Return in words which of the two is published, and what else could be."""
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
    """Number of the member, from 1."""
    members: int
    """Number of members."""
    event: PhaseProgress | Notice | TrainingStarted | TrainingProgress | EpochEnded | TrainingEnded


Event = (
    PhaseProgress
    | Notice
    | TrainingStarted
    | TrainingProgress
    | EpochEnded
    | TrainingEnded
    | CounterAhead
    | MemberEvent
)

Listener = Callable[[Event], None]
"""Hears every event of a run."""


def ignore(event: Event) -> None:
    """A listener that does nothing."""
    del event
