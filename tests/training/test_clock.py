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
    time.sleep(0.01)
    elapsed, left = clock.elapsed, clock.left
    assert 0.01 <= elapsed <= time.monotonic() - before
    assert 90 - (time.monotonic() - before) <= left <= 90 - elapsed


def test_processor_time_stands_still_while_others_work() -> None:
    clock, wall = Clock(1, "processor"), Clock(1)
    time.sleep(0.1)
    assert clock.elapsed < 0.05 < wall.elapsed
    with clock.stopped():
        _work(0.05)
    assert clock.elapsed < 0.05
    _work(0.05)
    assert 0.05 <= clock.elapsed < 0.2


def _work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_no_minutes_set_no_bound() -> None:
    clock = Clock(None)
    assert clock.seconds is None
    assert clock.left == math.inf


def test_time_that_is_over_does_not_become_a_debt() -> None:
    clock = Clock(1e-9)
    time.sleep(0.001)
    assert clock.left == 0


def test_it_stands_still_while_stopped_and_goes_on_after_an_error() -> None:
    before = time.monotonic()
    clock = Clock(1)
    with pytest.raises(KeyError), clock.stopped():
        time.sleep(0.05)
        raise KeyError
    assert 0 <= clock.elapsed <= time.monotonic() - before - 0.05
    elapsed = clock.elapsed
    time.sleep(0.01)
    assert clock.elapsed >= elapsed + 0.01


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
