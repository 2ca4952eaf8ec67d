"""The next character by hypotheses, against the sum over all ways to cut the text."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kammil.errors import FolderError
from kammil.language_model import Artifacts, select_rows
from kammil.models.family import export, load_model
from kammil.models.gru import network as gru_network
from kammil.models.gru.model import SinglePrecisionGRU
from kammil.models.subwords.model import CHARACTERS, IDS, NONE, OFFSETS, ROOT, Trie, UnitModel, UnitVocabulary
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

SIZE = 7
LONGER = ((4, 5), (4, 5, 6), (5, 6), (4, 4), (6, 6, 6))
EVEN = 1e-6  # of every distribution over units is even, which weighs where a text goes through a rare unit
SPELLED = [(id,) for id in range(SIZE)] + list(LONGER)

typed = st.lists(st.sampled_from([UNK, 4, 5, 6]), max_size=7)
inventories = st.sets(st.lists(st.integers(SPECIALS, SIZE - 1), min_size=2, max_size=5).map(tuple), max_size=12)


@pytest.fixture(scope="module")
def network() -> gru_network.GRU:
    """Over all units; its weights are large, so that its choices are far from even."""
    torch.manual_seed(0)
    gru = gru_network.build(len(SPELLED), gru_network.GRUSettings(embedding=8, hidden=16)).eval()
    with torch.no_grad():
        for weights in gru.parameters():
            weights.mul_(4)
    return gru


@pytest.fixture(scope="module")
def step(network: gru_network.GRU) -> SinglePrecisionGRU:
    return SinglePrecisionGRU(export(network).weights)


@pytest.fixture(scope="module")
def exact(step: SinglePrecisionGRU) -> UnitModel:
    """With more hypotheses than there are ways to cut the texts of these tests."""
    return UnitModel(step, UnitVocabulary(SIZE, LONGER), hypotheses=64, min_share=0)


@cache
def slow(network: gru_network.GRU, text: tuple[int, ...]) -> float:
    """Probability that a text begins like this: the sum over all ways to cut it, by their definition.

    The last unit is the one that holds the last character; it may go on beyond.
    """

    def ways(rest: tuple[int, ...], units: tuple[int, ...]) -> float:
        if not rest:
            return 1
        with torch.no_grad():
            logits = network(torch.tensor([[BOS, *units]]))[0, -1].double()  # (U,)
        p = ((1 - EVEN) * torch.softmax(logits, -1) + EVEN / len(SPELLED)).tolist()
        total = 0.0
        for unit, spelled in enumerate(SPELLED):
            if spelled[: len(rest)] == rest:
                total += p[unit]
            elif rest[: len(spelled)] == spelled:
                total += p[unit] * ways(rest[len(spelled) :], (*units, unit))
        return total

    return ways(text, ())


@given(text=typed)
@example(text=[1, 4, 5, 5, 6, 5])
def test_equals_the_sum_over_all_ways_to_cut(network: gru_network.GRU, exact: UnitModel, text: list[int]) -> None:
    scores, _ = exact.forward(np.array([[BOS, *text]]), exact.initial_state(1), last=1)
    given = slow(network, tuple(text))
    wanted = [slow(network, (*text, id)) / given for id in range(SIZE)]
    assert np.exp(scores[0, 0]) == pytest.approx(np.array(wanted), abs=1e-5, rel=1e-3)


@given(
    texts=st.integers(1, 9).flatmap(
        lambda length: st.lists(st.lists(st.integers(1, SIZE - 1), min_size=length, max_size=length), min_size=1)
    ),
    hypotheses=st.integers(2, 5),
    min_share=st.sampled_from([0, 1e-5, 0.3]),
)
def test_few_hypotheses_give_a_distribution_all_the_same(
    step: SinglePrecisionGRU, texts: list[list[int]], hypotheses: int, min_share: float
) -> None:
    model = UnitModel(step, UnitVocabulary(SIZE, LONGER), hypotheses=hypotheses, min_share=min_share)
    ids = np.array([[BOS, *text] for text in texts])
    scores, end = model.forward(ids, model.initial_state(len(ids)))
    assert np.exp(scores.astype(np.float64)).sum(-1) == pytest.approx(1, abs=1e-5)
    # Whatever was dropped, each text may end here, and go on with anything.
    assert np.isfinite(scores[..., [UNK, *range(EOS, SIZE)]]).all()
    assert end[0].sum(-1) == pytest.approx(1)
    alone, _ = model.forward(ids[-1:], model.initial_state(1))
    assert scores[-1] == pytest.approx(alone[0], abs=1e-4)


def test_more_hypotheses_come_closer(network: gru_network.GRU, step: SinglePrecisionGRU) -> None:
    generator = np.random.default_rng(0)
    texts = generator.integers(SPECIALS, SIZE, (20, 7))
    wanted = np.array([np.log(slow(network, tuple(map(int, text)))) for text in texts])

    def far(hypotheses: int) -> float:
        model = UnitModel(step, UnitVocabulary(SIZE, LONGER), hypotheses=hypotheses, min_share=0)
        read, _ = model.forward(np.insert(texts, 0, BOS, axis=1), model.initial_state(20))
        scores = np.take_along_axis(read[:, :-1], texts[:, :, None], -1).sum((1, 2))
        return float(np.abs(scores - wanted).mean())

    assert far(2) > 10 * far(8) > 0


def test_without_longer_units_it_is_the_network(step: SinglePrecisionGRU) -> None:
    model = UnitModel(step, UnitVocabulary(len(SPELLED), []))
    ids = np.random.default_rng(1).integers(1, len(SPELLED), (3, 9))
    scores, end = model.forward(ids, model.initial_state(3))
    unit_scores, unit_state = step.forward(ids, step.initial_state(3))
    assert np.exp(scores) == pytest.approx(np.exp(unit_scores), abs=1e-5)
    alive = end[0].argmax(-1)
    assert end[3][np.arange(3), alive] == pytest.approx(unit_state[0], abs=1e-5)


def test_the_state_given_is_left_as_it_was(exact: UnitModel) -> None:
    _, state = exact.forward(np.array([[BOS, 4, 5], [BOS, 6, 6]]), exact.initial_state(2))
    before = select_rows(state, np.arange(2))
    exact.forward(np.array([[6, 4], [6, 5]]), state)
    for array, copied in zip(before, state, strict=True):
        assert np.array_equal(array, copied)


@given(inventories)
def test_a_node_is_a_beginning_and_its_range_all_units_that_begin_so(longer: set[tuple[int, ...]]) -> None:
    units = UnitVocabulary(SIZE, sorted(longer, reverse=True))
    trie = Trie(units)
    spelled = [(id,) for id in range(SIZE)] + list(units.longer)
    node_of: dict[tuple[int, ...], int] = {(): ROOT}
    for beginning in sorted({s[:n] for s in spelled for n in range(1, 6)}, key=len):
        above = node_of[beginning[:-1]]
        if beginning not in node_of:
            node_of[beginning] = int(trie.child(np.array(above), np.array(beginning[-1])))
        node = node_of[beginning]
        assert trie.children[above] <= node < trie.children[above + 1]
        assert trie.characters[node] == beginning[-1]
        below = {u for u, s in enumerate(spelled) if s[: len(beginning)] == beginning}
        assert set(trie.order[trie.first[node] : trie.stop[node]].tolist()) == below
        unit = spelled.index(beginning) if beginning in spelled else NONE
        assert trie.unit[node] == unit
        assert set(trie.order[trie.below[node] : trie.stop[node]].tolist()) == below - {unit}
    assert sorted(node_of.values()) == list(range(len(trie.first)))
    for beginning, node in node_of.items():
        for character in range(SIZE):
            found = int(trie.child(np.array(node), np.array(character)))
            assert found == node_of.get((*beginning, character), NONE)


@given(inventories)
def test_units_are_the_same_after_a_folder(longer: set[tuple[int, ...]]) -> None:
    units = UnitVocabulary(SIZE, sorted(longer))
    again = UnitVocabulary.from_arrays(units.arrays())
    assert (again.characters, again.longer) == (units.characters, units.longer)
    assert units.widths.tolist() == [1] * SIZE + [len(unit) for unit in units.longer]
    assert units.size == len(units.widths)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        (OFFSETS, np.array([0, 2, 5, 7, 9, 99])),
        (OFFSETS, np.array([0, 2, 5, -7, 9, 12])),
        (OFFSETS, np.array([1, 2, 5, 7, 9, 12])),
        (OFFSETS, np.array([0, 2, 3, 7, 9, 12])),
        (OFFSETS, np.array([], np.int64)),
        (OFFSETS, np.array([0, 2, 5, 7, 12])),
        (OFFSETS, np.array([0.0, 2, 5, 7, 9, 12])),
        (IDS, np.full(12, SIZE)),
        (IDS, np.full(12, EOS)),
        (IDS, np.full(12, -4)),
        (IDS, np.full(12, 4)),  # the same unit twice
        (IDS, np.full((12, 1), 4)),
        (IDS, np.full(12, np.uint64(2**64 - 4))),
        (IDS, np.zeros(0, np.int32)),
        (CHARACTERS, np.array([SIZE + 1])),
        (CHARACTERS, np.array([2**40])),
        (CHARACTERS, np.array([PAD])),
        (CHARACTERS, np.array([SIZE, SIZE])),
        (CHARACTERS, np.array(SIZE)),
        (CHARACTERS, None),
        (OFFSETS, None),
    ],
)
def test_foreign_arrays_are_refused(network: gru_network.GRU, name: str, array: NDArray[np.generic] | None) -> None:
    exported = export(network)
    weights = {**exported.weights, **UnitVocabulary(SIZE, LONGER).arrays()}
    assert load_model("words", {}, Artifacts(weights)).vocabulary_size == SIZE
    if array is None:
        del weights[name]
    else:
        weights[name] = array
    with pytest.raises(FolderError, match=r"words .*arrays"):
        load_model("words", {}, Artifacts(weights))
