"""Texts learnt while running: as if they had been counted, and as if they had never been."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kammil
from kammil.errors import OptionError
from kammil.models import learnt
from kammil.models.base import Ids, LogProbabilities
from kammil.models.blend import Experts, build, export
from kammil.models.contexts import Contexts
from kammil.models.mixing import BlendRunner, BlendSettings
from kammil.vocabulary import BOS, CharacterVocabulary

SETTINGS = BlendSettings(embedding=8, hidden=16, gate=8, kinds=("o1", "o2", "o5", "w", "w1"), history=("o2", "w"))
TEXTS = ["شو رأيك نطلع بكرا عالبحر؟", "شو رأيك نطلع بكرا عالجبل", "كيفك اليوم يا صديقي", "كيف الجو عندكن اليوم؟"]
VOCABULARY = CharacterVocabulary.from_texts(TEXTS)


def counted(texts: list[str]) -> BlendRunner:
    """A blend with the counts of these texts, and the same weights for any."""
    encoded = [VOCABULARY.encode(text) for text in texts]
    held_out = [VOCABULARY.encode(TEXTS[0])]
    background = [VOCABULARY.encode(TEXTS[2])] * 2
    made = Experts(
        encoded, held_out, kin=list(range(len(texts))), background=background, vocabulary=VOCABULARY, settings=SETTINGS
    )
    torch.manual_seed(0)
    network = build(VOCABULARY.size, SETTINGS, made.number)
    torch.nn.init.normal_(network.gate_out.weight, std=0.3)
    return BlendRunner(SETTINGS, {**export(network).weights, **made.arrays()})


def said(runner: BlendRunner, ids: Ids) -> LogProbabilities:
    return runner.read(ids, runner.start(len(ids)))[0]


def read(text: str) -> Ids:
    return np.concatenate([[BOS], VOCABULARY.encode(text)])[None]


@pytest.mark.parametrize("text", TEXTS)
def test_a_learnt_text_is_as_if_it_had_been_counted(text: str) -> None:
    learning = counted(TEXTS[:2])
    learning.learn(VOCABULARY.encode(TEXTS[2]))
    learning.learn(VOCABULARY.encode(TEXTS[3]))
    expected = said(counted(TEXTS), read(text))
    assert said(learning, read(text)) == pytest.approx(expected, abs=1e-4)
    assert np.abs(said(counted(TEXTS[:2]), read(text)) - expected).max() > 0.01
    state = learning.start(1)
    for t, id in enumerate(read(text)[0]):  # stepping knows it as well
        step, state = learning.step(np.array([id]), state)
        assert step == pytest.approx(expected[:, t], abs=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(TEXTS), max_size=6), st.randoms())
def test_what_is_forgotten_was_never_there(texts: list[str], random: Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learnt, "_MUCH", random.choice([50, 1 << 17]))  # what came last joins the others soon, or never
        _forgotten(texts, random)


def _forgotten(texts: list[str], random: Random) -> None:
    runner = counted(TEXTS[:2])
    before = said(runner, read(TEXTS[3]))
    for text in texts:
        runner.learn(VOCABULARY.encode(text))
        runner.learn_all([VOCABULARY.encode(text)])
    texts = texts * 2
    random.shuffle(texts)
    assert all(runner.forget(VOCABULARY.encode(text)) for text in texts)
    assert (said(runner, read(TEXTS[3])) == before).all()
    assert not runner.forget(VOCABULARY.encode(TEXTS[0]))


def test_nothing_is_left_of_what_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt, "_MUCH", 50)
    made = learnt.Learnt(Contexts(("o1", "w"), np.ones(VOCABULARY.size, np.bool_)))
    texts = [VOCABULARY.encode(text) for text in TEXTS] * 20
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(made.learn, [[ids] for ids in texts]))
        assert len(made) == 80
        assert all(pool.map(made.forget, texts))
    assert not made and not any(len(level.pairs) for level in made.levels)


@pytest.mark.parametrize("id", [-1, VOCABULARY.size, 1 << 40])
def test_ids_that_there_are_not_cannot_be_learnt(id: int) -> None:
    runner = counted(TEXTS[:2])
    before = said(runner, read(TEXTS[3]))
    with pytest.raises(IndexError):
        runner.learn(np.array([5, id]))
    assert not runner.forget(np.array([5, id]))
    assert (said(runner, read(TEXTS[3])) == before).all()


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
    with pytest.raises(OptionError, match="train one with --model blend"):
        kammil.load(folder_of("ngram")).learn("شو")
    model = kammil.load(folder_of("blend"))
    with pytest.raises(OptionError, match="is empty"):
        model.learn(" ")
    with pytest.raises(OptionError, match="was not learnt"):
        model.forget("شو")
