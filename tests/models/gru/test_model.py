"""A GRU that draws by itself draws what decoding draws, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import needs

from kammil.decoding.constraints import Constraints
from kammil.decoding.options import DecodingOptions
from kammil.decoding.sampling import generate
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.models.family import export
from kammil.models.gru import model as gru_model
from kammil.models.gru import network as gru_network
from kammil.models.gru.model import GRUModel
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

LETTERS = CharacterVocabulary("abcdefgh ")


def made(*, portable: bool = False) -> GRUModel:
    torch.manual_seed(0)
    network = gru_network.build(LETTERS.size, gru_network.GRUSettings(embedding=8, hidden=16))
    torch.nn.init.normal_(network.output.weight)
    with pytest.MonkeyPatch.context() as patch:
        if portable:
            patch.setattr(gru_model, "load_native", lambda: None)
        return GRUModel(export(network).weights)


REFERENCE = made(portable=True)
COMPILED = made()
DRAWS = pytest.mark.skipif(not COMPILED.can_sample(1), reason=needs.COMPILER)


class Stepped(LanguageModel):
    """The same runner, which does not draw by itself."""

    def __init__(self, runner: GRUModel) -> None:
        self._runner, self.vocabulary_size = runner, runner.vocabulary_size

    def initial_state(self, batch: int) -> State:
        return self._runner.initial_state(batch)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        return self._runner.forward(ids, state, last=last)


@DRAWS
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 1e-200, 0.02, 0.7, 1, 3]), st.integers(0, 70))
def test_it_draws_what_steps_would(seed: int, temperature: float, length: int) -> None:
    guide = Constraints(
        DecodingOptions(seed=seed, temperature=temperature, length=length), LETTERS, (PAD, UNK, BOS), None
    )
    said, state = COMPILED.step(np.array([BOS]), COMPILED.initial_state(1))
    stepped = Stepped(COMPILED)
    ours, *others = [
        list(generate(one, guide, said, state, n))[-1][0] for one, n in ((COMPILED, 1), (stepped, 1), (stepped, 2))
    ]
    for other in others:
        assert (ours.text, ours.reason) == (other.text, other.reason)
        assert ours.bits == pytest.approx(other.bits, abs=1e-4)


@DRAWS
def test_the_state_after_a_draw_is_that_after_reading_it() -> None:
    refused = np.zeros(LETTERS.size)
    refused[[PAD, UNK, BOS, EOS]] = -np.inf
    chances = np.random.default_rng(0).random(20)
    ids, paid, state = COMPILED.sample(COMPILED.initial_state(1), chances, temperature=0.7, refused=refused)
    read, expected = COMPILED.forward(ids[None], COMPILED.initial_state(1))
    assert state[0] == pytest.approx(expected[0], abs=1e-6)
    assert paid[1:] == pytest.approx(read[0, np.arange(19), ids[1:]], abs=1e-5)
    assert not np.isin(ids, [PAD, UNK, BOS, EOS]).any()


def test_its_engines_agree() -> None:
    """From every state along a text, one call on: what is rounded on the way may be rounded the other way."""
    state = REFERENCE.initial_state(1)
    for ids in np.random.default_rng(1).integers(0, LETTERS.size, (20, 1)):
        said, after = COMPILED.step(ids, state)
        expected, state = REFERENCE.step(ids, state)
        assert said == pytest.approx(expected, abs=1e-4) and after[0] == pytest.approx(state[0], abs=1e-5)


def test_what_is_not_compiled_does_not_draw_by_itself() -> None:
    assert not REFERENCE.can_sample(1)


def test_arrays_that_do_not_fit_are_refused() -> None:
    torch.manual_seed(0)
    weights = dict(export(gru_network.build(12, gru_network.GRUSettings(embedding=8, hidden=16))).weights)
    for name, value in weights.items():
        for wrong in (value[:-1], np.full_like(value, np.nan)):
            with pytest.raises(ValueError, match=r"expected|something else"):
                GRUModel({**weights, name: wrong})
