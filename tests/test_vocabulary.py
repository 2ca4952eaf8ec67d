"""The character vocabulary."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil import vocabulary as vocabulary_module
from kammil.errors import FolderError
from kammil.vocabulary import BOS, CODE_POINTS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary, rare_characters

ANY = st.text(st.characters(codec=None))


@given(st.lists(ANY))
def test_covered_text_comes_back(texts: list[str]) -> None:
    vocabulary = CharacterVocabulary.from_texts(texts)
    for text in texts:
        assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.size == SPECIALS + len(set("".join(texts)))


@given(ANY, ANY)
def test_no_text_forges_a_special_and_nothing_is_unencodable(known: str, text: str) -> None:
    vocabulary = CharacterVocabulary.from_texts([known])
    ids = vocabulary.encode(text)
    assert len(ids) == len(text)
    for character, id in zip(text, ids, strict=True):
        assert id == UNK if character not in known else id >= SPECIALS
    assert not {PAD, BOS, EOS} & set(ids.tolist())


def test_space_is_a_character_like_any_other() -> None:
    assert CharacterVocabulary(" a").encode(" ")[0] >= SPECIALS


def test_unknown_characters_pay_the_choice_among_all_that_are_left() -> None:
    assert CharacterVocabulary("abc").unknown_bits == pytest.approx(math.log2(CODE_POINTS - 3))


def test_unknown_and_special_ids_show_as_what_they_are() -> None:
    vocabulary = CharacterVocabulary("a")
    assert vocabulary.decode([BOS, SPECIALS, UNK, EOS, PAD]) == "a\ufffd"
    with pytest.raises(ValueError, match="99"):
        vocabulary.decode([99])


@given(ANY)
def test_json_brings_it_back(text: str) -> None:
    vocabulary = CharacterVocabulary.from_texts([text])
    assert CharacterVocabulary.from_json(vocabulary.to_json()).characters == vocabulary.characters


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({"type": "words", "characters": ["a"]}),
        json.dumps({"type": "characters", "characters": ["ab"]}),
        json.dumps({"type": "characters", "characters": ["b", "a"]}),
        json.dumps({"type": "characters", "characters": ["a", "a"]}),
        json.dumps({"type": "characters", "characters": [1]}),
        json.dumps({"type": "characters", "characters": "abc"}),
    ],
)
def test_foreign_json_is_refused(content: str) -> None:
    with pytest.raises(FolderError, match="copy the"):
        CharacterVocabulary.from_json(content)


def test_rare_characters_stand_in_one_text_only() -> None:
    assert rare_characters(["aab", "bc"]) == {"a", "c"}


@given(st.lists(ANY, max_size=8), st.lists(ANY, max_size=3), st.integers(1, 4), st.data())
def test_texts_encoded_together_are_those_encoded_one_by_one(
    texts: list[str], known: list[str], block: int, data: st.DataObject
) -> None:
    vocabulary = CharacterVocabulary.from_texts(known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary_module, "_BLOCK", block)
        together = vocabulary.encode_all(texts)
    alone = [vocabulary.encode(text).tolist() for text in texts]
    assert len(together) == len(texts)
    assert [ids.tolist() for ids in together] == alone
    assert all(ids.dtype == np.int64 for ids in together)
    part = slice(*data.draw(st.tuples(*[st.none() | st.integers(-9, 9)] * 2)))
    assert [ids.tolist() for ids in together[part]] == alone[part]
    assert [ids.tolist() for ids in together[part][1:]] == alone[part][1:]
    for number in range(-len(texts), len(texts)):
        assert together[number].tolist() == alone[number]
    for number in (len(texts), -len(texts) - 1):
        with pytest.raises(IndexError):
            together[number]


def test_many_texts_take_two_bytes_a_character() -> None:
    texts = ["مرحبا كيفك"] * 1000
    encoded = CharacterVocabulary.from_texts(texts).encode_all(texts)
    assert encoded.nbytes == 1000 * (2 * 10 + 8)
    assert np.concatenate(encoded).tolist() == encoded[0].tolist() * 1000
    with pytest.raises(ValueError, match="step"):
        encoded[::2]


def test_ids_beyond_sixteen_bits_are_kept() -> None:
    characters = [chr(code) for code in range(0x10000, 0x10000 + (1 << 16))]
    vocabulary = CharacterVocabulary(characters)
    (ids,) = vocabulary.encode_all([characters[-1] + "x"])
    assert ids.tolist() == [vocabulary.size - 1, UNK]
