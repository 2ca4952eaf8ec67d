"""Where and in which precision a network is trained."""

from __future__ import annotations

import pytest
import torch

from kammil.errors import OptionError
from kammil.training.optim import make_accelerator, make_optimiser, use_bfloat16, used
from kammil.training.options import TrainingOptions

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
