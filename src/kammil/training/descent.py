"""Gradient descent of one run, whose networks learn at the same time, each in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from kammil import distributed
from kammil.models.family import NetworkTask, TrainingTexts
from kammil.progress import EpochEnded, Listener, MemberEvent, listening
from kammil.training.batches import TrainingData
from kammil.training.checkpoint import Checkpoint
from kammil.training.initial_weights import seed_of
from kammil.training.loop import fit
from kammil.training.recipe import TrainingOptions
from kammil.training.time_budget import TimeBudget
from kammil.vocabulary import rare_characters

T = TypeVar("T")


def training_data(task: NetworkTask[Any], texts: TrainingTexts) -> TrainingData:
    """Convert the texts of a task for the training loop."""
    vocabulary, rare = texts.vocabulary, task.rare
    if rare is None:
        rare = [int(vocabulary.encode(character)[0]) for character in sorted(rare_characters(list(texts.texts)))]
    return TrainingData(
        task.train,
        task.validation,
        np.array(rare, np.int64),
        vocabulary.unknown_bits,
        task.widths,
        task.extra_inputs,
        texts.weights,
    )


def fit_networks(
    networks: Sequence[nn.Module],
    data: TrainingData,
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
