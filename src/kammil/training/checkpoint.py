"""The state of training after an epoch, without pickle: weights, optimiser state, best weights, history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from kammil import storage
from kammil.errors import FolderError
from kammil.progress import EpochEnded
from kammil.storage import CHECKPOINT

_META = "history"


class Checkpoint:
    """A safetensors file, replaced atomically: a kill leaves the state after the last epoch."""

    def __init__(self, folder: Path, member: int = 0) -> None:
        self._file = folder / (f"{member + 1}-{CHECKPOINT}" if member else CHECKPOINT)

    def exists(self) -> bool:
        """Return whether there is a state to resume from."""
        return self._file.exists()

    def save(
        self, model: nn.Module, optimiser: Optimizer, best: dict[str, Tensor], history: Sequence[EpochEnded]
    ) -> None:
        """Write the state; `FolderError`, with the last state still there, if the disk is full."""
        tensors = {f"model.{k}": v.cpu().contiguous() for k, v in model.state_dict().items()}
        tensors |= {f"best.{k}": v.cpu().contiguous() for k, v in best.items()}
        per_parameter = cast(dict[int, dict[str, Tensor]], optimiser.state_dict()["state"])
        tensors |= {
            f"optimiser.{i}.{k}": torch.as_tensor(v).cpu().contiguous()
            for i, entry in per_parameter.items()
            for k, v in entry.items()
        }
        content = save(tensors, {_META: json.dumps([asdict(event) for event in history])})
        storage.write_atomic(self._file, content)

    def read(self) -> bytes:
        """Return the file's bytes, empty without a file; `FolderError` if it cannot be read."""
        try:
            return self._file.read_bytes() if self.exists() else b""
        except OSError as error:
            raise self._unfit() from error

    def load(
        self, model: nn.Module, optimiser: Optimizer, content: bytes
    ) -> tuple[dict[str, Tensor], tuple[EpochEnded, ...]]:
        """Restore model and optimiser from what `read` returned; return best weights and history.

        Raises `FolderError` for a damaged or foreign state.
        """
        try:
            tensors = load(content)
            size = int.from_bytes(content[:8], "little")
            header = cast(dict[str, Any], json.loads(content[8 : 8 + size]))
            events = cast(list[dict[str, Any]], json.loads(header["__metadata__"][_META]))
            for fields in events:
                fields["early"] = tuple((seconds, bits) for seconds, bits in fields.get("early", ()))
            history = tuple(EpochEnded(**fields) for fields in events)
            model.load_state_dict(_part(tensors, "model."))
            best = _part(tensors, "best.")
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in _part(tensors, "optimiser.").items():
                index, _, key = name.partition(".")
                state.setdefault(int(index), {})[key] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
        except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
            raise self._unfit() from error
        return best, history

    def _unfit(self) -> FolderError:
        return FolderError(f"{self._file} does not fit this training run; remove {self._file.parent} to begin anew.")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
