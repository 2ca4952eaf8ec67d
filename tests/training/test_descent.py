"""Networks that learn side by side: what they emit, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from kammil.errors import OptionError
from kammil.progress import Event, MemberEvent, Notice, note
from kammil.training import descent
from kammil.training.descent import run_parallel
from kammil.training.initial_weights import seed_of

Listener = Callable[[Event], None]


class KilledError(BaseException):
    """Stands for the end of the process."""


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
    monkeypatch.setattr(descent, "_SECOND_INTERRUPT", 0.0)

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


def test_the_first_member_has_the_seed_of_the_run_and_no_two_have_the_same() -> None:
    assert seed_of(0, 7) == 7
    seeds = [seed_of(member, seed) for member in range(16) for seed in range(16)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**32 for seed in seeds)
