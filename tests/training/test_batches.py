"""Every target is learnt exactly once, and padding is never learnt."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kammil.language_model import Ids
from kammil.training.batches import TARGET_LENGTH, Batch, Objective, batches, draw, make_rows, pad
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

objectives = st.sampled_from(("text", "completion"))
blocks = st.integers(8, 70)


@st.composite
def texts(draw: st.DrawFn) -> list[Ids]:
    """Encoded texts of which every id is different, so that a target tells where it came from."""
    lengths = draw(st.lists(st.integers(1, 150), min_size=1, max_size=12))
    ends = np.cumsum(lengths)
    return [np.arange(end - n, end, dtype=np.int64) + SPECIALS for n, end in zip(lengths, ends, strict=True)]


def counted_targets(text: Ids, objective: Objective) -> list[int]:
    """The definition, read aloud: all characters and the end; or 30 from the middle on, the end being one of them."""
    whole = [*text.tolist(), EOS]
    return whole if objective == "text" else whole[len(text) // 2 :][:TARGET_LENGTH]


def learnt(batch: Batch) -> list[tuple[int, int]]:
    """(input, target) at each counted position."""
    return list(zip(batch.inputs[batch.counted].tolist(), batch.targets[batch.counted].tolist(), strict=True))


@given(texts(), objectives, blocks, st.integers(1, 9), st.none() | st.integers(0, 9))
@example([np.arange(1, dtype=np.int64) + SPECIALS], "completion", 8, 1, None)
@example([np.arange(60, dtype=np.int64) + SPECIALS], "completion", 8, 1, None)
@example([np.arange(16, dtype=np.int64) + SPECIALS], "text", 8, 1, 0)
def test_every_counted_target_stands_in_one_place(
    encoded: list[Ids], objective: Objective, block: int, size: int, seed: int | None
) -> None:
    rows = make_rows(encoded, objective=objective, block=block)
    generator = None if seed is None else np.random.default_rng(seed)
    found = Counter(pair for batch in batches(rows, size, generator=generator) for pair in learnt(batch))
    wanted: Counter[tuple[int, int]] = Counter()
    for text in encoded:
        before = dict(zip([*text.tolist(), EOS], [BOS, *text.tolist()], strict=True))
        wanted.update((before[target], target) for target in counted_targets(text, objective))
    assert found == wanted


@given(texts(), objectives, blocks, st.integers(1, 9))
def test_targets_are_the_inputs_one_later(encoded: list[Ids], objective: Objective, block: int, size: int) -> None:
    generator = np.random.default_rng(0)
    for batch in batches(make_rows(encoded, objective=objective, block=block), size, generator=generator):
        assert batch.inputs.shape == batch.targets.shape == batch.counted.shape
        assert batch.inputs.shape[0] <= size and batch.inputs.shape[1] <= block
        assert (batch.inputs[:, 1:] == batch.targets[:, :-1]).all()
        assert (batch.inputs[:, 0] != PAD).all()


@given(texts(), objectives, blocks)
def test_padding_stands_at_the_end_and_is_never_counted(encoded: list[Ids], objective: Objective, block: int) -> None:
    for batch in batches(make_rows(encoded, objective=objective, block=block), 4):
        padding = batch.targets == PAD
        assert (padding[:, 1:] >= padding[:, :-1]).all()  # once it begins it goes on
        assert not padding.all(axis=0).any()  # no column is nothing but padding
        assert not (padding & batch.counted).any()
        assert batch.counted.any(axis=1).all()  # no row is learnt in vain


@given(texts(), objectives, blocks, st.data())
def test_chunks_are_taken_as_they_were_cut(
    encoded: list[Ids], objective: Objective, block: int, data: st.DataObject
) -> None:
    rows = make_rows(encoded, objective=objective, block=block)
    cut = list(rows)
    assert [len(row.ids) for row in cut] == rows.lengths.tolist()
    chosen = data.draw(st.lists(st.integers(0, len(cut) - 1), max_size=5))
    for taken, number in zip(rows.take(np.array(chosen, np.int64)), chosen, strict=True):
        whole = cut[number]
        assert taken.ids.tolist() == whole.ids.tolist()
        assert (taken.first, taken.stop, taken.text, taken.begin) == (whole.first, whole.stop, whole.text, whole.begin)
    assert [row.begin for row in rows[1:3]] == [row.begin for row in cut[1:3]]
    by_list, by_rows = (
        [batch.inputs.tolist() for batch in batches(each, 3, generator=np.random.default_rng(0))]
        for each in (cut, rows)
    )
    assert by_list == by_rows


def test_a_long_text_goes_on_with_the_id_before_the_cut() -> None:
    text = np.arange(20, dtype=np.int64) + SPECIALS
    rows = make_rows([text], objective="text", block=8)
    assert [row.ids.tolist() for row in rows] == [
        [BOS, *range(4, 12)],
        [*range(11, 20)],
        [*range(19, 24), EOS],
    ]


@pytest.mark.parametrize(
    ("length", "characters", "end"), [(1, 1, 1), (2, 1, 1), (58, 29, 1), (59, 30, 0), (280, 30, 0)]
)
def test_the_completion_objective_counts_thirty_characters_after_the_middle(
    length: int, characters: int, end: int
) -> None:
    text = np.arange(length, dtype=np.int64) + SPECIALS
    batch = pad(make_rows([text], objective="completion", block=512))
    targets = batch.targets[batch.counted]
    assert targets.tolist() == [*text[length // 2 :][:characters].tolist(), *[EOS] * end]


@given(texts(), st.integers(0, 2**32), st.data())
def test_rare_ids_are_hidden_alike_in_inputs_and_targets(encoded: list[Ids], seed: int, data: st.DataObject) -> None:
    most = int(encoded[-1][-1])
    rare = np.array(data.draw(st.lists(st.integers(SPECIALS, most), unique=True, min_size=1)), np.int64)
    rows = make_rows(encoded, objective="text", block=512)
    plain = list(batches(rows, 4, generator=np.random.default_rng(seed)))
    hidden = list(batches(rows, 4, rare=rare, generator=np.random.default_rng(seed)))
    # Hiding draws from the generator, so only what is learnt altogether is the same, but for the rare ids.
    assert sum(int(batch.counted.sum()) for batch in plain) == sum(int(batch.counted.sum()) for batch in hidden)
    for batch in hidden:
        assert (batch.inputs[:, 1:] == batch.targets[:, :-1]).all()
    left = Counter(id for batch in hidden for id in batch.targets[batch.counted].tolist())
    common = {id for text in encoded for id in text.tolist()} - set(rare.tolist())
    assert all(left[id] == 1 for id in common)
    assert left[EOS] == len(encoded)
    assert left[UNK] == len(rare) - sum(left[id] for id in rare.tolist())


def test_half_of_the_rare_ids_are_hidden_and_only_while_learning() -> None:
    text = np.full(4000, SPECIALS, np.int64)
    rows = make_rows([text], objective="text", block=4096)
    rare = np.array([SPECIALS])
    (batch,) = batches(rows, 1, rare=rare, generator=np.random.default_rng(0))
    assert 1800 < (batch.targets == UNK).sum() < 2200  # 6 standard deviations
    (batch,) = batches(rows, 1, rare=rare)
    assert not (batch.targets == UNK).any()
    (batch,) = batches(rows, 1, rare=np.zeros(0, np.int64), generator=np.random.default_rng(0))
    assert not (batch.targets == UNK).any()


@given(texts(), objectives, st.integers(1, 9), st.integers(0, 2**32))
def test_one_seed_gives_one_order(encoded: list[Ids], objective: Objective, size: int, seed: int) -> None:
    rows = make_rows(encoded, objective=objective, block=32)
    rare = encoded[0]
    one = batches(rows, size, rare=rare, generator=np.random.default_rng(seed))
    other = batches(rows, size, rare=rare, generator=np.random.default_rng(seed))
    for a, b in zip(one, other, strict=True):
        assert (a.inputs == b.inputs).all()
        assert (a.targets == b.targets).all()
        assert (a.counted == b.counted).all()


def test_seeds_give_different_orders_and_lengths_stay_together() -> None:
    generator = np.random.default_rng(0)
    encoded: list[Ids] = [
        np.full(n, SPECIALS + i, np.int64) for i, n in enumerate(generator.integers(1, 200, 320).tolist())
    ]
    rows = make_rows(encoded, objective="text", block=512)
    orders = [
        [batch.targets[:, 0].tolist() for batch in batches(rows, 16, generator=np.random.default_rng(seed))]
        for seed in (0, 1)
    ]
    assert orders[0] != orders[1]
    unordered = [pad(rows[i : i + 16]) for i in range(0, len(rows), 16)]
    sorted_ = list(batches(rows, 16, generator=np.random.default_rng(0)))
    waste = [sum((batch.targets == PAD).sum() for batch in some) for some in (sorted_, unordered)]
    assert waste[0] < waste[1] / 4


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), blocks)
def test_of_units_those_count_that_begin_in_the_target(lengths: list[int], block: int) -> None:
    widths = np.array([1] * SPECIALS + lengths)
    text = np.arange(len(lengths), dtype=np.int64) + SPECIALS
    characters = [int(unit) for unit in text for _ in range(widths[unit])]  # which unit each character is of
    begins = [i for i in range(len(characters)) if i == 0 or characters[i - 1] != characters[i]]
    middle = len(characters) // 2
    wanted = [characters[i] for i in begins if middle <= i < middle + TARGET_LENGTH]
    if len(characters) < middle + TARGET_LENGTH:
        wanted.append(EOS)
    rows = make_rows([text], objective="completion", block=block, widths=widths)
    assert [target for row in rows for _, target in learnt(pad([row]))] == wanted


@given(st.lists(st.floats(0.05, 6), min_size=1, max_size=30), st.integers(0, 99))
def test_a_weight_is_the_expected_number_of_draws(weights: list[float], seed: int) -> None:
    array = np.array(weights)
    generator = np.random.default_rng(seed)
    counts = np.array([np.bincount(draw(array, generator), minlength=len(array)) for _ in range(200)])
    assert ((counts == np.floor(array)) | (counts == np.floor(array) + 1)).all()
    assert np.isin(counts.sum(1), [math.floor(array.sum()), math.ceil(array.sum())]).all()
    assert np.abs(counts.mean(0) - array).max() < 0.25  # seven standard deviations


def test_integer_weights_are_met_exactly() -> None:
    drawn = draw(np.array([3.0, 1.0, 2.0, 1.0]), np.random.default_rng(0))
    assert sorted(drawn.tolist()) == [0, 0, 0, 1, 2, 2, 3]
    assert draw(np.array([0.5] * 40), np.random.default_rng(1)).tolist() != list(range(0, 40, 2))
