"""One test of the contract over all families, on folders as they ship."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

import kammil
from kammil.completion.completer import Completer
from kammil.completion.scoring import score_texts
from kammil.errors import FolderError
from kammil.language_model import Artifacts, Ids, select_rows
from kammil.models.blend import model as blend_model
from kammil.models.family import FAMILIES, FamilyName, NetworkLearner, export, family
from kammil.models.gru import model as gru_model
from kammil.vocabulary import BOS, PAD, SPECIALS, UNK

PORTABLE = ", portable"


@pytest.fixture(scope="session", params=[*FAMILIES, "gru" + PORTABLE, "blend" + PORTABLE])
def side(request: pytest.FixtureRequest) -> str:
    """Every family; some have two engines."""
    return str(request.param)


@pytest.fixture(scope="session")
def load(side: str, folder_of: Callable[[str], Path]) -> Callable[[], Completer]:
    """Opens a model of it."""

    def opened() -> Completer:
        with pytest.MonkeyPatch.context() as patch:
            if side.endswith(PORTABLE):
                for module in (blend_model, gru_model):
                    patch.setattr(module, "load_native", lambda: None)
            return kammil.load(folder_of(side.removesuffix(PORTABLE)))

    return opened


@pytest.fixture(scope="session")
def model(load: Callable[[], Completer]) -> Completer:
    """A model of it."""
    return load()


@pytest.fixture
def ids(model: Completer) -> Ids:
    """Five texts of 20 random ids, (B, T), UNK among them."""
    generator = np.random.default_rng(3)
    drawn = generator.integers(SPECIALS, model.vocabulary.size, (5, 20))
    drawn[:, 0] = BOS
    drawn[2, 7] = UNK
    return drawn


def test_rows_sum_to_one(model: Completer, ids: Ids) -> None:
    log_probabilities, _ = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    assert log_probabilities.shape == (5, 20, model.vocabulary.size)
    assert log_probabilities.dtype == np.float32
    assert np.exp(log_probabilities.astype(np.float64)).sum(-1) == pytest.approx(1, abs=1e-4)
    assert not np.isnan(log_probabilities).any()


def test_every_text_is_possible(model: Completer, ids: Ids) -> None:
    log_probabilities, _ = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    producible = [UNK, *range(3, model.vocabulary.size)]
    assert np.isfinite(log_probabilities[..., producible]).all()


def test_the_future_is_not_seen(model: Completer, ids: Ids) -> None:
    changed = ids.copy()
    changed[:, 12:] = changed[:, 12:][:, ::-1] + 0
    changed[:, 12] = UNK
    one, _ = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    other, _ = model.language_model.forward(changed, model.language_model.initial_state(len(ids)))
    assert one[:, :12] == pytest.approx(other[:, :12], abs=1e-5)


def test_stepping_is_the_parallel_pass(model: Completer, ids: Ids) -> None:
    parallel, end = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    state = model.language_model.initial_state(len(ids))
    for t in range(ids.shape[1]):
        step, state = model.language_model.step(ids[:, t], state)
        assert step == pytest.approx(parallel[:, t], abs=1e-5)
    for one, other in zip(state, end, strict=True):
        assert one.astype(np.float64) == pytest.approx(other.astype(np.float64), abs=1e-5)


def test_only_the_last_positions_when_asked(model: Completer, ids: Ids) -> None:
    whole, _ = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    tail, _ = model.language_model.forward(ids, model.language_model.initial_state(len(ids)), last=3)
    assert tail == pytest.approx(whole[:, -3:], abs=1e-5)


def test_states_can_be_chosen_row_by_row(model: Completer, ids: Ids) -> None:
    _, state = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    order = np.array([3, 3, 0])
    picked, _ = model.language_model.step(ids[order, 1], select_rows(state, order))
    for row, i in enumerate(order):
        alone, _ = model.language_model.forward(
            np.append(ids[i], ids[i, 1])[None], model.language_model.initial_state(1), last=1
        )
        assert picked[row] == pytest.approx(alone[0, 0], abs=1e-5)


def test_padding_changes_nothing(model: Completer, texts: list[str]) -> None:
    chosen = [texts[0][:10], texts[1], texts[2][:40]]
    together = score_texts(model.language_model, model.vocabulary, chosen)
    for text, trace in zip(chosen, together, strict=True):
        (alone,) = score_texts(model.language_model, model.vocabulary, [text])
        assert trace.bits == pytest.approx(alone.bits, abs=1e-4)
        assert len(trace.bits) == len(text) + 1


def test_save_and_load_is_the_identity(load: Callable[[], Completer], model: Completer, ids: Ids) -> None:
    again = load()
    one, _ = model.language_model.forward(ids, model.language_model.initial_state(len(ids)))
    other, _ = again.language_model.forward(ids, again.language_model.initial_state(len(ids)))
    assert (one == other).all()
    assert again.vocabulary.characters == model.vocabulary.characters


SIZES: dict[str, int] = {
    "order": 8,
    "hidden": 96,
    "embedding": 32,
    "attention": 16,
    "width": 64,
    "layers": 2,
    "heads": 2,
}
"""Sizes that hold five texts: each family takes those that it has."""
NETWORKS = [name for name in FAMILIES if isinstance(family(name).learner(), NetworkLearner)]


@pytest.mark.parametrize("name", FAMILIES)
def test_five_texts_can_be_learnt_by_heart(
    tmp_path: Path, texts: list[str], name: str, tiny_base: Callable[[], str]
) -> None:
    five = [text[:40].rstrip() for text in texts[:5]]
    known = family(name).learner().settings.model_fields
    options: dict[str, Any] = {size: value for size, value in SIZES.items() if size in known}
    if "dropout" in known:
        options |= {"dropout": 0.0, "epochs": 60, "patience": 60, "batch_size": 10, "threads": 1}
    if family(name).needs_base:
        options |= {"base": tiny_base(), "learning_rate": 3e-3, "epochs": 50, "patience": 50, "batch_size": 10}
    out = tmp_path / name
    # Each several times: a character of one text only would be hidden half of the time.
    kammil.train(five * 4, validation=five, out=out, report=False, model=cast(FamilyName, name), **options)
    model = kammil.load(out)
    learnt = [model.normalise(text).rstrip() for text in five]
    for text in learnt:
        # From a third of the text on, greedy completion says the rest of it, and stops.
        at = len(text) // 3
        assert model.complete(text[:at], length=300, temperature=0).text == text[at:]
    assert kammil.evaluate(model, five).seen_texts == 5


@pytest.mark.parametrize("name", NETWORKS)
def test_the_learning_side_and_the_running_side_agree(name: str) -> None:
    chosen = family(name).learner()
    assert isinstance(chosen, NetworkLearner)
    torch.manual_seed(0)
    network = chosen.build(50, chosen.settings()).eval()
    artifacts = export(network)
    from kammil.models.family import load_model
    from kammil.models.subwords.model import UnitVocabulary

    if chosen.segment is not None:  # without longer units the running side is the network
        artifacts = Artifacts({**artifacts.weights, **UnitVocabulary(50, []).arrays()})
    runner = load_model(name, {}, artifacts)
    ids = np.random.default_rng(0).integers(1, 50, (3, 17))
    with torch.no_grad():
        logits = network(torch.from_numpy(ids))  # (B, T, V)
    ours, _ = runner.forward(ids, runner.initial_state(3))
    near = 0.02 if name == "gru" else 1e-4  # it runs in whole numbers
    assert ours == pytest.approx(torch.log_softmax(logits, -1).numpy(), abs=near)


@pytest.mark.parametrize("name", NETWORKS)
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    from kammil.models.family import load_model
    from kammil.models.subwords.model import UnitVocabulary

    chosen = family(name).learner()
    assert isinstance(chosen, NetworkLearner)
    arrays = export(chosen.build(50, chosen.settings())).weights
    units = UnitVocabulary(50, []).arrays() if chosen.segment else {}
    load_model(name, {}, Artifacts({**arrays, **units}))
    for array, value in arrays.items():
        rest = {other: kept for other, kept in arrays.items() if other != array}
        for wrong in ({}, {array: value[:-1]}, {array: value[..., None]}, {array: np.full_like(value, np.nan)}):
            with pytest.raises(FolderError, match=f"{name} .*arrays"):
                load_model(name, {}, Artifacts({**rest, **wrong, **units}))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_at_birth_is_that_of_an_even_choice(name: str) -> None:
    chosen = family(name).learner()
    assert isinstance(chosen, NetworkLearner)
    torch.manual_seed(0)
    network = chosen.build(200, chosen.settings()).eval()
    ids = torch.randint(1, 200, (8, 31))
    with torch.no_grad():  # asked for what comes next: its own input a network may well copy
        nats = torch.nn.functional.cross_entropy(network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert float(nats) == pytest.approx(math.log(200), abs=0.15)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_moves_no_gradient(name: str) -> None:
    from kammil.training.loss import teacher_forced

    chosen = family(name).learner()
    assert isinstance(chosen, NetworkLearner)
    torch.manual_seed(0)
    network = chosen.build(50, chosen.settings()).eval()
    ids = torch.randint(SPECIALS, 50, (2, 12))
    padded = torch.cat([ids, torch.full((2, 6), PAD)], dim=1)
    gradients: list[list[torch.Tensor]] = []
    for batch in (ids, padded):
        counted = (batch[:, 1:] != PAD) & (batch[:, :-1] != PAD)
        totals = teacher_forced(network(batch[:, :-1]), batch[:, 1:], counted)
        network.zero_grad()
        totals.nats.backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
