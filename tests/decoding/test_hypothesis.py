"""A text under way: what it costs, where it ends, and what of it can be shown already."""

from __future__ import annotations

from typing import Any

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.options import DecodingOptions
from kammil.text import MAX_OPEN_WORD, graphemes, open_word, words

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


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ab cd", "ab"),
        ("ab  cd", "ab"),
        ("ab ", "ab"),
        ("ab.", "ab."),
        ("ab, c", "ab,"),
        ("abcd", "abcd"),  # one single word
        (" abcd", " abcd"),
        ("شو في ال", "شو في"),
        ("我们今天", "我们今天"),  # no word is unfinished
        ("ok 我们 no", "ok 我们"),
        ("a " + FAMILY, "a " + FAMILY),
        ("a b" + FAMILY[:2], "a b"),  # the length cuts a sign, before which the word is whole
        ("\u0600 a", "\u0600 a"),  # the sign and the space are one grapheme
        ("a\u0600 b", "a"),
        ("شو في #ال", "شو في"),
        ("شو في # ", "شو في"),
        ("ab @", "ab"),
        ("ab (cd", "ab"),
        ("ab(c", "ab"),
        ("ab «(", "ab"),
        ('ab "', "ab"),
        ('ab "cd" e', 'ab "cd"'),  # a quote behind a letter closes
        ("„ab“ c", "„ab“"),
        ("in C# c", "in C#"),
        ("sad :( an", "sad :("),
        ("sad :-( an", "sad :-("),
        ("it's (", "it's"),
        ("ab ( [ c", "ab"),
        ("ab (" + FAMILY[:2], "ab"),
        ("#ab", "#ab"),  # nothing would be left
        ("ab #\u0600 b", "ab"),
    ],
)
def test_the_last_word_may_be_left_out(text: str, left: str) -> None:
    made = draft(text, length=len(text), whole_words=True)
    assert (made.text, made.reason) == (left, "length")
    assert draft(text, length=len(text) + 1, whole_words=True).text == text  # before that it goes on


def test_a_text_that_ends_by_itself_ends_with_a_whole_word() -> None:
    ended = draft("ab c", whole_words=True)
    ended.add(None, 1.0)
    assert (ended.text, ended.reason) == ("ab c", "end")
    assert draft("ab cd.", stop=["."], whole_words=True).text == "ab cd"


def test_a_word_before_a_grapheme_that_was_cut_is_whole() -> None:
    """A stream has sent it already."""
    made = draft("ab cd" + FAMILY[0], length=7, whole_words=True)
    assert made.text[: made.safe()] == "ab cd"
    made.add(JOINER, 1.0)
    assert (made.text, made.reason) == ("ab cd", "length")


def test_a_whole_word_leaves_what_was_asked_for() -> None:
    assert draft("ab cd ef", length=8, min_length=5, whole_words=True).text == "ab cd"
    assert draft("ab cd ef", length=8, min_length=6, whole_words=True).text == "ab cd ef"


def test_the_mean_is_that_of_what_is_left() -> None:
    made = Hypothesis(DecodingOptions.of(length=5, whole_words=True))
    for character, bits in zip("ab cd", (1.0, 3.0, 50.0, 50.0, 50.0), strict=True):
        made.add(character, bits)
    assert (made.text, made.mean_bits, len(made.bits)) == ("ab", 2, 5)
    flag = draft(FLAG[0], length=1, whole_words=True)
    assert (flag.text, flag.mean_bits) == ("", 1)  # nothing left is not the most probable of all


WORDS = ["a", "b", " ", " ", "\u0301", "#", "(", "«", '"', "我", "\u0600", "\r", "\n", JOINER, *FLAG, *FAMILY]
OPENING = regex.compile(
    r"(?:\(|(?<!\S)[#«\"][#«\"(]*)\s*\Z|(?<=\()[#«\"]+\s*\Z"
)  # signs at the end that open something


@given(
    st.text(st.sampled_from(WORDS), min_size=1, max_size=14),
    st.lists(st.text("ab ", min_size=1, max_size=2), max_size=2),
    st.integers(0, 6),
)
@example("a (\u0600a", [], 0)  # the sign joins what follows, so that the bracket comes to stand at the end
def test_whole_words_of_any_text(text: str, stop: list[str], least: int) -> None:
    """A beginning of the text as it is without; streamed pieces are never taken back."""
    options: dict[str, Any] = {"length": len(text), "stop": stop, "min_length": min(least, len(text))}
    plain, whole = (draft(**options, whole_words=on) for on in (False, True))
    sent = ""
    for character in text:
        if whole.reason is not None:
            break
        plain.add(character, 1.0)
        whole.add(character, 1.0)
        safe = whole.text[: whole.safe()]
        assert safe.startswith(sent)
        sent = safe
    assert whole.reason == plain.reason and sent == whole.text
    assert plain.text.startswith(whole.text)
    if whole.reason == "stop":
        assert whole.text == plain.text
    elif whole.text != plain.text:
        assert len(whole.text) >= max(1, options["min_length"])
        rest = plain.text[len(whole.text) :]  # spaces and one unfinished word; a grapheme may hold what was before them
        # A sign that is one grapheme with the space behind it, or signs that open something.
        assert open_word(rest) or not rest.strip(' \r\n\u0600#(«"')
        assert whole.text == whole.text.rstrip() or "\u0600" in text
        assert len(words(rest)) <= 1
    else:  # nothing is unfinished, or nothing would be left
        finished = text.removesuffix(open_word(text)).rstrip()[: len(plain.text)]
        while OPENING.search(finished):
            finished = OPENING.sub("", finished).rstrip()
        assert finished in ("", plain.text) or len(finished) < options["min_length"] or "\u0600" in text


@given(st.text(st.sampled_from(WORDS), min_size=1, max_size=14), st.integers(0, 6))
def test_nothing_that_opens_stands_at_the_end(text: str, least: int) -> None:
    """Unless so much was asked for, or nothing else would be left."""
    asked = min(least, len(text))
    made = draft(text, length=len(text), whole_words=True, min_length=asked)
    if OPENING.search(made.text):
        before = made.text
        while OPENING.search(before):
            before = OPENING.sub("", before).rstrip()
        assert len(before) < max(1, asked) or "\u0600" in text  # a grapheme may end with the space behind that sign


def test_a_word_without_end_is_shown_in_time() -> None:
    """What is searched is bounded, so that a long text takes linear time."""
    made = draft("a" * (3 * MAX_OPEN_WORD), length=4 * MAX_OPEN_WORD, whole_words=True)
    assert made.safe() == 2 * MAX_OPEN_WORD


def test_the_first_stop_string_ends_the_text_before_it() -> None:
    made = draft("abc", stop=["bc", "c"])
    assert (made.text, made.reason, len(made.bits)) == ("a", "stop", 3)
    assert draft("ab", stop=["bc"]).reason is None
    assert draft("abc", stop=["bc"], length=3).reason == "stop"  # and not since its length was reached


def test_no_stop_string_counts_before_what_is_asked_for() -> None:
    assert draft("aba", stop=["a"], min_length=2).text == "ab"


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


# ---- clauses


@pytest.mark.parametrize(
    ("prompt", "typed", "left"),
    [
        ("go", " to bed. Then", " to bed."),
        ("go", " to bed, then", " to bed"),  # nothing dangles
        ("شو", " رأيكم؟ يلا", " رأيكم؟"),
        ("شو", " رأيكم، يلا", " رأيكم"),
        ("go ", "to bed ; then", "to bed"),
        ("al", "so, he came. So", "so, he came."),  # the rest of a word alone is no completion
        ("al ", "so, he came", "so"),
        ("go", ", he came. So", ", he came."),
        ("at", " 10:30, 3.5 or 7. So", " 10:30, 3.5 or 7. So"),  # part of numbers, for all that can be known
        ("so", " he said: go! No", " he said: go!"),
        ("so", " I am", " I am"),
        ("我", "们走。好", "们走。"),
        ("go", " home\nnow", " home"),
    ],
)
def test_a_clause_ends_with_its_first_new_word(prompt: str, typed: str, left: str) -> None:
    made = Hypothesis(DecodingOptions.of(clause=True, length=len(typed)), prompt)
    for character in typed:
        if made.reason is None:
            made.add(character, 1.0)
    ended = len(made.bits) < len(typed) or made.text != typed
    assert (made.text, made.reason) == (left, "stop" if ended else "length")


@given(
    st.text(st.sampled_from([*WORDS, ".", ",", "؟", "،", "1", ":"]), min_size=1, max_size=16),
    st.sampled_from(["", "a", "a ", "a\u0600"]),
    st.booleans(),
    st.integers(0, 4),
)
def test_clauses_of_any_text(text: str, prompt: str, whole: bool, least: int) -> None:
    """Streamed pieces are never taken back; what is written is a beginning of what was drawn."""
    options: dict[str, Any] = {"length": len(text), "min_length": min(least, len(text)), "whole_words": whole}
    made = Hypothesis(DecodingOptions.of(**options, clause=True), prompt)
    sent = ""
    for character in text:
        if made.reason is None:
            made.add(character, 1.0)
            assert made.text[: made.safe()].startswith(sent)
            sent = made.text[: made.safe()]
    assert text.startswith(made.text) and sent == made.text
    if made.reason == "stop":
        assert made.has_new_word() and len(made.text) >= made.decoding.min_length
        assert made.text[-1:] not in (",", "،") or len(made.text) == made.decoding.min_length
        assert len(made.bits) - len(made.text) in (0, 1) or text[len(made.text) : len(made.bits) - 1].isspace()
