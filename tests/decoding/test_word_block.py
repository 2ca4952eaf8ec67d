from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data.blocklist import BlockedWord, Blocklist, Form
from kammil.decoding.word_block import AllOf, ForbiddenStrings, WordBlock
from kammil.vocabulary import EOS

PIECES = ("", "", "", "", "a", "b", " ", "-", "á", "\u0301", "\ufb00")
IDS = {piece: id for id, piece in enumerate(PIECES) if piece}


def block(word: str, form: Form = "word") -> WordBlock:
    return WordBlock(Blocklist([BlockedWord(word, form=form)]), PIECES)


def refused(words: WordBlock, text: str) -> set[str]:
    """What must not follow a text, of which the first character was typed."""
    state = words.start(text[:1])
    for character in text[1:]:
        state = words.after(state, IDS[character])
    ids = words.refused(state)
    return set() if ids is None else {"end" if id == EOS else PIECES[id] for id in ids.tolist()}


def test_a_whole_word_must_not_end_but_may_go_on() -> None:
    words = block("ab")
    assert refused(words, "a") == set()
    assert refused(words, "ab") == {"end", " ", "-"}
    assert refused(words, "ab\u0301") == {"end", " ", "-"}
    assert refused(words, "aba") == set()


def test_the_last_letter_of_a_stem_is_refused_in_each_of_its_forms() -> None:
    assert refused(block("ba", "stem"), "b") == {"a", "á"}
    assert refused(block("ba", "stem"), "-b") == {"a", "á"}
    assert refused(block("ba", "stem"), "ab") == set()


def test_a_ligature_is_its_letters() -> None:
    words = block("ffa", "stem")
    assert refused(words, "-\ufb00") == {"a", "á"}
    assert refused(block("aff", "stem"), "-a") == {"\ufb00"}


def test_what_was_typed_whole_may_end() -> None:
    words = block("ab")
    assert words.refused(words.start("ab")) is None
    assert words.refused(words.after(words.start("ab"), IDS["b"])) is not None


def test_the_last_character_must_not_complete_a_word() -> None:
    words = block("ab")
    assert {PIECES[id] for id in words.refused_last(words.start("a")).tolist()} == {"b"}
    assert words.refused_last(words.start("b")).tolist() == []


@given(
    st.text("ab-", max_size=5), st.text("ab-", max_size=5), st.lists(st.text("ab-", min_size=1, max_size=3), max_size=3)
)
def test_forbidden_strings_are_refused_where_they_end(prompt: str, added: str, strings: list[str]) -> None:
    forbidden = ForbiddenStrings(strings, PIECES)
    state, text = forbidden.start(prompt), prompt
    for character in added:
        ids = forbidden.refused(state)
        wrong = {one for one in "ab-" if any((text + one).endswith(string) for string in strings)}
        assert {one for one in "ab-" if ids is not None and IDS[one] in ids} == wrong
        if character in wrong:
            return
        state, text = forbidden.after(state, IDS[character]), text + character
        assert not forbidden.blocked(state)


def test_several_refusals_add_up() -> None:
    both = AllOf([block("ab"), ForbiddenStrings(["ba"], PIECES)])
    state = both.after(both.start("a"), IDS["b"])
    assert both.blocked(state)
    ids = both.refused(state)
    assert ids is not None and {IDS["a"], IDS[" "], EOS} <= set(ids.tolist())


@pytest.mark.parametrize("prompt", ["", "a", "xa", "aa"])
def test_a_string_may_begin_with_what_the_model_cannot_write(prompt: str) -> None:
    ids = ForbiddenStrings(["xab"], PIECES).refused(ForbiddenStrings(["xab"], PIECES).start(prompt))
    assert (ids is not None and IDS["b"] in ids) == (prompt == "xa")
