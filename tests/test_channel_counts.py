"""The counts that the channel is made of, on words that are counted by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.test_benchmarks import script

recipe = script("recipes/channel.py")


def test_words_are_those_of_arabic_letters() -> None:
    assert recipe.count_words(["شو، أكــل hi 12", "أكل شُو"]) == Counter({"أكل": 2, "شو": 1, "شُو": 0, "ش": 1, "و": 1})


def test_pairs_of_spellings_are_expected_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "LEAST", 0.5)
    found = recipe.spellings(Counter({"أكل": 30, "اكل": 60, "إكل": 10, "كلب": 5}))
    # Two of 100 occurrences are drawn: one with أ is met by one with ا 60 times of 100.
    assert found["أ"] == {"أ": 9, "إ": 3, "ا": 18}
    assert found["ا"] == {"أ": 18, "إ": 6, "ا": 36}
    assert found["ك"] == {"ك": 105}


def test_letters_that_sound_alike_count_where_one_spelling_is_rare() -> None:
    found = recipe.spellings(Counter({"هذا": 1000, "هدا": 90, "ذهب": 600, "دهب": 70}))
    assert found["ذ"]["د"] == 90  # of ذهب the other spelling is not rare enough


def test_a_hamza_counts_for_qaf_where_words_need_not_be_frequent() -> None:
    found = recipe.spellings(Counter({"قلبي": 300, "ئلبي": 25, "ق": 500, "ئ": 40}), recipe.GLOTTAL, 20)
    assert found["ق"] == {"ئ": 25, "ق": 800}  # a letter by itself is no word


def test_slips_are_rare_words_beside_frequent_ones() -> None:
    words = Counter(
        {
            "مكتبة": 1000,
            "مكتلة": 3,
            "مكبة": 2,
            "مكتتبة": 4,
            "مكبتة": 1,
            "مكتبه": 4,
            "مكتلبة": 4,
            "شجرتنا": 900,
            "كتب": 400,
            "حلووو": 7,
            "حلوو": 2,
        }
    )
    found = recipe.slips(words)
    assert (found["dropped"], found["doubled"], found["swapped"]) == (2, 4, 1)
    assert found["neighbour"] == 3  # ل beside ب; another spelling is no slip
    assert found["inserted"] == 4  # ل beside ب
    assert found["letters"] == 5 * 1000 + 6 * 900
    assert found["all_letters"] == sum(n * len(word) for word, n in words.items())
    assert found["stretched"] == 7
