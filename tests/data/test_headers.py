"""A first row that is a text, and one that names columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data.headers import looks_like_a_text

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
