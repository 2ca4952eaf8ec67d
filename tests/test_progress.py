"""Progress rises, one phase at a time; without a listener nothing happens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil import progress
from kammil.progress import Notice, PhaseProgress, listening, note, phase, steps, tracked


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report every step."""
    monkeypatch.setattr(progress, "_MIN_INTERVAL", 0.0)


def listener() -> tuple[list[PhaseProgress | Notice], Callable[[PhaseProgress | Notice], None]]:
    events: list[PhaseProgress | Notice] = []
    return events, events.append


def test_without_a_listener_nothing_happens() -> None:
    note("unheard")
    with phase("a"):
        assert list(tracked([1, 2], "b")) == [1, 2]
        steps("c", 3)()


@given(sizes=st.lists(st.integers(0, 5), max_size=4), around=st.booleans())
def test_shares_rise_from_nothing_to_less_than_all(sizes: list[int], around: bool) -> None:
    events, listen = listener()
    with listening(listen):
        if around:
            with phase("outer", len(sizes)):
                for size in sizes:
                    assert list(tracked(range(size), "loop")) == list(range(size))
        else:
            for number, size in enumerate(sizes):
                list(tracked(range(size), str(number)))
    working = [event for event in events if isinstance(event, PhaseProgress)]
    for name in {event.label for event in working}:
        shares = [event.share for event in working if event.label == name]
        assert shares[0] == 0 and shares == sorted(shares) and shares[-1] < 1
        assert [e.elapsed for e in working if e.label == name] == sorted(e.elapsed for e in working if e.label == name)
    if around:
        assert {event.label for event in working} == {"outer"} and len(working) == 1 + sum(sizes)
    else:
        assert len(working) == sum(sizes)


def test_a_phase_within_another_is_a_part_of_it() -> None:
    events, listen = listener()
    with listening(listen), phase("outer", 2):
        with phase("inner"):
            list(tracked([1, 2], "loop"))
        list(tracked([1, 2], "loop"))
    assert [(e.label, e.share) for e in events if isinstance(e, PhaseProgress)] == [
        ("outer", 0.0),
        ("outer", 0.0),
        ("outer", 0.25),
        ("outer", 0.5),
        ("outer", 0.75),
    ]


def test_who_listened_before_listens_again() -> None:
    first, listen_first = listener()
    second, listen_second = listener()
    with listening(listen_first):
        with listening(listen_second):
            note("to the second")
        note("to the first")
    note("to nobody")
    assert (first, second) == ([Notice("to the first")], [Notice("to the second")])


def test_what_is_told_is_told_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_MIN_INTERVAL", 1e9)
    events, listen = listener()
    with listening(listen):
        list(tracked(range(1000), "loop"))
    assert len(events) <= 1
