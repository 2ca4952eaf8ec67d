"""The loss against its definition in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.training.loss import teacher_forced

shapes = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(2, 9))  # (B, T, V)


def case(seed: int, shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random logits (B, T, V), targets (B, T) and counted (B, T), at least one of them true."""
    generator = np.random.default_rng(seed)
    counted = generator.random(shape[:2]) < 0.6
    counted.flat[generator.integers(counted.size)] = True
    logits = torch.from_numpy(generator.normal(0, 3, shape).astype(np.float32)).requires_grad_()
    return logits, torch.from_numpy(generator.integers(0, shape[2], shape[:2])), torch.from_numpy(counted)


@settings(max_examples=30)
@given(st.integers(0, 2**32), shapes)
def test_the_definition(seed: int, shape: tuple[int, int, int]) -> None:
    logits, targets, counted = case(seed, shape)
    totals = teacher_forced(logits, targets, counted)
    nats, correct = 0.0, 0
    rows = logits.detach().double().numpy().reshape(-1, shape[2])
    for row, true, counts in zip(rows, targets.flatten().tolist(), counted.flatten().tolist(), strict=True):
        if counts:
            nats += float(np.log(np.exp(row).sum()) - row[true])
            correct += int(row.argmax() == true)
    assert totals.nats.item() == pytest.approx(nats, rel=1e-5, abs=1e-5)
    assert totals.count == int(counted.sum())
    assert totals.correct == correct


@settings(max_examples=30)
@given(st.integers(0, 2**32), shapes, st.floats(width=32))
def test_uncounted_positions_have_no_influence(seed: int, shape: tuple[int, int, int], odd: float) -> None:
    logits, targets, counted = case(seed, shape)
    one = teacher_forced(logits, targets, counted)
    one.nats.backward()
    changed = logits.detach().clone()
    changed[~counted] = odd  # not even infinity or NaN
    changed.requires_grad_()
    other = teacher_forced(changed, torch.where(counted, targets, 0), counted)
    other.nats.backward()
    assert torch.equal(one.nats, other.nats)
    assert (one.count, one.correct) == (other.count, other.correct)
    assert logits.grad is not None and changed.grad is not None
    assert torch.equal(logits.grad, changed.grad)
    assert not logits.grad[~counted].any()


@settings(max_examples=30)
@given(st.integers(0, 2**32), shapes)
def test_the_gradient_is_probability_less_truth(seed: int, shape: tuple[int, int, int]) -> None:
    logits, targets, counted = case(seed, shape)
    teacher_forced(logits, targets, counted).nats.backward()
    probabilities = np.exp(logits.detach().double().numpy())
    probabilities /= probabilities.sum(-1, keepdims=True)
    truth = np.eye(shape[2])[targets.numpy()]  # (B, T, V)
    assert logits.grad is not None
    assert logits.grad.numpy() == pytest.approx((probabilities - truth) * counted.numpy()[..., None], abs=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 2**32), shapes)
def test_sums_add_over_batches(seed: int, shape: tuple[int, int, int]) -> None:
    parts = [case(seed + i, (b, *shape[1:])) for i, b in enumerate((shape[0], 1, 3))]
    whole = teacher_forced(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    totals = [teacher_forced(*part) for part in parts]
    assert whole.nats.item() == pytest.approx(sum(t.nats.item() for t in totals), rel=1e-5)
    assert whole.count == sum(t.count for t in totals)
    assert whole.correct == sum(t.correct for t in totals)


def test_nothing_counted_is_nothing_lost() -> None:
    logits, targets, counted = case(0, (2, 3, 5))
    totals = teacher_forced(logits, targets, torch.zeros_like(counted))
    assert (totals.nats.item(), totals.count, totals.correct) == (0.0, 0, 0)
