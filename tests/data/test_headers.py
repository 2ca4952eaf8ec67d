"""A first row that is a text, and one that names columns."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kammil.data.headers import TEXT_NAMES, is_header, looks_like_a_text

TWEETS = ["just woke up and it is raining again", "why does nobody answer the phone here", "ok see you there then"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("what a day it was at the beach", TWEETS),
        ("see you there soon my friend", TWEETS),
        ("ok", ["yes", "ok"]),
        ("hi there!", TWEETS),
        ("good morning 😂", TWEETS),
        ("thanks @somebody", TWEETS),
        ("شو حلو الشعور", ["كيفك", "مرحبا يا حلو", "شو في"]),
        ("今天天气很好我们去公园玩", ["你好", "今天下雨了不想出门"]),
        ("ลองทำดูก่อนนะครับทุกคน", ["สวัสดี"]),
    ],
)
def test_texts(name: str, cells: list[str]) -> None:
    assert looks_like_a_text(name, cells)


@pytest.mark.parametrize(
    "name",
    ["Tweet", "tweet_text", "Tweet text", "Full text", "content", "النص", "نص التغريدة", "文本", "微博正文", "", "No."],
)
def test_names(name: str) -> None:
    assert not looks_like_a_text(name, TWEETS)
    assert not looks_like_a_text(name, [])


def test_a_long_name_over_longer_texts() -> None:
    assert not looks_like_a_text("Text of answer", TWEETS)
    assert looks_like_a_text("Text of answer", ["yes", "no", "well yes"])


@given(st.text(max_size=30), st.lists(st.text(max_size=30)))
def test_any_name_is_judged(name: str, cells: list[str]) -> None:
    assert looks_like_a_text(name, cells) or name == "" or name not in cells


HEADERS = [
    (["id", "anything"], 1),  # numbers below a name
    (["date", "anything"], 1),
    (["label", "text"], 1),
    (["label", "Full_Text"], 1),
    (["label", "tweetText"], 1),
    (["التصنيف", "نص التغريدة"], 1),
    (["label", "النَّص"], 1),
    (["类别", "文本"], 1),
]


@pytest.mark.parametrize(("first", "column"), HEADERS)
def test_headers(first: list[str], column: int) -> None:
    cells = {"id": ["1", "2.5", "-3"], "date": ["2024-01-31", "31/1/24 12:30", ""]}.get(first[0], ["a", "b", "a"])
    below = [list(row) for row in zip(cells, TWEETS, strict=True)]
    assert is_header([first, *below], column)
    assert not is_header([first, *below, ["", first[column]]], column)  # whoever writes it below, too, writes texts
    assert not is_header([[*first, " "], *below], column)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["1", "hello"], ["2", "yes"], ["3", "no"]],
        [["neg", "hello"], ["pos", "yes"], ["neg", "no"]],
        [["n/a", "hello"], ["2", "yes"], ["3", "no"]],
        [["id2", "hello"], ["2", "yes"], ["3", "no"]],
        [["id", "hello"], ["2", "yes"]],
        [["id", "hello"], ["2", "yes"], ["b3", "no"]],
        [["id", "ok. this is a text"], ["2", "yes"], ["3", "no"]],
        [["label", "text me"], ["a", "yes"], ["b", "no"]],
        [["label", "full"], ["a", "yes"], ["b", "no"]],
        [["label"], ["a", "yes"]],
    ],
)
def test_no_headers(rows: list[list[str]]) -> None:
    assert not is_header(rows, 1)
    assert not is_header(rows, -1)


cells = st.text(max_size=12)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_texts_are_no_header(rows: list[tuple[str, str]]) -> None:
    """Without a usual name nor a column of numbers, nothing is left out."""
    assume(rows[0][1].casefold() not in TEXT_NAMES)
    words_beside = [("label", text) for _, text in rows]
    assert not is_header(words_beside, 1) or not looks_like_a_text(rows[0][1], [text for _, text in rows[1:]])
    numbered = [(str(n), text) for n, (_, text) in enumerate(rows)]
    assert is_header(numbered, 1) == is_header(words_beside, 1)
