"""A failure in a round fails the requests that it concerns; all others get their texts, and the thread goes on."""

from __future__ import annotations

import asyncio
import gc
import importlib
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from tests.server.scheduler.conftest import generate_call, ids_of, run, suggest_call, until

import kammil
from kammil.completion.completer import Completer
from kammil.decoding import sampling
from kammil.decoding.options import Options
from kammil.errors import FolderError
from kammil.server.scheduler.decode import Batch, DecodeBatches
from kammil.server.scheduler.requests import Generation, RoundError, ScoreCall, StoppedError, TextPart
from kammil.server.scheduler.scheduler import Scheduler
from kammil.vocabulary import EOS

PROMPTS = ["شو حلو", "مرحبا كيفك اليوم يا", "والله ", "hello", "الحمدلله"]
LONG: Options = {"length": 1000, "min_length": 1000}
"""Options of a text that is still being generated when other requests come."""
SECONDS = 20
"""Longest wait for a result, since a thread that has ended would give none."""


class BrokenError(Exception):
    """An error that no code expects."""


class Once:
    """Wraps a function; the first call after it is armed raises."""

    def __init__(self, real: Callable[..., Any], error: BaseException) -> None:
        self.real, self.error, self.armed, self.failed = real, error, False, 0

    def __get__(self, instance: object, _owner: type) -> Any:  # as a method of a class
        return partial(self, instance)

    def __call__(self, *given: Any, **named: Any) -> Any:
        if self.armed:
            self.armed = False
            self.failed += 1
            raise self.error
        return self.real(*given, **named)


@pytest.fixture
def model(folder_of: Callable[[str], Path]) -> Completer:
    """A model whose states grow, so that they have to be aligned, for one test alone."""
    return kammil.load(folder_of("blend"))


@pytest.fixture(scope="module")
def alone(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("blend"))


def options(i: int) -> Options:
    return {"length": 30, "min_length": 30, "temperature": 0.9, "seed": i}


async def crowd(scheduler: Scheduler, model: Completer) -> list[object]:
    """The results, or errors, of generations, a beam search, suggestions and a score that start one after the other."""

    async def one(i: int) -> object:
        await asyncio.sleep(0.002 * i)
        if i == 5:
            found, _ = await scheduler.run(suggest_call(model, "شو حل", words=2))
            return [word.text for word in found]
        if i == 6:
            found, _ = await scheduler.run(suggest_call(model, "مرحبا كي"))
            return [word.text for word in found]
        if i == 7:
            scored = ScoreCall(time.monotonic() + 60, model, np.append(ids_of(model, PROMPTS[0]), EOS), 0)
            return [token.id for token in await scheduler.run(scored)]
        asked: Options = options(i) if i != 8 else {"length": 6, "beams": 3}
        return [text.text for text in await scheduler.run(generate_call(model, PROMPTS[i % 5], asked, 1 + i % 2))]

    some = (asyncio.wait_for(one(i), SECONDS) for i in range(9))
    return await asyncio.gather(*some, return_exceptions=True)


def wanted(alone: Completer) -> list[object]:
    texts: list[object] = [
        [text.text for text in alone.samples(PROMPTS[i % 5], 1 + i % 2, **options(i))] for i in range(5)
    ]
    texts += [[word.text for word in alone.suggest(prefix, 3)] for prefix in ("شو حل", "مرحبا كي")]
    texts.append([*alone.vocabulary.encode(PROMPTS[0]).tolist(), EOS])
    texts.append([text.text for text in alone.samples(PROMPTS[3], 1, length=6, beams=3)])
    return texts


@pytest.mark.parametrize("error", [MemoryError, BrokenError])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("decode", "DecodeBatches._merge"),
        ("decode", "concat_states"),
        ("decode", "decode_step"),
        ("decode", "select_rows"),
        ("prefill", "concat_states"),
        ("prefill", "row_shapes"),
        ("prefill", "PrefillQueue.step"),
        ("scheduler", "row_shapes"),
        ("scheduler", "concat_states"),
        ("scheduler", "select_rows"),
        ("scheduler", "Completer.suggest_after"),
        ("scheduler", "Scheduler._start_decoding"),
        ("scheduler", "Scheduler._update_stats"),
        ("scheduler", "Scheduler._suggest"),
        ("scheduler", "Completer.phrase_after"),
        ("requests", "ReplyQueue.still_wanted"),
        ("requests", "ReplyQueue.send_parts"),
        ("requests", "ReplyQueue.flush"),
        ("requests", "Generation.texts"),
        ("requests", "Generation.set_hypotheses"),
        ("requests", "PromptScorer.advance"),
    ],
)
def test_a_failure_fails_only_the_requests_that_it_concerns(
    model: Completer,
    alone: Completer,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    name: str,
    error: type[Exception],
) -> None:
    owner: Any = importlib.import_module(f"kammil.server.scheduler.{module}")
    *within, attribute = name.split(".")
    for part in within:
        owner = getattr(owner, part)
    once = Once(getattr(owner, attribute), error())
    monkeypatch.setattr(owner, attribute, once)

    async def work(scheduler: Scheduler) -> tuple[list[object], list[object]]:
        once.armed = True
        during = await crowd(scheduler, model)
        return during, await crowd(scheduler, model)

    during, after = run(model, work)
    assert once.failed == 1
    assert after == wanted(alone)
    failed = [one for one in during if isinstance(one, Exception)]
    assert failed or (module, name) == (
        "decode",
        "select_rows",
    )  # the batch may be empty then
    assert all(isinstance(one, error | RoundError) for one in failed)
    assert [one for one in during if not isinstance(one, Exception)] == [
        right for one, right in zip(during, wanted(alone), strict=True) if not isinstance(one, Exception)
    ]


@pytest.mark.parametrize("place", ["packed", "read", "suggested"])
def test_states_that_cannot_be_aligned_fail_the_new_requests(model: Completer, alone: Completer, place: str) -> None:
    once = Once(model.language_model.pad_states, MemoryError())
    model.language_model.pad_states = once  # pyright: ignore[reportAttributeAccessIssue]

    async def work(scheduler: Scheduler) -> list[object]:
        first = asyncio.ensure_future(scheduler.run(generate_call(model, PROMPTS[0], options(0) | LONG)))
        await until(lambda: scheduler.stats.live)
        calls: list[Any] = []
        if place == "packed":
            calls = [generate_call(model, PROMPTS[1], options(1))]
        elif place == "read":
            calls = [generate_call(model, prompt, options(1)) for prompt in PROMPTS[1:4]]
        else:
            calls = [suggest_call(model, PROMPTS[1])]  # aligned alone, with no other state
        once.armed = True
        asked = [asyncio.wait_for(scheduler.run(call), SECONDS) for call in calls]
        return [*await asyncio.gather(*asked, return_exceptions=True), (await first)[0].text]

    *failed, text = run(model, work)
    assert all(isinstance(one, MemoryError) for one in failed)
    assert text == alone.complete(PROMPTS[0], **(options(0) | LONG)).text


@pytest.mark.parametrize("least", [0, 30], ids=["chosen together", "chosen alone"])
def test_a_text_that_cannot_be_sampled_fails_its_request_alone(
    model: Completer, alone: Completer, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    real = sampling.sample
    fourth = np.random.default_rng([2, 0]).random(4)[3]  # of the text with seed 2

    def drawn(weights: Any, chances: Any) -> Any:
        if fourth in chances:
            raise BrokenError
        return real(weights, chances)

    monkeypatch.setattr(sampling, "sample", drawn)

    async def work(scheduler: Scheduler) -> list[object]:
        calls = [generate_call(model, prompt, options(i) | {"min_length": least}) for i, prompt in enumerate(PROMPTS)]
        asked = [asyncio.wait_for(scheduler.run(call), SECONDS) for call in calls]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = run(model, work)
    assert isinstance(answers[2], BrokenError)
    for i in (0, 1, 3, 4):
        (written,) = cast(list[TextPart], answers[i])
        assert written.text == alone.complete(PROMPTS[i], **(options(i) | {"min_length": least})).text


def test_a_text_without_probabilities_fails_alone(
    model: Completer, alone: Completer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DecodeBatches._step_batch  # pyright: ignore[reportPrivateUsage]

    def step(self: DecodeBatches, batch: Batch) -> bool:
        if len(batch.generations) == 5 and batch.generations[1].sequences[0].num_decisions >= 7:
            batch.log_probabilities[1] = np.nan
        return real(self, batch)

    monkeypatch.setattr(DecodeBatches, "_step_batch", step)

    async def work(scheduler: Scheduler) -> list[object]:
        calls = [generate_call(model, prompt, options(i)) for i, prompt in enumerate(PROMPTS)]
        asked = [asyncio.wait_for(scheduler.run(call), SECONDS) for call in calls]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = run(model, work)
    assert isinstance(answers[1], FolderError)
    for i in (0, 2, 3, 4):
        (written,) = cast(list[TextPart], answers[i])
        assert written.text == alone.complete(PROMPTS[i], **options(i)).text


def test_failed_requests_are_dropped(model: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Once(Scheduler._update_stats, MemoryError())  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Scheduler, "_update_stats", once)

    async def work(scheduler: Scheduler) -> tuple[list[weakref.ref[Generation]], list[int], int]:
        calls = [generate_call(model, prompt, options(0) | LONG) for prompt in PROMPTS]
        asked = [asyncio.ensure_future(scheduler.run(call)) for call in calls]
        await until(lambda: scheduler.stats.live >= 5)
        assert len(model.state_cache)
        once.armed = True
        got = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), SECONDS)
        assert [type(one) for one in got] == [MemoryError] * 5
        left = [weakref.ref(call) for call in calls]
        await until(lambda: not scheduler.stats.live)
        return left, [scheduler.stats.live, scheduler.stats.waiting], len(model.state_cache)

    left, figures, states = run(model, work)
    gc.collect()
    assert [one() for one in left] == [None] * 5
    assert figures == [0, 0]
    assert states == 0  # they may be half written


@pytest.mark.parametrize("error", [SystemExit, MemoryError])
def test_no_request_waits_for_a_thread_that_has_ended(
    model: Completer, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    once = Once(Scheduler._update_stats, error())  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Scheduler, "_update_stats", once)
    if error is MemoryError:  # the handling of the failure fails too
        monkeypatch.setattr(Scheduler, "_fail_round", Once(lambda *_: None, MemoryError()))
        vars(Scheduler)["_fail_round"].armed = True

    async def main() -> None:
        scheduler = Scheduler(model)
        asked = [
            asyncio.ensure_future(scheduler.run(generate_call(model, prompt, options(0) | LONG))) for prompt in PROMPTS
        ]
        await until(lambda: scheduler.stats.live >= 5)
        assert scheduler.alive
        once.armed = True
        got = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), SECONDS)
        assert [type(one) for one in got] == [StoppedError] * 5
        assert not scheduler.alive
        with pytest.raises(StoppedError):  # later requests fail at once
            await asyncio.wait_for(scheduler.run(generate_call(model, "شو", options(1))), SECONDS)
        await asyncio.to_thread(scheduler.thread.join, SECONDS)
        assert not scheduler.thread.is_alive()
        scheduler.fail_remaining()  # a second time

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name == "kammil-scheduler" and thread.is_alive()]


def test_a_callback_that_fails_keeps_no_other_request_from_its_result(model: Completer, alone: Completer) -> None:
    def fail(_pieces: object) -> None:
        raise BrokenError

    async def work(scheduler: Scheduler) -> list[list[TextPart]]:
        calls = [generate_call(model, PROMPTS[0], options(0), on_parts=fail)]
        calls += [generate_call(model, prompt, options(1)) for prompt in PROMPTS[1:]]
        asked = [asyncio.wait_for(scheduler.run(call), SECONDS) for call in calls]
        return await asyncio.gather(*asked)

    texts = [written.text for (written,) in run(model, work)]
    assert texts == [alone.complete(prompt, **options(min(i, 1))).text for i, prompt in enumerate(PROMPTS)]
