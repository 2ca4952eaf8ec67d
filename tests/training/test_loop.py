"""The one loop: reproducible, resumable, interruptible, and honest about what it measured."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from kammil.errors import FolderError, OptionError
from kammil.language_model import Ids
from kammil.models.family import NetworkTask
from kammil.progress import (
    EpochEnded,
    Event,
    Listener,
    MemberEvent,
    Notice,
    TrainingEnded,
    TrainingProgress,
    TrainingStarted,
    note,
)
from kammil.training import loop, time_budget
from kammil.training.checkpoint import Checkpoint
from kammil.training.loop import fit, run_parallel
from kammil.training.optim import warmup_then_cosine
from kammil.training.recipe import TrainingOptions
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

SIZE = 12
"""V."""
UNKNOWN_BITS = 17.5

Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """The loop may set the number of threads of the process; the next test gets the old one back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> NetworkTask[Any]:
    """Texts of a chain in which each id has two likely followers; the validation part holds unknown ids too."""
    generator = np.random.default_rng(5)

    def text(length: int) -> Ids:
        ids = [int(generator.integers(SPECIALS, SIZE))]
        while len(ids) < length:
            ids.append(SPECIALS + (ids[-1] + int(generator.integers(1, 3))) % (SIZE - SPECIALS))
        return np.array(ids, np.int64)

    train = [text(int(n)) for n in generator.integers(1, 60, 40)]
    validation = [text(int(n)) for n in generator.integers(1, 60, 12)]
    validation[3][0] = validation[5][-1] = validation[5][-2] = UNK
    return NetworkTask(nn.Module, train, validation, rare=[SIZE - 1], unknown_bits=UNKNOWN_BITS)


def network(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    """The smallest network that can learn the chain: it sees one id."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(SIZE, 8, padding_idx=PAD), nn.Dropout(dropout), nn.Linear(8, SIZE))


def options(**changes: Any) -> TrainingOptions:
    plain: dict[str, Any] = {"epochs": 4, "batch_size": 8, "learning_rate": 0.05, "device": "cpu", "threads": 1}
    plain["precision"] = "float32"  # some laws are exact
    return TrainingOptions(**plain | changes)


def weights(model: nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def equal(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def timeless(history: Sequence[EpochEnded]) -> list[EpochEnded]:
    return [
        dataclasses.replace(event, elapsed=0.0, early=tuple((0.0, bits) for _, bits in event.early))
        for event in history
    ]


def ended_or_under_way(heard: Sequence[Event]) -> list[TrainingProgress | EpochEnded]:
    return [event for event in heard if isinstance(event, TrainingProgress | EpochEnded)]


def stop_at(epoch: int, step: int, error: type[BaseException]) -> Callable[[Event], None]:
    """A listener that raises after a step; step 0 is the end of the epoch."""

    def listen(event: Event) -> None:
        at = event.step if isinstance(event, TrainingProgress) else 0
        if isinstance(event, TrainingProgress | EpochEnded) and event.epoch == epoch and at == step:
            raise error

    return listen


class KilledError(BaseException):
    """Stands for the end of the process: nothing in the loop handles it."""


def test_half_precision_learns_as_well(data: NetworkTask[Any]) -> None:
    """Its weights are others, its figures are not, and it repeats itself to the bit."""
    made = [(network(), p) for p in ("float32", "bfloat16", "bfloat16")]
    whole, half, again = (fit(model, data, options(precision=p)) for model, p in made)
    assert timeless(half) == timeless(again)
    assert not equal(weights(made[0][0]), weights(made[1][0])) and equal(weights(made[1][0]), weights(made[2][0]))
    assert whole[-1].validation_bits < whole[0].validation_bits
    assert half[-1].validation_bits == pytest.approx(whole[-1].validation_bits, abs=0.02)


def test_the_first_epoch_is_validated_on_the_way(data: NetworkTask[Any]) -> None:
    """And looking changes nothing: the weights are those of a run that never looked."""
    first, *later = fit(network(), data, options())
    assert len(first.early) == len({math.ceil(5 / part) for part in (16, 8, 4, 2)}) == 3
    seconds = [at for at, _ in first.early]
    assert seconds == sorted(seconds) and seconds[-1] <= first.elapsed
    assert first.early[0][1] > first.validation_bits
    assert not any(event.early for event in later)


# ---- seeds


def test_one_seed_gives_one_model_to_the_bit(data: NetworkTask[Any]) -> None:
    runs: list[tuple[Weights, list[EpochEnded]]] = []
    for seed in (3, 3, 4):
        model = network()
        torch.rand(7 * seed)  # what others draw in between is no matter
        history = fit(model, data, options(seed=seed))
        runs.append((weights(model), timeless(history)))
    assert equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not equal(runs[0][0], runs[2][0])


# ---- what is measured


def test_an_epoch_of_few_steps_is_drawn_from_all_texts(data: NetworkTask[Any], tmp_path: Path) -> None:
    """40 texts are 20 batches of 2: epochs of 7 steps are validated, saved and resumed like passes."""
    seen: list[Event] = []
    few = options(epochs=3, batch_size=2, epoch_steps=7, patience=3)
    history = fit(first := network(), data, few, on_event=seen.append)
    assert len(history) == 3
    assert [event.step for event in seen if isinstance(event, TrainingProgress)] == [*range(1, 8)] * 3
    assert {event.steps for event in seen if isinstance(event, TrainingProgress)} == {7}
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(RuntimeError):
        fit(network(), data, few, on_event=stop_at(2, 3, RuntimeError), checkpoint=checkpoint)
    fit(resumed := network(), data, few, checkpoint=checkpoint)
    assert equal(weights(first), weights(resumed))
    fit(whole := network(), data, options(epochs=3, batch_size=2, epoch_steps=100, patience=3))
    fit(passes := network(), data, options(epochs=3, batch_size=2, patience=3))
    assert equal(weights(whole), weights(passes))


@pytest.mark.parametrize("objective", ["text", "completion"])
@pytest.mark.parametrize("block", [8, 512])
def test_the_figures_are_those_of_the_definition(data: NetworkTask[Any], objective: str, block: int) -> None:
    """Bits by the formula, text by text, of a model that stays as it is; the loop pads, batches and cuts."""
    model = network(dropout=0).eval()
    start = weights(model)

    def measured(texts: Sequence[Ids]) -> tuple[float, float]:
        bits, right, count = 0.0, 0, 0
        for text in texts:
            inputs, targets = [BOS, *text.tolist()], [*text.tolist(), EOS]
            with torch.no_grad():
                rows = model(torch.tensor([inputs]))[0].double().numpy()
            first = len(text) // 2 if objective == "completion" else 0
            last = first + 30 if objective == "completion" else len(targets)
            for row, target in list(zip(rows, targets, strict=True))[first:last]:
                bits -= (row[target] - np.log(np.exp(row).sum())) / math.log(2)
                bits += UNKNOWN_BITS if target == UNK else 0
                right += int(row.argmax() == target)
                count += 1
        return bits / count, right / count

    plain = dataclasses.replace(data, rare=())
    still = options(epochs=1, learning_rate=1e-30, weight_decay=0, objective=objective, block=block)
    (event,) = fit(model, plain, still)
    assert equal(weights(model), start)
    assert (event.train_bits, event.train_accuracy) == pytest.approx(measured(data.train), rel=1e-5)
    assert (event.validation_bits, event.validation_accuracy) == pytest.approx(measured(data.validation), rel=1e-5)


def test_validation_is_without_dropout(data: NetworkTask[Any]) -> None:
    still = options(epochs=2, learning_rate=1e-30, weight_decay=0)
    bits = [event.validation_bits for p in (0.0, 0.9) for event in fit(network(dropout=p), data, still)]
    assert bits == [bits[0]] * 4


@pytest.mark.parametrize("clip", [0.05, 1e9])
def test_it_is_the_textbook_loop(data: NetworkTask[Any], clip: float) -> None:
    """All texts in one batch, against the same thing written down again: mean loss, clipping, AdamW, schedule."""
    plain = dataclasses.replace(data, rare=())
    how = options(epochs=12, batch_size=64, gradient_clip=clip, weight_decay=0.7, warmup=0.25)
    # In double precision: Adam divides small gradients by themselves, and their rounding with it.
    model, reference = network(dropout=0).double(), network(dropout=0).double()
    history = fit(model, plain, how)

    matrices = [p for p in reference.parameters() if p.dim() == 2]
    vectors = [p for p in reference.parameters() if p.dim() == 1]
    decayed = torch.optim.AdamW(matrices, betas=(0.9, 0.99), weight_decay=0.7)
    spared = torch.optim.AdamW(vectors, betas=(0.9, 0.99), weight_decay=0)
    best, kept = math.inf, weights(reference)
    for epoch in range(12):
        rate = 0.05 * warmup_then_cosine(epoch / 12, warmup=0.25)
        nats, count = torch.zeros((), dtype=torch.double), 0
        for text in plain.train:
            logits = reference(torch.tensor([BOS, *text.tolist()]))
            nats = nats + nn.functional.cross_entropy(logits, torch.tensor([*text.tolist(), EOS]), reduction="sum")
            count += len(text) + 1
        reference.zero_grad()
        (nats / count).backward()
        nn.utils.clip_grad_norm_(reference.parameters(), clip)
        for optimiser in (decayed, spared):
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
        assert history[epoch].train_bits == pytest.approx(nats.item() / count / math.log(2), rel=1e-9)
        assert history[epoch].learning_rate == pytest.approx(rate)
        if history[epoch].validation_bits < best:
            best, kept = history[epoch].validation_bits, weights(reference)
    for name, value in weights(model).items():
        assert value.numpy() == pytest.approx(kept[name].numpy(), abs=1e-9)


def test_it_learns_what_there_is_to_learn(data: NetworkTask[Any]) -> None:
    known = [text for text in data.validation if UNK not in text]
    model = network(dropout=0)
    history = fit(model, dataclasses.replace(data, validation=known), options(epochs=30))
    # One bit a step, three at the start, and some for the end of text, which comes in one of 31 places.
    assert history[0].validation_bits > history[-1].validation_bits
    assert 1.0 < history[-1].validation_bits < 1.5


def test_events_come_in_order(data: NetworkTask[Any]) -> None:
    heard: list[Event] = []
    history = fit(network(), data, options(epochs=3), on_event=heard.append)
    steps = math.ceil(len(data.train) / 8)
    places = [(e.epoch, e.step if isinstance(e, TrainingProgress) else steps + 1) for e in ended_or_under_way(heard)]
    assert places == [(epoch, step) for epoch in (1, 2, 3) for step in range(1, steps + 2)]
    assert tuple(e for e in heard if isinstance(e, EpochEnded)) == history
    progressed = [e for e in heard if isinstance(e, TrainingProgress)]
    assert [e.progress for e in progressed] == pytest.approx([i / (3 * steps) for i in range(3 * steps)])
    assert {(e.steps, e.epochs) for e in progressed} == {(steps, 3)}
    assert progressed[steps - 1].train_bits == history[0].train_bits
    times = [e.elapsed for e in ended_or_under_way(heard)]
    assert times == sorted(times)


# ---- early stopping


def test_the_best_weights_are_kept_and_patience_ends_the_run(data: NetworkTask[Any]) -> None:
    few = dataclasses.replace(data, train=data.train[:3])  # soon learnt by heart
    model = network(dropout=0)
    seen: list[Weights] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded):
            seen.append(weights(model))

    history = fit(model, few, options(epochs=500, patience=3, learning_rate=0.3), on_event=listen)
    bits = [event.validation_bits for event in history]
    best = bits.index(min(bits))
    assert len(history) == best + 1 + 3 < 500
    assert equal(weights(model), seen[best])
    assert not equal(weights(model), seen[-1])
    assert [event.best for event in history] == [b < min(bits[:i], default=math.inf) for i, b in enumerate(bits)]


# ---- interruptions


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (1, 0), (2, 1), (3, 5), (4, 0)])
def test_a_killed_run_goes_on_to_the_same_weights(
    data: NetworkTask[Any], tmp_path: Path, epoch: int, step: int
) -> None:
    whole = network()
    history = fit(whole, data, options())
    with pytest.raises(KilledError):
        fit(network(), data, options(), on_event=stop_at(epoch, step, KilledError), checkpoint=Checkpoint(tmp_path))
    finished = epoch if step == 0 else epoch - 1
    assert Checkpoint(tmp_path).exists() == (finished > 0)
    # What was initialised is overwritten, unless nothing was kept.
    model = network(seed=1 if finished else 0)
    heard: list[Event] = []
    resumed = fit(model, data, options(), checkpoint=Checkpoint(tmp_path), on_event=heard.append)
    assert equal(weights(model), weights(whole))
    assert timeless(resumed) == timeless(history)
    assert [e.epoch for e in heard if isinstance(e, EpochEnded)] == [*range(finished + 1, 5)]
    times = [event.elapsed for event in resumed]
    assert times == sorted(times)


def test_a_run_that_ended_early_ends_early_again(data: NetworkTask[Any], tmp_path: Path) -> None:
    few = dataclasses.replace(data, train=data.train[:3])
    how = options(epochs=500, patience=2, learning_rate=0.3)
    model = network()
    history = fit(model, few, how, checkpoint=Checkpoint(tmp_path))
    again = network(seed=1)
    assert fit(again, few, how, checkpoint=Checkpoint(tmp_path)) == history
    assert equal(weights(again), weights(model))


def test_a_checkpoint_of_another_network_is_refused(data: NetworkTask[Any], tmp_path: Path) -> None:
    fit(network(), data, options(epochs=1), checkpoint=Checkpoint(tmp_path))
    other = nn.Sequential(nn.Embedding(SIZE, 9), nn.Linear(9, SIZE))
    with pytest.raises(FolderError, match="does not fit this training run"):
        fit(other, data, options(epochs=1), checkpoint=Checkpoint(tmp_path))


def test_an_interrupt_in_the_first_epoch_keeps_the_weights_of_the_moment(
    data: NetworkTask[Any], tmp_path: Path
) -> None:
    model = network()
    history = fit(model, data, options(), on_event=stop_at(1, 2, KeyboardInterrupt), checkpoint=Checkpoint(tmp_path))
    assert [event.epoch for event in history] == [1]
    assert Checkpoint(tmp_path).exists()
    assert not equal(weights(model), weights(network()))


@pytest.mark.parametrize(("epoch", "step", "kept"), [(1, 0, 1), (3, 1, 2), (3, 0, 3)])
def test_an_interrupt_later_keeps_the_best_whole_epoch(
    data: NetworkTask[Any], epoch: int, step: int, kept: int
) -> None:
    model, whole = network(), network()
    history = fit(model, data, options(), on_event=stop_at(epoch, step, KeyboardInterrupt))
    assert len(history) == kept
    reference: list[Weights] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.best:
            reference.append(weights(whole))

    full = fit(whole, data, options(), on_event=listen)
    assert timeless(history) == timeless(full[:kept])
    best = sum(event.best for event in full[:kept])
    assert equal(weights(model), reference[best - 1])


class Unlucky(nn.Module):
    """A network during whose first step somebody presses Ctrl-C."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(SIZE, SIZE))

    def forward(self, ids: Tensor) -> Tensor:
        raise KeyboardInterrupt


def test_an_interrupt_before_the_first_step_leaves_nothing(data: NetworkTask[Any], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Unlucky(), data, options(), checkpoint=Checkpoint(tmp_path))
    assert not list(tmp_path.iterdir())


# ---- weights that run off


class Exploding(nn.Module):
    """A network whose logits are no numbers from a certain call on."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.inner, self.calls = network(), calls

    def forward(self, ids: Tensor) -> Tensor:
        self.calls -= 1
        return self.inner(ids) * (math.nan if self.calls < 0 else 1.0)


def test_a_loss_that_is_no_number_is_said_in_one_sentence(data: NetworkTask[Any]) -> None:
    with pytest.raises(OptionError, match=r"learning_rate 0\.05 the loss is no number any more; give a lower one"):
        fit(Exploding(0), data, options())


def test_a_loss_that_becomes_no_number_ends_the_run_with_what_was_good(data: NetworkTask[Any], tmp_path: Path) -> None:
    model = Exploding(20)  # epochs are of 5 steps and 2 batches of validation
    history = fit(model, data, options(epochs=9), checkpoint=Checkpoint(tmp_path))
    assert len(history) == 2
    assert all(math.isfinite(event.validation_bits) for event in history)
    assert all(value.isfinite().all() for value in weights(model).values())


# ---- the clock


class Clock:
    """A clock that goes on by a fixed time whenever it is read."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


def clocked(monkeypatch: pytest.MonkeyPatch, tick: float) -> Clock:
    """The clock of the run and that of the loop read the same time."""
    made = Clock(tick)
    monkeypatch.setattr(time_budget, "time", SimpleNamespace(monotonic=made.monotonic, process_time=lambda: 0.0))
    return made


def test_minutes_stretch_the_schedule_and_end_the_run(data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, 1.0)
    heard: list[Event] = []
    how = options(epochs=10_000, minutes=5, patience=10_000, warmup=0.2)
    history = fit(network(), data, how, on_event=heard.append)
    assert 300 <= history[-1].elapsed <= 310  # a few more readings of the clock
    progress = [event.progress for event in heard if isinstance(event, TrainingProgress)]
    assert progress == sorted(progress)
    assert progress[0] < 0.02 and 0.98 < progress[-1] < 1
    rates = [event.learning_rate for event in history]
    assert rates[-1] < 0.05 * 0.02  # all the way down
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0.1 < peak / len(rates) < 0.3


def test_epochs_end_a_run_before_its_minutes(data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, 0.001)
    assert len(fit(network(), data, options(epochs=2, minutes=60))) == 2


def test_the_least_minutes_are_one_step(data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, 100.0)
    heard: list[Event] = []
    model = network()
    history = fit(model, data, options(minutes=0.001), on_event=heard.append)
    assert [type(event) for event in heard] == [TrainingStarted, TrainingProgress, EpochEnded, TrainingEnded]
    assert len(history) == 1
    assert not equal(weights(model), weights(network()))


def test_minutes_of_a_resumed_run_go_on_counting(
    data: NetworkTask[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = options(epochs=10_000, minutes=5, patience=10_000)
    clocked(monkeypatch, 1.0)
    with pytest.raises(KilledError):
        fit(network(), data, how, on_event=stop_at(6, 2, KilledError), checkpoint=Checkpoint(tmp_path))
    clocked(monkeypatch, 1.0)
    history = fit(network(), data, how, checkpoint=Checkpoint(tmp_path))
    assert 300 <= history[-1].elapsed <= 310
    assert [event.epoch for event in history] == list(range(1, len(history) + 1))


# ---- devices


def test_runs_on_several_devices_in_one_process(data: NetworkTask[Any]) -> None:
    for device in ("cpu", "auto", "cpu"):
        model = network()
        fit(model, data, options(epochs=1, device=device))
        assert device == "auto" or {value.device.type for value in model.state_dict().values()} == {"cpu"}


def test_a_device_that_was_used_before_does_not_stick(data: NetworkTask[Any]) -> None:
    # accelerate keeps the first device of a process for all that follow; `meta` stands for an accelerator here.
    vars(Accelerator().state)["device"] = torch.device("meta")
    model = network()
    fit(model, data, options(epochs=1, device="cpu"))
    assert {value.device.type for value in model.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_said_in_one_sentence(data: NetworkTask[Any], device: str) -> None:
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is not None and found.type == device:
        pytest.skip(f"this machine has {device}")
    with pytest.raises(OptionError, match=f"device is '{device}', but this machine has"):
        fit(network(), data, options(device=device))


@pytest.mark.parametrize("error", [None, KilledError])
def test_threads_are_those_of_training_alone(data: NetworkTask[Any], error: type[BaseException] | None) -> None:
    torch.set_num_threads(2)
    seen: list[int] = []

    def listen(event: Event) -> None:
        seen.append(torch.get_num_threads())
        if error is not None and isinstance(event, TrainingProgress):
            raise error

    with pytest.raises(error) if error is not None else nullcontext():
        fit(network(), data, options(epochs=1, threads=1), on_event=listen)
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2


def test_where_it_learns_is_told_first(data: NetworkTask[Any]) -> None:
    heard: list[Event] = []
    model = network()
    fit(model, data, options(epochs=1, threads=1, device="cpu", precision="bfloat16"), on_event=heard.append)
    parameters = sum(value.numel() for value in weights(model).values())
    assert heard[0] == TrainingStarted("cpu", "bfloat16", 1, parameters=parameters)
    assert not any(isinstance(event, TrainingStarted) for event in heard[1:])


# ---- the clock of a whole run


def test_processor_minutes_do_not_pass_while_others_work(
    data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, 100.0)
    assert len(fit(network(), data, options(epochs=3, minutes=1, clock="processor"))) == 3
    assert len(fit(network(), data, options(epochs=3, minutes=1))) == 1


def test_what_came_before_and_what_comes_after_is_inside_the_minutes(
    data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    time = clocked(monkeypatch, 1.0)
    whole = time_budget.TimeBudget(5.0)
    time.now += 100  # counting
    fit(network(), data, options(epochs=10_000, minutes=5, patience=10_000), budget=whole, reserve=60.0)
    assert 215 < whole.elapsed <= 245


def test_a_long_validation_is_inside_the_minutes(data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a second, and so many validation texts that to judge by all of them takes ten minutes."""
    many = dataclasses.replace(data, validation=list(data.validation) * 400)
    clocked(monkeypatch, 1.0)
    whole = time_budget.TimeBudget(5.0)
    judged: list[int] = []
    validate = loop._Descent._validate  # pyright: ignore[reportPrivateUsage]

    def slow(run: Any) -> tuple[float, float]:
        judged.append(len(run.validation))
        return validate(run)

    monkeypatch.setattr(loop._Descent, "_validate", slow)  # pyright: ignore[reportPrivateUsage]
    history = fit(network(), many, options(epochs=10_000, minutes=5, patience=10_000), budget=whole, reserve=10.0)
    assert history and len(set(judged)) == 1 and judged[0] < 600
    assert 250 < whole.elapsed < 330


def test_no_time_at_all_is_one_step(data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    time = clocked(monkeypatch, 0.0)
    whole = time_budget.TimeBudget(1.0)
    time.now, time.tick = 500.0, 1.0
    heard: list[Event] = []
    history = fit(network(), data, options(minutes=1), on_event=heard.append, budget=whole, reserve=30.0)
    assert len(history) == 1 and sum(isinstance(event, TrainingProgress) for event in heard) == 1


def test_a_clock_stands_still_for_what_has_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    time = clocked(monkeypatch, 0.0)
    whole = time_budget.TimeBudget(1.0)
    time.now += 10
    with whole.stopped():
        time.now += 1000
    assert (whole.elapsed, whole.left) == (10, 50)
    time.now += 1000
    assert whole.left == 0
    assert time_budget.TimeBudget(None).left == math.inf


def test_an_epoch_draws_texts_by_their_weights(data: NetworkTask[Any]) -> None:
    def trained(weighted: NetworkTask[Any]) -> tuple[Weights, list[TrainingProgress]]:
        model, progress = network(), list[TrainingProgress]()
        fit(
            model,
            weighted,
            options(epochs=2),
            on_event=lambda event: progress.append(event) if isinstance(event, TrainingProgress) else None,
        )
        return weights(model), progress

    repeated = dataclasses.replace(data, weights=np.where(np.arange(40) < 20, 3.0, 0.75))
    first, progress = trained(repeated)
    assert {event.steps for event in progress} == {math.ceil((20 * 3 + 20 * 0.75) / 8)}
    assert [event.step for event in progress] == [*range(1, 11)] * 2
    again, _ = trained(repeated)
    assert all(torch.equal(first[name], again[name]) for name in first)
    plain, _ = trained(data)
    assert not all(torch.equal(first[name], plain[name]) for name in first)


# ---- how it ended


def ending(heard: list[Event]) -> TrainingEnded:
    (ended,) = [event for event in heard if isinstance(event, TrainingEnded)]
    return ended


def test_all_epochs_are_whole(data: NetworkTask[Any]) -> None:
    heard: list[Event] = []
    history = fit(network(), data, options(epochs=2), on_event=heard.append)
    assert [event.share for event in history] == [1, 1]
    best = max(event.epoch for event in history if event.best)
    assert ending(heard) == TrainingEnded(2, 2, "epochs", best)


def test_an_epoch_that_the_minutes_cut_is_no_whole_one(data: NetworkTask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, 1.0)
    heard: list[Event] = []
    history = fit(network(), data, options(epochs=10_000, minutes=5, patience=10_000), on_event=heard.append)
    steps = math.ceil(len(data.train) / 8)
    made = sum(isinstance(event, TrainingProgress) for event in heard)
    assert ending(heard).reason == "minutes"
    assert ending(heard).passes == pytest.approx(made / steps) == pytest.approx(len(history) - 1 + history[-1].share)


def test_patience_is_said(data: NetworkTask[Any]) -> None:
    heard: list[Event] = []
    few = dataclasses.replace(data, train=data.train[:3])
    history = fit(network(dropout=0), few, options(epochs=500, patience=3, learning_rate=0.3), on_event=heard.append)
    assert ending(heard) == TrainingEnded(len(history), 500, "patience", len(history) - 3)
    assert "would not help" in ending(heard).sentence


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (TrainingEnded(2.3125, 12, "minutes", 3), ("2.3 of 12", "more minutes would help")),
        (TrainingEnded(6, 12, "minutes", 4), ("6 of 12", "hardly help", "pass 4")),
        (TrainingEnded(0.001, 8, "minutes", 1), ("0.01 of 8", "would help")),
        (TrainingEnded(8, 8, "epochs", 8), ("all 8",)),
        (TrainingEnded(8, 8, "epochs", 6), ("all 8", "pass 6")),
        (TrainingEnded(3.5, 8, "interrupt", 3), ("3.5 of 8", "interrupted", "pass 3")),
        (TrainingEnded(3, 8, "loss", 2), ("3 of 8", "learning_rate")),
    ],
)
def test_how_it_ended_is_said_in_words(ended: TrainingEnded, words: tuple[str, ...]) -> None:
    assert all(word in ended.sentence for word in words)
    assert ("pass " in ended.sentence.replace("passes", "")) == (ended.best < ended.passes)


# Networks side by side


def endless(emit: Listener) -> str:
    """Emits events until it is interrupted, as the loop does; then emits a last one."""
    try:
        while True:
            emit(Notice("at work"))
    except KeyboardInterrupt:
        emit(Notice("ended early"))
        return "kept"


def test_results_come_in_order_and_all_events_arrive_in_the_calling_thread() -> None:
    events: list[tuple[Event, str]] = []
    barrier = threading.Barrier(3)

    def work(number: int) -> Callable[[Listener], int]:
        def call(emit: Listener) -> int:
            barrier.wait(timeout=60)  # so they do run at the same time
            emit(Notice(f"{number}"))
            note("a phase")  # deep within, where no listener is passed
            return number

        return call

    results = run_parallel(
        [work(n) for n in (1, 2, 3)], lambda event: events.append((event, threading.current_thread().name))
    )
    assert results == [1, 2, 3]
    assert {thread for _, thread in events} == {threading.current_thread().name}
    for n in (1, 2, 3):
        assert [e.event for e, _ in events if isinstance(e, MemberEvent) and e.member == n] == [
            Notice(f"{n}"),
            Notice("a phase"),
        ]


def test_an_interrupt_ends_every_call_early() -> None:
    events: list[str] = []

    def on_event(event: Event) -> None:
        assert isinstance(event, MemberEvent) and isinstance(event.event, Notice)
        events.append(event.event.sentence)
        if len(events) == 10:
            raise KeyboardInterrupt

    assert run_parallel([endless, endless], on_event) == ["kept", "kept"]
    assert events.count("ended early") == 2


def test_a_listener_may_interrupt_at_every_event() -> None:
    def on_event(event: Event) -> None:
        assert isinstance(event, MemberEvent)
        if event.event != Notice("ended early"):
            raise KeyboardInterrupt

    assert run_parallel([endless, endless], on_event) == ["kept", "kept"]


def test_a_later_interrupt_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_SECOND_INTERRUPT", 0.0)

    def stubborn(emit: Listener) -> None:
        while True:
            with suppress(KeyboardInterrupt):
                emit(Notice("at work"))

    def on_event(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_parallel([stubborn, stubborn], on_event)


@pytest.mark.parametrize("error", [OptionError, KilledError])
def test_an_error_ends_the_others_and_is_raised(error: type[BaseException]) -> None:
    def fails(emit: Listener) -> str:
        raise error("no number any more")

    with pytest.raises(error, match="no number"):
        run_parallel([endless, fails], lambda event: None)

    def on_event(event: Event) -> None:
        raise error("no number any more")

    with pytest.raises(error, match="no number"):
        run_parallel([endless, endless], on_event)
