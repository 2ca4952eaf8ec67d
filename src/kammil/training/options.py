"""Options of the training loop. Every default says why it has its value."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kammil.training.batches import Objective

TimeKind = Literal["wall", "processor"]
"""Time as it passes, or that for which the processor works for this program, all its threads together."""


class TrainingOptions(BaseModel):
    """Options of the training loop, as they are saved in the model folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Maximum number of passes over the training texts. None makes it about 3,700 steps, which brought the benchmark's
    2,487 tweets to their best, in 3 to 12 passes: on 932 tweets 33 passes are best after 6, with 3.41 validation bits,
    and 9 passes end at 3.37 (docs/log.md#how-many-epochs)."""
    minutes: float | None = Field(default=None, gt=0)
    """Time limit of the whole run, from reading to the figures at its end; the schedule is fitted into it. Where
    half of it is too short to prepare and evaluate all texts, some are drawn by the seed. A blend takes the
    number of its members from its text and these minutes, where nobody names one. A run on few texts may end sooner. A
    base, and each member, has a limit of its own."""
    clock: TimeKind = "wall"
    """Kind of `minutes`: `wall`, time as it passes; or `processor`, the time for which the processor works for this
    run, all its threads together, which other programs on the machine do not shorten."""
    objective: Objective = "text"
    """`text`: every position counts; `completion`: only the 30 characters after the middle of each text."""
    batch_size: int = Field(default=8, ge=1, le=65_536)
    """Texts a step. On the benchmark's validation tweets 16 is 0.04 bits behind in equal time, 32 more: so little text
    wants many small steps (docs/log.md#which-batch-size-learning-rate-and-dropout-for-the-gru)."""
    block: int = Field(default=512, ge=8, le=65_536)
    """Longest piece of a text learnt at once, in characters: bounds memory; a tweet is shorter."""
    learning_rate: float = Field(default=4e-3, gt=0, le=1)
    """Peak learning rate of AdamW, for batches of 8; for 16, 6e-3 did best, for 32, 1.2e-2 was no better than 6e-3."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: the recurrent matrix of a GRU is updated by Muon, all other parameters by AdamW."""
    epoch_steps: int | None = Field(default=None, ge=1)
    """Steps of an epoch, after which the model is validated and its state is saved, where a pass over the texts would
    take long; the texts of each epoch are drawn from all. None: an epoch is a pass."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay of the matrices; biases are spared."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the run in which the learning rate rises."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest 2-norm of the gradient; a longer one is scaled down."""
    patience: int = Field(default=8, ge=1)
    """Number of epochs without fewer validation bits after which training stops."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Random seed of the initial weights, the order of texts, and dropout."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; `auto` takes an accelerator if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the factors of matrix products in training; sums, weights and validation are in single precision.
    `auto` takes bfloat16 where the processor has instructions for it: an epoch of a GRU takes half the time
    (`benchmarks/networks.py`) and ends with as few bits."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of training; None leaves the number to PyTorch."""
