"""Rank, size and collectives of the processes of a training, which exchange bytes, numbers and JSON, no pickle.

A launcher (`torchrun`, `accelerate launch`) sets RANK, WORLD_SIZE and a rendezvous address in the environment. All
processes call these functions in the same order. A single process needs no PyTorch.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from kammil.errors import ProcessError

D = TypeVar("D")


@dataclass(frozen=True)
class Share:
    """Rows of a batch that one process computes."""

    rows: tuple[int, ...]
    batch_size: int


_TIMEOUT = timedelta(hours=2)
"""For a machine that loses power, since a dead process is noticed at once; longer than reading and evaluating."""
_ENDED = "a process of this run has ended, so the others end too; start them again with --resume."
_LOST = re.compile("gloo|nccl|connection|timed out|timeout", re.IGNORECASE)

_joined = False
_store: Any = None
"""Kept, since PyTorch's own store would give a second training the addresses of the first."""
_groups: list[Any] = []
"""Kept, since PyTorch joins a thread where a group's last holder goes, and that thread may wait for Python's lock."""
_works: deque[Any] = deque(maxlen=8)
"""The latest collectives, kept: a thread of PyTorch's that is the last to hold one takes Python's lock to free its
tensors, and aborts where the interpreter is ending."""
_alone: ContextVar[bool] = ContextVar("alone", default=False)


def is_launched() -> bool:
    """Return whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Return whether this process, the first or only one, reads, writes and prints."""
    return not is_launched() or os.environ.get("RANK", "0") == "0"


def is_joined() -> bool:
    """Return whether this process is within `joined`."""
    return _joined


def size() -> int:
    """Return the number of connected processes; 1 within `alone`."""
    return int(os.environ["WORLD_SIZE"]) if _joined and not _alone.get() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ["RANK"]) if size() > 1 else 0


@contextmanager
def joined() -> Generator[None]:
    """Connect the launched processes for the block; raises `ProcessError` where one of them ends."""
    global _joined, _store  # noqa: PLW0603 (PyTorch has one group in a process)
    if _joined or not is_launched():
        yield
        return
    import torch
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    def end(*_: object) -> None:
        raise ProcessError(_ENDED)

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if in_main_thread else None
    try:
        try:
            if _store is None:
                _store, _, _ = next(rendezvous("env://", timeout=_TIMEOUT))
            _groups.append(None)  # a name that failed once is not used again
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=PrefixStore(f"kammil {len(_groups)}", _store),
                rank=int(os.environ["RANK"]),
                world_size=int(os.environ["WORLD_SIZE"]),
                timeout=_TIMEOUT,
            )
        except (ValueError, RuntimeError) as error:
            raise ProcessError(
                f"the processes of this run did not find one another ({str(error).splitlines()[0]}); "
                "start them with torchrun or accelerate launch."
            ) from error
        _groups[-1] = distributed.group.WORLD
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


@contextmanager
def alone() -> Generator[None]:
    """Run the block as if there were no other processes."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def made_by_first(kind: type[D], make: Callable[[], D]) -> D:
    """Return in every process the dataclass, of builtins, paths and dataclasses, that the first makes."""
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
    """Return in every process the bytes that the first makes."""
    if size() == 1:
        return make()
    content = b""
    if rank() == 0:
        with alone():
            content = make()
    return gather(content, [0])[0]


def number_of_first(number: float) -> float:
    """Return in every process the number of the first."""
    return totals([number if rank() == 0 else 0.0])[0]


def totals(numbers: Sequence[float]) -> list[float]:
    """Sum over processes in the order of ranks, so that all get the same bits."""
    if size() == 1:
        return list(numbers)
    import torch
    from torch import distributed

    mine = torch.tensor(numbers, dtype=torch.float64)
    each = [torch.empty_like(mine) for _ in range(size())]
    _wait(distributed.all_gather(each, mine, async_op=True))
    return torch.stack(each).sum(0).tolist()


def gather(content: bytes, ranks: Sequence[int] | None = None) -> list[bytes]:
    """Return in every process the bytes of all ranks, or of some."""
    if size() == 1:
        return [content]
    import torch
    from torch import distributed

    gathered: list[bytes] = []
    for source in range(size()) if ranks is None else ranks:
        length = torch.tensor([len(content)], dtype=torch.int64)
        _wait(distributed.broadcast(length, source, async_op=True))
        buffer = torch.empty(int(length), dtype=torch.uint8)
        if rank() == source and content:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        if len(buffer):
            _wait(distributed.broadcast(buffer, source, async_op=True))
        gathered.append(buffer.numpy().tobytes())
    return gathered


def _wait(work: Any) -> None:
    _works.append(work)
    work.wait()
