"""Frequent words are units, everything else is spelled, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.language_model import Ids
from kammil.models.family import FamilyName
from kammil.models.subwords import network
from kammil.models.subwords.network import Segmenter, WordSettings, pretokens
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

some_text = st.text(st.sampled_from("كلم ة ـَ\u200d12.!_ \n\u0301aü\ud800ر"), max_size=40)


def spelled(cut: Segmenter, units: Ids) -> list[tuple[int, ...]]:
    """The character ids of each unit."""
    inventory = [(id,) for id in range(cut.units.characters)] + list(cut.units.longer)
    return [inventory[unit] for unit in units]


def learn(texts: list[str], **settings: int) -> tuple[Segmenter, CharacterVocabulary]:
    vocabulary = CharacterVocabulary.from_texts(texts)
    encoded = [vocabulary.encode(text) for text in texts]
    return network.word_segmenter(encoded, vocabulary, WordSettings.model_validate(settings)), vocabulary


def shown(cut: Segmenter, vocabulary: CharacterVocabulary, text: str) -> list[str]:
    return [vocabulary.decode(unit) for unit in spelled(cut, cut.encode(vocabulary.encode(text)))]


@given(some_text)
def test_pieces_joined_are_the_text(text: str) -> None:
    vocabulary = CharacterVocabulary(text[::2])
    ids = vocabulary.encode(text)
    found = pretokens(ids, vocabulary)
    assert [id for piece in found for id in piece] == ids.tolist()
    assert all(found)


def test_a_piece_is_letters_or_digits_or_signs_with_the_space_before() -> None:
    text = "شو هالحكي!!  عَم 12:30\nيلا #بكرا_الصبح"
    vocabulary = CharacterVocabulary(text)
    found = [vocabulary.decode(piece) for piece in pretokens(vocabulary.encode(text), vocabulary)]
    wanted = ["شو", " هالحكي", "!!", " ", " عَم", " 12", ":", "30", "\n", "يلا", " #", "بكرا", "_", "الصبح"]
    assert found == wanted


@given(st.lists(some_text, min_size=1, max_size=6), some_text)
def test_units_joined_are_the_text(texts: list[str], text: str) -> None:
    cut, vocabulary = learn([*texts, "كل"], word_texts=2)
    ids = vocabulary.encode(text)
    assert [id for unit in spelled(cut, cut.encode(ids)) for id in unit] == ids.tolist()


def test_frequent_words_are_units_and_the_rest_is_spelled() -> None:
    cut, vocabulary = learn(["شو بدك", "مين بدك", "وين بدك هلق", "شو هلق هلق"], word_texts=3)
    assert cut.units.longer == (tuple(vocabulary.encode(" بدك").tolist()),)
    assert shown(cut, vocabulary, "شو بدك هلق") == ["ش", "و", " بدك", " ", "ه", "ل", "ق"]
    assert shown(cut, vocabulary, " بدكن") == [*" بدكن"]


def test_the_most_frequent_are_taken() -> None:
    texts = ["aa bb", "aa bb cc", "aa cc", "dd aa"]
    cut, vocabulary = learn(texts, word_texts=2, most_words=2)
    assert {vocabulary.decode(unit) for unit in cut.units.longer} == {"aa", " bb"}
    assert learn(texts, word_texts=2, most_words=0)[0].units.longer == ()


def test_a_character_of_one_text_is_in_no_unit() -> None:
    # Each word stands in one text only, three times; even a threshold of one could not let ü in.
    cut, vocabulary = learn(["für für für", "nur für", "nur so"], word_texts=2)
    assert {vocabulary.decode(unit) for unit in cut.units.longer} == {" für", "nur"}
    cut, _ = learn(["für", "für ö", "fort"], word_texts=2)
    assert "ö" not in {vocabulary.decode(unit) for unit in cut.units.longer}


def test_an_unknown_character_stays_one() -> None:
    cut, vocabulary = learn(["\ufffd\ufffd a", "\ufffd\ufffd b"], word_texts=2)
    assert len(cut.units.longer) == 1
    ids = vocabulary.encode("xx")
    assert ids.tolist() == [UNK, UNK]
    assert cut.encode(ids).tolist() == [UNK, UNK]  # though they are decoded alike


def test_unit_ids_begin_with_the_characters() -> None:
    cut, vocabulary = learn(["na na", "na no"], word_texts=2)
    assert cut.encode(vocabulary.encode("no")).tolist() == vocabulary.encode("no").tolist()
    assert cut.encode(vocabulary.encode("na")).tolist() == [vocabulary.size]
    assert cut.units.characters == vocabulary.size > SPECIALS


@pytest.mark.parametrize("name", ["words", "subwords"])
@pytest.mark.long
def test_bits_shown_while_learning_are_per_character_and_no_less_than_needed(
    name: str, tmp_path: Path, texts: list[str]
) -> None:
    options: dict[str, Any] = {
        "embedding": 16,
        "hidden": 32,
        "dropout": 0.0,
        "epochs": 3,
        "device": "cpu",
        "threads": 1,
    }
    held_out = [*texts[240:260], "☃ ☃"]
    trained = kammil.train(
        texts[:240], validation=held_out, out=tmp_path / name, model=cast(FamilyName, name), **options
    )
    one_way = min(epoch["validation_bits"] for epoch in trained.history)
    needed = trained.evaluation.model.bits_per_character_with_end
    assert needed is not None
    # The running side sums over all ways to cut a text, the loop over the one it learns from.
    assert one_way * 0.8 < needed.value < one_way + 1e-6
