"""The graph of the blend adds what it is told to add, to the right characters of the right positions."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from kammil.engine.onnx.blend_graph import Mixture, _graph  # pyright: ignore[reportPrivateUsage]
from kammil.engine.weights import GateWeights, GRUWeights
from kammil.ngrams.count_table import Matches
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, Floats, expert_features
from kammil.ngrams.index import IndexMatches

SIZE, HIDDEN, GATE, EXPERTS = 9, 6, 5, 3


def drawn(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


LAYER = GRUWeights(
    drawn(SIZE, 3 * HIDDEN), drawn(HIDDEN, 3 * HIDDEN), drawn(3 * HIDDEN), np.zeros((HIDDEN, SIZE + GATE), np.float32)
)
BIAS = drawn(SIZE + GATE)
OURS = GateWeights(
    drawn(GATE_FEATURES * EXPERTS, GATE), drawn(GATE, SCORE_FEATURES * EXPERTS), drawn(SCORE_FEATURES * EXPERTS)
)
ENTRIES = Matches(
    np.array([[3, 0, 9], [0, 1, 0], [0, 0, 0]], np.float32),
    np.array([[2, 0, 2], [0, 1, 0], [0, 0, 0]], np.float32),
    np.array([0, 0, 2, 2, 4]),
    np.array([4, 8, 4, 5, 0]),
    np.array([1, 2, 2, 7, 1], np.float32),
)
"""What three experts saw follow at three positions; at the last of them nothing is known."""


KNOWN = IndexMatches.of(ENTRIES.flat_index, ENTRIES.ids, ENTRIES.counts.astype(np.int64), EXPERTS, 0, EXPERTS)


def by_hand(entries: Matches) -> Floats:
    """Scores (P, V): the network says its bias alone, and each follower is weighted as the gate says."""
    seen = expert_features([entries])
    inner = np.maximum(seen.clues @ OURS.features + BIAS[SIZE:], 0)
    trust = (inner @ OURS.trust + OURS.bias).reshape(-1, SCORE_FEATURES)  # (P * K, FEATURES)
    scores = np.tile(BIAS[:SIZE], (len(entries.totals), 1))
    np.add.at(scores, (seen.places // EXPERTS, seen.ids), (trust[seen.places] * seen.features).sum(axis=1))
    return scores


def test_scores_are_those_by_hand() -> None:
    mixture = Mixture([LAYER], BIAS, OURS, SIZE)
    ids, before = np.array([[1, 2, 3, 4]]), np.zeros((1, HIDDEN), np.float32)
    _, shares = mixture.read(ids, before, KNOWN, last=3)
    expected = by_hand(ENTRIES)
    expected -= np.log(np.exp(expected).sum(axis=1, keepdims=True))
    assert shares[0] == pytest.approx(expected, abs=1e-5)
    assert np.abs(expected - expected[2]).max() > 0.1  # what is known was heard


def test_parts_add_up() -> None:
    mixture = Mixture([LAYER], BIAS, OURS, SIZE)
    _, said, added = mixture.parts(np.array([[1, 2, 3]]), np.zeros((1, HIDDEN), np.float32), KNOWN, last=3)
    np.add.at(said, (KNOWN.contexts[0].repeat(KNOWN.contexts[1]) // EXPERTS, KNOWN.followers[0]), added)
    assert said == pytest.approx(by_hand(ENTRIES), abs=1e-5)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_nothing_may_be_known_or_asked(last: int) -> None:
    mixture = Mixture([LAYER], BIAS, OURS, SIZE)
    nothing = IndexMatches(np.zeros((3, 0), np.int64), np.zeros((2, 0), np.int64))
    after, shares = mixture.read(np.array([[1, 2], [3, 4]]), np.zeros((2, HIDDEN), np.float32), nothing, last=last)
    assert after.shape == (2, HIDDEN) and shares.shape == (2, last, SIZE)
    assert np.exp(shares).sum(axis=-1) == pytest.approx(np.ones((2, last)), abs=1e-5)


@pytest.mark.parametrize("one", [True, False])
def test_the_graph_is_sound(one: bool) -> None:
    graph, _ = _graph([LAYER, LAYER], BIAS, OURS, SIZE, one=one)
    onnx.checker.check_model(onnx.load_model_from_string(graph))
