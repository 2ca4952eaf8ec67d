"""Several GRUs as one graph say the mean of what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kammil.engine.onnx.runtime import OnnxModel
from kammil.models.gru import network as gru_network
from kammil.models.gru.onnx import graph


@pytest.mark.parametrize("prefixes", [[""], ["", "others.0.", "others.1."]])
def test_members_are_averaged(prefixes: list[str]) -> None:
    torch.manual_seed(0)
    members = [
        gru_network.build(20, gru_network.GRUSettings(embedding=4, hidden=hidden, dropout=0)) for hidden in (5, 6, 7)
    ]
    used = dict(zip(prefixes, members, strict=False))
    weights = {p + name: value.detach().numpy() for p, m in used.items() for name, value in m.state_dict().items()}
    ids = np.array([[2, 7, 8, 19], [2, 1, 4, 5]])
    with torch.no_grad():
        scores = torch.stack([member(torch.from_numpy(ids)) for member in used.values()]).mean(0)
    expected = scores.log_softmax(-1).numpy()  # (2, 4, 20)
    runner = OnnxModel(graph("several", weights, prefixes))
    assert runner.forward(ids, runner.initial_state(2))[0] == pytest.approx(expected, abs=1e-5)
    state = runner.initial_state(2)
    for t in range(4):
        step, state = runner.step(ids[:, t], state)
        assert step == pytest.approx(expected[:, t], abs=1e-5)
