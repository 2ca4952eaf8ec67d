"""Begun words: what they may be meant for, where they are Arabic in Latin letters, and what that costs elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.completion.test_suggestions import counter

from kammil.completion import begun_word as module
from kammil.completion.begun_word import MAX_RUN, MAX_TYPED, SPLIT_ARTICLE_SHARE, TYPED_IN_LATIN, BegunWord, WordReader
from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.suggestions import Suggestion
from kammil.data.blocklist import BlockedWord
from kammil.text import TextRules, open_word
from kammil.vocabulary import BOS

ARABIC = [
    "بكرا منروح عالجبل", "شو اخبارك اليوم", "كيفك حبيبي", "حلو كتير", "أكلنا أكلة طيبة", "مرحبا كيف الحال", "انا بالبيت"
]  # fmt: skip
LETTERS = "بلاكهشوخر"


@pytest.fixture(scope="module")
def teacher() -> Completer:
    """A counter of Arabic texts, to which Latin letters and digits are foreign, though it knows two Latin words."""
    return counter([*ARABIC * 8, "love you", "abcdefghijklmnopqrstuvwxyzABCK 0123456789,"], 6)


def reader(model: Completer) -> WordReader:
    classes = model.character_classes
    return WordReader(Channel.of(model.vocabulary, foreign=classes.foreign), classes)


def encoded(model: Completer, text: str) -> Any:
    return np.concatenate([[BOS], model.vocabulary.encode(text)])


def texts(found: list[Suggestion], prefix: str) -> list[str]:
    return [one.appended_to(prefix) for one in found]


def test_shares_are_those_of_a_mixture(teacher: Completer) -> None:
    words = reader(teacher)
    found = words.after(teacher.language_model, teacher.state_cache, encoded(teacher, "kif"), 3)
    assert found is not None and found.readings is not None
    variants = found.variants.weights
    weights = [
        variants[0],
        *(found.variants.memory[0].prior * variants[1:]),
        *(TYPED_IN_LATIN * found.readings.weights),
    ]
    assert found.posterior == pytest.approx(np.array(weights) / sum(weights))
    assert found.intended == [*found.variants.intended, *found.readings.intended]
    for ids, p in zip(found.intended, found.p, strict=True):
        log_probabilities, _ = teacher.after(teacher.vocabulary.decode(np.array(ids)))
        assert p == pytest.approx(np.exp(log_probabilities[0]), rel=1e-4, abs=1e-7)


def test_the_article_is_as_probable_as_letters_are_to_follow_it_where_it_stands_apart(teacher: Completer) -> None:
    classes, words = teacher.character_classes, reader(teacher)
    assert words.channel.latin is not None
    articles = words.channel.latin.articles
    found = words.after(teacher.language_model, teacher.state_cache, encoded(teacher, "el"), 2)
    assert found is not None
    first = len(found.variants.intended)
    assert any(ids in articles for ids in found.intended[first:])
    weights = [
        share * (SPLIT_ARTICLE_SHARE * p @ classes.continues if row >= first and ids in articles else p @ classes.close)
        for row, (ids, share, p) in enumerate(zip(found.intended, found.posterior, found.p, strict=True))
    ]
    ended = found.ended(classes, articles)
    assert (ended.ids, ended.is_read, ended.is_article) == (found.intended[int(np.argmax(weights))], True, True)
    shares = ended.share, ended.as_typed, ended.arabic
    assert shares == pytest.approx([x / sum(weights) for x in (max(weights), weights[0], sum(weights[first:]))])
    as_typed = found.variants.weights[0] / found.posterior[0]  # what all weights were divided by
    assert ended.likelihood == pytest.approx(sum(weights[first:]) * as_typed / TYPED_IN_LATIN)


@given(st.text(st.sampled_from(LETTERS + " 35"), max_size=12))
def test_where_arabic_is_typed_nothing_changes_and_no_step_is_added(teacher: Completer, text: str) -> None:
    """Neither shares nor probabilities nor calls of the model."""
    letters = len(open_word(text))
    classes = teacher.character_classes
    readers = reader(teacher), WordReader(Channel.of(teacher.vocabulary), classes)
    found, calls = list[BegunWord | None](), list[int]()
    for words in readers:
        model = CountingCalls(teacher.language_model)
        cache = teacher.with_own_cache().state_cache
        cache.decoder(encoded(teacher, text))
        found.append(words.after(model, cache, encoded(teacher, text), letters, len(text)))  # pyright: ignore[reportArgumentType]
        calls.append(model.calls)
    one, other = found
    assert calls[0] == calls[1]
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.readings is None
        assert (one.intended, one.num_replaced) == (other.intended, other.num_replaced)
        assert (one.posterior == other.posterior).all()


class CountingCalls:
    """A model that counts how often it is stepped."""

    def __init__(self, model: Any) -> None:
        self._model, self.calls = model, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def step(self, *args: Any) -> Any:
        self.calls += 1
        return self._model.step(*args)


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("kif", "كيفك"),
        ("Kif", "كيفك"),
        ("7abi", "حبيبي"),
        ("hab", "حبيبي"),
        ("mar7aba", "مرحبا"),
        ("bokra", "بكرا"),
        ("شو a5b", "شو اخبارك"),
        ("shu a5b", "شو اخبارك"),
        ("chou akhb", "شو اخبارك"),
        ("kifak 7a", "كيفك حبيبي"),
        ("بكرا, shu a", "بكرا, شو اخبارك"),
        ("love kifak shu a5", "love كيفك شو اخبارك"),
        ("kif el 7a", "كيف الحال"),
        ("mar7aba kif l 7al", "مرحبا كيف الحال"),
        ("شو il 7a", "شو الحال"),
    ],
)
def test_arabic_typed_in_latin_letters_is_read(teacher: Completer, prefix: str, wanted: str) -> None:
    found = teacher.suggest(prefix, 3)
    assert wanted in texts(found, prefix)
    assert all(one.text == open_word(one.added) for one in found if one.replaces)
    assert not any(one.replaces for one in teacher.suggest(prefix, 3, correct=False))


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("w el 7al", "والحال"),
        ("w l 7al", "والحال"),
        ("bel bet", "بالبيت"),
        ("w bel bet", "و بالبيت"),
        ("ana bel ", "انا بالبيت"),
        ("شو w el 7al", "شو والحال"),
        ("و el 7al", "و الحال"),
    ],
)
def test_the_article_is_joined_to_its_word(prefix: str, wanted: str) -> None:
    texts = ["انا بالبيت", "حلو و الحال", "و الحال حلو", "بالبيت", "شو الحال"]
    model = counter([*texts * 12, "abcdefghijklmnopqrstuvwxyzABCK 0123456789,"], 6)
    first, *_ = model.suggest(prefix, 3)
    assert first.appended_to(prefix) == wanted
    assert first.text == open_word(wanted)


def test_behind_arabic_in_latin_letters_the_next_words_are_those_of_the_arabic_text(teacher: Completer) -> None:
    for typed, arabic in (("shu ", "شو "), ("shu a5barak ", "شو اخبارك "), ("love kifak ", "love كيفك ")):
        found = [one for one in teacher.suggest(typed, 5, threshold=0.02) if one.replaces]
        expected = {arabic + one.text: one.probability for one in teacher.suggest(arabic, 9, threshold=0.02)}
        assert found
        shares = [one.probability / expected[one.appended_to(typed)] for one in found]
        assert shares == pytest.approx([shares[0]] * len(shares)) and 0.5 < shares[0] <= 1
        assert all(one.appended_to(typed).endswith(one.text) for one in found)
        assert not any(one.replaces for one in teacher.suggest(typed, 5, correct=False))


def test_a_next_word_that_both_texts_have_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_ARABIC", 0.0)
    monkeypatch.setattr(module, "TYPED_IN_LATIN", 0.5)
    model = counter(["kif حال", "kif بيت", *["كيف حال"] * 40, "abcdefghijklmnopqrstuvwxyz"], 6)
    found = model.suggest("kif ", 5)
    assert texts(found, "kif ") == ["كيف حال", "kif بيت"]
    assert [one.replaces for one in found] == [4, 0]


@pytest.mark.parametrize("prefix", ["love ", "shu love ", "shu  ", "shu, ", "5 ", "شو "])
def test_behind_other_words_nothing_is_replaced(teacher: Completer, prefix: str) -> None:
    found = teacher.suggest(prefix, 5, threshold=0.001)
    unread = teacher.suggest(prefix, 5, threshold=0.001, correct=False)
    assert found == [one for one in unread if not prefix.endswith("love ") or one.text.isascii()] != []


def test_what_may_be_arabic_or_not_is_not_replaced(teacher: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = encoded(teacher, "shu ")
    word = reader(teacher).after(teacher.language_model, teacher.state_cache, ids, 0, len(ids) - 1)
    assert word is not None and 0.9 < word.posterior[1] < 1 and word.posterior.sum() <= 1
    assert (word.intended[0], word.num_replaced) == ((), [0, 4])
    monkeypatch.setattr(module, "MIN_ARABIC", 1.0)
    assert reader(teacher).after(teacher.language_model, teacher.state_cache, ids, 0, len(ids) - 1) is None


@pytest.mark.parametrize("prefix", ["lo", "love y", "you"])
def test_what_is_no_arabic_stays_as_it_is(teacher: Completer, prefix: str) -> None:
    first, *_ = teacher.suggest(prefix, 3) or [Suggestion("", "", 0)]
    assert not first.replaces


@pytest.mark.parametrize("prefix", ["5", "shu 35", "شو 7", "", "shu ", "_a", "é", "a" * (MAX_TYPED + 1)])
def test_what_is_not_read(teacher: Completer, prefix: str) -> None:
    found = reader(teacher).after(
        teacher.language_model, teacher.state_cache, encoded(teacher, prefix), len(open_word(prefix)), 100
    )
    assert found is None or found.readings is None


def test_a_slip_in_a_latin_word_before_is_not_corrected(teacher: Completer) -> None:
    for before in ("lovve ", "shu lovve "):
        taken = texts(teacher.suggest(before + "a5b", 3), before + "a5b")
        assert before + "اخبارك" in taken


def test_words_before_are_replaced_with_it_unless_they_are_many_or_cannot_be_counted(teacher: Completer) -> None:
    def replaced(text: str) -> int:
        return max(one.replaces for one in teacher.suggest(text, 3))

    assert replaced("shu " * MAX_RUN + "kif") == 4 * MAX_RUN + 3
    assert replaced("shu " * (MAX_RUN + 1) + "kif") == 3
    assert replaced("shu, kif") == replaced("shu  kif") == replaced("1 kif") == 3
    normalising = Completer(teacher.language_model, teacher.vocabulary, TextRules())
    (first, *_) = normalising.suggest("shu  kif")  # the model sees one space
    assert first.appended_to("shu  kif").startswith("shu  كيف")


def test_the_next_letter_goes_on_from_the_last(teacher: Completer) -> None:
    model = teacher.language_model
    words, fresh = reader(teacher), reader(teacher)
    for text, lengths in (("بكرا منروح عالحبل", (3, 4, 6, 5, 6)), ("shu kif 7abibi", (2, 3, 6, 4, 5))):
        ids = encoded(teacher, text)
        for letters in lengths:
            end = len(ids) - 6 + letters
            found = words.after(model, teacher.state_cache, ids[:end], letters, end)
            anew = fresh.after(model, teacher.with_own_cache().state_cache, ids[:end], letters, end)
            assert found is not None and anew is not None
            assert (found.intended, found.num_replaced) == (anew.intended, anew.num_replaced)
            assert found.posterior == pytest.approx(anew.posterior)
    assert words.after(model, teacher.state_cache, ids, 0) is None
    assert words.after(model, teacher.state_cache, ids, MAX_TYPED + 1) is None


def test_of_the_words_before_only_the_last_are_remembered(teacher: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUN", 2)
    for n in range(12):
        teacher.suggest(f"{'شو ' * n}shu kif")
    ended = teacher.word_reader._ended[teacher.state_cache]  # pyright: ignore[reportPrivateUsage]
    assert len(ended) <= 8


def test_a_session_says_the_same_as_a_text_at_once(teacher: Completer) -> None:
    session, text = teacher.session(), "shu a5barak lyom ya 7abibi"
    for end in range(1, len(text) + 1):
        session.update(text[:end])
        at_once = teacher.with_own_cache().suggest(text[:end], 4)
        assert [(one.added, one.replaces) for one in session.suggest(4)] == [
            (one.added, one.replaces) for one in at_once
        ]


def test_a_blocked_word_is_not_read_either(teacher: Completer) -> None:
    blocking = Completer(
        teacher.language_model, teacher.vocabulary, teacher.rules, block=[BlockedWord("حبيبي", "insult")]
    )
    for prefix in ("7abib", "7abibi", "kifak 7abib", "kifak "):
        assert "حبيبي" in [one.text for one in teacher.suggest(prefix, 5)]
        assert "حبيبي" not in [one.text for one in blocking.suggest(prefix, 5)]
    assert "حبيبي" not in [one.text for one in teacher.suggest("7abibi", 5, forbid=["حبيبي"])]


@given(st.text(st.sampled_from("abhkifshuo7532 بك,"), max_size=14), st.integers(1, 5))
def test_probabilities_of_a_list_sum_to_one_at_most(teacher: Completer, prefix: str, k: int) -> None:
    found = teacher.suggest(prefix, k, threshold=0.0)
    assert sum(one.probability for one in found) <= 1 + 1e-6
    assert len(set(texts(found, prefix))) == len(found)
    assert len({one.text for one in found}) == len(found) or open_word(prefix)
    assert all(len(open_word(prefix)) <= one.replaces <= len(prefix) for one in found if one.replaces)


def test_a_model_of_latin_texts_reads_no_arabic() -> None:
    model = counter(["love you", "kif kaf", "buch"] * 8 + ["كيفك شو"], 4)
    assert model.word_reader.channel.latin is None
    assert not any(one.replaces for one in model.suggest("kif"))
