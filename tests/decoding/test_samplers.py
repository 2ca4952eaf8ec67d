"""Which id a chance stands for, whatever the size of the shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.decoding import LogWeights, log_softmax
from kammil.decoding.samplers import greedy, sample


@st.composite
def distributions(draw: st.DrawFn) -> LogWeights:
    """Log-probabilities (B, V), with ties."""
    width = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=1, max_size=3))
    return log_softmax(np.array(rows, np.float64))


def draw(row: LogWeights, chance: float) -> int:
    """Alone as in a batch, also beside a row that is too small to be told from 0."""
    (alone,) = sample(row[None], np.array([chance])).tolist()
    beside, chances = np.full_like(row, -1e6), np.array([chance, chance])
    assert sample(np.stack([row, row]), chances).tolist() == [alone, alone]
    (least,) = sample(beside[None], np.array([chance])).tolist()
    assert sample(np.stack([row, beside]), chances).tolist() == [alone, least]
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


@pytest.mark.parametrize("shift", [0.0, -2000.0])
def test_what_is_left_out_is_never_drawn(shift: float) -> None:
    row = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf]) + shift
    assert [draw(row, chance) for chance in (0.0, 0.49, 0.5, float(np.nextafter(1, 0)))] == [1, 1, 3, 3]


def test_no_rounding_leads_beyond_the_last_id() -> None:
    """A chance of one, which no generator gives, is what a sum that was rounded comes to."""
    assert draw(np.log(np.full(10, 0.1)), 1.0) == 9


@given(distributions())
def test_greedy_takes_the_first_of_the_best(rows: LogWeights) -> None:
    assert greedy(rows).tolist() == [row.tolist().index(max(row)) for row in rows]


def test_sampling_follows_the_distribution() -> None:
    rows = np.array([[np.log(0.5), -np.inf, np.log(0.2), np.log(0.3)]])
    chances = np.random.default_rng(1).random(20_000)
    drawn = np.bincount(sample(rows.repeat(20_000, axis=0), chances), minlength=4) / 20_000
    # Three standard deviations of a share of 0.5 in 20,000 draws are 0.011.
    assert drawn == pytest.approx([0.5, 0, 0.2, 0.3], abs=0.011)


@given(distributions(), st.integers(0, 2**32))
def test_a_row_is_drawn_alike_in_any_batch(rows: LogWeights, seed: int) -> None:
    chances = np.random.default_rng(seed).random(len(rows))
    alone = [sample(rows[i : i + 1], chances[i : i + 1])[0] for i in range(len(rows))]
    assert sample(rows, chances).tolist() == alone
