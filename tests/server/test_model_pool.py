"""Models of a server: opened once, replaced without remains, with a bounded number of sessions."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kammil.errors import FolderError
from kammil.server import model_pool
from kammil.server.api.responses import ApiError
from kammil.server.metrics import Metrics
from kammil.server.model_pool import LoadedModel, ModelPool
from kammil.server.settings import ServerSettings
from kammil.server.workers import once


@pytest.fixture(scope="module")
def folder(folder_of: Callable[[str], Path]) -> Path:
    return folder_of("ngram")


def with_pool(folder: Path, work: Callable[[ModelPool], Awaitable[None]], **options: object) -> None:
    """Use a pool; at the end none of its threads is left."""

    async def main() -> None:
        pool = ModelPool(ServerSettings.of(folders=[folder], **options), Metrics(()))
        try:
            await asyncio.wait_for(work(pool), 60)
        finally:
            pool.workers.close()
        end = time.monotonic() + 20
        while [one for one in threading.enumerate() if one.name.startswith("kammil-worker") and one not in others]:
            assert time.monotonic() < end, "a thread of the pool runs on"
            await asyncio.sleep(0.01)

    others.update(threading.enumerate())
    asyncio.run(main())


others: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""Threads that ran before the test."""


def remains(loaded: LoadedModel) -> list[weakref.ref[object]]:
    """What must go with a model."""
    model = loaded.completer.language_model
    return [weakref.ref(each) for each in (loaded, loaded.completer, loaded.completer.state_cache, model)]


def test_a_model_is_opened_once_for_all_who_ask(folder: Path) -> None:
    async def work(pool: ModelPool) -> None:
        found = await asyncio.gather(*(pool.open() for _ in range(5)))
        assert len(set(map(id, found))) == 1

    with_pool(folder, work)


@pytest.mark.parametrize("signals", [1, 2, 5])
def test_a_reload_leaves_nothing_of_the_old_model(folder: Path, signals: int) -> None:
    async def work(pool: ModelPool) -> None:
        old = await pool.open()
        old.completer_of("a").suggest("شو")
        left = remains(old)
        await asyncio.gather(*(pool.reload() for _ in range(signals)))
        assert pool.loaded != [old] and len(pool.loaded) == 1
        del old
        gc.disable()  # which finds nothing that was frozen
        try:
            assert [each() for each in left] == [None] * len(left)
        finally:
            gc.enable()

    with_pool(folder, work)


def test_a_reload_requested_during_a_reload_follows_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders may have changed meanwhile; further signals until then ask for the same reload."""
    reading, go_on = asyncio.Event(), threading.Event()
    reads: list[Path] = []

    async def work(pool: ModelPool) -> None:
        await pool.open()
        loop, load = asyncio.get_running_loop(), model_pool.load

        def slow(path: Path, **_options: object) -> object:
            reads.append(path)
            loop.call_soon_threadsafe(reading.set)
            go_on.wait(20)
            return load(path)

        monkeypatch.setattr(model_pool, "load", slow)
        first = asyncio.create_task(pool.reload())
        await reading.wait()
        later = [asyncio.create_task(pool.reload()) for _ in range(3)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, *later)
        assert len(reads) == 2

    with_pool(folder, work)


def test_a_model_that_is_being_opened_is_read_again_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pool: ModelPool) -> None:
        opening = asyncio.create_task(pool.open())
        await asyncio.sleep(0)
        await pool.reload()
        assert pool.loaded != [await opening] and len(pool.loaded) == 1

    with_pool(folder, work)


def test_requests_at_work_keep_the_old_model(folder: Path) -> None:
    async def work(pool: ModelPool) -> None:
        async with pool.use(None) as old:
            await pool.reload()
            assert pool.loaded != [old]
            assert await old.run(once(lambda: old.completer.complete("شو", length=3, min_length=3).text))

    with_pool(folder, work)


@pytest.mark.parametrize("error", [FolderError("damaged"), MemoryError()])
def test_a_folder_that_cannot_be_read_changes_nothing(
    folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, **_options: object) -> object:
        raise error

    async def work(pool: ModelPool) -> None:
        old = await pool.open()
        with monkeypatch.context() as patched:
            patched.setattr(model_pool, "load", fail)
            await pool.reload()
        assert pool.loaded == [old]
        await pool.reload()
        assert pool.loaded != [old]

    with_pool(folder, work)


def test_the_session_unused_for_longest_is_dropped_with_its_states(folder: Path) -> None:
    async def work(pool: ModelPool) -> None:
        loaded = await pool.open()
        first, second = loaded.completer_of("a"), loaded.completer_of("b")
        for session in ("a", "b"):
            loaded.completer_of(session).after("شو")
        assert loaded.completer_of("a") is first  # used again, so b is now unused for longer
        loaded.completer_of("c")
        assert loaded.completer_of("a") is first and len(first.state_cache)
        left = weakref.ref(second.state_cache)
        del second
        assert left() is None
        assert not len(loaded.completer_of("b").state_cache)
        assert loaded.completer_of(None) is loaded.completer

    with_pool(folder, work, sessions=2)


def test_without_sessions_all_clients_share_one_cache(folder: Path) -> None:
    async def work(pool: ModelPool) -> None:
        loaded = await pool.open()
        assert loaded.completer_of("a") is loaded.completer_of("b") is loaded.completer

    with_pool(folder, work, sessions=0)


class Clock:
    """The pool's time, which a test sets."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


MINUTES = st.sampled_from([0, 20, 59, 60])


def test_a_private_copy_gives_way_after_an_idle_hour_and_its_session_is_told(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each session gets its own copy, or the shared model if it never had one, or an error."""
    monkeypatch.setattr(model_pool, "MAX_PRIVATE", 2)
    monkeypatch.setattr(model_pool, "MAX_EXPIRED", 3)
    monkeypatch.setattr(model_pool, "time", clock := Clock())
    statuses = set[int]()

    async def work(pool: ModelPool) -> None:
        @settings(max_examples=20)
        @example([(0, "a", True), (0, "b", True), (59, "c", True), (0, "d", True)])
        @given(asked=st.lists(st.tuples(MINUTES, st.sampled_from("abcdefg"), st.booleans()), min_size=9, max_size=20))
        def law(asked: list[tuple[int, str, bool]]) -> None:
            copies, used, lost = dict[str, LoadedModel](), dict[str, float](), list[str]()
            for minutes, session, teaches in asked:
                clock.now += 60 * minutes
                idlest = min(used, key=used.__getitem__, default="")
                evicts = teaches and session not in {*used, *lost} and len(used) == 2
                wait = used[idlest] + 3600 - clock.now if evicts else 0.0
                try:
                    with loaded.private_copy(session) if teaches else loaded.of(session).used() as own:
                        clock.now += 1
                        own.learnt_texts.size = (1, 2)
                except ApiError as error:
                    statuses.add(error.status)
                    assert error.status == (410 if session in lost else 503 if wait > 0 else None)
                    assert error.headers == ({"Retry-After": str(math.ceil(wait))} if wait > 0 else None)
                    continue
                assert session not in lost and wait <= 0
                if evicts:
                    del copies[idlest], used[idlest]
                    lost = [*lost, idlest][-3:]
                if teaches:
                    assert own is not loaded and own is copies.setdefault(session, own)
                assert own is copies.get(session, loaded)
                if own is not loaded:
                    used[session] = clock.now
            loaded.private.clear()
            loaded.expired.clear()

        loaded = await pool.open()
        law()

    with_pool(folder_of("blend"), work)
    assert statuses == {410, 503}


def test_a_private_copy_that_is_in_use_stays(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_pool, "MAX_PRIVATE", 2)
    monkeypatch.setattr(model_pool, "time", clock := Clock())

    async def work(pool: ModelPool) -> None:
        loaded = await pool.open()
        with loaded.private_copy("a") as one, loaded.private_copy("b") as other:
            one.learnt_texts.size = other.learnt_texts.size = (1, 2)
            clock.now += 7200
            with pytest.raises(ApiError) as refused, loaded.private_copy("c"):
                pass
            assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "3600"})
        clock.now += 1
        with loaded.of("a").used():
            pass
        with loaded.of("b").used():
            clock.now += 7200
            with loaded.private_copy("c"):  # where "a" was, which was used last
                assert [*loaded.private] == ["b", "c"]

    with_pool(folder_of("blend"), work)
