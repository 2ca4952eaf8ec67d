"""The space after an accepted word, and the signs to which it gives way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.spacing import gives_way, space_after, stays


def test_signs_that_stand_close_to_a_word() -> None:
    assert [c for c in "،؛؟.,!?:;)]}»”’…%٪۔。、！？）׃।" if not gives_way(c)] == []
    assert [c for c in " \n\t\u00a0" if not gives_way(c)] == []
    assert [c for c in "مa7_(«“[{\"'-/#@&😂🔗\u064e\u200c" if gives_way(c)] == []
    assert not gives_way("")
    assert gives_way("، شو") and not gives_way("م،")  # the first character decides


@pytest.mark.parametrize("word", ["漢", "ひらがな", "カタカナ", "คำ", "ຄໍາ", "ពាក្យ", "စကား", "x漢", "コーヒー", "ﾊﾞ"])
def test_scripts_without_spaces(word: str) -> None:
    assert space_after(word) == ""


@pytest.mark.parametrize("word", ["شو", "word", "слово", "शब्द", "단어", "שלום", "2024", "漢x", "#لبنان"])
def test_scripts_with_spaces(word: str) -> None:
    assert space_after(word) == " "


@pytest.mark.parametrize(
    ("after", "free"),
    [("", False), (" ", True), (" م", True), (" (م", True), ("،", False), (" ،", False), ("  م", False), ("-م", False)],
)
def test_a_space_that_the_text_has(after: str, free: bool) -> None:
    assert stays("شو" + after, 2) is free


@given(st.text(" ،ab😂", max_size=4))
def test_what_is_typed_behind_it_says_whether_it_stays(after: str) -> None:
    """Type the rest of the text after the word's space, and see whether the space is still there."""
    screen = "ab "
    for i, character in enumerate(after[1:] if after.startswith(" ") else after):
        screen = (screen[:-1] if i == 0 and gives_way(character) else screen) + character
    assert stays("ab" + after, 2) == (screen == "ab" + after and after.startswith(" "))
