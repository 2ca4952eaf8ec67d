"""Completions as sequences: against definitions that go letter by letter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.evaluation.sequences import first_word_right, right_prefix

IDS = st.lists(st.integers(4, 6), max_size=6)


@given(IDS, IDS)
def test_a_right_prefix_ends_at_the_first_wrong_one(written: list[int], true: list[int]) -> None:
    n = right_prefix(np.array(written, np.int64), np.array(true, np.int64))
    assert written[:n] == true[:n] and len(written[:n]) == len(true[:n]) == n
    assert n == min(len(written), len(true)) or written[n] != true[n]


@pytest.mark.parametrize(
    ("text", "begin", "stop", "completion", "right"),
    [
        ("شو حلو اليوم", 3, 12, "حلو كتير", True),
        ("شو حلو اليوم", 3, 12, "حلوة كتير", False),  # goes on where the word should end
        ("شو حلو اليوم", 3, 12, "حلا كتير", False),
        ("شو حلو اليوم", 3, 12, "حلو", True),  # a text that ends ends its word
        ("شو حلو اليوم", 3, 12, "حل", False),
        ("شو حلو اليوم", 3, 12, "", False),
        ("شو حلو اليوم", 4, 12, "لو", True),  # the rest of the word that was begun
        ("شو حلو اليوم", 4, 12, "ى", False),
        ("شو حلو اليوم", 2, 12, " حلو!", True),  # what stands before the word belongs to it
        ("شو حلو اليوم", 2, 12, "ا حلو", False),  # the word before would be another one
        ("شو حلو اليوم", 6, 12, " اليوم", True),
        ("شو حلو اليوم", 3, 5, "حل", True),  # the target ends inside the word
        ("شو حلو اليوم", 3, 5, "حا", False),
        ("شو !!! بس", 2, 6, " !!!", None),  # no word in the target
        ("شو!!!", 2, 5, "!!!", None),
    ],
)
def test_the_first_word(text: str, begin: int, stop: int, completion: str, right: bool | None) -> None:
    assert first_word_right(text, slice(begin, stop), completion) is right


@given(st.text("شو a_é\u0301\u200c!", min_size=1, max_size=14), st.data())
def test_the_truth_is_right(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(begin + 1, len(text)))
    assert first_word_right(text, slice(begin, stop), text[begin:stop]) in (True, None)
