"""The clock of a run: it is bounded or not, never goes below nothing, and can stand still."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kammil.training import clock as clock_module
from kammil.training.clock import Clock


def test_minutes_are_seconds_that_run_out() -> None:
    before = time.monotonic()
    clock = Clock(1.5)
    assert clock.seconds == 90
    while clock.elapsed < 0.01:
        pass
    elapsed, left = clock.elapsed, clock.left
    assert 0.01 <= elapsed <= time.monotonic() - before
    assert 90 - (time.monotonic() - before) <= left <= 90 - elapsed


def test_processor_time_stands_still_while_others_work(times: FakeTimes) -> None:
    clock, wall = Clock(1, "processor"), Clock(1)
    times.go_on(4, 0.5)
    assert (clock.elapsed, wall.elapsed) == (0.5, 4)
    with clock.stopped():
        times.go_on(2, 2)
    assert clock.elapsed == 0.5
    times.go_on(1, 1)
    assert (clock.elapsed, wall.elapsed) == (1.5, 7)


def test_processor_time_is_that_of_this_process() -> None:
    clock, before = Clock(1, "processor"), time.process_time()
    while time.process_time() < before + 0.01:
        pass
    assert 0.01 <= clock.elapsed <= time.process_time() - before + 0.01


def test_no_minutes_set_no_bound() -> None:
    clock = Clock(None)
    assert clock.seconds is None
    assert clock.left == math.inf


def test_time_that_is_over_does_not_become_a_debt(times: FakeTimes) -> None:
    clock = Clock(1)
    times.go_on(61, 61)
    assert clock.left == 0


def test_it_stands_still_while_stopped_and_goes_on_after_an_error(times: FakeTimes) -> None:
    clock = Clock(1)
    with pytest.raises(KeyError), clock.stopped():
        times.go_on(5, 5)
        raise KeyError
    assert clock.elapsed == 0
    times.go_on(3, 3)
    assert clock.elapsed == 3


class FakeTimes:
    """Both clocks of a machine, which go on when they are told to."""

    def __init__(self) -> None:
        self.wall, self.processor = 0.0, 0.0

    def monotonic(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.processor

    def go_on(self, wall: float, processor: float) -> None:
        self.wall, self.processor = self.wall + wall, self.processor + processor


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> FakeTimes:
    fake = FakeTimes()
    monkeypatch.setattr(clock_module, "time", fake)
    return fake


@given(st.floats(0.01, 1e5), st.floats(0, 4), st.sampled_from([None, 1.0]), st.sampled_from(["wall", "processor"]))
def test_a_busy_processor_is_said_where_minutes_pass_without_it(
    wall: float, share: float, minutes: float | None, kind: clock_module.TimeKind
) -> None:
    fake = FakeTimes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock_module, "time", fake)
        clock = Clock(minutes, kind)
        fake.go_on(wall, wall * share)
        said = clock.shortfall()
    assume(abs(share - 0.5) > 1e-6)  # sums of floats
    assert (said is not None) == (minutes is not None and kind == "wall" and share < 0.5)
    assert said is None or (f" {wall * share:.0f} of {wall:.0f} seconds" in said and "clock=processor" in said)


def test_what_has_a_time_of_its_own_says_nothing_of_the_run(times: FakeTimes) -> None:
    clock = Clock(1)
    with clock.stopped():
        times.go_on(1000, 1)
    times.go_on(40, 30)
    assert clock.shortfall() is None and clock.elapsed == 40
    times.go_on(60, 15)
    sentence = clock.shortfall()
    assert sentence is not None and " 45 of 100 seconds" in sentence
