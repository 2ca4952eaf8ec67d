"""Forbidden and forced strings against a search through all texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.decoding.automaton import StringAutomaton
from kammil.errors import OptionError

PIECES = ["", "", "a", "b", "c", "d"]
STRINGS = st.lists(st.text("abc", min_size=1, max_size=3), max_size=3)


def can_end_well(text: str, room: int, forbid: list[str], force: list[str]) -> bool:
    """Whether the text, with at most `room` characters more, can hold all that is forced and nothing forbidden."""
    for length in range(room + 1):
        for more in itertools.product("abcd", repeat=length):
            whole = text + "".join(more)
            if all(s in whole for s in force) and not any(s in whole for s in forbid):
                return True
    return False


@given(STRINGS, STRINGS, st.text("abcd", max_size=5), st.integers(1, 4))
def test_a_character_is_allowed_if_a_text_goes_on_with_it(
    forbid: list[str], force: list[str], text: str, room: int
) -> None:
    strings = StringAutomaton(forbid, force, PIECES)
    states = np.zeros(1, np.int64)
    for i, letter in enumerate(text):
        if any(s in text[: i + 1] for s in forbid):
            return
        states = strings.after(states, np.array([PIECES.index(letter)]))
    allowed = strings.allowed(states, np.array([room]))[0]
    expected = [piece != "" and can_end_well(text + piece, room - 1, forbid, force) for piece in PIECES]
    assert allowed.tolist() == expected
    missing = int(strings.missing(states)[0])
    assert (missing == 0) == can_end_well(text, 0, forbid, force)
    if missing <= room:
        assert can_end_well(text, missing, forbid, force)
        assert missing == 0 or not can_end_well(text, missing - 1, forbid, force)


@given(STRINGS, STRINGS, st.lists(st.text("abcd", min_size=4, max_size=4), min_size=1, max_size=4))
def test_texts_of_a_batch_do_not_mix(forbid: list[str], force: list[str], texts: list[str]) -> None:
    strings = StringAutomaton(forbid, force, PIECES)
    together = np.zeros(len(texts), np.int64)
    alone = [np.zeros(1, np.int64) for _ in texts]
    for t in range(4):
        ids = [PIECES.index(text[t]) for text in texts]
        together = strings.after(together, np.array(ids))
        alone = [strings.after(state, np.array([id])) for state, id in zip(alone, ids, strict=True)]
    assert together.tolist() == [int(state[0]) for state in alone]


def test_what_a_model_cannot_write() -> None:
    StringAutomaton(["x", "ax"], [], PIECES)  # it never will
    with pytest.raises(OptionError, match=r"force is 'ax', .*'x'"):
        StringAutomaton([], ["ax"], PIECES)


def test_a_model_of_the_forced_letters_alone() -> None:
    strings = StringAutomaton(["bb"], ["aba"], ["", "a", "b"])
    assert strings.missing(np.zeros(1, np.int64)).tolist() == [3]
    assert strings.allowed(np.zeros(1, np.int64), np.array([3])).tolist() == [[False, True, False]]
    assert strings.allowed(np.zeros(1, np.int64), np.array([4])).tolist() == [[False, True, True]]
    assert not StringAutomaton(["a"], [], ["", "a"]).allowed(np.zeros(1, np.int64), np.array([9])).any()


def test_what_must_stand_apart_needs_a_character_between() -> None:
    forbid, force = ["ba", "aab"], ["ab", "aa"]  # neither may follow the other, and "aab" holds both
    assert StringAutomaton(forbid, force, ["", "a", "b", "c"]).missing(np.zeros(1, np.int64)).tolist() == [5]
    assert StringAutomaton(forbid, force, ["", "a", "b"]).missing(np.zeros(1, np.int64))[0] > 1e9
