"""Whatever fails in a round: those whom it concerns are told, all others get their texts, and the thread goes on."""

from __future__ import annotations

import asyncio
import gc
import importlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from tests.server.scheduler.conftest import ids_of, run, suggesting, writing

import kammil
from kammil.completion.completer import Completer
from kammil.decoding.options import Options
from kammil.errors import FolderError
from kammil.server.scheduler import EndedError, Engine, RoundError, Scoring, Writing, Written, sample
from kammil.server.scheduler.decode import Batch, Batches
from kammil.server.scheduler.requests import Job
from kammil.server.scheduler.scheduler import Engine as Thread
from kammil.vocabulary import EOS

PROMPTS = ["شو حلو", "مرحبا كيفك اليوم يا", "والله ", "hello", "الحمدلله"]
LONG: Options = {"length": 3000, "min_length": 3000}
"""Of a text that is still being written when others come."""
SECONDS = 20
"""Nobody waits longer for an answer here: a thread that has ended gives none."""


class BrokenError(Exception):
    """Nothing that anybody expects."""


class Once:
    """Does what another does, but fails when it is called for the first time after it was armed."""

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
    """Its states grow, so they have to be aligned; nobody else uses it."""
    return kammil.load(folder_of("blend"))


@pytest.fixture(scope="module")
def alone(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("blend"))


def options(i: int) -> Options:
    return {"length": 30, "min_length": 30, "temperature": 0.9, "seed": i}


async def crowd(engine: Engine, model: Completer) -> list[object]:
    """What comes of writings, a search, suggestions and a score that come one after the other; errors too."""

    async def one(i: int) -> object:
        await asyncio.sleep(0.002 * i)
        if i == 5:
            found, _ = await engine.ask(suggesting(model, "شو حل", words=2))
            return [word.text for word in found]
        if i == 6:
            found, _ = await engine.ask(suggesting(model, "مرحبا كي"))
            return [word.text for word in found]
        if i == 7:
            scored = Scoring(time.monotonic() + 60, model, np.append(ids_of(model, PROMPTS[0]), EOS), 0)
            return [token.id for token in await engine.ask(scored)]
        asked: Options = options(i) if i != 8 else {"length": 6, "beams": 3}
        return [text.text for text in await engine.ask(writing(model, PROMPTS[i % 5], asked, 1 + i % 2))]

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
        ("decode", "Batches._packed"),
        ("decode", "joined"),
        ("decode", "choose"),
        ("decode", "rows"),
        ("prefill", "joined"),
        ("prefill", "shapes"),
        ("prefill", "Prompts.read"),
        ("scheduler", "shapes"),
        ("scheduler", "joined"),
        ("scheduler", "rows"),
        ("scheduler", "spelled"),
        ("scheduler", "Engine._begun"),
        ("scheduler", "Engine._count"),
        ("scheduler", "Engine._suggest"),
        ("scheduler", "phrase"),
        ("replies", "Answers.wanted"),
        ("replies", "Answers.note"),
        ("replies", "Answers.hand_out"),
        ("requests", "Writing.written"),
        ("requests", "Writing.found"),
        ("requests", "Scanning.take"),
    ],
)
def test_a_failure_takes_nobody_with_it_whom_it_does_not_concern(
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

    async def work(engine: Engine) -> tuple[list[object], list[object]]:
        once.armed = True
        during = await crowd(engine, model)
        return during, await crowd(engine, model)

    during, after = run(model, work)
    assert once.failed == 1
    assert after == wanted(alone)
    failed = [one for one in during if isinstance(one, Exception)]
    assert failed or (module, name) == ("decode", "rows")  # where texts leave, those may be all there were
    assert all(isinstance(one, error | RoundError) for one in failed)
    assert [one for one in during if not isinstance(one, Exception)] == [
        right for one, right in zip(during, wanted(alone), strict=True) if not isinstance(one, Exception)
    ]


@pytest.mark.parametrize("place", ["packed", "read", "suggested"])
def test_states_that_cannot_be_aligned_fail_those_that_come(model: Completer, alone: Completer, place: str) -> None:
    once = Once(model.language_model.pad_states, MemoryError())
    model.language_model.pad_states = once  # pyright: ignore[reportAttributeAccessIssue]

    async def work(engine: Engine) -> list[object]:
        first = asyncio.ensure_future(engine.ask(writing(model, PROMPTS[0], options(0) | LONG)))
        while not engine.tally.live:
            await asyncio.sleep(0.001)
        calls: list[Any] = []
        if place == "packed":
            calls = [writing(model, PROMPTS[1], options(1))]
        elif place == "read":
            calls = [writing(model, prompt, options(1)) for prompt in PROMPTS[1:4]]
        else:
            calls = [suggesting(model, PROMPTS[1])]  # what it waits for is aligned with nothing, but is asked
        once.armed = True
        asked = [asyncio.wait_for(engine.ask(call), SECONDS) for call in calls]
        return [*await asyncio.gather(*asked, return_exceptions=True), (await first)[0].text]

    *failed, text = run(model, work)
    assert all(isinstance(one, MemoryError) for one in failed)
    assert text == alone.complete(PROMPTS[0], **(options(0) | LONG)).text


@pytest.mark.parametrize("least", [0, 30], ids=["chosen together", "chosen alone"])
def test_what_cannot_be_chosen_for_one_text_fails_that_request_alone(
    model: Completer, alone: Completer, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    real = sample._drawn  # pyright: ignore[reportPrivateUsage]
    failing: list[Job] = []

    def drawn(weights: Any, options: Any, jobs: Sequence[Job]) -> Any:
        made = real(weights, options, jobs)  # so that all generators have gone on
        if failing[0] in jobs and failing[0].decided == 3:
            raise BrokenError
        return made

    monkeypatch.setattr(sample, "_drawn", drawn)

    async def work(engine: Engine) -> list[object]:
        calls = [writing(model, prompt, options(i) | {"min_length": least}) for i, prompt in enumerate(PROMPTS)]
        failing.extend(calls[2].jobs)
        asked = [asyncio.wait_for(engine.ask(call), SECONDS) for call in calls]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = run(model, work)
    assert isinstance(answers[2], BrokenError)
    for i in (0, 1, 3, 4):
        (written,) = cast(list[Written], answers[i])
        assert written.text == alone.complete(PROMPTS[i], **(options(i) | {"min_length": least})).text


def test_a_text_without_probabilities_fails_alone(
    model: Completer, alone: Completer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Batches._step  # pyright: ignore[reportPrivateUsage]

    def step(self: Batches, batch: Batch) -> bool:
        if len(batch.writings) == 5 and batch.writings[1].jobs[0].decided == 7:
            batch.log_probabilities[1] = np.nan
        return real(self, batch)

    monkeypatch.setattr(Batches, "_step", step)

    async def work(engine: Engine) -> list[object]:
        calls = [writing(model, prompt, options(i)) for i, prompt in enumerate(PROMPTS)]
        asked = [asyncio.wait_for(engine.ask(call), SECONDS) for call in calls]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = run(model, work)
    assert isinstance(answers[1], FolderError)
    for i in (0, 2, 3, 4):
        (written,) = cast(list[Written], answers[i])
        assert written.text == alone.complete(PROMPTS[i], **options(i)).text


def test_what_failed_is_let_go(model: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Once(Thread._count, MemoryError())  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Thread, "_count", once)

    async def work(engine: Engine) -> tuple[list[weakref.ref[Writing]], list[int], int]:
        calls = [writing(model, prompt, options(0) | LONG) for prompt in PROMPTS]
        asked = [asyncio.ensure_future(engine.ask(call)) for call in calls]
        while engine.tally.live < 5:
            await asyncio.sleep(0.001)
        assert len(model.prefixes)
        once.armed = True
        got = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), SECONDS)
        assert [type(one) for one in got] == [MemoryError] * 5
        left = [weakref.ref(call) for call in calls]
        while engine.tally.live:
            await asyncio.sleep(0.001)
        return left, [engine.tally.live, engine.tally.waiting], len(model.prefixes)

    left, figures, states = run(model, work)
    gc.collect()
    assert [one() for one in left] == [None] * 5
    assert figures == [0, 0]
    assert states == 0  # it is not known what of them is whole


@pytest.mark.parametrize("error", [SystemExit, MemoryError])
def test_nobody_waits_for_a_thread_that_has_ended(
    model: Completer, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    once = Once(Thread._count, error())  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Thread, "_count", once)
    if error is MemoryError:  # and what is done about it fails too
        monkeypatch.setattr(Thread, "_abandon", Once(lambda *_: None, MemoryError()))
        vars(Thread)["_abandon"].armed = True

    async def main() -> None:
        engine = Engine(model)
        asked = [asyncio.ensure_future(engine.ask(writing(model, prompt, options(0) | LONG))) for prompt in PROMPTS]
        while engine.tally.live < 5:
            await asyncio.sleep(0.001)
        assert engine.alive
        once.armed = True
        got = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), SECONDS)
        assert [type(one) for one in got] == [EndedError] * 5
        assert not engine.alive
        with pytest.raises(EndedError):  # whoever comes later is told at once
            await asyncio.wait_for(engine.ask(writing(model, "شو", options(1))), SECONDS)
        await asyncio.to_thread(engine.join, SECONDS)
        engine.bury()  # may be repeated

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name == "kammil-engine" and thread.is_alive()]


def test_one_who_cannot_be_told_keeps_nobody_from_being_told(model: Completer, alone: Completer) -> None:
    def fail(_pieces: object) -> None:
        raise BrokenError

    async def work(engine: Engine) -> list[list[Written]]:
        calls = [writing(model, PROMPTS[0], options(0), progress=fail)]
        calls += [writing(model, prompt, options(1)) for prompt in PROMPTS[1:]]
        asked = [asyncio.wait_for(engine.ask(call), SECONDS) for call in calls]
        return await asyncio.gather(*asked)

    texts = [written.text for (written,) in run(model, work)]
    assert texts == [alone.complete(prompt, **options(min(i, 1))).text for i, prompt in enumerate(PROMPTS)]
