"""Networks that learn side by side: what they tell, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from kammil.errors import OptionError
from kammil.progress import Notice, note
from kammil.training import descent
from kammil.training.descent import seed_of, side_by_side
from kammil.training.events import Event, MemberEvent

Listener = Callable[[Event], None]


class KilledError(BaseException):
    """Stands for the end of the process."""


def endless(tell: Listener) -> str:
    """Tells until it is interrupted, as the loop does; then tells once more."""
    try:
        while True:
            tell(Notice("at work"))
    except KeyboardInterrupt:
        tell(Notice("ended early"))
        return "kept"


def test_results_come_in_order_and_everything_told_is_heard_in_the_calling_thread() -> None:
    heard: list[tuple[Event, str]] = []
    barrier = threading.Barrier(3)

    def work(number: int) -> Callable[[Listener], int]:
        def call(tell: Listener) -> int:
            barrier.wait(timeout=60)  # so they do run at the same time
            tell(Notice(f"{number}"))
            note("a phase")  # deep within, where no listener is handed on
            return number

        return call

    made = side_by_side(
        [work(n) for n in (1, 2, 3)], lambda event: heard.append((event, threading.current_thread().name))
    )
    assert made == [1, 2, 3]
    assert {thread for _, thread in heard} == {threading.current_thread().name}
    for n in (1, 2, 3):
        assert [e.event for e, _ in heard if isinstance(e, MemberEvent) and e.member == n] == [
            Notice(f"{n}"),
            Notice("a phase"),
        ]


def test_an_interrupt_ends_every_call_early() -> None:
    heard: list[str] = []

    def listen(event: Event) -> None:
        assert isinstance(event, MemberEvent) and isinstance(event.event, Notice)
        heard.append(event.event.sentence)
        if len(heard) == 10:
            raise KeyboardInterrupt

    assert side_by_side([endless, endless], listen) == ["kept", "kept"]
    assert heard.count("ended early") == 2


def test_a_listener_may_interrupt_at_every_event() -> None:
    def listen(event: Event) -> None:
        assert isinstance(event, MemberEvent)
        if event.event != Notice("ended early"):
            raise KeyboardInterrupt

    assert side_by_side([endless, endless], listen) == ["kept", "kept"]


def test_a_later_interrupt_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "_AGAIN", 0.0)

    def stubborn(tell: Listener) -> None:
        while True:
            with suppress(KeyboardInterrupt):
                tell(Notice("at work"))

    def listen(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side([stubborn, stubborn], listen)


@pytest.mark.parametrize("error", [OptionError, KilledError])
def test_an_error_ends_the_others_and_is_raised(error: type[BaseException]) -> None:
    def fails(tell: Listener) -> str:
        raise error("no number any more")

    with pytest.raises(error, match="no number"):
        side_by_side([endless, fails], lambda event: None)

    def listen(event: Event) -> None:
        raise error("no number any more")

    with pytest.raises(error, match="no number"):
        side_by_side([endless, endless], listen)


def test_the_first_member_has_the_seed_of_the_run_and_no_two_have_the_same() -> None:
    assert seed_of(0, 7) == 7
    seeds = [seed_of(member, seed) for member in range(16) for seed in range(16)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**32 for seed in seeds)
