"""Which id a chance stands for, whatever the size of the shares."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.decoding import LogWeights
from kammil.decoding.samplers import sample


def draw(row: LogWeights, chance: float) -> int:
    """In a batch, and in one with a row too unlikely to be told apart from 0, which must agree with the row alone."""
    (alone,) = sample(row[None], np.array([chance])).tolist()
    chances = np.array([chance, chance])
    assert sample(np.stack([row, row]), chances).tolist() == [alone, alone]
    assert sample(np.stack([row, np.full_like(row, -1e6)]), chances)[0] == alone
    return alone


@pytest.mark.parametrize("shift", [0.0, 3.0, -20.0, -2000.0])
def test_the_first_id_is_drawn_whose_shares_exceed_the_chance(shift: float) -> None:
    """Weights are known up to a factor; all of them may be too small to be told from 0."""
    row = np.log(np.array([2.0, 1.0, 1.0, 4.0])) + shift
    at = {0.0: 0, 0.2: 0, 0.26: 1, 0.37: 1, 0.38: 2, 0.49: 2, 0.51: 3, 0.99: 3}
    assert {chance: draw(row, chance) for chance in at} == at


def test_a_chance_at_the_border_is_the_next_one_s() -> None:
    row = np.zeros(4)
    assert [draw(row, chance) for chance in (0.0, 0.25, 0.5, 0.75)] == [0, 1, 2, 3]


def test_what_is_left_out_is_never_drawn() -> None:
    row = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf])
    assert [draw(row, chance) for chance in (0.0, 0.49, 0.5, float(np.nextafter(1, 0)))] == [1, 1, 3, 3]


def test_no_rounding_leads_beyond_the_last_id() -> None:
    """A chance of one, which no generator gives, is what a sum that was rounded comes to."""
    assert draw(np.log(np.full(10, 0.1)), 1.0) == 9
