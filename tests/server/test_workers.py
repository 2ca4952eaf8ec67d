"""Threads: each request gets its own answer or error, whatever else they work on, and ends at the next step if it is
left."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.decoding.options import Options
from kammil.server import workers
from kammil.server.metrics import Metrics
from kammil.server.workers import Work, Workers, once, trim_heap

T = TypeVar("T")


class BrokenError(Exception):
    """An error that no code expects."""


def run(work: Callable[[Workers], Coroutine[Any, Any, T]], threads: int = 2) -> T:
    """Use some threads, which must then end by themselves."""

    async def main() -> T:
        pool = Workers(threads, Metrics(()))
        try:
            return await asyncio.wait_for(work(pool), 60)
        finally:
            pool.close()
            await asyncio.to_thread(pool._executor.shutdown)  # pyright: ignore[reportPrivateUsage]

    return asyncio.run(main())


async def until(true: Callable[[], object]) -> None:
    """Wait until a condition is true; `run` bounds the time."""
    while not true():
        await asyncio.sleep(0.001)


def steps(number: int, done: list[int] | None = None, answer: int = 0) -> Work[int]:
    """Work of so many steps, each of which is counted in a list."""
    for i in range(number):
        if done is not None:
            done.append(i)
        yield
    return answer


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=20), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_each_gets_its_own_answer_or_error(asked: list[tuple[int, bool]], threads: int) -> None:
    def work(i: int, number: int, fails: bool) -> Work[int]:
        yield from steps(number)
        if fails:
            raise BrokenError(i)
        return i

    async def all_of(pool: Workers) -> list[Any]:
        works = [pool.run(work(i, *one), "m", 60) for i, one in enumerate(asked)]
        return await asyncio.gather(*works, return_exceptions=True)

    got = run(all_of, threads)
    assert [one.args[0] if isinstance(one, BrokenError) else one for one in got] == list(range(len(asked)))
    assert [isinstance(one, BrokenError) for one in got] == [fails for _, fails in asked]


def test_who_leaves_is_not_worked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next step, or, while waiting, before the first one."""
    closed: list[str] = []

    def endless(name: str, done: list[int]) -> Work[int]:
        try:
            return (yield from steps(10**9, done))
        finally:
            closed.append(name)

    async def work(pool: Workers) -> tuple[int, int, list[int]]:
        done, waited = list[int](), list[int]()
        going = asyncio.create_task(pool.run(endless("going", done), "m", 60))
        waiting = asyncio.create_task(pool.run(endless("waiting", waited), "m", 60))
        await until(lambda: len(done) > 100)
        waiting.cancel()
        going.cancel()
        await asyncio.gather(going, waiting, return_exceptions=True)
        before = len(done)
        assert await pool.run(once(lambda: 7), "m", 60) == 7  # both have made room
        return before, len(done), waited

    monkeypatch.setattr(workers, "SLICE_SECONDS", 60)  # nobody has a turn before the other has ended
    before, after, waited = run(work, 1)
    assert after - before <= 2000 and waited == [] and closed == ["going"]


def test_a_stream_that_is_left_is_not_worked_for() -> None:
    def endless() -> Work[int]:
        try:
            while True:
                yield b"part"
        finally:
            closed.set()

    closed = threading.Event()

    async def work(pool: Workers) -> None:
        stream = pool.stream(endless(), "m", 60)
        assert await anext(stream) == b"part"
        await stream.aclose()
        assert await asyncio.to_thread(closed.wait, 30)

    run(work)


def test_a_stream_yields_its_parts_and_then_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(go_on: threading.Event) -> Work[None]:
        yield b"a"
        yield
        yield b"b"
        assert go_on.wait(30)
        raise BrokenError

    async def heard(pool: Workers) -> list[bytes]:
        go_on, parts = threading.Event(), list[bytes]()
        with pytest.raises(BrokenError):
            async for part in pool.stream(work(go_on), "m", 60):
                parts.append(part)
                if part == b"":  # silence
                    go_on.set()
        return parts

    monkeypatch.setattr(workers, "SILENCE_SECONDS", 0.2)
    parts = run(heard)
    assert parts[:2] == [b"a", b"b"] and set(parts[2:]) == {b""}


def test_at_its_deadline_work_is_told_once_and_may_still_answer() -> None:
    times: list[int] = []

    def patient() -> Work[str]:
        while True:
            try:
                yield from steps(10**9)
            except TimeoutError:
                times.append(1)
                yield from steps(100)  # the rest of its answer
                return "so far"

    async def work(pool: Workers) -> tuple[str, str]:
        late = await pool.run(patient(), "m", 0.05)
        with pytest.raises(TimeoutError):
            await pool.run(steps(10**9), "m", 0.05)
        return late, await pool.run(patient(), "m", -1)  # even where its time was over before

    assert run(work) == ("so far", "so far") and times == [1, 1]


def test_a_short_request_does_not_wait_for_a_long_one() -> None:
    async def work(pool: Workers) -> list[int]:
        done = list[int]()
        long = [asyncio.create_task(pool.run(steps(10**9, done), "m", 60)) for _ in range(3)]
        await until(lambda: len(done) > 10)
        short = await asyncio.gather(*(pool.run(steps(5, answer=i), "m", 60) for i in range(4)))
        for one in long:
            one.cancel()
        return short

    assert run(work, 1) == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit])
def test_no_request_ends_a_thread(error: type[BaseException]) -> None:
    def fails() -> Work[int]:
        yield
        raise error

    async def work(pool: Workers) -> None:
        for _ in range(3):
            with pytest.raises(MemoryError if error is MemoryError else RuntimeError):
                await pool.run(fails(), "m", 60)
        assert await pool.run(once(lambda: 7), "m", 60) == 7

    run(work, 1)


def test_a_thread_that_hangs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "HUNG_SECONDS", 0.05)

    async def work(pool: Workers) -> None:
        go_on = threading.Event()
        assert not pool.hung
        hanging = asyncio.create_task(pool.run(once(lambda: go_on.wait(30)), "m", 60))
        await until(lambda: pool.hung)
        go_on.set()
        assert await hanging and not pool.hung
        busy = asyncio.create_task(pool.run(steps(10**9), "m", 0.3))  # in many short steps
        with pytest.raises(TimeoutError):
            await busy
        assert not pool.hung

    run(work)


def test_what_a_failed_request_worked_on_is_freed() -> None:
    class State:
        """What a request worked on."""

    left: list[weakref.ref[State]] = []

    def fails() -> Work[None]:
        state = State()
        left.append(weakref.ref(state))
        yield
        raise BrokenError

    async def work(pool: Workers) -> None:
        for _ in range(3):
            with pytest.raises(BrokenError):
                await pool.run(fails(), "m", 60)

    gc.disable()
    try:
        run(work)
        assert len(left) == 3 and not any(one() for one in left[:2])
    finally:
        gc.enable()


def test_an_answer_for_a_closed_loop_disturbs_nobody() -> None:
    pool, go_on = Workers(1, Metrics(())), threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.run(once(lambda: go_on.wait(30)), "m", 60), 0.05)

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(pool.run(once(lambda: 7), "m", 60)) == 7
    pool.close()


# ---- models that threads share

PROMPTS = ["شو حلو", "", "مرحبا كيفك اليوم يا", "والله ", "hello", "الحمدلله على كل شي بس", "kifak shu"]
OPTIONS: list[Options] = [
    {"temperature": 0.7},
    {"temperature": 0.0},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 1.3, "stop": (" ", "ا")},
    {"presence_penalty": 1.0, "top_k": 5},
    {"min_p": 0.05, "typical_p": 0.8},
    {"best_of": 3},
    {"frequency_penalty": 0.5},
    {"min_length": 4, "forbid": ("ا",)},
    {"preset": "sensible", "best_of": 4},
]


def asked(model: Completer, i: int) -> object:
    prompt, options = PROMPTS[i % 7], Options(length=9, seed=i) | OPTIONS[i % 10]
    if i % 4 == 1:
        return [(word.text, word.replaces) for word in model.suggest(prompt)], model.phrase(prompt, words=3).added
    if i % 4 == 2:
        return round(sum(model.score(prompt).bits), 3)
    return [(one.text, one.finish_reason) for one in model.samples(prompt, 1 + i % 3, **options)]


def test_many_threads_at_once_say_what_each_says_alone(trained: Path) -> None:
    """Of every family: they share weights, states along texts and all else that is kept between requests."""
    model = kammil.load(trained)
    wanted = [asked(kammil.load(trained), i) for i in range(20)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(partial(asked, model), [*range(20)] * 2)) == wanted * 2


def test_who_asks_while_others_teach_gets_an_answer_and_afterwards_the_old_one(
    folder_of: Callable[[str], Path],
) -> None:
    model = kammil.load(folder_of("blend"))
    before, lock = [asked(model, i) for i in range(20)], threading.Lock()

    def teach(i: int) -> None:
        text = f"كلمة غريبة {PROMPTS[i % 7]} {i}"
        with lock:
            model.learn(text)
        time.sleep(0)
        with lock:
            model.forget(text)

    with ThreadPoolExecutor(4) as pool:
        taught = [pool.submit(teach, i) for i in range(30)]
        said = [pool.submit(asked, model, i) for i in [*range(20)] * 2]
        for one in (*taught, *said):
            one.result()
    assert [asked(model, i) for i in range(20)] == before


STATUS = Path("/proc/self/status")


def resident() -> int:
    """Kilobytes of the process in memory."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
@pytest.mark.long
def test_gaps_between_lasting_allocations_are_returned() -> None:
    blocks = [bytes(100_000) for _ in range(1000)]  # below the size from which malloc maps each block by itself
    lasting = blocks[::10]
    full = resident()
    del blocks
    trim_heap()
    assert full - resident() > 60_000  # of 90,000 kB
    assert len(lasting) == 100
