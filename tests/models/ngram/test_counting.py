"""Which counts a size budget keeps, and what they then say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kammil.language_model import Artifacts, Ids
from kammil.models.ngram import counting
from kammil.models.ngram.counting import (
    LEARNER,
    _expected_unknown,  # pyright: ignore[reportPrivateUsage]
    _sorted_pairs,  # pyright: ignore[reportPrivateUsage]
)
from kammil.models.ngram.model import NGramModel, NGramSettings, context_keys, discounts
from kammil.vocabulary import BOS, EOS

SIZE, ORDER = 12, 5


def texts(seed: int, number: int = 60) -> list[Ids]:
    """Draw texts in which every id mostly follows from the one before."""
    rng = np.random.default_rng(seed)
    following = rng.permutation(SIZE - 4) + 4
    drawn: list[Ids] = []
    for _ in range(number):
        ids = [int(rng.integers(4, SIZE))]
        while len(ids) < 30:
            ids.append(int(following[ids[-1] - 4] if rng.random() < 0.7 else rng.integers(4, SIZE)))
        drawn.append(np.array(ids, np.int64))
    return drawn


def count(megabytes: float | None, order: int | None = ORDER) -> tuple[NGramSettings, Artifacts]:
    return LEARNER.count(texts(0), texts(1, 20), SIZE, NGramSettings(order=order, megabytes=megabytes))


def stored(artifacts: Artifacts) -> int:
    """Return the bytes of the contexts that may be left out, and of their followers."""
    return sum(a.nbytes for name, a in artifacts.weights.items() if name[-1] not in "e0" and "discounts" not in name)


def rows(artifacts: Artifacts, order: int, text: Ids) -> NDArray[np.float32]:
    model = NGramModel(NGramSettings(order=order), artifacts.weights)
    return model.forward(np.concatenate([[BOS], text])[None], model.initial_state(1))[0][0]


def bits(artifacts: Artifacts, order: int) -> float:
    scores = [row[i] for t in texts(1, 20) for row, i in zip(rows(artifacts, order, t), np.append(t, EOS), strict=True)]
    return -float(np.mean(scores)) / np.log(2)


def test_a_budget_that_holds_all_leaves_out_nothing() -> None:
    (_, everything), (_, within) = count(None), count(1)
    assert everything.weights.keys() == within.weights.keys()
    for name, array in everything.weights.items():
        np.testing.assert_array_equal(array, within.weights[name])


@pytest.mark.parametrize("share", [0.8, 0.5, 0.2, 0.05])
def test_the_counts_fit_into_the_budget(share: float) -> None:
    _, everything = count(None)
    megabytes = share * stored(everything) / 1e6
    _, within = count(megabytes)
    # The most frequent contexts of each length stay, even where not all of them fit.
    assert stored(within) <= max(1e6 * megabytes, 4000) < stored(everything)


def test_probabilities_still_add_up_to_one_and_none_is_zero() -> None:
    for megabytes in (0.02, 0.005):
        _, within = count(megabytes)
        p = np.exp(rows(within, ORDER, texts(2, 1)[0]).astype(np.float64))
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)


def test_rare_contexts_go_first_and_little_is_lost() -> None:
    _, everything = count(None)
    _, within = count(0.5 * stored(everything) / 1e6)
    assert bits(within, ORDER) < bits(everything, ORDER) + 0.02
    assert bits(within, ORDER) < bits(count(None, 2)[1], 2)


def test_an_estimate_after_a_context_that_was_left_out_is_that_after_the_shorter_one() -> None:
    _, everything = count(None)
    _, within = count(0.2 * stored(everything) / 1e6)
    kept = set(within.weights[f"keys.{ORDER - 1}"].tolist())
    gone = [key for key in everything.weights[f"keys.{ORDER - 1}"].tolist() if key not in kept]
    assert gone
    shorter = {name: a for name, a in within.weights.items() if not name.endswith(f".{ORDER - 1}")}
    text = texts(3, 1)[0]
    full = NGramModel(NGramSettings(order=ORDER), within.weights)
    below = NGramModel(NGramSettings(order=ORDER - 1), shorter)
    ids = np.concatenate([[BOS], text])[None]
    a, b = (m.forward(ids, m.initial_state(1))[0][0] for m in (full, below))
    history = np.concatenate([np.zeros((1, ORDER - 1), np.int64), ids], axis=1)
    keys = list(context_keys(history, ids.shape[1], ORDER))[-1]
    unknown = ~np.isin(keys, within.weights[f"keys.{ORDER - 1}"])
    assert unknown.any() and not unknown.all()
    np.testing.assert_array_equal(a[unknown], b[unknown])
    assert (a[~unknown] != b[~unknown]).any()


def test_discounts_are_those_of_all_counts() -> None:
    """What is left after pruning has hardly any count of one: discounts computed from it would be too small."""
    _, everything = count(None)
    _, within = count(0.3 * stored(everything) / 1e6)
    pruned = [k for k in range(ORDER) if f"discounts.{k}" in within.weights]
    assert ORDER - 1 in pruned
    for k in pruned:
        expected = discounts(everything.weights[f"counts.{k}"].astype(np.float64))
        np.testing.assert_array_equal(within.weights[f"discounts.{k}"], expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=True), max_size=6))
def test_discounts_of_a_damaged_folder_are_refused(values: list[float]) -> None:
    _, artifacts = count(None)
    weights = dict(artifacts.weights) | {"discounts.1": np.array(values, np.float64)}
    if len(values) == 4 and all(0 < value < n for n, value in enumerate(values) if n):
        return
    with pytest.raises(ValueError, match="discounts"):
        NGramModel(NGramSettings(order=ORDER), weights)


def test_without_an_order_the_pruned_counts_are_compared() -> None:
    """Longer contexts that the budget cannot hold do not count for an order."""
    chosen, _ = count(None, None)
    small, artifacts = count(0.002, None)
    assert small.order is not None and chosen.order is not None and small.order <= chosen.order
    assert small.megabytes == 0.002
    NGramModel(small, artifacts.weights)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=60))
def test_pairs_are_sorted_by_key_and_then_by_id(pairs: list[tuple[int, int, int]]) -> None:
    """Also where keys differ in the lowest bits alone, whose place the id takes."""
    keys = np.array([(high << 60) + low for high, low, _ in pairs], np.uint64)
    ids = np.array([id for *_, id in pairs], np.int32)
    order = _sorted_pairs(keys, ids)
    assert sorted(order.tolist()) == list(range(len(pairs)))
    by_pair = list(zip(keys[order].tolist(), ids[order].tolist(), strict=True))
    assert by_pair == sorted(by_pair)


@given(st.lists(st.lists(st.integers(4, 30), max_size=8), min_size=1, max_size=12), st.integers(1, 5))
def test_half_of_the_characters_of_one_text_alone_are_expected_unknown(numbers: list[list[int]], part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_PART", part)
        counted = _expected_unknown([np.array(ids, np.int64) for ids in numbers])
    alone = [id for id in range(31) if sum(id in ids for ids in numbers) == 1]
    assert counted == max(1, len(alone) // 2)
