"""Subwords are learnt from the texts; cutting loses nothing, and the library sees nothing that it could spoil."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.models.subwords import network
from kammil.models.subwords.network import Segmenter, SubwordSettings
from kammil.vocabulary import UNK, CharacterVocabulary

some_text = st.text(st.sampled_from("كلم ة ـَ\u200d12.!_ \n\u0301aü\ud800ر\ufffd"), max_size=40)


def learn(texts: list[str], **values: int) -> tuple[Segmenter, CharacterVocabulary]:
    vocabulary = CharacterVocabulary.from_texts(texts)
    encoded = [vocabulary.encode(text) for text in texts]
    return network.bpe_segmenter(encoded, vocabulary, SubwordSettings.model_validate(values)), vocabulary


def shown(cut: Segmenter, vocabulary: CharacterVocabulary, text: str) -> list[str]:
    inventory = [(id,) for id in range(cut.units.characters)] + list(cut.units.longer)
    return [vocabulary.decode(inventory[unit]) for unit in cut.encode(vocabulary.encode(text))]


@settings(max_examples=30)
@given(st.lists(some_text, min_size=1, max_size=6), some_text)
def test_units_joined_are_the_text(texts: list[str], text: str) -> None:
    cut, vocabulary = learn([*texts, "كل"], subwords=20)
    ids = vocabulary.encode(text)
    inventory = [(id,) for id in range(cut.units.characters)] + list(cut.units.longer)
    assert [id for unit in cut.encode(ids) for id in inventory[unit]] == ids.tolist()
    assert len(cut.units.longer) <= 20
    assert all(cut.encode(np.array(unit)).tolist() != list(unit) for unit in cut.units.longer)


def test_the_most_frequent_pairs_are_joined_first() -> None:
    # "ال" eleven times, then its joins with what stands around it.
    texts = ["البيت الكبير", "الولد الصغير", "البيت الصغير", "الباب", "الحب", "الكل", "البيت", "يا البيت"]
    assert shown(*learn(texts, subwords=1), "الباب") == ["ال", "ب", "ا", "ب"]
    cut, vocabulary = learn(texts, subwords=40)
    assert shown(cut, vocabulary, "البيت الصغير") == ["البيت", " الصغير"]
    assert shown(cut, vocabulary, "البيتالصغير")[0] != "البيتالصغير"


def test_no_unit_crosses_the_border_of_a_piece() -> None:
    cut, vocabulary = learn(["no 12! no 12!"] * 9, subwords=50)
    assert shown(cut, vocabulary, "no 12! no 12!") == ["no", " 12", "!", " no", " 12", "!"]


def test_a_character_of_one_text_is_in_no_unit() -> None:
    cut, vocabulary = learn(["fofö fofö fofö", "fof fof"], subwords=50)
    joined = {vocabulary.decode(unit) for unit in cut.units.longer}
    assert joined
    assert not any("ö" in unit for unit in joined)
    assert shown(cut, vocabulary, "fofö fof") == ["fof", "ö", " fof"]


def test_an_unknown_character_stays_one() -> None:
    cut, vocabulary = learn(["a\ufffd\ufffd", "b\ufffd\ufffd"], subwords=5)
    assert cut.encode(vocabulary.encode("a\ufffd\ufffd")).tolist()[-1] >= vocabulary.size
    assert cut.encode(vocabulary.encode("axx")).tolist() == [*vocabulary.encode("a"), UNK, UNK]


def test_lone_surrogates_are_characters_like_any_other() -> None:
    cut, vocabulary = learn(["a\ud800\ud801"] * 3, subwords=5)
    assert shown(cut, vocabulary, "\ud800\ud801a")[-1] == "a"


@pytest.mark.long
def test_the_same_texts_give_the_same_units_in_another_process() -> None:
    program = (
        "from kammil.data import sources as reading\n"
        "from kammil.models.subwords import network as subwords\n"
        "from kammil.vocabulary import CharacterVocabulary\n"
        "texts = reading.sample()\n"
        "v = CharacterVocabulary.from_texts(texts)\n"
        "print(subwords.bpe_segmenter([v.encode(t) for t in texts], v, subwords.SubwordSettings()).units.longer)\n"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert len(first) > 1000
