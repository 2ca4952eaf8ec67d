"""The processes of one training run: which of them this is, and what they tell one another.

A launcher (`torchrun`, `accelerate launch`) starts the same program several times, and says in the environment which
one each is (RANK), how many there are (WORLD_SIZE), and where they meet (MASTER_ADDR, MASTER_PORT). All of them call
the functions here in the same order; each function is a collective operation of PyTorch's process group, over gloo for
what lies in main memory. Without a launcher there is one process, and none of them needs PyTorch.

What is sent is bytes, arrays or JSON, never pickled objects.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from kammil.errors import ProcessError

if TYPE_CHECKING:  # `kammil --help` would wait for NumPy
    import numpy as np
    from numpy.typing import NDArray

D = TypeVar("D")


@dataclass(frozen=True)
class Share:
    """Rows of a batch that one of several processes computes."""

    rows: tuple[int, ...]
    """Their numbers in the whole batch."""
    batch_size: int
    """Rows of the whole batch."""


Arrays: TypeAlias = "tuple[NDArray[np.generic], ...]"

_TIMEOUT = timedelta(hours=2)
"""Longest wait for another process. One that dies is noticed at once, since its connections close; this is for a
machine that loses its power, and must be longer than the first process takes to read and to evaluate."""
_ENDED = "a process of this run has ended, so the others end too; start them again with --resume."
_LOST = re.compile("gloo|nccl|connection|timed out|timeout", re.IGNORECASE)
"""Words of the errors that PyTorch raises where a connection to another process is lost."""

_joined = False
_store: Any = None
"""Where the processes find one another, as long as they live: PyTorch's own store is still open when a second training
begins, and would say where the first one's connections were."""
_groups = 0
"""Number of groups that this process has joined."""
_alone: ContextVar[bool] = ContextVar("alone", default=False)


def is_launched() -> bool:
    """Return whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Return whether this is the process that reads, writes and prints: the first of several, or the only one."""
    return not is_launched() or os.environ.get("RANK", "0") == "0"


def is_joined() -> bool:
    """Return whether the processes are connected."""
    return _joined


def size() -> int:
    """Return the number of processes that work together: one, unless they are connected, and within `alone`."""
    if not _joined or _alone.get():
        return 1
    from torch import distributed

    return distributed.get_world_size()


def rank() -> int:
    """Return the number of this process, from 0."""
    if size() == 1:
        return 0
    from torch import distributed

    return distributed.get_rank()


@contextmanager
def joined() -> Generator[None]:
    """Connect the processes that a launcher started, for the block; without a launcher, do nothing.

    Raises `ProcessError` where another process ends before this one, or the launcher ends this one (SIGTERM).
    """
    global _joined, _groups, _store  # noqa: PLW0603 (there is one group in a process, as PyTorch has it)
    if _joined or not is_launched():
        yield
        return
    import torch
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _end) if in_main_thread else None
    try:
        try:
            if _store is None:
                _store, _, _ = next(rendezvous("env://", timeout=_TIMEOUT))
            _groups += 1
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=PrefixStore(f"kammil {_groups}", _store),
                rank=int(os.environ["RANK"]),
                world_size=int(os.environ["WORLD_SIZE"]),
                timeout=_TIMEOUT,
            )
        except (ValueError, RuntimeError) as error:
            raise ProcessError(
                f"the processes of this run did not find one another ({str(error).splitlines()[0]}); "
                "start them with torchrun or accelerate launch."
            ) from error
        _joined = True
        yield
    except RuntimeError as error:
        if _LOST.search(str(error)):
            raise ProcessError(_ENDED) from error
        raise
    finally:
        _joined = False
        if distributed.is_initialized():
            distributed.destroy_process_group()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    raise ProcessError(_ENDED)


@contextmanager
def alone() -> Generator[None]:
    """Within the block this process works as if there were no others."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def made_by_first(kind: type[D], make: Callable[[], D]) -> D:
    """Return a dataclass that the first process makes, in every process. It is sent as JSON, so it consists of
    builtins, paths and further dataclasses."""
    if size() == 1:
        return make()
    from pydantic import TypeAdapter

    made: list[D] = []

    def encode() -> bytes:
        made.append(make())
        return json.dumps(asdict(cast(Any, made[0])), default=str).encode()

    content = bytes_of_first(encode)
    return made[0] if made else TypeAdapter(kind).validate_python(json.loads(content))


def bytes_of_first(make: Callable[[], bytes]) -> bytes:
    """Return the bytes that the first process makes, in every process."""
    if size() == 1:
        return make()
    content = b""
    if rank() == 0:
        with alone():
            content = make()
    return _broadcast(content, 0)


def number_of_first(number: float) -> float:
    """Return the number that the first process has, in every process."""
    if size() == 1:
        return number
    import torch
    from torch import distributed

    tensor = torch.tensor([number], dtype=torch.float64)
    distributed.broadcast(tensor, 0)
    return float(tensor[0])


def totals(numbers: Sequence[float]) -> list[float]:
    """Add up numbers over all processes, in the order of their ranks: every process gets the same sums, to the bit."""
    if size() == 1:
        return list(numbers)
    import torch
    from torch import distributed

    mine = torch.tensor(numbers, dtype=torch.float64)
    each = [torch.empty_like(mine) for _ in range(size())]
    distributed.all_gather(each, mine)
    return torch.stack(each).sum(0).tolist()


def gather(content: bytes) -> list[bytes]:
    """Return the bytes of every process, by rank, in every process."""
    return [content] if size() == 1 else [_broadcast(content, source) for source in range(size())]


def dealt(number: int, work: Callable[[int], Arrays]) -> list[Arrays]:
    """Do pieces of work 0 to `number` - 1, each in one process, in turn; return the results of all, in order, in every
    process."""
    if size() == 1:
        return [work(piece) for piece in range(number)]
    from numpy import ascontiguousarray
    from safetensors.numpy import load, save

    mine = {
        f"{piece}.{i}": ascontiguousarray(array)
        for piece in range(rank(), number, size())
        for i, array in enumerate(work(piece))
    }
    found: dict[str, NDArray[Any]] = {}
    for content in gather(save(mine)):
        found |= load(content)
    results: list[list[NDArray[Any]]] = [[] for _ in range(number)]
    for name in sorted(found, key=lambda name: [int(part) for part in name.split(".")]):
        results[int(name.split(".")[0])].append(found[name])
    return [tuple(arrays) for arrays in results]


def _broadcast(content: bytes, source: int) -> bytes:
    """Return the bytes of the process of rank `source`, in every process."""
    import torch
    from torch import distributed

    length = torch.tensor([len(content)], dtype=torch.int64)
    distributed.broadcast(length, source)
    if rank() == source:
        buffer = (
            torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)
        )
    else:
        buffer = torch.empty(int(length), dtype=torch.uint8)
    if int(length):
        distributed.broadcast(buffer, source)
    return content if rank() == source else buffer.numpy().tobytes()
