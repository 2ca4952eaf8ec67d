"""How far work has come: shares rise, one phase at a time, and nobody listening costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil import progress
from kammil.progress import Heard, Notice, PhaseProgress, listening, note, phase, steps, tracked


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is told."""
    monkeypatch.setattr(progress, "_OFTEN", 0.0)


def listener() -> tuple[list[PhaseProgress | Notice], Heard]:
    heard: list[PhaseProgress | Notice] = []
    return heard, heard.append


def test_without_a_listener_nothing_happens() -> None:
    note("unheard")
    with phase("a"):
        assert list(tracked([1, 2], "b")) == [1, 2]
        steps("c", 3)()


@given(sizes=st.lists(st.integers(0, 5), max_size=4), around=st.booleans())
def test_shares_rise_from_nothing_to_less_than_all(sizes: list[int], around: bool) -> None:
    heard, hear = listener()
    with listening(hear):
        if around:
            with phase("whole", len(sizes)):
                for size in sizes:
                    assert list(tracked(range(size), "loop")) == list(range(size))
        else:
            for number, size in enumerate(sizes):
                list(tracked(range(size), str(number)))
    working = [event for event in heard if isinstance(event, PhaseProgress)]
    for name in {event.phase for event in working}:
        shares = [event.done for event in working if event.phase == name]
        assert shares[0] == 0 and shares == sorted(shares) and shares[-1] < 1
        assert [e.elapsed for e in working if e.phase == name] == sorted(e.elapsed for e in working if e.phase == name)
    if around:
        assert {event.phase for event in working} == {"whole"} and len(working) == 1 + sum(sizes)
    else:
        assert len(working) == sum(sizes)


def test_a_phase_within_another_is_a_part_of_it() -> None:
    heard, hear = listener()
    with listening(hear), phase("outer", 2):
        with phase("inner"):
            list(tracked([1, 2], "loop"))
        list(tracked([1, 2], "loop"))
    assert [(e.phase, e.done) for e in heard if isinstance(e, PhaseProgress)] == [
        ("outer", 0.0),
        ("outer", 0.0),
        ("outer", 0.25),
        ("outer", 0.5),
        ("outer", 0.75),
    ]


def test_who_listened_before_listens_again() -> None:
    first, hear_first = listener()
    second, hear_second = listener()
    with listening(hear_first):
        with listening(hear_second):
            note("to the second")
        note("to the first")
    note("to nobody")
    assert (first, second) == ([Notice("to the first")], [Notice("to the second")])


def test_what_is_told_is_told_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_OFTEN", 1e9)
    heard, hear = listener()
    with listening(hear):
        list(tracked(range(1000), "loop"))
    assert len(heard) <= 1
