"""The one loop for all networks: events out, nothing printed.

Every epoch begins from its own seed, so an epoch depends only on the weights, the optimiser's memory and the epoch's
number. That makes an interrupted run resumable to the very same weights: what is kept is the state after an epoch.
(A run bounded by minutes follows the clock, and no two clocks agree.)
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from kammil.errors import OptionError
from kammil.models.dropout import SeededDropout
from kammil.progress import steps
from kammil.training.batches import Arrays, Batch, TrainingData, batches, make_rows
from kammil.training.checkpoint import Checkpoint
from kammil.training.clock import Clock
from kammil.training.events import EpochEnded, Event, Interrupted, TrainingProgress, TrainingStarted, ignore
from kammil.training.loss import teacher_forced
from kammil.training.optim import make_accelerator, make_adamw, precision, use_bfloat16, warmup_then_cosine
from kammil.training.options import TrainingOptions
from kammil.vocabulary import UNK

_STEPS, _LEAST_EPOCHS, _MOST_EPOCHS = 3700, 3, 12
"""How long to learn where the options leave it open."""
_EARLY = (16, 8, 4, 2)
"""The first epoch is validated after these parts of it too: a curve of quality by time begins there."""


_FORWARD = 0.5
"""Share of a step that takes no gradient, at most."""
_EARLY_SHARE, _JUDGING_SHARE = 0.02, 0.05
"""Of the time: what one of these early validations may take, and any validation."""

_Taught = list[tuple[Tensor, float]]


def fit(
    model: nn.Module,
    lessons: TrainingData,
    options: TrainingOptions,
    *,
    listen: Callable[[Event], None] = ignore,
    checkpoint: Checkpoint | None = None,
    clock: Clock | None = None,
    reserve: float = 0.0,
) -> tuple[EpochEnded, ...]:
    """Train a model in place; it ends with the weights that were best on validation. Returns one event an epoch.

    Args:
        model: the learning side of a family, freshly built.
        lessons: training and validation texts, encoded.
        options: see `TrainingOptions`.
        listen: called with every event.
        checkpoint: where the state after each epoch is kept; if it holds one already, training goes on from there.
        clock: where the options give minutes, those of the whole run, which has begun; without it they begin now.
        reserve: seconds that are left for what comes after training.

    `KeyboardInterrupt` ends training early and keeps the best weights so far; in the first epoch, those of the moment.
    So does a loss that is no number any more; in the first epoch it is an `OptionError`, and so is a device that is not
    there.
    """
    threads = torch.get_num_threads()
    try:
        run = _Run(model, lessons, options, listen, checkpoint)
        if clock is not None and clock.seconds is not None:
            run.bound(clock.left - reserve)
        return run.go()
    finally:
        torch.set_num_threads(threads)  # they are those of the whole process, which may do other things


@dataclass
class _Tally:
    """Sums over the steps of one epoch."""

    nats: float = 0.0
    count: int = 0
    characters: int = 0
    """Of the ids that were counted."""
    correct: int = 0
    rate: float = 0.0
    """Learning rate of the last step."""
    early: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Seconds and validation bits on the way."""

    @property
    def bits(self) -> float:
        return self.nats / self.characters / math.log(2)


class _Run:
    """One run of the loop: what stays the same, and what changes from epoch to epoch."""

    def __init__(
        self,
        model: nn.Module,
        lessons: TrainingData,
        options: TrainingOptions,
        listen: Callable[[Event], None],
        checkpoint: Checkpoint | None,
    ) -> None:
        if options.threads:
            torch.set_num_threads(options.threads)
        self.options, self.lessons, self.listen, self.checkpoint = options, lessons, listen, checkpoint
        self.accelerator = make_accelerator(options.device)
        self.halves = use_bfloat16(options.precision, self.accelerator.device)
        self.plain = model
        self.model, self.optimiser = self.accelerator.prepare(model, make_adamw(model, options))
        self.train, self.validation = (
            make_rows(texts, objective=options.objective, block=options.block, widths=lessons.widths)
            for texts in (lessons.train, lessons.validation)
        )
        self.steps = math.ceil(len(self.train) / options.batch_size)
        self.epochs = options.epochs or min(max(_LEAST_EPOCHS, math.ceil(_STEPS / self.steps)), _MOST_EPOCHS)
        self.history: list[EpochEnded] = []
        self.best = _copy(model)
        if checkpoint is not None and checkpoint.exists():
            kept = checkpoint.load(model, self.optimiser)
            self.best, self.history = kept.best, list(kept.history)
        self.resumed_at = self.history[-1].elapsed if self.history else 0.0
        self.started = time.monotonic()
        self.limit = None if options.minutes is None else 60 * options.minutes
        self.judging: float | None = None
        """Seconds that a validation takes; None where no time is kept free for it."""
        self.judged = False
        self.furthest = 0.0

    def bound(self, seconds: float) -> None:
        """End so many seconds from now at the latest, the last validation included."""
        self.limit = min(self.limit or math.inf, self.resumed_at + max(1e-3, seconds))
        self.judging = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.resumed_at + time.monotonic() - self.started

    def go(self) -> tuple[EpochEnded, ...]:
        """Epochs until the last, until the minutes are used up, or until nothing gets better."""
        where = self.accelerator.device.type
        self.listen(
            TrainingStarted(where, precision(halves=self.halves), torch.get_num_threads() if where == "cpu" else None)
        )
        finished = len(self.history) >= self.epochs or self._stale() >= self.options.patience
        while not finished:
            tally = _Tally()
            try:
                finished = self._learn(tally)
                if tally.count:
                    finished |= not self._judge(tally)
            except KeyboardInterrupt:
                if not self.history and tally.count:
                    self._judge(tally)
                if not self.history:
                    raise
                self.listen(Interrupted(len(self.history)))
                break
            finished |= len(self.history) >= self.epochs or self._stale() >= self.options.patience
        self.plain.load_state_dict(self.best)
        return tuple(self.history)

    def _progress(self, step: int) -> float:
        """Share of the run done before `step` of the current epoch: by epochs or by minutes, whichever is further."""
        by_epochs = (len(self.history) + step / self.steps) / self.epochs
        if self.limit is None:
            return by_epochs
        # Some tenth of the time at least is for learning, however long a validation takes.
        by_time = self.elapsed / max(self.limit - (self.judging or 0.0), self.limit / 10)
        self.furthest = max(by_epochs, by_time, self.furthest)  # what validation takes is only known little by little
        return self.furthest

    def _learn(self, tally: _Tally) -> bool:
        """One pass over the training texts; true if the minutes ran out on the way."""
        epoch = len(self.history)
        seed = np.random.SeedSequence([self.options.seed, epoch])
        dropped = int(seed.generate_state(1)[0])
        torch.manual_seed(dropped)
        for module in self.plain.modules():
            if isinstance(module, SeededDropout):
                module.reseed(dropped)
        generator = np.random.default_rng(seed)
        shuffled = batches(self.train, self.options.batch_size, rare=self.lessons.rare, generator=generator)
        self.model.train()
        begun = self.elapsed
        early = {math.ceil(self.steps / part) for part in _EARLY} - {self.steps}
        for step, (batch, shown) in enumerate(self._shown(shuffled, learning=True)):
            progress = self._progress(step)
            if self.limit is not None and progress >= 1 and (self.history or tally.count):
                return True  # but never before the first step of all: a model that learnt nothing helps nobody
            tally.rate = self.options.learning_rate * warmup_then_cosine(
                progress, warmup=self.options.warmup, floor=self.options.floor
            )
            self._step(batch, shown, tally)
            if self.judging is not None:
                self._expect((self.elapsed - begun) / (step + 1))
            if not epoch and step + 1 in early and (self.judging or 0.0) <= _EARLY_SHARE * (self.limit or math.inf):
                bits, _ = self._validate()
                tally.early.append((self.elapsed, bits))
                self.model.train()
            self.listen(
                TrainingProgress(epoch + 1, step + 1, self.steps, self.epochs, tally.bits, self.elapsed, progress)
            )
        return False

    def _expect(self, step: float) -> None:
        """What a validation will take, by the seconds of a step; where that is much of the time, some texts judge."""
        assert self.limit is not None
        if self.judged:
            return
        self.judging = _FORWARD * step * len(self.validation) / self.options.batch_size
        most = _JUDGING_SHARE * self.limit
        if self.judging > most:
            number = max(self.options.batch_size, int(len(self.validation) * most / self.judging))
            chosen = np.random.default_rng(self.options.seed).permutation(len(self.validation))[:number]
            self.validation = [self.validation[i] for i in sorted(chosen.tolist())]

    def _step(self, batch: Batch, shown: Arrays, tally: _Tally) -> None:
        """One step of gradient descent on the mean loss of the batch's counted positions."""
        for group in self.optimiser.param_groups:
            group["lr"] = tally.rate
        logits, taught, targets, counted = self._predict(batch, shown, halves=self.halves)
        totals = teacher_forced(logits, targets, counted)
        losses = [
            weight * (totals if part is logits else teacher_forced(part, targets, counted)).nats
            for part, weight in taught
        ]
        self.optimiser.zero_grad()
        self.accelerator.backward(torch.stack(losses).sum() / totals.count)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
        self.optimiser.step()
        tally.nats += totals.nats.item()
        tally.count += totals.count
        tally.characters += self._characters(batch)
        tally.correct += totals.correct

    def _judge(self, learnt: _Tally) -> bool:
        """Validate, keep the weights if they are the best so far, save the state, tell the listener.

        False, and nothing of it, if the weights have run off to where no loss is a number.
        """
        bits, accuracy = self._validate()
        if not math.isfinite(bits + learnt.bits):
            if self.history:
                return False
            raise OptionError(
                f"after one epoch with learning_rate {self.options.learning_rate:g} the loss is no number any more; "
                "give a lower one, such as --set learning_rate=0.001."
            )
        event = EpochEnded(
            epoch=len(self.history) + 1,
            train_bits=learnt.bits,
            train_accuracy=learnt.correct / learnt.count,
            validation_bits=bits,
            validation_accuracy=accuracy,
            learning_rate=learnt.rate,
            elapsed=self.elapsed,
            best=all(bits < past.validation_bits for past in self.history),
            early=tuple(learnt.early),
        )
        if event.best:
            self.best = _copy(self.plain)
        self.history.append(event)
        if self.checkpoint is not None:
            self.checkpoint.save(self.plain, self.optimiser, self.best, self.history)
        self.listen(event)
        return True

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        """Bits and accuracy a counted position of the validation texts."""
        self.model.eval()
        began = self.elapsed
        nats, count, correct, unknown, characters = 0.0, 0, 0, 0, 0
        step = steps("validating", math.ceil(len(self.validation) / self.options.batch_size))
        for batch, shown in self._shown(batches(self.validation, self.options.batch_size), learning=False):
            step()
            logits, _, targets, counted = self._predict(batch, shown)
            totals = teacher_forced(logits, targets, counted)
            nats, count, correct = nats + totals.nats.item(), count + totals.count, correct + totals.correct
            unknown += int(((batch.targets == UNK) & batch.counted).sum())
            characters += self._characters(batch)
        if self.judging is not None:
            self.judging, self.judged = self.elapsed - began, True
        return (nats / math.log(2) + unknown * self.lessons.unknown_bits) / characters, correct / count

    def _characters(self, batch: Batch) -> int:
        """Characters and ends of text at the counted positions."""
        counted = batch.targets[batch.counted]  # (N,)
        return len(counted) if self.lessons.widths is None else int(self.lessons.widths[counted].sum())

    def _stale(self) -> int:
        """Epochs since the best one."""
        best = max((event.epoch for event in self.history if event.best), default=0)
        return len(self.history) - best

    def _shown(self, made: Iterable[Batch], *, learning: bool) -> Iterator[tuple[Batch, Arrays]]:
        """Each batch with what the model is shown beside its ids; that of the next is made while one is learnt."""
        evidence = self.lessons.evidence
        if evidence is None:
            yield from ((batch, ()) for batch in made)
            return
        with ThreadPoolExecutor(1) as ahead:
            waiting: deque[tuple[Batch, Future[Arrays]]] = deque()
            for batch in made:
                waiting.append((batch, ahead.submit(evidence, batch, learning=learning)))
                if len(waiting) > 1:
                    first, shown = waiting.popleft()
                    yield first, shown.result()
            for last, shown in waiting:
                yield last, shown.result()

    def _predict(self, batch: Batch, shown: Arrays, *, halves: bool = False) -> tuple[Tensor, _Taught, Tensor, Tensor]:
        """Logits of the model, those that learn with the weights of their losses, targets, and which targets count.

        A model whose parts learn by themselves names them beside its logits; for any other these alone learn.
        """
        inputs, targets, counted, *evidence = (
            torch.from_numpy(np.ascontiguousarray(a)).to(self.accelerator.device)
            for a in (batch.inputs, batch.targets, batch.counted, *shown)
        )
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=halves):
            outputs: Tensor | tuple[Tensor, _Taught] = self.model(inputs, *evidence)
        if isinstance(outputs, Tensor):
            logits = outputs.float() if halves else outputs
            return logits, [(logits, 1.0)], targets, counted
        logits, taught = outputs
        return logits, taught, targets, counted


def _copy(model: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
