"""One slot for one word, whatever its spelling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.completion.character_classes import CharacterClasses
from kammil.completion.word_list import FoundWord, WordList, is_stretched
from kammil.vocabulary import CharacterVocabulary

VOCABULARY = CharacterVocabulary.from_texts(["قهوةهاأإآلخيرشكتبغصمدىعنح سُ"])
CLASSES = CharacterClasses.of(VOCABULARY)


def listed(words: dict[str, float], *, k: int = 3, text: str = "", typed: str = "") -> list[str]:
    """The words that stay of some that continue what is typed, or replace it if they begin with an equals sign."""
    found = WordList(k, CLASSES.folds, CLASSES.careful_in(text), VOCABULARY.encode(typed).tolist())
    for word, p in words.items():
        ids = VOCABULARY.encode(word.removeprefix("="))
        found.take(FoundWord(ids, p, len(typed) if word.startswith("=") else 0))
    return [VOCABULARY.decode(word.ids) for word in found.words]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ({"قهوه": 0.3, "قهوة": 0.2, "شكر": 0.1}, ["قهوه", "شكر"]),
        ({"احمد": 0.1, "أحمد": 0.3}, ["أحمد"]),
        ({"على": 0.2, "علي": 0.1}, ["على"]),
        ({"الخيير": 0.02, "الخير": 0.3}, ["الخير"]),
        ({"الخير": 0.3, "الخيير": 0.02}, ["الخير"]),
        ({"الخيييير": 0.02, "الخير": 0.3}, ["الخير"]),
        ({"تغير": 0.2, "تغيير": 0.15}, ["تغير", "تغيير"]),
        ({"ووصل": 0.01, "وصل": 0.3}, ["وصل", "ووصل"]),  # and he arrived
        ({"سُكر": 0.1, "سكر": 0.2}, ["سكر"]),
    ],
)
def test_spellings_of_one_word_take_one_slot(words: dict[str, float], kept: list[str]) -> None:
    assert listed(words) == kept


def test_the_slot_goes_to_the_next_word() -> None:
    assert listed({"قهوه": 0.3, "قهوة": 0.2, "شكر": 0.1, "خير": 0.05}) == ["قهوه", "شكر", "خير"]


@pytest.mark.parametrize(
    ("text", "words", "kept"),
    [
        ("مدرسة وشو", {"قهوه": 0.3, "قهوة": 0.1}, "قهوة"),
        ("أنا", {"قهوه": 0.3, "قهوة": 0.1}, "قهوه"),
        ("أنا", {"اختي": 0.3, "أختي": 0.1}, "أختي"),
        ("مدرسة", {"كتابه": 0.3, "كتابة": 0.01}, "كتابه"),  # his book
    ],
)
def test_the_spelling_is_that_of_the_text_so_far(text: str, words: dict[str, float], kept: str) -> None:
    assert listed(words, text=text) == [kept]
    assert listed(dict(reversed(words.items())), text=text) == [kept]


def test_what_was_typed_is_left_as_it_is() -> None:
    assert listed({"ختي": 0.1, "=أختي": 0.3}, text="أنا ", typed="ا") == ["ختي"]
    assert listed({"ختي": 0.01, "=أختي": 0.3}, text="أنا ", typed="ا") == ["أختي"]


def test_what_stretches_the_typed_word_is_no_ending_of_it() -> None:
    assert listed({"ا": 0.4, "اا": 0.1, "=شكرا": 0.02}, typed="شكرا") == ["شكرا"]
    assert listed({"ه": 0.3}, typed="ههه") == ["ه"]  # laughter


def test_a_stretched_word_is_known() -> None:
    ids = [VOCABULARY.encode(word).tolist() for word in ("شكراا", "شكرا", "شكر")]
    assert is_stretched(ids[0], ids[1], CLASSES.folds)
    assert not is_stretched(ids[1], ids[0], CLASSES.folds)
    assert not is_stretched(ids[0], ids[2], CLASSES.folds)


@given(st.dictionaries(st.text("قهوةاأي", min_size=1, max_size=4), st.floats(0.01, 1.0)), st.integers(1, 4))
def test_no_word_beyond_k_and_none_twice(words: dict[str, float], k: int) -> None:
    found = WordList(k, CLASSES.folds)
    for word, p in words.items():
        found.take(FoundWord(VOCABULARY.encode(word), p))
    folds = ["".join(CLASSES.folds[id] for id in word.ids) for word in found.words]
    assert len(set(folds)) == len(folds) <= k
    assert bool(words) == bool(folds)
    probabilities = [word.probability for word in found.words]
    assert probabilities == sorted(probabilities, reverse=True)
    assert found.to_beat == (np.min(probabilities) if len(folds) == k else 0)
