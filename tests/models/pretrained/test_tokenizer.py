"""Texts in the tokens of two kinds of tokenizers, trained on the embedded corpus."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.pretrained.bases import END, byte_tokenizer, sentence_piece_tokenizer
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from kammil.errors import OptionError
from kammil.models.pretrained.tokenizer import Segmentation, SubwordTokenizer, segment
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary


@pytest.fixture(scope="module")
def bytes_(texts: list[str]) -> SubwordTokenizer:
    tokenizer = byte_tokenizer(texts, 400)
    end = tokenizer.token_to_id(END)
    return SubwordTokenizer(tokenizer.to_str(), tokenizer.get_vocab_size(), bos=end, eos=end, unknown=end)


@pytest.fixture(scope="module")
def pieces(texts: list[str]) -> SubwordTokenizer:
    tokenizer = sentence_piece_tokenizer(texts, 500)
    return SubwordTokenizer(tokenizer.to_str(), tokenizer.get_vocab_size(), bos=1, eos=2, unknown=0)


@pytest.fixture(scope="module", params=["bytes_", "pieces"])
def tokenizer(request: pytest.FixtureRequest) -> SubwordTokenizer:
    return request.getfixturevalue(request.param)


anything = st.text(st.sampled_from("شوحل 😂é\n\0e<s>ﷺ🏽\ud800") | st.characters(), max_size=20)


def joined(tokenizer: SubwordTokenizer, runs: list[tuple[int, ...]]) -> str:
    return b"".join(tokenizer.spelled[token] or b"?" for run in runs for token in run).decode("utf-8", "surrogatepass")


def test_which_kind_it_is(bytes_: SubwordTokenizer, pieces: SubwordTokenizer) -> None:
    assert not bytes_.puts_space and pieces.puts_space
    assert bytes_.spelled[bytes_.unknown] == b"\xff"  # it has no token of its own
    assert pieces.unknown == 0


@settings(max_examples=100)
@given(text=anything)
def test_runs_spell_the_text(tokenizer: SubwordTokenizer, text: str) -> None:
    space = " " if tokenizer.puts_space and text else ""
    assert joined(tokenizer, tokenizer.runs(text, begins=True)) == space + text
    assert joined(tokenizer, tokenizer.runs(text, begins=False)) == text


@settings(max_examples=100)
@given(text=anything)
def test_a_run_is_text_and_no_beginning_of_it_is(tokenizer: SubwordTokenizer, text: str) -> None:
    for run in tokenizer.runs(text, begins=True):
        assert joined(tokenizer, [run])
        for length in range(1, len(run)):
            with pytest.raises(UnicodeDecodeError):
                joined(tokenizer, [run[:length]])


def test_the_cut_is_the_tokenizers_own(tokenizer: SubwordTokenizer, texts: list[str]) -> None:
    library = tokenizer._tokenizer  # pyright: ignore[reportPrivateUsage]
    for text in texts[:50]:
        runs = tokenizer.runs(text, begins=True)
        assert [token for run in runs for token in run] == library.encode(text, add_special_tokens=False).ids


def test_a_name_of_a_special_token_is_spelled(bytes_: SubwordTokenizer) -> None:
    runs = bytes_.runs(f"a {END} b", begins=True)
    assert joined(bytes_, runs) == f"a {END} b" and bytes_.eos not in {token for run in runs for token in run}


def cut(
    tokenizer: SubwordTokenizer, train: list[str], validation: list[str]
) -> tuple[Segmentation, CharacterVocabulary]:
    vocabulary = CharacterVocabulary.from_texts(train)
    learnt, held_out = ([vocabulary.encode(text) for text in part] for part in (train, validation))
    return segment(tokenizer, learnt, held_out, vocabulary), vocabulary


def test_ids_are_tokens_and_their_widths_sum_to_the_characters(tokenizer: SubwordTokenizer, texts: list[str]) -> None:
    train, validation = [*texts[:60], "😂 🙈 x"] * 2, ["شو ★ حلو 😂", "★", "", "★★x", *texts[60:70]]
    found, _ = cut(tokenizer, train, validation)
    for part, ids in zip((*train, *validation), (*found.train, *found.validation), strict=True):
        assert found.widths[[*ids, EOS]].sum() == len(part) + 1, part
    assert [int((ids == UNK).sum()) for ids in found.validation[:4]] == [1, 1, 0, 2]
    for text, ids in zip(train, found.train, strict=True):
        tokens = (ids - SPECIALS).tolist()
        assert joined(tokenizer, [tuple(tokens)]) == " " * tokenizer.puts_space + text
    assert found.widths[PAD] == 0 and len(found.widths) == SPECIALS + tokenizer.size


def test_every_character_is_a_unit_and_units_spell_themselves(tokenizer: SubwordTokenizer, texts: list[str]) -> None:
    found, vocabulary = cut(tokenizer, [*texts[:60], "هههه 😂"] * 2, [])
    units = found.units
    for unit, tokens in enumerate(units.tokens[SPECIALS:], SPECIALS):
        ids = [unit] if unit < vocabulary.size else units.units.longer[unit - vocabulary.size]
        assert joined(tokenizer, [tokens]) == vocabulary.decode(ids)
    assert units.tokens[:SPECIALS] == [(), (tokenizer.unknown,), (tokenizer.bos,), (tokenizer.eos,)]
    assert units.shares[[PAD, BOS]].tolist() == [0, 0]
    assert units.prefix.tolist() == (vocabulary.encode(" ").tolist() if tokenizer.puts_space else [])


def test_units_that_begin_alike_share_by_their_counts(bytes_: SubwordTokenizer) -> None:
    found, vocabulary = cut(bytes_, ["🙈🙈🙈🙊"] * 2 + ["🙊"], [])
    units = {id: found.units.tokens[id] for id in vocabulary.encode("🙈🙊").tolist()}
    firsts = {tokens[0] for tokens in units.values()}
    assert len(firsts) == 1  # one half of both
    total = 1 + 6 + 1 + 3
    assert [float(found.units.shares[id]) for id in units] == pytest.approx([7 / total, 4 / total])
    claimed = np.zeros(bytes_.size)
    for tokens, share in zip(found.units.tokens, found.units.shares.tolist(), strict=True):
        claimed[tokens[:1]] += share if tokens else 0
    assert claimed[list({tokens[0] for tokens in found.units.tokens[1:]} - {bytes_.bos})] == pytest.approx(1)


def test_a_run_across_a_space_is_a_unit(bytes_: SubwordTokenizer) -> None:
    runs = bytes_.runs("شو 😂", begins=True)
    found, vocabulary = cut(bytes_, ["شو 😂"] * 2, [])
    for run in runs:
        ids = tuple(vocabulary.encode(joined(bytes_, [run])).tolist())
        unit = ids[0] if len(ids) == 1 else vocabulary.size + found.units.units.longer.index(ids)
        assert found.units.tokens[unit] == run


def test_half_of_the_characters_of_one_text_are_unknown(tokenizer: SubwordTokenizer) -> None:
    found, _ = cut(tokenizer, ["aa bb", "bb aa", "cc dd ee ff"], ["cc dd ee ff"])
    hidden = [int((ids == UNK).sum()) for ids in found.train]
    assert hidden == [0, 0, 4]  # c and e, twice each
    assert int((found.validation[0] == UNK).sum()) == 0


def test_texts_without_a_space_have_none_before_them(pieces: SubwordTokenizer) -> None:
    found, _ = cut(pieces, ["شو", "حلو"] * 2, [])
    assert found.units.prefix.tolist() == [] and found.widths[EOS] == 1
    assert joined(pieces, [tuple((found.train[0] - SPECIALS).tolist())]) == "شو"


def test_a_character_without_a_token_is_unknown(texts: list[str]) -> None:
    content = json.loads(sentence_piece_tokenizer(texts, 500).to_str())
    vocab = [token for token in content["model"]["vocab"] if not token.startswith("<0x")]
    content["model"] |= {"vocab": {token: id for id, token in enumerate(vocab)}, "byte_fallback": False}
    tokenizer = SubwordTokenizer(json.dumps(content), len(vocab), bos=1, eos=2, unknown=0)
    found, vocabulary = cut(tokenizer, ["شو 🙈🙊", "🙈🙊 حلو"] * 2, [])
    assert [found.units.tokens[id] for id in vocabulary.encode("🙈🙊")] == [(0,), (0,)]
    assert [int((ids == UNK).sum()) for ids in found.train] == [2] * 4
    assert found.widths[[*found.train[1], EOS]].sum() == len("🙈🙊 حلو") + 1


def test_a_tokenizer_that_changes_letters_spells_them_all_the_same(texts: list[str]) -> None:
    library = byte_tokenizer(texts, 400)
    library.normalizer = normalizers.Lowercase()
    tokenizer = SubwordTokenizer(library.to_str(), library.get_vocab_size(), bos=0, eos=0, unknown=None)
    assert joined(tokenizer, tokenizer.runs("OK شو", begins=True)) == "OK شو"


def test_a_token_added_to_the_vocabulary_is_text(texts: list[str]) -> None:
    library = byte_tokenizer(texts, 400)
    library.add_tokens([AddedToken("شو حلو", normalized=False)])
    tokenizer = SubwordTokenizer(library.to_str(), library.get_vocab_size(), bos=0, eos=0, unknown=None)
    assert tokenizer.runs("شو حلو", begins=True) == [(library.get_vocab_size() - 1,)]
    narrow = SubwordTokenizer(library.to_str(), library.get_vocab_size() - 1, bos=0, eos=0, unknown=None)
    assert joined(narrow, narrow.runs("شو حلو", begins=True)) == "شو حلو"  # the network does not know the token


def test_the_tokenizers_own_token_of_two_is_taken(pieces: SubwordTokenizer) -> None:
    twice = [text for text in pieces.whole if pieces.spelled.count(text.encode()) > 1]
    assert twice
    for text in twice:
        library = pieces._tokenizer  # pyright: ignore[reportPrivateUsage]
        assert str(library.id_to_token(pieces.whole[text])).replace("▁", " ") == text


def test_tokenizers_of_other_kinds_are_refused(texts: list[str]) -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(OptionError, match=r"GPT-2.*SentencePiece"):
        SubwordTokenizer(words.to_str(), 2, bos=0, eos=0, unknown=1)
    content = byte_tokenizer(texts, 400).to_str()
    with pytest.raises(OptionError, match="base has no token"):
        SubwordTokenizer(content, 400, bos=None, eos=None, unknown=None)
    one = SubwordTokenizer(content, 400, bos=None, eos=5, unknown=None)
    assert one.bos == one.eos == 5


def test_words_are_cut_alike_wherever_a_text_was_parted(bytes_: SubwordTokenizer) -> None:
    found, _ = cut(bytes_, ["شو حلو"] * 2, ["شو★ حلو"])
    (ids,) = found.validation
    at = int(np.flatnonzero(ids == UNK)[0])
    assert [*found.train[0]] == [*ids[:at], *ids[at + 1 :]]
    assert all(a != b or a != UNK for a, b in pairwise(ids.tolist()))
