"""Texts that resemble others are excluded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data import near_duplicates, sources
from kammil.data.exclusion import QUOTATION_RULE, VERSION_RULE, resembling
from kammil.data.shingles import loose_key

# Eight words of nonsense that share no run, so that two texts share exactly the words that both hold.
WORDS = ("ابتثجحخد", "ذرزسشصضط", "ظعغفقكلم", "نهويبجدم", "تثخذزشضظ", "غقلنوحرس", "صطعفكمهي", "جذسطغكنو")
FORMULA = "الحمد لله رب العالمين"


def excluded_texts(texts: list[str], among: list[str]) -> list[bool]:
    found: list[bool] = resembling(texts, among).tolist()
    return found


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=12), st.integers(0, 12))
def test_all_direct_pairs_go_and_whatever_is_their_version(texts: list[str], first: int) -> None:
    texts, among = texts[first:], texts[:first]
    similar = (near_duplicates.nearest_duplicates(texts, among) >= 0) | (
        near_duplicates.nearest_duplicates(texts, among, QUOTATION_RULE) >= 0
    )
    version = near_duplicates.groups(texts, VERSION_RULE).tolist()
    excluded = {version[i] for i in range(len(texts)) if similar[i]}
    assert excluded_texts(texts, among) == [number in excluded for number in version]


def test_a_quotation_with_words_changed_is_found_in_any_spelling() -> None:
    quoted = (
        "الجارة القديمة حكت مبارح لكل أهل الضيعة انو "
        "الطريق الجديدة رح تصير جاهزة قبل العيد الكبير وانو المختار وعد بعرس"
    )
    quoting = (
        "الجاره القديمه خبرت مبارح لكل اهل الحارة انو "
        "الطريق الجديده بدا تصير جاهزه بعد العيد الكبييير وانو المختار حلف بعرس"
    )
    assert near_duplicates.overlap(quoted, quoting) < near_duplicates.MIN_SHARE
    assert excluded_texts([quoting], [quoted]) == [True]


def test_a_formula_in_two_texts_leaves_neither_out() -> None:
    first, second = f"{FORMULA} {WORDS[0]} {WORDS[1]}", f"{FORMULA} {WORDS[2]} {WORDS[3]}"
    shared = len(near_duplicates.shingles(loose_key(first), 8) & near_duplicates.shingles(loose_key(second), 8))
    assert shared >= QUOTATION_RULE.share * len(
        near_duplicates.shingles(loose_key(first), 8)
    )  # 40 %, but not 16 of them
    assert shared < QUOTATION_RULE.min_shared
    assert excluded_texts([second], [first]) == [False]


def test_a_version_of_what_goes_goes_and_what_shares_a_part_with_it_stays() -> None:
    test = " ".join(WORDS[:4])
    direct = " ".join([*WORDS[1:4], *WORDS[5:]])
    version = " ".join([WORDS[4], WORDS[3], *WORDS[5:]])
    part = " ".join([*WORDS[5:], WORDS[0][::-1]])
    texts = [direct, version, part]
    assert near_duplicates.groups(texts).tolist() == [0, 0, 0]
    assert (near_duplicates.nearest_duplicates(texts, [test]) >= 0).tolist() == [True, False, False]
    assert excluded_texts(texts, [test]) == [True, True, False]


def test_a_chain_through_a_formula_ends_at_the_formula() -> None:
    test = f"{WORDS[0]} {WORDS[5]} {WORDS[6]} {FORMULA}"
    texts = [f"{FORMULA} 🌹", f"{FORMULA} {WORDS[1]} {WORDS[2]} {WORDS[3]} {WORDS[4]}"]
    assert near_duplicates.groups([test, *texts]).tolist() == [0, 0, 0]
    assert excluded_texts(texts, [test]) == [True, False]


def test_nothing_in_nothing_out() -> None:
    assert excluded_texts([], ["a"]) == excluded_texts([], []) == []
    assert excluded_texts(["a", "b"], []) == [False, False]


@pytest.mark.parametrize(("row", "like"), [(642, 1291), (2509, 1829)])
def test_the_benchmark_holds_two_quotations_that_the_rule_of_splits_misses(data_dir: Path, row: int, like: int) -> None:
    split = sources.benchmark()
    tweets = sources.rows(split["dataset"]).texts
    train = [*split["train"], *split["train_other"]]
    texts = [tweets[i] for i in train]
    assert row in split["test"]
    assert (near_duplicates.nearest_duplicates(texts, [tweets[row]]) < 0).all()
    assert [i for i, out in zip(train, excluded_texts(texts, [tweets[row]]), strict=True) if out] == [like]


def test_many_texts_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{WORDS[i % 8]} {WORDS[i * 3 % 8]} {WORDS[i * i % 8]}" for i in range(30)]
    at_once = excluded_texts(texts, texts[4:6])
    assert any(at_once) and not all(at_once)
    monkeypatch.setattr("kammil.data.exclusion._PART", 7)
    assert excluded_texts(texts, texts[4:6]) == at_once
    assert excluded_texts([], texts) == []
    alone = [f"{word} {word[::-1]} {word[3:]}{word[:3]}" for word in WORDS]  # none is another's version
    monkeypatch.setattr("kammil.data.exclusion._PART", 3)
    assert excluded_texts(alone, alone) == [True] * len(alone)
