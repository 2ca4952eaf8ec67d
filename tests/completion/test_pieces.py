"""Suggestions in scripts without spaces, against enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.completion.character_classes import CharacterClasses
from kammil.completion.completer import Completer
from kammil.completion.word_list import MAX_PIECE, choose_pieces
from kammil.completion.word_search import WordSearch
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.text import RAW, graphemes, words
from kammil.vocabulary import BOS, CharacterVocabulary

HAN = "我们好天气"
LETTERS = HAN + "ก\u0e48a ，"


def counter(texts: list[str], order: int = 3) -> Completer:
    """A raw model that counts these texts."""
    vocabulary = CharacterVocabulary.from_texts(texts)
    chosen = ngram_model.NGramSettings(order=order)
    _, artifacts = ngram_counting.fit([vocabulary.encode(text) for text in texts], (), vocabulary.size, chosen)
    return Completer(ngram_model.NGramModel(chosen, artifacts.weights), vocabulary, RAW)


def probability(model: Completer, prefix: str, added: str, *, whole: bool = True) -> float:
    """The probability that a text goes on with this, and with no mark of its last letter if that is `whole`."""
    ids = [BOS, *model.vocabulary.encode(prefix + added)]
    scores, _ = model.language_model.forward(np.array([ids]), model.language_model.initial_state(1))
    rows = scores[0].astype(np.float64)
    first = len(ids) - len(added)
    read = math.exp(sum(rows[at - 1, ids[at]] for at in range(first, len(ids))))
    return read * (1 - float(np.exp(rows[-1])[model.character_classes.extends].sum()) * whole)


TEXTS = st.lists(st.text(st.sampled_from(LETTERS), min_size=1, max_size=12), min_size=1, max_size=6).map(
    lambda texts: [*texts, "我们好，天气"]
)


@given(TEXTS, st.text(st.sampled_from(LETTERS), max_size=5), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_any_list_is_made_of_words_and_pieces(texts: list[str], prefix: str, k: int) -> None:
    model = counter(texts)
    found = model.suggest(prefix, k, threshold=0.001)
    assert len({s.added for s in found}) == len(found) <= k
    for s in found:
        whole = prefix + s.added
        assert words(whole)[-1][1] == len(whole) and whole.endswith(s.text)
        assert len(graphemes(whole + "我")) == len(graphemes(whole)) + 1
        if "a" not in s.text:  # a piece
            assert len(s.added) <= MAX_PIECE
            assert s.probability == pytest.approx(probability(model, prefix, s.added), rel=1e-3)


@given(TEXTS, st.text(st.sampled_from(HAN), max_size=4))
@settings(max_examples=50, deadline=None)
def test_the_first_piece_saves_most(texts: list[str], prefix: str) -> None:
    model = counter(["".join(c for c in text if c in HAN) or "我" for text in texts])
    ids = np.array([[BOS, *model.vocabulary.encode(prefix)]])
    scores, state = model.language_model.forward(ids, model.language_model.initial_state(1), last=1)
    search = WordSearch(model.language_model, model.character_classes, 1, 0.0, 1 << 12, max_piece=3)
    ((best, *_),) = search.run([prefix], scores[:, -1], state)
    known = model.vocabulary.characters
    longer = ["".join(each) for n in (1, 2, 3) for each in itertools.product(known, repeat=n)]
    # A single letter counts a hundredth of a key.
    saved = max(probability(model, prefix, each) * (len(each) - 0.99) for each in longer)
    assert best[1] * (len(best[0]) - 0.99) == pytest.approx(saved, rel=1e-3)
    assert search.optimal == 1


PIECES = st.dictionaries(
    st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), st.integers(1, 8), min_size=1, max_size=8
)


@given(PIECES, st.integers(1, 3))
def test_the_choice_is_hardly_behind_the_best(weights: dict[tuple[int, ...], int], k: int) -> None:
    # Texts of four letters; a piece is as probable as the texts that begin with it.
    texts = {(*path, *[3] * (4 - len(path))): weight for path, weight in weights.items()}
    total = sum(texts.values())
    pieces = {text[:n]: 0.0 for text in texts for n in (1, 2, 3, 4)}
    for text, weight in texts.items():
        for n in (1, 2, 3, 4):
            pieces[text[:n]] += weight / total

    def saved(chosen: tuple[tuple[int, ...], ...]) -> float:
        return sum(
            weight / total * max((len(piece) - 1 for piece in chosen if text[: len(piece)] == piece), default=0)
            for text, weight in texts.items()
        )

    found, _ = choose_pieces(pieces, k)
    chosen = tuple(tuple(ids.tolist()) for ids, _ in found)
    assert [p for _, p in found] == [pieces[piece] for piece in chosen]
    best = max(saved(each) for n in range(1, k + 1) for each in itertools.combinations(pieces, min(n, len(pieces))))
    assert saved(chosen) >= (1 - 1 / math.e) * best - 0.05  # single letters count a little there
    shorter, _ = choose_pieces(pieces, k - 1) if k > 1 else ([], 0)
    assert [tuple(ids.tolist()) for ids, _ in shorter] == list(chosen[: len(shorter)])


def test_of_nested_pieces_both_are_suggested_only_where_the_text_may_part() -> None:
    sure = {(1, 2): 0.5, (1, 2, 3): 0.49, (4, 5): 0.1}
    assert [ids.tolist() for ids, _ in choose_pieces(sure, 2)[0]] == [[1, 2, 3], [4, 5]]
    parting = {(1, 2): 0.9, (1, 2, 3): 0.5, (4, 5): 0.05}
    assert [ids.tolist() for ids, _ in choose_pieces(parting, 2)[0]] == [[1, 2, 3], [1, 2]]


@pytest.fixture(scope="module")
def teacher() -> Completer:
    """A model that was taught a few words in several scripts."""
    return counter(
        ["我们用Python写程序，天气很好", "我们用Python写程序。今天天气很好", "ที่นี่มีน้ำ ที่นั่นมีข้าว", "たべもの、コーヒー"] * 5,
        6,
    )


@pytest.mark.parametrize(
    ("prefix", "text", "added"),
    [
        ("我", "们用", "们用"),
        ("我们用", "Python", "Python"),  # a word of another script, which a letter without space closes
        ("我们用Py", "Python", "thon"),
        ("我们用Python", "写程序", "写程序"),  # no space before it
        ("我们用Python写程序，", "天气很好", "天气很好"),
        ("ที", "ที่", "\u0e48"),  # a mark goes on with its letter
        ("コー", "ヒー", "ヒー"),
    ],
)
def test_a_piece_as_it_would_stand(teacher: Completer, prefix: str, text: str, added: str) -> None:
    first = teacher.suggest(prefix, 5)[0]
    assert first.added.startswith(added) and first.text.startswith(text)


def test_ghost_text_without_spaces(teacher: Completer) -> None:
    phrase = teacher.phrase("我们用Python写", threshold=0.1)
    assert phrase.added.startswith("程序") and " " not in phrase.added
    assert phrase.probability <= probability(teacher, "我们用Python写", phrase.added, whole=False) * (1 + 1e-3)
    assert teacher.phrase("", words=1, threshold=0.9).added == ""


def test_a_few_letters_of_emoticons_change_nothing() -> None:
    arabic = CharacterVocabulary("ابتثجحخدذرز ")
    classes = CharacterClasses.of(CharacterVocabulary("ابتثجحخدذرز ค"))
    assert not classes.unspaced.any()
    assert classes.close.sum() == CharacterClasses.of(arabic).close.sum()
    assert CharacterClasses.of(CharacterVocabulary("abค")).unspaced.sum() == 1
