"""Divide a network among the processes of a run: weights, gradients and the optimiser's state.

Fully sharded data parallel (Rajbhandari et al. 2020, arXiv:1910.02054; Zhao et al. 2023, arXiv:2304.11277), PyTorch's
`fully_shard`: every process keeps a part of each weight, and the processes put the weights of a layer together just
before it is computed. So all of them must compute the same layers at the same time, on batches of one width.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from kammil import process_group
from kammil.errors import OptionError

N = TypeVar("N", bound=nn.Module)


@runtime_checkable
class LayeredNetwork(Protocol):
    """A network that can be divided."""

    def layers_to_shard(self) -> Sequence[nn.Module]:
        """Return the modules whose weights are put together at a time; the rest is another one."""
        ...


def sharded(network: N, device: torch.device) -> N:
    """Return a copy of a network on the device, of which each process has a part; the network itself stays whole.

    Raises `OptionError` for a network that says no layers.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if not isinstance(network, LayeredNetwork):
        raise OptionError("shard is true, but only a pretrained model is divided among processes; leave it out.")
    mesh = init_device_mesh(device.type, (process_group.size(),))
    copied = deepcopy(network)
    for layer in copied.layers_to_shard():
        fully_shard(layer, mesh=mesh)
    fully_shard(copied, mesh=mesh, reshard_after_forward=True)
    return copied


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that is divided among the processes put together, in each of them; any other as it is."""
    if process_group.size() == 1:
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor divided among the processes as `like` is, if it is and has the same shape."""
    if process_group.size() == 1:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
