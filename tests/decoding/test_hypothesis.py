"""A text under way: what it costs, where it ends, and what of it can be shown already."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.decoding import DecodingOptions, Hypothesis
from kammil.text import graphemes

FLAG, JOINER = "\U0001f1f1\U0001f1e7", "\N{ZERO WIDTH JOINER}"  # two halves
FAMILY = f"\U0001f468{JOINER}\U0001f469"


def draft(text: str = "", **options: Any) -> Hypothesis:
    """A draft that holds a text, each character for one bit."""
    made = Hypothesis(DecodingOptions.of(**options))
    for character in text:
        made.add(character, 1.0)
    return made


def test_nothing_is_asked_for() -> None:
    assert draft(length=0).reason == "length"
    assert draft().reason is None
    assert draft().mean_bits == 0


def test_the_mean_counts_every_decision() -> None:
    made = draft("ab")
    made.add("c", 4.0)
    assert made.mean_bits == 2
    made.add(None, 6.0)
    assert (made.mean_bits, made.text, made.reason, made.end_bits) == (3, "abc", "end", 6.0)


def test_a_copy_goes_on_alone() -> None:
    one = draft("ab")
    other = one.extended("c", 2.0)
    assert (one.text, one.bits) == ("ab", [1, 1])
    assert (other.text, other.bits) == ("abc", [1, 1, 2])
    forced = Hypothesis(DecodingOptions(force=("x",))).extended("a", 1.0, due=True)
    assert (forced.forced_left, forced.protected) == (True, 1)


def test_the_length_is_reached() -> None:
    assert draft("ab", length=3).reason is None
    assert (draft("abc", length=3).text, draft("abc", length=3).reason) == ("abc", "length")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ab" + FLAG, "ab" + FLAG),
        ("ab" + FLAG[0], "ab"),
        ("ab" + FAMILY, "ab" + FAMILY),
        ("ab" + FAMILY[:2], "ab"),
        ("\U0001f1e6", ""),
        ("\U0001f1ff", ""),
        ("\U0001f200", "\U0001f200"),
        ("\U0001f1e5", "\U0001f1e5"),
    ],
)
def test_a_grapheme_that_the_length_cuts_is_left_out(text: str, left: str) -> None:
    made = draft(text, length=len(text))
    assert (made.text, made.reason, len(made.bits)) == (left, "length", len(text))
    assert draft(text, length=len(text), min_length=len(text)).text == text  # unless it was asked for


def test_the_first_stop_string_ends_the_text_before_it() -> None:
    made = draft("abc", stop=["bc", "c"])
    assert (made.text, made.reason, len(made.bits)) == ("a", "stop", 3)
    assert draft("ab", stop=["bc"]).reason is None
    assert draft("abc", stop=["bc"], length=3).reason == "stop"  # and not since its length was reached


def test_no_stop_string_counts_before_what_is_asked_for() -> None:
    assert draft("aba", stop=["a"], min_length=2).text == "ab"
    made = Hypothesis(DecodingOptions(force=("b",), stop=("a",)))
    for character, due in (("a", True), ("b", False), ("c", False)):
        made.add(character, 1.0, due=due)
    assert (made.text, made.reason, made.protected) == ("abc", None, 2)
    made.add("a", 1.0)
    assert (made.text, made.reason) == ("abc", "stop")


@pytest.mark.parametrize(
    ("text", "stop", "safe"),
    [
        ("", [], 0),
        ("abc", [], 2),  # a mark may follow
        ("ab" + FAMILY[:1], [], 2),
        ("ab" + FAMILY + "c", [], 5),
        ("abx", ["xyz"], 2),
        ("abxy", ["xyz"], 2),
        ("abxz", ["xyz"], 3),
        ("aaaa", ["aab"], 2),
        ("abx", ["xy", "bxy"], 1),
        ("e\u0301x", ["\u0301xy"], 0),  # what may still be cut off begins inside a grapheme
    ],
)
def test_what_can_be_shown_already(text: str, stop: list[str], safe: int) -> None:
    assert draft(text, stop=stop).safe() == safe


def test_what_no_stop_string_can_cut_is_shown_at_once() -> None:
    assert draft("xx", stop=["xy"], min_length=2).safe() == 1  # the last grapheme may grow
    assert draft("xxa", stop=["xy"], min_length=3).safe() == 2
    assert draft("abc", length=3).safe() == 3


@given(
    st.text(st.sampled_from(["a", "b", "\u0301", JOINER, *FLAG, *FAMILY]), max_size=12),
    st.lists(st.text("ab\u0301", min_size=1, max_size=3), max_size=2),
    st.integers(0, 4),
    st.integers(1, 12),
)
def test_what_was_shown_is_never_taken_back(text: str, stop: list[str], min_length: int, length: int) -> None:
    made = Hypothesis(DecodingOptions(length=length, min_length=min(min_length, length), stop=tuple(stop)))
    shown = ""
    for character in text:
        if made.reason is not None:
            break
        made.add(character, 1.0)
        now = made.text[: made.safe()]
        assert now.startswith(shown)
        if made.reason is None:
            assert graphemes(made.text)[: len(graphemes(now))] == graphemes(now)  # whole ones
        shown = now
    if made.reason is not None:
        assert shown == made.text
