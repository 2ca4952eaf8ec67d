"""The recurrence written by hand, beside PyTorch's own GRU."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kammil.models.gru.backprop import gru_forward


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 5),
    time=st.integers(1, 12),
    hidden=st.integers(1, 9),
    width=st.integers(1, 6),
    seed=st.integers(),
)
def test_states_and_gradients_are_those_of_pytorch(batch: int, time: int, hidden: int, width: int, seed: int) -> None:
    torch.manual_seed(seed % 2**31)
    gru = nn.GRU(width, hidden, batch_first=True).double()
    embedding = nn.Embedding(7, width).double()
    ids = torch.randint(0, 7, (batch, time))
    weight = torch.randn(batch, time, hidden, dtype=torch.float64)
    parameters = [*gru.parameters(), embedding.weight]
    ours = gru_forward(gru, embedding, ids)
    theirs, _ = gru(embedding(ids))
    torch.testing.assert_close(ours, theirs)
    gradients = (torch.autograd.grad((states * weight).sum(), parameters) for states in (ours, theirs))
    for mine, right in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, right)


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    gru, embedding = nn.GRU(3, 4, batch_first=True), nn.Embedding(5, 3)
    with torch.no_grad():
        assert not gru_forward(gru, embedding, torch.tensor([[1, 2]])).requires_grad


def test_half_precision_is_in_the_products_alone() -> None:
    """States and gradients stay single precision, and near those of it."""
    torch.manual_seed(3)
    gru, embedding = nn.GRU(16, 32, batch_first=True), nn.Embedding(9, 16)
    ids = torch.randint(0, 9, (4, 20))
    parameters = [*gru.parameters(), embedding.weight]
    weight = torch.randn(4, 20, 32)
    whole = gru_forward(gru, embedding, ids)
    with torch.autocast("cpu", torch.bfloat16):
        half = gru_forward(gru, embedding, ids)
    assert half.dtype == torch.float32
    assert not torch.equal(half, whole)
    torch.testing.assert_close(half, whole, atol=0.01, rtol=0)
    for ours, theirs in zip(*(torch.autograd.grad((h * weight).sum(), parameters) for h in (half, whole)), strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() <= 0.02 * theirs.norm()
