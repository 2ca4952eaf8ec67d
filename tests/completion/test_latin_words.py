"""English: its words are probable, and what is written in it is not read as Arabic."""

from __future__ import annotations

import pytest
import regex

import kammil
from kammil.completion.completer import Completer
from kammil.completion.latin_words import is_listed, word_probability

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
        ("happy birthday ya 2albi", "happy birthday يا قلبي"),
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
