"""The clock of a run: it is bounded or not, never goes below nothing, and can stand still."""

from __future__ import annotations

import math
import time

import pytest

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
