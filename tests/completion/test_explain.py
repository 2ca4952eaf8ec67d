"""Explanations: they agree with scores and completions, and what experts saved adds up."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.near_equals import NEAR, assert_ranked_alike, near

import kammil
from kammil.completion.completer import Completer
from kammil.completion.explain import (
    CharacterScore,
    Explanation,
    _top_ids,  # pyright: ignore[reportPrivateUsage]
    aumann_shapley,
    expert_label,
    explain,
    explain_written,
)
from kammil.completion.scoring import score_texts
from kammil.errors import OptionError
from kammil.language_model import ExpertAttribution
from kammil.text import words
from kammil.vocabulary import BOS, EOS, PAD, UNK

ODD = st.text(st.sampled_from("\u0301\u064e\u200d\u200c\u202e\u2067\0\ud800\udfff👨👩🇱🇧 كشوم\n\ta@."), max_size=90)
TEXTS = ODD | st.text(st.characters(codec=None), max_size=30)


@pytest.fixture(scope="module")
def blend(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("blend"))


@settings(max_examples=20)
@given(text=TEXTS, before=TEXTS, k=st.integers(1, 400))
def test_a_text_costs_what_its_score_says(model: Completer, text: str, before: str, k: int) -> None:
    explanation, score = explain(model, text, given=before, k=k), model.score(text, before)
    assert explanation.text == score.text
    assert [place.text for place in explanation.places] == [*score.text, ""]
    assert [place.bits for place in explanation.places] == pytest.approx(score.bits, abs=1e-3)
    if explanation.text:
        assert explanation.bits_per_character == pytest.approx(score.bits_per_character, abs=1e-3)
    else:
        assert explanation.bits_per_character is None
    for place in explanation.places:
        assert place.probability == pytest.approx(2**-place.bits)
        probabilities = [alternative.probability for alternative in place.alternatives]
        assert probabilities == sorted(probabilities, reverse=True)
        named = {a.text: [b for b in place.alternatives if b.text == a.text] for a in place.alternatives}
        offered = {*named}
        nobody_types = {"\ufffd", "🔗", "👤"} - {place.text if place.rank is not None else "\ufffd"}
        assert offered.isdisjoint(nobody_types)
        known = {"\ufffd", *model.vocabulary.characters}
        wanted = model.vocabulary.size - 2 - len(nobody_types & known)
        assert len(probabilities) == min(k, wanted) and sum(probabilities) <= 1.0001
        if place.rank is None:
            assert place.text not in model.vocabulary.characters
        elif place.rank <= k:
            # Where the last alternative is as probable, either of the two may be named.
            assert near(place.probability) in [probabilities[-1], *(a.probability for a in named[place.text])]
        assert bool(place.credits) == isinstance(model.language_model, ExpertAttribution)


def test_ranks_are_those_of_the_evaluation(model: Completer, texts: list[str]) -> None:
    text = model.normalise(" ".join(texts[300:304]) + "☃")
    (scores,) = score_texts(model.language_model, model.vocabulary, [text])
    ids = np.concatenate([[BOS], model.vocabulary.encode(text)])[None]
    (rows,), _ = model.language_model.forward(ids, model.language_model.initial_state(1))
    for row, place, rank, bits in zip(rows, explain(model, text).places, scores.ranks, scores.bits, strict=True):
        if place.rank is None:
            assert rank == model.vocabulary.size
            continue
        paid = -bits * math.log(2)
        ranks = range((row > paid + NEAR).sum(), (row > paid - NEAR).sum() + 1)  # several among near-equals
        assert place.rank - 1 in ranks and rank in ranks


def test_a_completion_costs_what_it_says(model: Completer) -> None:
    for seed in range(3):
        completion = model.complete("شو رأيك ", seed=seed, temperature=1.2)
        explanation = explain_written(model, completion.prompt, completion.text)
        assert explanation.text == completion.text and explanation.given == "شو رأيك "
        assert [place.bits for place in explanation.places[:-1]] == pytest.approx(completion.bits, abs=1e-3)


def test_what_experts_saved_and_what_was_paid_is_an_even_choice(blend: Completer, texts: list[str]) -> None:
    assert isinstance(blend.language_model, ExpertAttribution)
    blend.learn("شو رأيك نطلع")
    try:
        ids = blend.vocabulary.encode(blend.normalise(texts[0] + "☃"))
        language_model = blend.language_model
        contributions, _ = language_model.expert_scores(ids[None], language_model.initial_state(1))
        log_probabilities, _ = language_model.forward(ids[None], language_model.initial_state(1))
    finally:
        blend.forget("شو رأيك نطلع")
    true = np.append(ids[1:], EOS)
    paid = -log_probabilities[0, np.arange(len(ids)), true] / math.log(2)
    assert aumann_shapley(contributions[0], true).sum(axis=1) + paid == pytest.approx(
        math.log2(blend.vocabulary.size), abs=1e-3
    )
    assert UNK in true


numbers = st.floats(-12, 12, width=32)


@st.composite
def scores(draw: st.DrawFn) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(2, 6)))
    return np.array(draw(st.lists(numbers, min_size=math.prod(shape), max_size=math.prod(shape)))).reshape(shape)


@given(parts=scores(), data=st.data())
def test_credits_are_what_small_steps_add_up_to(parts: np.ndarray, data: st.DataObject) -> None:  # pyright: ignore[reportMissingTypeArgument]
    time, _, size = parts.shape
    true = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=time, max_size=time)))
    saved = aumann_shapley(parts, true)
    steps = 2000
    wanted = np.zeros(saved.shape)
    for step in range(steps):
        total = (step + 0.5) / steps * parts.sum(axis=1)
        p = np.exp(total - total.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        for t in range(time):
            wanted[t] += (parts[t][:, true[t]] - parts[t] @ p[t]) / steps
    assert saved == pytest.approx(wanted / math.log(2), abs=2e-3)


def test_equal_experts_are_credited_alike_and_silent_ones_not_at_all() -> None:
    expert = np.array([1.0, 4.0, 0.0])
    saved = aumann_shapley(np.stack([expert, expert, np.full(3, 7.0), 0 * expert])[None], np.array([1]))[0]
    assert saved[0] == pytest.approx(saved[1]) and saved[0] > 0.5
    assert saved[2:] == pytest.approx(0)


def test_a_given_text_is_known_and_not_explained(model: Completer) -> None:
    full, part = explain(model, "شو رأيك نطلع"), explain(model, "نطلع", given="شو رأيك ")
    assert [p.bits for p in part.places] == pytest.approx([p.bits for p in full.places[8:]], abs=1e-3)


def test_long_texts_come_in_pieces(blend: Completer, texts: list[str]) -> None:
    text = " ".join(texts[:6])
    full = explain(blend, text, k=1)
    assert len(full.places) > 200
    second_part = explain(blend, full.text[150:], given=full.text[:150], k=1)
    for expected, place in zip(full.places[150:], second_part.places, strict=True):
        assert expected.bits == pytest.approx(place.bits, abs=1e-3)
        assert {c.expert: c.bits for c in expected.credits} == pytest.approx(
            {c.expert: c.bits for c in place.credits}, abs=1e-2
        )


def test_experts_have_plain_names(blend: Completer) -> None:
    assert isinstance(blend.language_model, ExpertAttribution)
    names = [expert_label(name) for name in blend.language_model.experts]
    assert len(set(names)) == len(names) and names[0] == "network"
    assert {"last character", "last 5 characters", "last 5 characters, earlier in this text"} <= set(names)
    assert expert_label("background w1") == "word so far and the word before, background texts"


@settings(max_examples=20)
@given(text=TEXTS, k=st.integers(1, 400))
@example(text=";;;;", k=70)
def test_the_most_probable_come_first(model: Completer, text: str, k: int) -> None:
    row = model.after(text)[0][0]
    hidden = {PAD, BOS, UNK, *model.vocabulary.encode("🔗👤").tolist()} - {EOS}
    order = [id for id in np.argsort(-row, kind="stable").tolist() if id not in hidden][:k]
    alternatives = explain(model, "", given=text, k=k).places[0].alternatives
    assert_ranked_alike(
        [(a.text, a.probability) for a in alternatives],
        [(model.vocabulary.piece(id), float(np.exp(row[id]))) for id in order],
    )


@given(
    row=st.lists(st.sampled_from([-1.0, -1.5, -2.0, -9.0]), min_size=1, max_size=40),
    k=st.integers(1, 45),
    hidden=st.sets(st.integers(0, 39), max_size=9),
)
def test_of_equals_the_lower_comes_first(row: list[float], k: int, hidden: set[int]) -> None:
    order = [id for _, id in sorted((-p, id) for id, p in enumerate(row)) if id not in hidden]
    assert _top_ids(np.array(row), k, hidden) == order[:k]


@given(text=TEXTS)
def test_words_and_what_stands_between_are_the_whole_text(text: str) -> None:
    places = tuple(CharacterScore(c, i % 9, 0.5, 1, (), ()) for i, c in enumerate([*text, ""]))
    pieces = Explanation("", text, None, places).words()
    assert "".join(piece for piece, _ in pieces) == text and all(piece for piece, _ in pieces)
    means = [sum(p.bits for p in places[begin:end]) / (end - begin) for begin, end in words(text)]
    assert [bits for _, bits in pieces if bits is not None] == means
    assert [piece for piece, bits in pieces if bits is not None] == [text[begin:end] for begin, end in words(text)]


def test_a_wrong_k(blend: Completer) -> None:
    with pytest.raises(OptionError, match="k is 0"):
        explain(blend, "شو", k=0)
