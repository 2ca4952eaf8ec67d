"""A GRU layer over whole texts with a backward pass by hand, faster on a CPU than PyTorch's.

It computes `network.textbook_gru` (docs/log.md#is-a-backward-pass-written-by-hand-worth-its-lines). States are columns,
(H, B); the gradient of the recurrent weights is one product at the end, not one a character; the embedding is folded
into a table of gate inputs. Under `torch.autocast` only factors of recurrent products are in bfloat16.

    r = sigmoid(x_r + W_r h)    z = sigmoid(x_z + W_z h)    q = W_n h + b_n
    n = tanh(x_n + r * q)       h' = (1 - z) * n + z * h

Shapes as in `network`.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gru_forward(gru: nn.GRU, embedding: nn.Embedding, ids: Tensor) -> Tensor:
    """Return the states (B, T, H) of a one-layer GRU after each of ids (B, T)."""
    if not torch.is_grad_enabled() or ids.device.type != "cpu":
        return gru(embedding(ids))[0]
    weights_in, recurrent, bias_in, bias = (
        cast(Tensor, getattr(gru, f"{name}_l0")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    fixed = 2 * gru.hidden_size  # both biases of r and z are only added
    with torch.autocast("cpu", enabled=False):
        table = torch.addmm(
            bias_in + F.pad(bias[:fixed], (0, gru.hidden_size)), embedding.weight, weights_in.t()
        )  # (V, 3H)
        x = F.embedding(ids.t(), table).transpose(1, 2).contiguous()  # (T, 3H, B)
    return cast(Tensor, _Recurrence.apply(x, recurrent, bias[fixed:])).permute(2, 0, 1)  # (B, T, H)


class _Recurrence(torch.autograd.Function):
    """Maps gate inputs (T, 3H, B), recurrent weights (3H, H) and bias (H,) to states (T, H, B)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        """Return the states (T, H, B); gate inputs become the gates r, z, n in place."""
        time, _, batch = x.shape
        size = len(bias)
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype  # of the factors of products
        states = x.new_zeros(time + 1, size, batch)
        factors = states if dtype == x.dtype else states.to(dtype)
        inner = x.new_empty(time, size, batch)  # q
        product = x.new_empty(3 * size, batch, dtype=dtype)
        columns = bias[:, None].expand(size, batch).contiguous()  # (H, B)
        recurrent = weights.to(dtype)
        for t in range(time):
            gates, before = x[t], states[t]
            torch.mm(recurrent, factors[t], out=product)
            gates[: 2 * size].add_(product[: 2 * size]).sigmoid_()
            torch.add(product[2 * size :], columns, out=inner[t])
            gates[2 * size :].addcmul_(gates[:size], inner[t]).tanh_()
            torch.lerp(gates[2 * size :], before, gates[size : 2 * size], out=states[t + 1])
            if factors is not states:
                factors[t + 1] = states[t + 1]
        ctx.save_for_backward(recurrent, states, factors, x, inner)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        recurrent, states, factors, gates, inner = cast(tuple[Tensor, ...], ctx.saved_tensors)
        time, size, batch = inner.shape
        back = recurrent.t().contiguous()  # (H, 3H)
        d_gates = torch.empty_like(gates)  # before the activations
        d_product = torch.empty_like(gates, dtype=recurrent.dtype)
        d_inner = torch.empty_like(inner)
        d_state = gates.new_zeros(size, batch)
        for t in range(time - 1, -1, -1):
            reset, update, new = gates[t].split(size)
            d_reset, d_update, d_new = d_gates[t].split(size)
            d_state = d_state + grads[0][t]
            kept = d_state * update
            fresh = d_state - kept  # d_state (1 - z)
            torch.addcmul(fresh, fresh * new, new, value=-1, out=d_new)  # fresh (1 - n^2)
            torch.mul(fresh * update, states[t] - new, out=d_update)  # d_state (h - n) z (1 - z)
            torch.mul(d_new, reset, out=d_inner[t])
            through = d_inner[t] * inner[t]
            torch.addcmul(through, through, reset, value=-1, out=d_reset)  # d_new q r (1 - r)
            d_product[t, : 2 * size], d_product[t, 2 * size :] = d_gates[t, : 2 * size], d_inner[t]
            d_state = kept.add_(back @ d_product[t])
        products = d_product.transpose(0, 1).reshape(3 * size, -1)
        before = factors[:-1].transpose(0, 1).reshape(size, -1)  # (H, T * B)
        return d_gates, (products @ before.t()).to(gates.dtype), d_inner.sum((0, 2))
