"""The GRU with a backward pass written by hand, beside its definition and PyTorch's own GRU."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kammil.models.gru.backprop import gru_forward
from kammil.models.gru.network import textbook_gru


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 5),
    time=st.integers(1, 12),
    hidden=st.integers(1, 9),
    width=st.integers(1, 6),
    seed=st.integers(),
)
def test_states_and_gradients_are_those_of_the_textbook_and_of_pytorch(
    batch: int, time: int, hidden: int, width: int, seed: int
) -> None:
    torch.manual_seed(seed % 2**31)
    gru = nn.GRU(width, hidden, batch_first=True).double()
    embedding = nn.Embedding(7, width).double()
    ids = torch.randint(0, 7, (batch, time))
    weight = torch.randn(batch, time, hidden, dtype=torch.float64)
    parameters = [*gru.parameters(), embedding.weight]
    fast, textbook = gru_forward(gru, embedding, ids), textbook_gru(gru, embedding(ids))
    pytorch, _ = gru(embedding(ids))
    gradients = [torch.autograd.grad((h * weight).sum(), parameters) for h in (fast, textbook, pytorch)]
    for states, gradient in zip((fast, pytorch), (gradients[0], gradients[2]), strict=True):
        torch.testing.assert_close(states, textbook)
        torch.testing.assert_close(gradient, gradients[1])


def test_single_precision_is_the_textbook_to_a_hundred_thousandth() -> None:
    """At the size of the defaults and the length of a tweet."""
    torch.manual_seed(0)
    gru, embedding = nn.GRU(128, 256, batch_first=True), nn.Embedding(60, 128)
    ids = torch.randint(0, 60, (8, 100))
    weight = torch.randn(8, 100, 256) / (8 * 100)  # as a mean over positions
    parameters = [*gru.parameters(), embedding.weight]
    fast, textbook = gru_forward(gru, embedding, ids), textbook_gru(gru, embedding(ids))
    torch.testing.assert_close(fast, textbook, atol=1e-5, rtol=1e-5)
    gradients = (torch.autograd.grad((h * weight).sum(), parameters) for h in (fast, textbook))
    for gradient, definition in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, definition, atol=1e-5, rtol=1e-5)


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
