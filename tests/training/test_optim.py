"""Where and in which precision a network is trained, by AdamW and Muon, and the learning rate's curve."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.errors import OptionError
from kammil.training.optim import (
    RATE,
    MuonAdamW,
    make_accelerator,
    make_optimiser,
    orthogonalise,
    use_bfloat16,
    used,
    warmup_then_cosine,
)
from kammil.training.recipe import TrainingOptions

# ---- device and precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("able", "chosen"), [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)])
def test_auto_takes_what_the_processor_can(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], chosen: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert use_bfloat16("auto", CPU) is chosen
    assert use_bfloat16("bfloat16", CPU) and not use_bfloat16("float32", CPU)


def test_an_older_pytorch_that_cannot_say_takes_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not use_bfloat16("auto", CPU)
    assert use_bfloat16("bfloat16", CPU)


def test_another_device_stays_in_single_precision_unless_told() -> None:
    assert not use_bfloat16("auto", torch.device("cuda"))
    assert use_bfloat16("bfloat16", torch.device("cuda"))


def test_matrices_decay_and_vectors_do_not() -> None:
    model = torch.nn.Linear(3, 2)
    optimiser = make_optimiser(model, TrainingOptions(learning_rate=0.25, weight_decay=0.5))
    groups = [(group["params"], group["weight_decay"]) for group in optimiser.param_groups]
    assert [(len(params), params[0].dim(), decay) for params, decay in groups] == [(1, 2, 0.5), (1, 1, 0.0)]
    assert {(group["lr"], group["betas"]) for group in optimiser.param_groups} == {(0.25, (0.9, 0.99))}


def test_a_device_that_is_not_there_is_refused() -> None:
    found = torch.accelerator.current_accelerator(check_available=True)
    here = "cpu" if found is None else found.type
    missing = "mps" if here == "cuda" else "cuda"
    with pytest.raises(OptionError, match=f"device is '{missing}', but this machine has '{here}'; leave it out"):
        make_accelerator(missing)
    assert make_accelerator("auto").device.type == here
    assert make_accelerator("cpu").device.type == "cpu"
    assert make_accelerator("auto").device.type == here  # one process may want one after the other


def test_what_auto_comes_to_is_named() -> None:
    assert used(TrainingOptions(device="cpu", precision="float32")) == {"device": "cpu", "precision": "float32"}
    assert used(TrainingOptions(device="cpu", precision="bfloat16")) == {"device": "cpu", "precision": "bfloat16"}


# ---- Muon


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


# ---- the schedule


shares = st.floats(0, 0.99)
floors = st.floats(0, 1)
progresses = st.floats(0, 1)


@given(st.floats(-1, 2), shares, floors)
def test_it_stays_between_the_floor_and_the_peak(progress: float, warmup: float, floor: float) -> None:
    assert floor - 1e-12 <= warmup_then_cosine(progress, warmup=warmup, floor=floor) <= 1 + 1e-12


@given(progresses, progresses, shares, floors)
def test_it_rises_while_warming_up_and_falls_after(one: float, other: float, warmup: float, floor: float) -> None:
    early, late = sorted((one, other))
    at_early, at_late = (warmup_then_cosine(p, warmup=warmup, floor=floor) for p in (early, late))
    if late < warmup:
        assert at_early <= at_late + 1e-12
    if early >= warmup:
        assert at_early >= at_late - 1e-12


@given(st.floats(0.01, 0.99), floors)
def test_peak_middle_and_end(warmup: float, floor: float) -> None:
    assert warmup_then_cosine(warmup, warmup=warmup, floor=floor) == pytest.approx(1)
    assert warmup_then_cosine((1 + warmup) / 2, warmup=warmup, floor=floor) == pytest.approx((1 + floor) / 2)
    assert warmup_then_cosine(1, warmup=warmup, floor=floor) == pytest.approx(floor)
    assert warmup_then_cosine(7, warmup=warmup, floor=floor) == pytest.approx(floor)


def test_no_warm_up_begins_at_the_peak() -> None:
    assert warmup_then_cosine(0, warmup=0, floor=0.1) == 1
    assert warmup_then_cosine(0.25, warmup=0, floor=0) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


@given(st.floats(0.01, 0.99), floors, st.floats(0, 0.99))
def test_it_warms_up_along_a_line(warmup: float, floor: float, share: float) -> None:
    assert warmup_then_cosine(share * warmup, warmup=warmup, floor=floor) == pytest.approx(max(floor, share))


@given(st.floats(0.01, 0.99), floors, st.floats(0, 0.999))
def test_it_makes_no_jump(warmup: float, floor: float, progress: float) -> None:
    one, other = (warmup_then_cosine(p, warmup=warmup, floor=floor) for p in (progress, progress + 1e-6))
    assert abs(one - other) <= 1e-6 * max(1 / warmup, math.pi / 2 / (1 - warmup)) + 1e-9
