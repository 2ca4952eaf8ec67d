"""Where and in which precision a network is trained."""

from __future__ import annotations

import pytest
import torch

from kammil.training.optim import use_bfloat16

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
