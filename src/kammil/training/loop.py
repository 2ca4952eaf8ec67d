"""The training loop of all networks, which reports events and prints nothing; those of one run learn side by side.

The run's seed and an epoch's number seed each epoch, so a resumed run ends with the weights of an uninterrupted one.
Several processes divide every batch by rows and add up gradients (`DistributedDataParallel`, Li et al. 2020,
arXiv:2006.15704), losses and counts; the clock of the first decides.

Shapes: B batch, T time, V vocabulary, N counted positions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kammil import distributed
from kammil.errors import OptionError
from kammil.language_model import Ids
from kammil.models.family import LossTerms, NetworkTask, TrainingTexts
from kammil.models.layers import SeededDropout
from kammil.progress import (
    EpochEnded,
    Listener,
    MemberEvent,
    TrainingEnded,
    TrainingProgress,
    TrainingStarted,
    ignore,
    listening,
    steps,
)
from kammil.training.batches import Arrays, Batch, batches, divide, draw, make_rows
from kammil.training.checkpoint import Checkpoint
from kammil.training.initial_weights import seed_of
from kammil.training.loss import LossSums, teacher_forced
from kammil.training.optim import PRECISIONS, make_accelerator, make_optimiser, use_bfloat16, warmup_then_cosine
from kammil.training.recipe import TrainingOptions
from kammil.training.time_budget import TimeBudget
from kammil.vocabulary import UNK, rare_characters

N = TypeVar("N", bound=nn.Module)
T = TypeVar("T")

_STEPS, _MIN_EPOCHS, _MAX_EPOCHS = 3700, 3, 12
"""Default number of steps, and bounds of the number of epochs (`docs/log.md#how-many-epochs`)."""
_EARLY_PARTS = (16, 8, 4, 2)
_FORWARD_SHARE = 0.5
"""Maximum time of a forward pass as a share of a training step."""
_EARLY_VALIDATION_SHARE, _VALIDATION_SHARE = 0.02, 0.05
"""Maximum time of an early validation, and of a validation, as shares of the minutes."""


def fit(
    model: nn.Module,
    data: NetworkTask[Any],
    options: TrainingOptions,
    *,
    on_event: Listener = ignore,
    checkpoint: Checkpoint | None = None,
    budget: TimeBudget | None = None,
    reserve: float = 0.0,
) -> tuple[EpochEnded, ...]:
    """Train a network in place, restore the best weights, and return an event per epoch.

    Args:
        checkpoint: takes the state after each epoch; training goes on from the state that it holds.
        budget: the time of the whole run; None starts the minutes of the options now.
        reserve: seconds to leave for what comes after training.

    `KeyboardInterrupt`, or a loss that is not finite, ends training with the best weights so far; an interrupt of
    several processes ends all, and keeps the checkpoint. `OptionError` for such a loss in the first epoch, or a missing
    device.
    """
    threads = torch.get_num_threads()
    try:
        descent = _Descent(model, data, options, on_event, checkpoint)
        if budget is not None and budget.seconds is not None:
            seconds = distributed.number_of_first(max(1e-3, budget.left - reserve))
            descent.limit = min(descent.limit or math.inf, descent.resumed_at + seconds)
            descent.validation_seconds = 0.0
        return descent.make_epochs()
    finally:
        torch.set_num_threads(threads)  # a setting of the whole process


@dataclass
class _Sums:
    nats: float = 0.0
    count: int = 0
    correct: int = 0
    unknown: int = 0
    characters: int = 0
    steps: int = 0
    learning_rate: float = 0.0
    early: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """(seconds of training, validation bits) of each early validation."""

    def add(self, loss: LossSums, batch: Batch, widths: Ids | None) -> None:
        counted = batch.targets[batch.counted]  # (N,)
        self.nats += loss.nats.item()
        self.count += loss.count
        self.correct += loss.correct
        self.unknown += int((counted == UNK).sum())
        self.characters += len(counted) if widths is None else int(widths[counted].sum())
        self.steps += 1

    def add_processes(self) -> None:
        names = ("count", "correct", "unknown", "characters")
        self.nats, *counts = distributed.totals([self.nats, *(getattr(self, name) for name in names)])
        for name, number in zip(names, counts, strict=True):
            setattr(self, name, int(number))

    def bits(self, unknown_bits: float = 0.0) -> float:
        return (self.nats / math.log(2) + self.unknown * unknown_bits) / max(1, self.characters)

    @property
    def accuracy(self) -> float:
        return self.correct / self.count


class _Descent:
    def __init__(
        self,
        model: nn.Module,
        data: NetworkTask[Any],
        options: TrainingOptions,
        on_event: Listener,
        checkpoint: Checkpoint | None,
    ) -> None:
        if options.threads:
            torch.set_num_threads(options.threads)
        self.options, self.data, self.on_event, self.checkpoint = options, data, on_event, checkpoint
        self.accelerator = make_accelerator(options.device)
        self.bfloat16 = use_bfloat16(options.precision, self.accelerator.device)
        self.network = model
        self.dropouts = [module for module in model.modules() if isinstance(module, SeededDropout)]
        self.model, self.optimiser = self.accelerator.prepare(model, make_optimiser(model, options))
        self.train, self.validation = (
            make_rows(texts, objective=options.objective, block=options.block, widths=data.widths)
            for texts in (data.train, data.validation)
        )
        self.weights = None if data.weights is None else data.weights[self.train.texts]
        draws = len(self.train) if self.weights is None else round(self.weights.sum(), 6)
        steps = math.ceil(draws / options.batch_size)
        self.steps = min(steps, options.epoch_steps or steps)
        self.epochs = options.epochs or min(max(_MIN_EPOCHS, math.ceil(_STEPS / self.steps)), _MAX_EPOCHS)
        self.history: list[EpochEnded] = []
        self.best = _copy(self.network)
        content = distributed.bytes_of_first(checkpoint.read) if checkpoint is not None else b""
        if checkpoint is not None and content:
            self.best, history = checkpoint.load(self.network, self.optimiser, content)
            self.history.extend(history)
        self.resumed_at = self.history[-1].elapsed if self.history else 0.0
        self.timer = TimeBudget(None, options.clock)
        self.limit = None if options.minutes is None else 60 * options.minutes
        self.validation_seconds: float | None = None
        """Seconds of a validation, measured or estimated; None where the limit does not include it."""
        self.validation_measured = False
        self.furthest = 0.0

    @property
    def elapsed(self) -> float:
        return self.resumed_at + self.timer.elapsed

    def make_epochs(self) -> tuple[EpochEnded, ...]:
        device = self.accelerator.device.type
        threads = torch.get_num_threads() if device == "cpu" else None
        processes = distributed.size()
        parameters = sum(weights.numel() for weights in self.network.parameters() if weights.requires_grad)
        self.on_event(TrainingStarted(device, PRECISIONS[self.bfloat16], threads, processes, parameters))
        reason = self._end_reached()
        while reason is None:
            sums = _Sums()
            try:
                if self._train_epoch(sums):
                    reason = "minutes"
                if sums.steps and not self._end_epoch(sums):
                    reason = "loss"
            except KeyboardInterrupt:
                if distributed.size() > 1:
                    raise
                if not self.history and sums.steps:
                    self._end_epoch(sums)
                if not self.history:
                    raise
                reason = "interrupt"
            reason = reason or self._end_reached()
        last = self.history[-1]
        self.on_event(TrainingEnded(last.epoch - 1 + last.share, self.epochs, reason, self._best_epoch()))
        self.network.load_state_dict(self.best)
        return tuple(self.history)

    def _end_reached(self) -> Literal["epochs", "patience"] | None:
        if len(self.history) >= self.epochs:
            return "epochs"
        return "patience" if len(self.history) - self._best_epoch() >= self.options.patience else None

    def _best_epoch(self) -> int:
        return max((event.epoch for event in self.history if event.best), default=0)

    def _progress(self, step: int) -> float:
        """Return the share of the run done, in epochs or in minutes, whichever is more."""
        by_epochs = (len(self.history) + step / self.steps) / self.epochs
        if self.limit is None:
            return by_epochs
        # However long a validation takes, a tenth of the time is for training.
        elapsed = distributed.number_of_first(self.elapsed)
        by_time = elapsed / max(self.limit - (self.validation_seconds or 0.0), self.limit / 10)
        self.furthest = max(by_epochs, by_time, self.furthest)  # estimates change: never go back
        return self.furthest

    def _train_epoch(self, sums: _Sums) -> bool:
        """Return true if the minutes ran out before the epoch."""
        epoch = len(self.history)
        seed = np.random.SeedSequence([self.options.seed, epoch])
        dropped = int(seed.generate_state(1)[0])
        torch.manual_seed(dropped)
        for number, dropout in enumerate(self.dropouts):
            dropout.reseed((dropped + number) % 2**32)
        generator = np.random.default_rng(seed)
        train = self.train if self.weights is None else self.train.take(draw(self.weights, generator))
        shuffled = batches(train, self.options.batch_size, rare=self.data.rare or (), generator=generator)
        if (size := distributed.size()) > 1:
            shuffled = (divide(batch, distributed.rank(), size) for batch in shuffled)
        self.model.train()
        began = self.elapsed
        early_steps = {math.ceil(self.steps / part) for part in _EARLY_PARTS} - {self.steps}
        for step, (batch, extra) in enumerate(self._with_extra_inputs(islice(shuffled, self.steps), learning=True)):
            progress = self._progress(step)
            if self.limit is not None and progress >= 1 and (self.history or sums.steps):
                return True  # never before the first step: an untrained network is of no use
            sums.learning_rate = self.options.learning_rate * warmup_then_cosine(progress, warmup=self.options.warmup)
            self._step(batch, extra, sums)
            if self.validation_seconds is not None:
                self._estimate_validation((self.elapsed - began) / (step + 1))
            affordable = (self.validation_seconds or 0.0) <= _EARLY_VALIDATION_SHARE * (self.limit or math.inf)
            if not epoch and step + 1 in early_steps and affordable:
                bits, _ = self._validate()
                sums.early.append((self.elapsed, bits))
                self.model.train()
            done = (epoch + 1, step + 1, self.steps, self.epochs)
            self.on_event(TrainingProgress(*done, sums.bits(), self.elapsed, progress, sums.learning_rate))
        return False

    def _estimate_validation(self, step_seconds: float) -> None:
        """Estimate the time of a validation; if it is too long, validate on fewer texts."""
        assert self.limit is not None
        if self.validation_measured:
            return
        step_seconds = distributed.number_of_first(step_seconds)
        self.validation_seconds = _FORWARD_SHARE * step_seconds * len(self.validation) / self.options.batch_size
        longest = _VALIDATION_SHARE * self.limit
        if self.validation_seconds > longest:
            number = max(self.options.batch_size, int(len(self.validation) * longest / self.validation_seconds))
            chosen = np.random.default_rng(self.options.seed).permutation(len(self.validation))[:number]
            self.validation = self.validation.take(np.sort(chosen))

    def _step(self, batch: Batch, extra: Arrays, sums: _Sums) -> None:
        for dropout in self.dropouts:
            dropout.share = batch.share
        for group in self.optimiser.param_groups:
            group["lr"] = sums.learning_rate
        logits, terms, targets, counted = self._predict(batch, extra, bfloat16=self.bfloat16)
        totals = teacher_forced(logits, targets, counted)
        losses = [
            weight * (totals if part is logits else teacher_forced(part, targets, counted)).nats
            for part, weight in terms
        ]
        # Processes average their gradients, which this divisor makes the gradient of the mean over all rows.
        count = totals.count if batch.total is None else batch.total / distributed.size()
        self.optimiser.zero_grad()
        self.accelerator.backward(torch.stack(losses).sum() / count)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
        self.optimiser.step()
        sums.add(totals, batch, self.data.widths)

    def _end_epoch(self, sums: _Sums) -> bool:
        """Return false if the loss is not finite."""
        sums.add_processes()
        bits, accuracy = self._validate()
        if not math.isfinite(bits + sums.bits()):
            if self.history:
                return False
            raise OptionError(
                f"after one epoch with learning_rate {self.options.learning_rate:g} the loss is no number any more; "
                "give a lower one, such as --set learning_rate=0.001."
            )
        event = EpochEnded(
            epoch=len(self.history) + 1,
            train_bits=sums.bits(),
            train_accuracy=sums.accuracy,
            validation_bits=bits,
            validation_accuracy=accuracy,
            learning_rate=sums.learning_rate,
            elapsed=self.elapsed,
            best=all(bits < past.validation_bits for past in self.history),
            early=tuple(sums.early),
            share=sums.steps / self.steps,
        )
        if event.best:
            self.best = _copy(self.network)
        self.history.append(event)
        if self.checkpoint is not None and distributed.is_first():
            self.checkpoint.save(self.network, self.optimiser, self.best, self.history)
        self.on_event(event)
        return True

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        self.model.eval()
        began = self.elapsed
        sums = _Sums()
        report_step = steps("validating", math.ceil(len(self.validation) / self.options.batch_size))
        mine = islice(batches(self.validation, self.options.batch_size), distributed.rank(), None, distributed.size())
        for batch, extra in self._with_extra_inputs(mine, learning=False):
            report_step()
            logits, _, targets, counted = self._predict(batch, extra)
            sums.add(teacher_forced(logits, targets, counted), batch, self.data.widths)
        if self.validation_seconds is not None:
            self.validation_seconds = distributed.number_of_first(self.elapsed - began)
            self.validation_measured = True
        sums.add_processes()
        return sums.bits(self.data.unknown_bits), sums.accuracy

    def _with_extra_inputs(self, stream: Iterable[Batch], *, learning: bool) -> Iterator[tuple[Batch, Arrays]]:
        """Yield each batch with the model's extra inputs, computed one batch ahead in a thread."""
        extra_inputs = self.data.extra_inputs
        if extra_inputs is None:
            yield from ((batch, ()) for batch in stream)
            return
        with ThreadPoolExecutor(1) as executor:
            look_up = partial(extra_inputs, learning=learning)
            before: tuple[Batch, Future[Arrays]] | None = None
            for batch in chain(stream, (None,)):
                ahead = batch and (
                    batch,
                    executor.submit(look_up, batch.rows, batch.inputs.shape[1]),
                )
                if before is not None:
                    yield before[0], before[1].result()
                before = ahead

    def _predict(
        self, batch: Batch, extra: Arrays, *, bfloat16: bool = False
    ) -> tuple[Tensor, LossTerms, Tensor, Tensor]:
        """Return logits (B, T, V), terms of the training loss, targets and counted positions (B, T)."""
        inputs, targets, counted, *arrays = (
            torch.from_numpy(np.ascontiguousarray(a)).to(self.accelerator.device)
            for a in (batch.inputs, batch.targets, batch.counted, *extra)
        )
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=bfloat16):
            # Processes step together, but validate on different batches.
            model = self.model if torch.is_grad_enabled() else self.network
            outputs: Tensor | tuple[Tensor, LossTerms] = model(inputs, *arrays)
        if isinstance(outputs, Tensor):
            logits = outputs.float() if bfloat16 else outputs
            return logits, [(logits, 1.0)], targets, counted
        logits, terms = outputs
        return logits, terms, targets, counted


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


# Networks side by side


def with_texts(task: NetworkTask[N], texts: TrainingTexts) -> NetworkTask[N]:
    """Return a task with what the loop needs to know of the texts."""
    vocabulary, rare = texts.vocabulary, task.rare
    if rare is None:
        rare = [int(vocabulary.encode(character)[0]) for character in sorted(rare_characters(list(texts.texts)))]
    return replace(task, rare=rare, unknown_bits=vocabulary.unknown_bits, weights=texts.weights)


def fit_networks(
    networks: Sequence[nn.Module],
    data: NetworkTask[Any],
    options: TrainingOptions,
    states: Sequence[Checkpoint],
    *,
    on_event: Listener,
    budget: TimeBudget | None = None,
    reserve: float = 0.0,
) -> list[tuple[EpochEnded, ...]]:
    """Train networks in place, with equal options except for the seed; return their epochs.

    Several processes train them together, one after the other, in equal parts of the time.
    """
    number, threads = len(networks), torch.get_num_threads()
    in_turn = distributed.size() > 1 or number == 1
    per_network = options.threads if in_turn else max(1, (options.threads or threads) // number)

    def train(member: int, emit: Listener, reserve: float = reserve) -> tuple[EpochEnded, ...]:
        own = options.model_copy(update={"seed": seed_of(member, options.seed), "threads": per_network})
        state = states[member]
        return fit(networks[member], data, own, on_event=emit, checkpoint=state, budget=budget, reserve=reserve)

    if number == 1:
        return [train(0, on_event)]
    if not in_turn:
        try:
            torch.set_num_threads(per_network or threads)  # new threads start with this number
            return run_parallel([partial(train, member) for member in range(number)], on_event)
        finally:
            torch.set_num_threads(threads)
    histories: list[tuple[EpochEnded, ...]] = []
    for member in range(number):
        left = budget.left - reserve if budget is not None and budget.seconds is not None else 0.0
        later = left * (1 - 1 / (number - member))

        def emit(event: Any, member: int = member + 1) -> None:
            on_event(MemberEvent(member, number, event))

        histories.append(train(member, emit, reserve + later))
    return histories


_SECOND_INTERRUPT = 1.0
"""Seconds after which an interrupt counts as another: a listener may raise the first at every queued event."""


class _AbortError(BaseException):
    """Ends a thread after another failed."""


def run_parallel(calls: Sequence[Callable[[Listener], T]], on_event: Listener) -> list[T]:
    """Run calls in a thread each and return their results; their events go to `on_event`, in the calling thread.

    `KeyboardInterrupt` is raised in every call at its next event; a second one, or any other error, ends all.
    """
    events: SimpleQueue[MemberEvent] = SimpleQueue()
    stops: list[type[BaseException]] = []

    def run(member: int, call: Callable[[Listener], T]) -> T:
        handled = 0

        def emit(event: Any) -> None:
            nonlocal handled
            if handled < len(stops):
                handled = len(stops)
                raise stops[-1]
            events.put(MemberEvent(member + 1, len(calls), event))

        try:
            with listening(emit):
                return call(emit)
        except BaseException:
            stops.append(_AbortError)
            raise

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(run, member, call) for member, call in enumerate(calls)]
        failed: BaseException | None = None
        interrupted = 0.0
        while not events.empty() or not all(future.done() for future in futures):
            try:
                on_event(events.get(timeout=0.2))
            except Empty:
                continue
            except KeyboardInterrupt as error:
                if not stops:
                    interrupted = time.monotonic()
                    stops.append(KeyboardInterrupt)
                elif time.monotonic() - interrupted > _SECOND_INTERRUPT:
                    failed = failed or error
                    stops.append(_AbortError)
            except BaseException as error:
                failed = failed or error
                stops.append(_AbortError)
        wait(futures)
    errors = [error for future in futures if (error := future.exception()) is not None]
    if failed is not None:
        raise failed
    if errors:
        raise next((error for error in errors if not isinstance(error, _AbortError)), errors[0])
    return [future.result() for future in futures]
