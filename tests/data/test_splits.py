"""Splits that do not leak, met as nearly as groups allow; and leaks counted in splits that do."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kammil.data import near_duplicates
from kammil.data.splits import Leakage, leaks, split
from kammil.errors import DataError, OptionError


def texts_of(sizes: list[int], seed: int) -> list[str]:
    """Return groups of the given sizes in random order; texts of a group differ in punctuation only."""
    random = np.random.default_rng(seed)
    letters = np.array([chr(0x4E00 + i) for i in range(20_000)])
    bodies = ["".join(row) for row in random.choice(letters, (len(sizes), 20)).tolist()]
    texts = [body + "!" * i for body, size in zip(bodies, sizes, strict=True) for i in range(size)]
    return [texts[i] for i in random.permutation(len(texts))]


SIZES = st.lists(st.integers(1, 12) | st.just(1), min_size=3, max_size=60)
SHARES = st.tuples(st.floats(0, 0.45), st.floats(0, 0.45))


@given(SIZES, SHARES, st.integers(0, 99))
def test_groups_stay_on_one_side_and_count_once_when_held_out(
    sizes: list[int], shares: tuple[float, float], seed: int
) -> None:
    texts = texts_of(sizes, seed)
    group = near_duplicates.groups(texts)
    parts = split(texts, validation=shares[0], test=shares[1], seed=seed)
    sides = [set(group[list(part)].tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == len(sizes)
    assert parts.train == tuple(i for i in range(len(texts)) if group[i] in sides[0])
    for part, side in ((parts.validation, sides[1]), (parts.test, sides[2])):
        assert part == tuple(sorted(group.tolist().index(number) for number in side))
    assert parts == split(texts, validation=shares[0], test=shares[1], seed=seed)


@given(SIZES, SHARES, st.integers(0, 99))
def test_parts_are_as_large_as_asked_within_half_a_group(
    sizes: list[int], shares: tuple[float, float], seed: int
) -> None:
    texts = texts_of(sizes, seed)
    group = near_duplicates.groups(texts)
    size = np.bincount(group)
    parts = split(texts, validation=shares[0], test=shares[1], seed=seed)
    left = set(group[list(parts.train)].tolist())
    assume(len(left) > 1)  # else the last group was kept for training, whatever was asked
    for part, share in ((parts.validation, shares[0]), (parts.test, shares[1])):
        assert bool(part) == (share > 0)
        if len(part) > 1:
            drawn = int(size[group[list(part)]].sum())
            assert abs(drawn - round(share * len(texts))) <= size[list(left)].min() / 2


def test_without_repeats_the_sizes_are_exact() -> None:
    texts = texts_of([1] * 100, seed=0)
    parts = split(texts, validation=0.1, test=0.2, seed=1)
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [70, 10, 20]
    assert parts != split(texts, validation=0.1, test=0.2, seed=2)
    assert split(texts, validation=0.0).train == tuple(range(100))


def test_a_giant_group_is_not_held_out_while_others_fill_the_part() -> None:
    texts = texts_of([200] + [1] * 800, seed=0)
    for seed in range(20):
        parts = split(texts, validation=0.3, seed=seed)
        assert [len(parts.train), len(parts.validation)] == [700, 300]


@pytest.mark.parametrize("texts", [[], ["same"], ["same"] * 10, ["one text", "another text"]])
def test_too_few_groups_are_counted_in_the_error(texts: list[str]) -> None:
    with pytest.raises(
        DataError, match=rf"^{len(texts)} texts? in {len(set(texts))} groups? of .*train, validation and"
    ):
        split(texts, validation=0.1, test=0.1)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.0), (0.5, 0.5), (0.1, 1.0), (float("nan"), 0.0)])
def test_shares_that_leave_nothing_to_train_on_are_named(validation: float, test: float) -> None:
    with pytest.raises(OptionError, match=f"{validation} for validation and {test} for test"):
        split(["one text", "another text", "a third"], validation=validation, test=test)


def test_a_seed_below_zero_is_named() -> None:
    with pytest.raises(OptionError, match="seed is -1"):
        split(["one text", "another text", "a third"], seed=-1)


def test_leaks_are_counted_with_their_sources() -> None:
    held_out = [
        "شو حلو الشعور لما تصحى بكير والشمس طالعة",  # nearly the first training text
        "😂😂",  # the third, without the space
        "صباح الخير",  # the second has it too, but with more around it
        "RT @you: صَباحُ الخَير يا لبنان!! https://t.co/x",  # not the second, for the RT
        "صَباحُ الخَير، يا لبنان!!",  # the second
        " ",
    ]
    train = ["شو حلو الشعور لما تصحى بكير والناس نايمة", "صباح الخير يا لبنان", "😂 😂", "شي تاني"]
    assert leaks(train, held_out) == Leakage(
        exact=2, near=4, total=6, exact_rows=(1, 4), near_rows=(0, 1, 3, 4), near_sources=(0, 2, 1, 1)
    )
    assert leaks([*train, "\n"], held_out).exact_rows == (1, 4, 5)
    assert leaks([], held_out) == Leakage(0, 0, 6, (), (), ())
    assert leaks(train, []) == Leakage(0, 0, 0, (), (), ())


@given(SIZES, st.integers(0, 99))
def test_a_split_leaks_nothing(sizes: list[int], seed: int) -> None:
    texts = texts_of(sizes, seed)
    parts = split(texts, validation=0.2, test=0.2, seed=seed)
    train = [texts[i] for i in parts.train]
    held_out = [texts[i] for i in (*parts.validation, *parts.test)]
    assert leaks(train, held_out) == Leakage(0, 0, len(held_out), (), (), ())


def lebanese(data_dir: Path) -> list[str]:
    with (data_dir / "ArSenTD-LEV.tsv").open(encoding="utf-8", newline="") as file:
        return [row["Tweet"] for row in csv.DictReader(file, delimiter="\t") if row["Country"] == "lebanon"]


def test_the_notebook_tests_on_texts_that_it_trained_on(data_dir: Path) -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    tweets = lebanese(data_dir)
    assert len(tweets) == 1000
    train, held_out = model_selection.train_test_split(tweets, test_size=0.2, random_state=42)
    found = leaks(train, held_out)

    # The published count drops what \w is not, in the tweets as they are.
    def words(tweet: str) -> str:
        return "".join(re.findall(r"\w", re.sub(r"(?:https?://|www\.)\S+|@\w+", "", tweet)))

    known = {words(tweet) for tweet in train}
    published = {row for row, tweet in enumerate(held_out) if words(tweet) in known}
    assert (found.exact, found.near, found.total) == (112, 119, 200)
    assert set(found.exact_rows) == published


def test_a_split_of_real_tweets_leaks_nothing(data_dir: Path) -> None:
    tweets = lebanese(data_dir)
    parts = split(tweets, validation=0.1, test=0.2, seed=3)
    train = [tweets[i] for i in parts.train]
    held_out = [tweets[i] for i in (*parts.validation, *parts.test)]
    found = leaks(train, held_out)
    assert (found.near, found.total) == (0, len(held_out))
    assert len(train) == 700
