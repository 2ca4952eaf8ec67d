"""Filters and samplers against plain definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.decoding.filters import (
    Filter,
    LogWeights,
    apply_penalties,
    filters,
    forbid,
    greedy,
    min_p,
    sample,
    temperature,
    top_k,
    top_p,
    typical_p,
)
from kammil.decoding.options import DecodingOptions
from kammil.engine.reference import log_softmax


@st.composite
def distributions(draw: st.DrawFn) -> LogWeights:
    """Log-probabilities (B, V), with ties."""
    width = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=1, max_size=3))
    return log_softmax(np.array(rows, np.float64))


def kept(rows: LogWeights) -> list[set[int]]:
    """Ids with some probability, row by row."""
    return [set(np.flatnonzero(np.isfinite(row)).tolist()) for row in rows]


@given(distributions(), st.integers(1, 15), st.floats(0.01, 1), st.floats(0, 1), st.floats(0.1, 3))
def test_every_filter_leaves_distributions_and_their_order(
    rows: LogWeights, k: int, p: float, share: float, t: float
) -> None:
    for apply in (
        top_k(k),
        top_p(p),
        min_p(share),
        typical_p(p),
        temperature(t),
    ):
        before = rows.copy()
        after = log_softmax(apply(rows))
        assert (rows == before).all()  # nothing is changed in place
        assert np.exp(after).sum(-1) == pytest.approx(1)
        for old, new in zip(rows, after, strict=True):
            finite = np.isfinite(new)
            order = np.argsort(old[finite], kind="stable")
            assert (np.diff(new[finite][order]) >= -1e-9).all()


@given(st.lists(st.lists(st.floats(-20, 0), min_size=3, max_size=3), min_size=1, max_size=3), st.data())
def test_penalties_by_their_definition(logits: list[list[float]], data: st.DataObject) -> None:
    rows: LogWeights = log_softmax(np.array(logits))
    counts = np.array([[data.draw(st.integers(0, 3)) for _ in row] for row in logits])
    options = data.draw(
        st.builds(
            DecodingOptions,
            repetition_penalty=st.sampled_from([1.0, 1.2, 0.5]),
            presence_penalty=st.floats(-2, 2),
            frequency_penalty=st.floats(-2, 2),
        )
    )
    after = apply_penalties(rows, counts, options)
    for row, count, new in zip(rows, counts, after, strict=True):
        weights = [
            math.exp(
                logit * (options.repetition_penalty if c else 1)
                - options.presence_penalty * bool(c)
                - options.frequency_penalty * int(c)
            )
            for logit, c in zip(row.tolist(), count.tolist(), strict=True)
        ]
        assert np.exp(new) == pytest.approx([w / sum(weights) for w in weights], abs=1e-9)


@given(distributions(), st.floats(0.1, 3))
def test_temperature_is_a_power_of_probabilities(rows: LogWeights, t: float) -> None:
    powers = np.exp(rows) ** (1 / t)
    expected = powers / powers.sum(axis=-1, keepdims=True)
    assert np.exp(log_softmax(temperature(t)(rows))) == pytest.approx(expected)


def test_the_smallest_temperature_leaves_the_best_alone() -> None:
    rows = np.log(np.array([[0.25, 0.5, 0.25], [0.4, 0.3, 0.3]]))
    assert kept(temperature(5e-324)(rows)) == [{1}, {0}]


@given(distributions(), st.integers(1, 15))
def test_top_k_keeps_exactly_k(rows: LogWeights, k: int) -> None:
    after = top_k(k)(rows)
    for row, ids in zip(rows, kept(after), strict=True):
        assert len(ids) == min(k, len(row))
        assert ids == set(sorted(range(len(row)), key=lambda i: (-row[i], i))[:k])


@given(distributions(), st.floats(0.01, 1))
def test_top_p_keeps_the_smallest_sufficient_set(rows: LogWeights, p: float) -> None:
    for row, ids in zip(rows, kept(top_p(p)(rows)), strict=True):
        ranked = sorted(range(len(row)), key=lambda i: (-row[i], i))
        assert ids == set(ranked[: len(ids)])
        mass = np.exp(row[ranked])
        assert mass[: len(ids)].sum() >= p - 1e-9
        assert len(ids) == 1 or mass[: len(ids) - 1].sum() < p + 1e-9


@given(distributions(), st.floats(0, 1))
def test_min_p_keeps_what_has_its_share(rows: LogWeights, share: float) -> None:
    for row, ids in zip(rows, kept(min_p(share)(rows)), strict=True):
        p = np.exp(row)
        for i, probability in enumerate(p):
            if abs(probability - share * p.max()) > 1e-12:
                assert (i in ids) == (probability >= share * p.max())


@given(distributions(), st.floats(0.01, 1))
def test_typical_p_keeps_what_is_nearest_to_the_entropy(rows: LogWeights, mass: float) -> None:
    for row, ids in zip(rows, kept(typical_p(mass)(rows)), strict=True):
        p = np.exp(row).tolist()
        entropy = -sum(q * math.log(q) for q in p)
        away = [abs(-math.log(q) - entropy) for q in p]
        assert max(away[i] for i in ids) <= min([away[i] for i in range(len(p)) if i not in ids], default=9e9) + 1e-9
        held = sum(p[i] for i in ids)
        assert held >= mass - 1e-9
        furthest = max(away[i] for i in ids)
        last = min(p[i] for i in ids if away[i] >= furthest - 1e-9)
        assert len(ids) == 1 or held - last < mass + 1e-9


def test_typical_p_drops_a_favourite() -> None:
    rows = np.log(np.array([[0.6, *[0.04] * 10]]))  # entropy 1.59 nats: 0.04 costs 3.2, 0.6 costs 0.51
    assert 0 in kept(typical_p(0.3)(rows))[0]
    rows = np.log(np.array([[0.4, *[0.06] * 10]]))  # entropy 2.05 nats: 0.06 costs 2.8, 0.4 costs 0.92
    assert 0 not in kept(typical_p(0.3)(rows))[0]


@given(distributions())
def test_forbidden_ids_are_never_left(rows: LogWeights) -> None:
    after = forbid([0], rows.shape[1])(rows)
    assert (after[:, 0] == -np.inf).all()
    assert (after[:, 1:] == rows[:, 1:]).all()


@pytest.mark.parametrize("apply", [top_p, typical_p])
def test_a_set_that_reaches_the_share_exactly_is_enough(apply: Callable[[float], Filter]) -> None:
    """Of four alike, each has a quarter, and every sum of quarters is a number without rounding."""
    rows = np.zeros((2, 4))
    for share in (1, 2, 3, 4):
        assert kept(apply(share / 4)(rows)) == [set(range(share))] * 2
    assert kept(apply(math.nextafter(0.5, 1))(rows)) == [{0, 1, 2}] * 2
    assert kept(apply(0.0)(rows)) == [{0}] * 2  # one is always left


@pytest.mark.parametrize(
    ("apply", "wanted"),
    [(top_k(2), 2), (top_p(0.5), 20), (typical_p(0.5), 20), (min_p(0.9), 40)],
)
def test_of_equals_the_lower_ids_stay(apply: Filter, wanted: int) -> None:
    """Among more than sorting by insertion would keep in order by chance."""
    rows = np.zeros((3, 40))
    assert kept(apply(rows)) == [set(range(wanted))] * 3
    assert np.array_equal(apply(rows)[:, :wanted], rows[:, :wanted])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.55, 0.8])
def test_of_equals_among_others_the_lower_ids_stay(share: float) -> None:
    """Three levels of 67 ids each, mixed: a sort that is not stable would mix them otherwise."""
    row = log_softmax(np.random.default_rng(1).permuted(np.repeat([[0.0, 1.0, 2.0]], 67)[None]))[0]
    p = np.exp(row)
    away = np.abs(-row + (p * row).sum())
    levels = np.round(away, 9)  # rounding parts no equals
    for apply, order in (
        (top_k(int(share * len(row))), np.lexsort((np.arange(len(row)), -row))),
        (top_p(share), np.lexsort((np.arange(len(row)), -row))),
        (typical_p(share), np.lexsort((np.arange(len(row)), levels))),
    ):
        ids = kept(apply(row[None]))[0]
        assert ids == set(order[: len(ids)].tolist())
        assert len(ids) < len(row)


def test_what_cannot_come_is_never_typical() -> None:
    rows = np.log(np.array([[0.5, 0.5, 1e-300, 1e-300]]))
    rows[0, 3] = -np.inf
    assert kept(typical_p(1.0)(rows))[0] >= {0, 1}
    assert 3 not in kept(typical_p(0.9)(rows))[0]


def test_what_has_the_share_of_the_best_exactly_stays() -> None:
    rows = np.array([[0.0, np.log(0.5), np.log(0.25)]])
    assert kept(min_p(0.5)(rows)) == [{0, 1}]
    assert kept(min_p(0.0)(rows)) == [{0, 1, 2}]


def test_rows_of_different_heights_are_normalised_one_by_one() -> None:
    rows = np.array([[0.0, np.log(3)], [-2000.0, -2000.0], [9000.0, -np.inf]])
    assert np.exp(log_softmax(rows)) == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]]))


@pytest.mark.parametrize(
    ("name", "value", "apply"),
    [
        ("temperature", 0.5, temperature(0.5)),
        ("top_k", 2, top_k(2)),
        ("top_p", 0.6, top_p(0.6)),
        ("min_p", 0.3, min_p(0.3)),
        ("typical_p", 0.4, typical_p(0.4)),
    ],
)
def test_an_option_is_its_filter(name: str, value: Any, apply: Filter) -> None:
    rows = np.log(np.array([[0.4, 0.3, 0.2, 0.1]]))
    options: dict[str, Any] = {"temperature": 1, name: value}
    [made] = filters(DecodingOptions.of(**options))
    assert np.array_equal(made(rows), apply(rows))
    assert not np.array_equal(made(rows), rows)


def test_filters_follow_each_other_in_their_order() -> None:
    """Heat makes even what top-p would have cut; of what top-k left, the nucleus is smaller."""
    rows = np.log(np.array([[0.5, 0.2, 0.15, 0.1, 0.05]]))
    options = DecodingOptions(temperature=2, top_k=4, top_p=0.6, min_p=0.6, typical_p=0.6)
    expected = rows
    for apply in (
        temperature(2),
        top_k(4),
        top_p(0.6),
        min_p(0.6),
        typical_p(0.6),
    ):
        expected = apply(expected)
    made = rows
    for apply in filters(options):
        made = apply(made)
    assert np.array_equal(made, expected)


def test_options_that_change_nothing_need_no_filter() -> None:
    assert filters(DecodingOptions(temperature=1)) == []
    assert filters(DecodingOptions(temperature=0, top_k=3, top_p=0.5)) == []


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
