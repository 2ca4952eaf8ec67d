"""Models of a server: opened once, replaced without a rest, and what their clients left is bounded."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from kammil.errors import FolderError
from kammil.server import model_pool as registries
from kammil.server.model_pool import Registry, Served
from kammil.server.scheduler import Learning
from kammil.server.settings import Serving
from kammil.vocabulary import BOS


@pytest.fixture(scope="module")
def folder(folder_of: Callable[[str], Path]) -> Path:
    return folder_of("ngram")


def with_registry(folder: Path, work: Callable[[Registry], Awaitable[None]], **options: object) -> None:
    """Work with a registry; at the end no thread of an engine is left."""

    async def main() -> None:
        registry = Registry(Serving.of(folders=[folder], **options))
        try:
            await asyncio.wait_for(work(registry), 60)
        finally:
            registry.close()
        await threads(0)

    others.update(threading.enumerate())
    asyncio.run(main())


others: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""Threads that ran before a test."""


async def threads(many: int) -> None:
    """Wait until so many engines have a thread; fail if they never do."""
    end = time.monotonic() + 20
    while (left := sum(one.name == "kammil-engine" for one in {*threading.enumerate()} - {*others})) != many:
        assert time.monotonic() < end, f"{left} engines run in place of {many}"
        await asyncio.sleep(0.01)


def test_a_model_is_opened_once_for_all_who_ask(folder: Path) -> None:
    async def work(registry: Registry) -> None:
        found = await asyncio.gather(*(registry.open() for _ in range(5)))
        assert len(set(map(id, found))) == 1
        await threads(1)

    with_registry(folder, work)


@pytest.mark.parametrize("signals", [1, 2, 5])
def test_of_a_model_that_is_read_again_nothing_stays(folder: Path, signals: int) -> None:
    async def work(registry: Registry) -> None:
        old = await registry.open()
        await asyncio.gather(*(registry.reload() for _ in range(signals)))
        assert registry.served != [old] and len(registry.served) == 1
        await threads(1)

    with_registry(folder, work)


def test_what_is_signalled_while_folders_are_read_has_them_read_once_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have changed since; any more signals by then ask for nothing else."""
    reading, go_on = asyncio.Event(), threading.Event()
    reads: list[Path] = []

    async def work(registry: Registry) -> None:
        await registry.open()
        loop, load = asyncio.get_running_loop(), registries.load

        def slow(path: Path) -> object:
            reads.append(path)
            loop.call_soon_threadsafe(reading.set)
            go_on.wait(20)
            return load(path)

        monkeypatch.setattr(registries, "load", slow)
        first = asyncio.create_task(registry.reload())
        await reading.wait()
        later = [asyncio.create_task(registry.reload()) for _ in range(3)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, *later)
        assert len(reads) == 2

    with_registry(folder, work)


def test_a_model_that_is_being_opened_is_read_again_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(registry: Registry) -> None:
        opening = asyncio.create_task(registry.open())
        await asyncio.sleep(0)
        await registry.reload()
        assert registry.served != [await opening] and len(registry.served) == 1
        await threads(1)

    with_registry(folder, work)


def test_who_is_being_answered_keeps_the_model_until_then(folder: Path) -> None:
    async def work(registry: Registry) -> None:
        async with registry.use(None) as old:
            await registry.reload()
            assert registry.served != [old]
            await threads(2)
            assert await old.engine.ask(Learning(0, lambda: None)) is None  # its engine answers
        await threads(1)

    with_registry(folder, work)


@pytest.mark.parametrize("error", [FolderError("damaged"), MemoryError()])
def test_a_folder_that_cannot_be_read_changes_nothing(
    folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> object:
        raise error

    async def work(registry: Registry) -> None:
        old = await registry.open()
        with monkeypatch.context() as patched:
            patched.setattr(registries, "load", fail)
            await registry.reload()
        assert registry.served == [old] and not old.retired
        await registry.reload()
        assert registry.served != [old]

    with_registry(folder, work)


def test_sessions_heard_of_longest_ago_go_and_their_states_with_them(folder: Path) -> None:
    def typed(served: Served, session: str) -> int:
        prefixes = served.prefixes(session)
        prefixes.decoder(np.array([BOS, 5, 6]))
        return id(prefixes)

    async def work(registry: Registry) -> None:
        served = await registry.open()
        first, second = served.prefixes("a"), served.prefixes("b")
        assert typed(served, "a") == id(first) and typed(served, "b") == id(second)
        assert served.prefixes("a") is first  # heard of again, so b is the older one now
        served.prefixes("c")
        assert served.prefixes("a") is first and len(first)
        await served.engine.ask(Learning(0, lambda: None))  # what was asked of the engine before is done
        assert not len(second)
        assert served.prefixes("b") is not second
        assert served.prefixes(None) is served.model.prefixes

    with_registry(folder, work, sessions=2)


def test_without_sessions_all_share(folder: Path) -> None:
    async def work(registry: Registry) -> None:
        served = await registry.open()
        assert served.prefixes("a") is served.prefixes("b") is served.model.prefixes

    with_registry(folder, work, sessions=0)
