"""Muon: the step of a recurrent matrix has singular values near one, and all else is AdamW's."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.training.muon import RATE, MuonAdamW, orthogonalise
from kammil.training.optim import make_optimiser
from kammil.training.options import TrainingOptions


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**31 - 1))
def test_an_orthogonalised_matrix_keeps_its_directions(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    spectrum = left.T @ orthogonalise(matrix) @ right.T  # in the basis of the matrix's own singular vectors
    large = values > 0.05 * values.norm()  # five iterations bring no smaller one near one
    assert (spectrum.diagonal()[large] > 0.5).all() and (spectrum.diagonal() < 1.3).all()
    assert (spectrum - torch.diag(spectrum.diagonal())).abs().max() < 1e-6


def test_the_recurrent_matrix_moves_by_muon_and_the_rest_by_adamw() -> None:
    options = TrainingOptions(learning_rate=0.01, weight_decay=0.0, optimizer="muon", precision="float32")
    networks = [torch.nn.GRU(4, 8) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    before = dict(networks[0].named_parameters())["weight_hh_l0"].detach().clone()
    optimisers = [
        make_optimiser(networks[0], options),
        make_optimiser(networks[1], options.model_copy(update={"optimizer": "adamw"})),
    ]
    assert isinstance(optimisers[0], MuonAdamW) and not isinstance(optimisers[1], MuonAdamW)
    for network, optimiser in zip(networks, optimisers, strict=True):
        network(torch.ones(3, 1, 4))[0].square().sum().backward()
        optimiser.step()
    muon, adamw = (dict(network.named_parameters()) for network in networks)
    assert all(torch.equal(muon[name], adamw[name]) for name in muon if name != "weight_hh_l0")
    step = (before - muon["weight_hh_l0"].detach()) / (0.01 * RATE * 3**0.5)
    assert 0.65 < torch.linalg.svdvals(step)[0].item() < 1.25  # five iterations bring it between 0.68 and 1.21


def test_a_saved_state_continues_with_the_same_steps() -> None:
    options = TrainingOptions(learning_rate=0.01, optimizer="muon", precision="float32")

    def step(network: torch.nn.GRU, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        network(torch.ones(3, 1, 4))[0].square().sum().backward()
        optimiser.step()

    first, second = torch.nn.GRU(4, 8), torch.nn.GRU(4, 8)
    optimiser = make_optimiser(first, options)
    step(first, optimiser)
    second.load_state_dict(first.state_dict())
    resumed = make_optimiser(second, options)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    step(first, optimiser)
    step(second, resumed)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
