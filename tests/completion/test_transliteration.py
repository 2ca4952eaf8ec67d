"""The table of Latin letters, and what follows from it for the ids of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import regex

import kammil
from kammil.completion.completer import Completer
from kammil.completion.transliteration import FIRST, Transliteration, is_listed, word_probability
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


# ---- words of a language that is written in Latin letters

_ARABIC = regex.compile(r"\p{Arabic}")


@pytest.fixture(scope="module")
def levantine() -> Completer:
    return kammil.load("levantine")


def test_a_beginning_is_as_probable_as_all_words_that_begin_so() -> None:
    assert is_listed("hello") and not is_listed("hell") and not is_listed("kifak")
    for begin in ("", "h", "hel", "kif"):
        longer = sum(word_probability(begin + c, whole=False) for c in "abcdefghijklmnopqrstuvwxyz'")
        whole = word_probability(begin, whole=True)
        assert 0.9 < (longer + whole) / word_probability(begin, whole=False) <= 1.001
    assert word_probability("the", whole=True) > 100 * word_probability("shu", whole=True)
    assert word_probability("restless", whole=True) > 100 * word_probability("a5barak", whole=True) > 0


@pytest.mark.parametrize(
    "text",
    [
        "hello my name is john",
        "thank you so much for your help",
        "don't worry, the next train leaves at seven",
        "alice was beginning to get very tired of sitting by her sister on the bank",
    ],
)
def test_english_is_not_rewritten_as_arabic(levantine: Completer, text: str) -> None:
    session = levantine.session()
    for end in range(1, len(text) + 1):
        session.update(text[:end])
        # The first letters of a text may begin anything, and "al" of "alice" is the article.
        if (end > 5 and text[end - 1] == " ") or end == len(text):
            assert not [one.added for one in session.suggest() if _ARABIC.search(one.added)], text[:end]


@pytest.mark.parametrize("prefix", ["hello ", "hello my na", "hello, my na", "good ", "the ", "meeting "])
def test_nothing_arabic_is_offered_where_the_text_is_english(levantine: Completer, prefix: str) -> None:
    assert not [one.added for one in levantine.suggest(prefix) if _ARABIC.search(one.added)]


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("shu", "شو"),
        ("ana", "انا"),
        ("la", "لا"),
        ("enta", "انت"),
        ("men", "من"),
        ("men wen enta", "من وين انت"),
        ("hi", "هي"),
        ("sha", "شو"),
        # Where the languages change, the words of each stay or are read.
        ("meeting bukra el sobo7", "meeting بكرا الصبح"),
        ("thank you 7abibi", "thank you حبيبي"),
        ("happy birthday 7abibi", "happy birthday حبيبي"),
        ("ok shu 3am ta3mel", "ok شو عم تعمل"),
        ("عندي meeting bukra", "عندي meeting بكرا"),
    ],
)
def test_arabic_is_read_beside_english(levantine: Completer, prefix: str, wanted: str) -> None:
    assert wanted in [one.appended_to(prefix) for one in levantine.suggest(prefix)]


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("kifak shu", "كيفك شو"),
        ("bokra baddi ru7 3al ", "بكرا بدي روح عال"),
        ("saba7 el kheir ", "صباح الخير "),
        ("مرحبا, kifak", "مرحبا, كيفك"),
        ("ok bukra", "ok بكرا"),
        ("hello my name is", "hello my name is"),
        ("شو صار", "شو صار"),
    ],
)
def test_a_completion_goes_on_from_what_a_prompt_is_read_as(levantine: Completer, prompt: str, read: str) -> None:
    answers = levantine.samples(prompt, 2, preset="sensible", best_of=4, length=8)
    wanted = levantine.samples(read, 2, preset="sensible", best_of=4, length=8)
    assert [(one.text, one.bits) for one in answers] == [(one.text, one.bits) for one in wanted]
    assert [one.whole for one in answers] == [read + one.text for one in answers]
    if prompt != read:
        replaced = answers[0].replaces
        assert prompt[: len(prompt) - replaced] + answers[0].reading == read
        stream = levantine.stream(prompt, preset="sensible", best_of=4, length=8)
        assert "".join(stream) == levantine.complete(prompt, preset="sensible", best_of=4, length=8).text


def test_plain_draws_and_scores_are_those_of_the_letters_that_were_typed(levantine: Completer) -> None:
    answer = levantine.complete("kifak shu", length=8, seed=3)
    assert (answer.reading, answer.replaces, answer.whole) == ("", 0, "kifak shu" + answer.text)
    score = levantine.score(answer.text, given="kifak shu")
    assert answer.bits == pytest.approx(score.bits[:-1], abs=1e-4)


def test_words_follow_one_english_word_in_an_arabic_text(levantine: Completer) -> None:
    assert levantine.suggest("عندي meeting ") and not levantine.suggest("عندي business meeting ")
