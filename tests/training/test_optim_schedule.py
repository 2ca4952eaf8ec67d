"""The learning rate's curve."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.training.optim import warmup_then_cosine

shares = st.floats(0, 0.99)
floors = st.floats(0, 1)
progresses = st.floats(0, 1)


@given(st.floats(-1, 2), shares, floors)
def test_it_stays_between_the_floor_and_the_peak(progress: float, warmup: float, floor: float) -> None:
    assert floor - 1e-12 <= warmup_then_cosine(progress, warmup=warmup, floor=floor) <= 1 + 1e-12


@given(progresses, progresses, shares, floors)
def test_it_rises_while_warming_up_and_falls_after(one: float, other: float, warmup: float, floor: float) -> None:
    early, late = sorted((one, other))
    at_early, at_late = (warmup_then_cosine(p, warmup=warmup, floor=floor) for p in (early, late))
    if late < warmup:
        assert at_early <= at_late + 1e-12
    if early >= warmup:
        assert at_early >= at_late - 1e-12


@given(st.floats(0.01, 0.99), floors)
def test_peak_middle_and_end(warmup: float, floor: float) -> None:
    assert warmup_then_cosine(warmup, warmup=warmup, floor=floor) == pytest.approx(1)
    assert warmup_then_cosine((1 + warmup) / 2, warmup=warmup, floor=floor) == pytest.approx((1 + floor) / 2)
    assert warmup_then_cosine(1, warmup=warmup, floor=floor) == pytest.approx(floor)
    assert warmup_then_cosine(7, warmup=warmup, floor=floor) == pytest.approx(floor)


def test_no_warm_up_begins_at_the_peak() -> None:
    assert warmup_then_cosine(0, warmup=0, floor=0.1) == 1
    assert warmup_then_cosine(0.25, warmup=0, floor=0) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


@given(st.floats(0.01, 0.99), floors, st.floats(0, 0.99))
def test_it_warms_up_along_a_line(warmup: float, floor: float, share: float) -> None:
    assert warmup_then_cosine(share * warmup, warmup=warmup, floor=floor) == pytest.approx(max(floor, share))


@given(st.floats(0.01, 0.99), floors, st.floats(0, 0.999))
def test_it_makes_no_jump(warmup: float, floor: float, progress: float) -> None:
    one, other = (warmup_then_cosine(p, warmup=warmup, floor=floor) for p in (progress, progress + 1e-6))
    assert abs(one - other) <= 1e-6 * max(1 / warmup, math.pi / 2 / (1 - warmup)) + 1e-9
