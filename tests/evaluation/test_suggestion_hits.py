"""Slips of hurried fingers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.errors import OptionError
from kammil.evaluation.suggestion_hits import with_slips
from kammil.text import words

TEXT = "أنا رايح على البيت هلأ، وإنتي شو عم تعملي؟ see you 123"


@given(st.lists(st.text(), max_size=3), st.floats(0, 1), st.integers(0, 99))
def test_letters_are_replaced_one_for_one(texts: list[str], rate: float, seed: int) -> None:
    typed = with_slips(texts, rate, seed=seed)
    assert [words(text) for text in typed] == [words(text) for text in texts]
    for text, slipped in zip(texts, typed, strict=True):
        assert len(slipped) == len(text)
        assert all(a == b for a, b in zip(text, slipped, strict=True) if not a.isalpha())
    assert typed == with_slips(texts, rate, seed=seed)


def test_as_many_as_asked_for() -> None:
    text = TEXT * 200
    letters = sum(c.isalpha() for c in text)
    for rate in (0.0, 0.03, 0.2):
        (typed,) = with_slips([text], rate)
        wrong = sum(a != b for a, b in zip(text, typed, strict=True))
        assert wrong / letters == pytest.approx(rate, rel=0.1)


def test_a_neighbour_or_the_other_spelling() -> None:
    seen: dict[str, set[str]] = {}
    for seed in range(300):
        for a, b in zip("مدرسة أهلا ل", with_slips(["مدرسة أهلا ل"], 1.0, seed=seed)[0], strict=True):
            seen.setdefault(a, set()).add(b)
    assert "ه" in seen["ة"] and "ا" in seen["أ"]
    assert {"ا", "ب"} <= seen["ل"]  # its neighbours in the row
    assert "ة" not in seen["ه"]  # inside a word nobody writes it


@pytest.mark.parametrize("rate", [-0.01, 1.01])
def test_a_rate_that_is_no_share(rate: float) -> None:
    with pytest.raises(OptionError, match=f"slips is {rate}"):
        with_slips(["a"], rate)
