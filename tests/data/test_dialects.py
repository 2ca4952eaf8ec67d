"""Likely dialects: texts that a reader would place at once, texts that nobody can place, and what the package holds."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.data.dialects import DIALECTS, UNCLEAR, Counts, counts, keys, likely, likely_shares
from kammil.data.sources import sample
from kammil.languages import known


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("شو هاد يا زلمة، بدي روح عالبيت هلق", "Levantine"),
        ("ايه ده، انا عايز اروح البيت دلوقتي", "Egyptian"),
        ("واش راك لاباس، بزاف هاد الشي ديال الناس", "Maghrebi"),
        ("شلونك عيني، شكو ماكو، هسه اجي", "Iraqi"),
        ("", UNCLEAR),
        ("nothing Arabic here", UNCLEAR),
        ("123 🙂", UNCLEAR),
    ],
)
def test_plain_cases(text: str, dialect: str) -> None:
    assert likely(text) == dialect


def test_the_embedded_corpus_is_levantine() -> None:
    shares = likely_shares(sample())
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["Levantine"] > 0.4 > 5 * max(shares[name] for name in DIALECTS[1:])  # the others are unclear
    assert set(likely_shares([]).values()) == {0.0}


def test_spelling_makes_no_difference() -> None:
    assert keys("إلى الأرضِ!") == keys("الي الارض")


def test_a_probability_below_a_half_is_unclear() -> None:
    known = Counts({"شو": np.array([1.0, 0, 0, 0, 0, 0]), "هلا": np.array([3.0, 0, 0, 0, 0, 0])}, np.zeros(6), {}, {})
    assert likely("شو", known) == UNCLEAR  # e / (e + 5) = 0.35
    assert likely("هلا", known) == "Levantine"  # 0.80
    assert likely("شو هلا", known) == "Levantine"


def test_what_the_package_holds_is_small_and_states_its_errors() -> None:
    assert len(known()["arabic"].read("dialects.json").encode()) < 100_000
    held = counts()
    assert all(weights.shape == (len(DIALECTS),) for weights in held.words.values())
    assert all(keys(word) == {word} for word in held.words)  # words, and nothing longer
    for share in (held.precision, held.recall):
        assert share.keys() == set(DIALECTS) and all(0 < value <= 1 for value in share.values())
