"""The table of Latin letters, and what follows from it for the ids of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kammil.completion.transliteration import FIRST, Transliteration
from kammil.languages import known
from kammil.vocabulary import SPECIALS, CharacterVocabulary

VOCABULARY = CharacterVocabulary(" 1379abdehiklmnosuABHQابتحخدشعكلمنهوي")


def of(vocabulary: CharacterVocabulary, *, foreign: str = "latin") -> Transliteration | None:
    flags = np.zeros(vocabulary.size, np.bool_)
    for id, c in enumerate(vocabulary.characters, SPECIALS):
        flags[id] = c.isalpha() and c.isascii() == (foreign == "latin")
    return Transliteration.of(vocabulary, flags)


@pytest.fixture(scope="module")
def table() -> Transliteration:
    found = of(VOCABULARY)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def stored() -> Any:
    return known()["arabic"].table("transliteration")


def test_all_that_is_written_for_a_letter_sums_to_one(table: Transliteration, stored: Any) -> None:
    for rows in stored.values():
        for row in rows.values():
            assert sum(row.values()) == pytest.approx(1, abs=1e-3)
    for letters in table.written:
        for written in letters.values():
            assert sum(exactly for _, exactly in written.values()) == pytest.approx(1, abs=2e-3)
            assert written[""][0] == pytest.approx(1, abs=2e-3)


def test_a_beginning_is_as_probable_as_all_that_begin_so(table: Transliteration) -> None:
    for letters in table.written:
        for written in letters.values():
            for text, (p, exactly) in written.items():
                longer = sum(q for other, (q, _) in written.items() if other[:-1] == text and other != text)
                assert p == pytest.approx(exactly + longer)


def test_what_is_written_is_a_sign_and_a_vowel(table: Transliteration, stored: Any) -> None:
    (id,) = VOCABULARY.encode("ش")
    signs, vowels = stored["signs"], stored["vowels"]["ش"]
    for first, row in ((False, signs["ش"]), (True, signs[FIRST + "ش"])):
        written = table.written[first][int(id)]
        assert written["shu"][1] == pytest.approx(row["sh"] * vowels["u"])
        assert written["ch"][0] == pytest.approx(row["ch"] * sum(vowels.values()))
        assert written["s"][0] == pytest.approx(row["sh"] * sum(vowels.values()))
        assert written["s"][1] == 0
    assert {c for vowel in vowels for c in vowel} <= set("aeiouyé")


def test_letters_that_may_begin_or_be_left_out(table: Transliteration) -> None:
    def letters(ids: Any) -> set[str]:
        return set(VOCABULARY.decode(ids))

    assert letters(table.begun[0]["k"][0]) >= {"ك", "خ"}
    assert letters(table.begun[0]["3"][0]) == {"ع"}
    assert "و" in letters(table.begun[1]["w"][0])
    assert letters(table.silent[1][0]) >= {"ا"}
    for first in (False, True):
        ids, p = table.silent[first]
        assert p == pytest.approx([table.written[first][id][""][1] for id in ids.tolist()])
        for sign, (ids, p) in table.begun[first].items():
            assert p == pytest.approx([table.written[first][id][sign][0] for id in ids.tolist()])


def test_letters_of_either_case_and_digits_that_stand_for_letters(table: Transliteration) -> None:
    assert table.signs(VOCABULARY.encode("Hab3").tolist()) == "hab3"
    for typed in ("37", "h1", "h ", "hب", ""):
        assert table.signs(VOCABULARY.encode(typed).tolist()) is None


def test_there_is_no_table_without_arabic_or_where_latin_is_at_home() -> None:
    assert of(CharacterVocabulary("abc 3")) is None
    assert of(CharacterVocabulary("ابت 3")) is None
    assert of(VOCABULARY, foreign="arabic") is None
    assert Transliteration.of(VOCABULARY, np.zeros(VOCABULARY.size, np.bool_)) is None


def test_the_article_is_joined_to_what_stands_before_it() -> None:
    vocabulary = CharacterVocabulary(" ehlالوفبكع")  # without ه
    table = of(vocabulary)
    assert table is not None
    joined = {vocabulary.decode(np.array(a)): vocabulary.decode(np.array(b)) for a, b in table.articles.items()}
    assert {"ال", "وال", "بال", "عال", "لل"} <= joined.keys()
    assert (joined["ل ال"], joined["و ال"], joined["لل"]) == ("لل", "وال", "لل")
    assert all(form.replace(" ", "") == whole for form, whole in joined.items() if form != "ل ال")
    assert all(table.articles[ids] == ids for ids in table.articles.values())
    assert not any("ه" in form for form in joined)
