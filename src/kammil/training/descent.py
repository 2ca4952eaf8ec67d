"""Gradient descent for one run: its networks learn side by side, each in a thread, and each can be gone on with."""

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

from kammil.models.family import NetworkTask, TrainingTexts
from kammil.progress import listening
from kammil.training import gate_warmup
from kammil.training.batches import Arrays, Batch, TrainingData
from kammil.training.checkpoint import Checkpoint
from kammil.training.events import EpochEnded, Event, MemberEvent
from kammil.training.loop import fit
from kammil.training.options import TrainingOptions
from kammil.training.warm_start import warm_start
from kammil.vocabulary import rare_characters

N = TypeVar("N", bound=nn.Module)
T = TypeVar("T")
Listener = Callable[[Event], None]


def training_data(task: NetworkTask[Any], texts: TrainingTexts) -> TrainingData:
    """The texts of a task as the loop takes them."""
    vocabulary, shown = texts.vocabulary, task.extra_inputs

    def extra_inputs(batch: Batch, *, learning: bool) -> Arrays:
        assert shown is not None
        return shown(batch.rows, batch.inputs.shape[1], learning=learning)

    rare = [int(vocabulary.encode(character)[0]) for character in sorted(rare_characters(list(texts.texts)))]
    return TrainingData(
        task.train,
        task.validation,
        np.array(rare, np.int64),
        vocabulary.unknown_bits,
        task.widths,
        extra_inputs if shown is not None else None,
    )


def new_networks(
    task: NetworkTask[N],
    texts: TrainingTexts,
    data: TrainingData,
    states: Sequence[Checkpoint],
    options: TrainingOptions,
    *,
    opening: bool,
) -> list[N]:
    """The networks before their first epoch: new ones, or going on from the base.

    With `opening`, the gates of those that go on from nothing have learnt.
    """
    networks: list[N] = []
    for number in range(task.count):
        torch.manual_seed(seed_of(number, options.seed))
        network = task.build()
        if texts.base is not None:
            weights = task.bases[number % len(task.bases)]
            warm_start(network, texts.vocabulary, weights, texts.base.vocabulary)
            task.inherit(network, weights)
        networks.append(network)
    fresh = [network for network, state in zip(networks, states, strict=True) if not state.exists()]
    gates = [network for network in fresh if isinstance(network, gate_warmup.GateNetwork)]
    if opening and texts.base is None and gates:
        gate_warmup.warm_up(gates, data, options)
    return networks


def fit_networks(
    networks: Sequence[nn.Module],
    data: TrainingData,
    options: TrainingOptions,
    states: Sequence[Checkpoint],
    *,
    listen: Listener,
    **bounds: Any,
) -> list[tuple[EpochEnded, ...]]:
    """Train networks in place, with the same options but for the seed; the epochs of each. `bounds` as in `fit`."""
    threads = torch.get_num_threads()
    each = max(1, (options.threads or threads) // len(networks)) if len(networks) > 1 else options.threads
    calls = [
        partial(
            fit,
            network,
            data,
            options.model_copy(update={"seed": seed_of(number, options.seed), "threads": each}),
            checkpoint=state,
            **bounds,
        )
        for number, (network, state) in enumerate(zip(networks, states, strict=True))
    ]
    if len(calls) == 1:
        return [calls[0](on_event=listen)]
    try:
        torch.set_num_threads(each or threads)  # what a thread begins with
        return side_by_side([lambda tell, call=call: call(on_event=tell) for call in calls], listen)
    finally:
        torch.set_num_threads(threads)


def seed_of(member: int, seed: int) -> int:
    """The seed of a member; the first one has that of the run."""
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0]) if member else seed


_AGAIN = 1.0
"""Seconds from which on an interrupt is a second one: a listener may raise it at every event that was told before."""


class _AbortError(BaseException):
    """Ends a thread whose run has failed elsewhere."""


def side_by_side(calls: Sequence[Callable[[Listener], T]], listen: Listener) -> list[T]:
    """The results of calls that each run in a thread and tell what they do; `listen` is called in this thread.

    `KeyboardInterrupt` is raised in every call where it next tells something, a second one and any other error end all
    of them. The threads tell by a queue, so a listener need not know of them.
    """
    told: SimpleQueue[MemberEvent] = SimpleQueue()
    stops: list[type[BaseException]] = []

    def run(number: int, call: Callable[[Listener], T]) -> T:
        heeded = 0

        def tell(event: Any) -> None:
            nonlocal heeded
            if heeded < len(stops):
                heeded = len(stops)
                raise stops[-1]
            told.put(MemberEvent(number + 1, len(calls), event))

        try:
            with listening(tell):
                return call(tell)
        except BaseException:
            stops.append(_AbortError)
            raise

    with ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(run, number, call) for number, call in enumerate(calls)]
        failed: BaseException | None = None
        interrupted = 0.0
        while not told.empty() or not all(one.done() for one in running):
            try:
                listen(told.get(timeout=0.2))
            except Empty:
                continue
            except KeyboardInterrupt as error:
                if not stops:
                    interrupted = time.monotonic()
                    stops.append(KeyboardInterrupt)
                elif time.monotonic() - interrupted > _AGAIN:
                    failed = failed or error
                    stops.append(_AbortError)
            except BaseException as error:
                failed = failed or error
                stops.append(_AbortError)
        wait(running)
    errors = [error for one in running if (error := one.exception()) is not None]
    if failed is not None:
        raise failed
    if errors:
        raise next((error for error in errors if not isinstance(error, _AbortError)), errors[0])
    return [one.result() for one in running]
