"""Learnt texts count as training texts do; forgotten texts leave nothing."""

from __future__ import annotations

import ctypes
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pydoc_data.topics import topics
from random import Random
from typing import Any

import numpy as np
import pytest
import regex
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kammil
from kammil.engine.build import load_native
from kammil.engine.reference import log_softmax
from kammil.errors import OptionError
from kammil.language_model import Ids, LogProbabilities
from kammil.models.blend import model as blend_model
from kammil.models.blend.experts import NgramExperts
from kammil.models.blend.model import BlendModel, BlendSettings
from kammil.models.blend.network import BlendNetwork, export
from kammil.ngrams import adaptive
from kammil.ngrams.contexts import ContextHasher
from kammil.vocabulary import BOS, EOS, CharacterVocabulary

SETTINGS = BlendSettings(embedding=8, hidden=16, gate=8, kinds=("o1", "o2", "o5", "w", "w1"), history=("o2", "w"))
TEXTS = ["شو رأيك نطلع بكرا عالبحر؟", "شو رأيك نطلع بكرا عالجبل", "كيفك اليوم يا صديقي", "كيف الجو عندكن اليوم؟"]
VOCABULARY = CharacterVocabulary.from_texts(TEXTS)


def counted(texts: list[str]) -> BlendModel:
    """Build a blend with the counts of these texts, and always the same weights."""
    encoded = [VOCABULARY.encode(text) for text in texts]
    held_out = [VOCABULARY.encode(TEXTS[0])]
    background = [VOCABULARY.encode(TEXTS[2])] * 2
    experts = NgramExperts(
        encoded, held_out, kin=list(range(len(texts))), background=background, vocabulary=VOCABULARY, settings=SETTINGS
    )
    torch.manual_seed(0)
    network = BlendNetwork(VOCABULARY.size, experts.count, SETTINGS)
    torch.nn.init.normal_(network.gate_out.weight, std=0.3)
    return BlendModel(SETTINGS, {**export([network]).weights, **experts.arrays()})


def log_probabilities(model: BlendModel, ids: Ids) -> LogProbabilities:
    return model.forward(ids, model.initial_state(len(ids)))[0]


def inputs(text: str) -> Ids:
    return np.concatenate([[BOS], VOCABULARY.encode(text)])[None]


ENGINES = pytest.mark.parametrize("code", [None, *([load_native()] if load_native() else [])])


def learning_two(code: ctypes.CDLL | None) -> BlendModel:
    """Build a blend that counts the first two texts, and has learnt the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend_model, "load_native", lambda: code)
        model = counted(TEXTS[:2])
    model.learn(VOCABULARY.encode(TEXTS[2]))
    model.learn(VOCABULARY.encode(TEXTS[3]))
    return model


@ENGINES
@pytest.mark.parametrize("text", TEXTS)
def test_a_learnt_text_is_known_at_least_as_if_it_had_been_counted(text: str, code: ctypes.CDLL | None) -> None:
    """Below the writer's layer it is as if counted; with it, better."""
    learning, ids = learning_two(code), inputs(text)
    expected = log_probabilities(counted(TEXTS), ids)
    (scores,), _ = learning.expert_scores(ids, learning.initial_state(1))  # (T, E, V)
    assert learning.experts[-1] == blend_model.LEARNT
    assert log_softmax(scores[:, :-1].sum(axis=1)) == pytest.approx(expected[0], abs=1e-3)
    assert np.abs(log_probabilities(counted(TEXTS[:2]), ids) - expected).max() > 0.01
    if text in TEXTS[2:]:
        following = np.append(ids[0, 1:], EOS)
        at = 0, np.arange(len(following)), following
        assert log_probabilities(learning, ids)[at].sum() > expected[at].sum()


@ENGINES
@pytest.mark.parametrize("text", [*TEXTS, "كيف اليوم عالبحر"])
def test_the_layer_is_mixed_with_the_blend_as_it_has_foretold_the_text(text: str, code: ctypes.CDLL | None) -> None:
    """Here by dictionaries of texts, without hashes and states."""
    learning, ids = learning_two(code), inputs(text)
    ours = log_probabilities(learning, ids)[0]
    (scores,), _ = learning.expert_scores(ids, learning.initial_state(1))
    blend, following = np.exp(log_softmax(scores[:, :-1].sum(axis=1))), [*ids[0, 1:], EOS]
    assert log_softmax(scores.sum(axis=1)) == pytest.approx(ours, abs=1e-3)
    found: defaultdict[object, Counter[int]] = defaultdict(Counter)
    for learnt in TEXTS[2:]:
        line = [BOS, *VOCABULARY.encode(learnt).tolist(), EOS]
        for t in range(1, len(line)):
            for context in own_contexts(line[:t]):
                found[context][line[t]] += 1
    trust = adaptive.START
    for t, (p, id) in enumerate(zip(blend, following, strict=True)):
        layered, share = p, 0.0
        for weight, context in zip(adaptive.LAYER.values(), own_contexts(ids[0, : t + 1].tolist()), strict=True):
            if context is None:  # the text is too short
                continue
            counts = np.bincount(list(found[context].elements()), minlength=VOCABULARY.size)
            share = adaptive.SHARED if counts.any() else share
            layered = (counts + weight * layered) / (counts.sum() + weight)
        mixed = trust * layered + (1 - trust) * p
        assert np.exp(ours[t]) == pytest.approx(mixed, abs=1e-4)
        trust = trust * layered[id] / mixed[id]
        trust += share * (1 - 2 * trust)


def own_contexts(line: list[int]) -> list[object]:
    """Return four ids, the word so far, or the last id outside words, that with the word before, and twelve ids."""
    text = VOCABULARY.decode(np.array([id for id in line if id != BOS]))
    *earlier, last = ["", "", *regex.findall(r"\w+", text)]
    so_far, before = (last, earlier[-1]) if last and text.endswith(last) else (text[-1:], last)
    four, twelve = (tuple(line[-n:]) if len(line) > n else None for n in (4, 12))
    return [four, so_far, (so_far, before), twelve]


def english() -> list[str]:
    """Sentences of Python's documentation."""
    text = " ".join(" ".join(topics[name].split()) for name in sorted(topics))
    return [
        sentence
        for sentence in regex.split(r"(?<=[.!?]) ", text)
        if regex.fullmatch(r"[A-Z][a-z ,'-]{30,120}\.", sentence)
    ]


ENGLISH = [
    ("Reticulate the splines before lunch", "Reticulate the sp", "splines"),
    ("Deploy the frobnicator on Tuesday", "Deploy the fr", "frobnicator"),
    ("My cat Zubrovka sleeps on the piano", "My cat Zu", "Zubrovka"),
]
ARABIC = [
    ("قطايف بالجوز والقشطة", "قطايف بال", "بالجوز"),
    ("اجتماع كرنبوزة بكرا العصر", "اجتماع كر", "كرنبوزة"),
    ("شوفي زرقوطة تحت الطاولة", "شوفي زر", "زرقوطة"),
]
SMALL: dict[str, Any] = {"embedding": 24, "hidden": 48, "epochs": 3, "device": "cpu", "threads": 1}


TRAINED = ("english", "arabic", "with a background and a budget")


@pytest.mark.parametrize("kind", [*(pytest.param(kind, marks=pytest.mark.long) for kind in TRAINED), "bundled"])
def test_words_of_a_text_are_suggested_after_it_was_learnt_once(
    kind: str, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the bundled blend, and on three small ones that are trained here."""
    folder = tmp_path / "model"
    if kind == "english":
        kammil.train(english()[:150], out=folder, model="blend", **SMALL)
    elif kind == "arabic":
        kammil.train(texts[:150], out=folder, model="blend", **SMALL)
    elif kind != "bundled":
        source = tmp_path / "base.txt"
        source.write_text("\n".join(english()[:150]), "utf-8")
        base = {"source": str(source), "model": "gru", **SMALL, "epochs": 1}
        kammil.train(english()[300:350], out=folder, base=base, megabytes=0.06, **SMALL)
    model = kammil.load() if kind == "bundled" else kammil.load(folder)
    for text, prefix, word in ARABIC if kind in ("arabic", "bundled") else ENGLISH:
        assert word not in [suggestion.text for suggestion in model.suggest(prefix)]
        model.learn(text)
        assert word in [suggestion.text for suggestion in model.suggest(prefix)]
        model.forget(text)
        assert word not in [suggestion.text for suggestion in model.suggest(prefix)]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(TEXTS), max_size=6), st.randoms())
def test_what_is_forgotten_was_never_there(texts: list[str], random: Random) -> None:
    """All but one text are forgotten, then that one too; nothing is merged in the model that learns only the one."""
    model, alone = counted(TEXTS[:2]), counted(TEXTS[:2])
    before = log_probabilities(model, inputs(TEXTS[3]))
    kept, *others = [VOCABULARY.encode(text) for text in (TEXTS[3], *texts, *texts)]
    alone.learn(kept)
    learnt = [kept, *others]
    random.shuffle(learnt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptive, "_MAX_RECENT_PAIRS", random.choice([50, 1 << 17]))  # merged soon, or never
        model.learn_all(learnt[:2])
        for ids in learnt[2:]:
            model.learn(ids)
        random.shuffle(others)
        assert all(map(model.forget, others))
        after = log_probabilities(model, inputs(TEXTS[3]))
        assert (after == log_probabilities(alone, inputs(TEXTS[3]))).all() and (after != before).any()
        assert model.forget(kept) and not model.forget(kept)
    assert (log_probabilities(model, inputs(TEXTS[3])) == before).all()


def test_nothing_is_left_of_what_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive, "_MAX_RECENT_PAIRS", 50)
    counts = adaptive.AdaptiveCounts(ContextHasher(("o1", "w"), np.ones(VOCABULARY.size, np.bool_)))
    texts = [VOCABULARY.encode(text) for text in TEXTS] * 20
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(counts.learn, [[ids] for ids in texts]))
        assert len(counts) == 80
        assert all(pool.map(counts.forget, texts))
    assert not counts and not any(len(level.pairs) for level in counts.levels)


@pytest.mark.parametrize("id", [-1, VOCABULARY.size, 1 << 40])
def test_ids_that_there_are_not_cannot_be_learnt(id: int) -> None:
    model = counted(TEXTS[:2])
    before = log_probabilities(model, inputs(TEXTS[3]))
    with pytest.raises(IndexError):
        model.learn(np.array([5, id]))
    assert not model.forget(np.array([5, id]))
    assert (log_probabilities(model, inputs(TEXTS[3])) == before).all()


def test_the_very_next_suggestion_knows_it(folder_of: Callable[[str], Path]) -> None:
    model = kammil.load(folder_of("blend"))
    session, text = model.session(), "قطايف قطايف بالجوز"
    session.update("قطا")
    before = model.score("يف", given="قطا").bits[0]
    asked = session.complete(temperature=0, length=1).bits
    for _ in range(5):
        model.learn(text)
    assert model.score("يف", given="قطا").bits[0] < before
    assert session.complete(temperature=0, length=1).bits != asked
    for _ in range(5):
        model.forget(text)
    assert session.complete(temperature=0, length=1).bits == asked


def test_what_cannot_be_learnt_is_said_in_one_sentence(folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(OptionError, match="--model blend"):
        kammil.load(folder_of("ngram")).learn("شو")
    model = kammil.load(folder_of("blend"))
    with pytest.raises(OptionError, match="is empty"):
        model.learn(" ")
    with pytest.raises(OptionError, match="was not learnt"):
        model.forget("شو")


def test_a_fork_copies_nothing_that_it_shares_and_teaches_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive, "_MAX_RECENT_PAIRS", 30)
    model = counted(TEXTS[:2])
    for text in TEXTS:
        model.learn(VOCABULARY.encode(text))
    shared, before = model._adaptive.levels, log_probabilities(model, inputs(TEXTS[2]))  # pyright: ignore[reportPrivateUsage]
    first = model.fork(learnt=True)
    forks = [first, first.fork(learnt=True), first.fork(learnt=True).fork(learnt=True)]
    for fork in forks:
        for text in TEXTS * 3:
            fork.learn(VOCABULARY.encode(text))
        ours = fork._adaptive.levels  # pyright: ignore[reportPrivateUsage]
        assert ours[0] is shared[0] and ours[1] is shared[1]
        assert not model.forget(VOCABULARY.encode("شو"))
    assert len(model._adaptive) == len(TEXTS)  # pyright: ignore[reportPrivateUsage]
    assert (log_probabilities(model, inputs(TEXTS[2])) == before).all()
    alone = counted(TEXTS[:2])
    for text in TEXTS[1:] * 4:
        alone.learn(VOCABULARY.encode(text))
    for fork in forks:
        for _ in range(4):  # of a level below it, too
            assert fork.forget(VOCABULARY.encode(TEXTS[0]))
        for text in TEXTS[:2]:
            assert (log_probabilities(fork, inputs(text)) == log_probabilities(alone, inputs(text))).all()
        for text in TEXTS[1:] * 4:
            assert fork.forget(VOCABULARY.encode(text))
        assert not fork.forget(VOCABULARY.encode(TEXTS[0])) and len(fork._adaptive) == 0  # pyright: ignore[reportPrivateUsage]
        empty = counted(TEXTS[:2])
        assert log_probabilities(fork, inputs(TEXTS[2])) == pytest.approx(log_probabilities(empty, inputs(TEXTS[2])))
