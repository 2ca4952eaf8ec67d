"""The state of an interrupted run: weights, optimiser memory, best weights, history. No pickle; replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from kammil.errors import FolderError
from kammil.locks import CHECKPOINT
from kammil.training.events import EpochEnded

_META = "history"


@dataclass(frozen=True)
class Restored:
    """What a checkpoint brings back apart from what it restores in place."""

    best: dict[str, Tensor]
    """Weights of the best epoch."""
    history: tuple[EpochEnded, ...]
    """One event for each epoch that was finished."""


class Checkpoint:
    """One file in a folder: `save` replaces it atomically, so a kill leaves the state of the last whole epoch."""

    def __init__(self, folder: Path) -> None:
        """Keep the state in `folder`, which must exist when saving."""
        self._file = folder / CHECKPOINT

    def exists(self) -> bool:
        """Whether there is a state to go on from."""
        return self._file.exists()

    def save(
        self, model: nn.Module, optimiser: Optimizer, best: dict[str, Tensor], history: Sequence[EpochEnded]
    ) -> None:
        """Write the state after an epoch; `FolderError` if the disk takes no more, with the last state still there."""
        tensors = {f"model.{k}": v.cpu().contiguous() for k, v in model.state_dict().items()}
        tensors |= {f"best.{k}": v.cpu().contiguous() for k, v in best.items()}
        memory = cast(dict[int, dict[str, Tensor]], optimiser.state_dict()["state"])
        tensors |= {
            f"optimiser.{i}.{k}": torch.as_tensor(v).cpu().contiguous()
            for i, entry in memory.items()
            for k, v in entry.items()
        }
        content = save(tensors, {_META: json.dumps([asdict(event) for event in history])})
        part = self._file.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise FolderError(
                f"cannot write {self._file}: {error.strerror}; free some space or name another place."
            ) from error

    def load(self, model: nn.Module, optimiser: Optimizer) -> Restored:
        """Put the state back into the model and the optimiser; `FolderError` if it belongs to another model."""
        try:
            content = self._file.read_bytes()
            tensors = load(content)
            size = int.from_bytes(content[:8], "little")
            header = cast(dict[str, Any], json.loads(content[8 : 8 + size]))
            events = cast(list[dict[str, Any]], json.loads(header["__metadata__"][_META]))
            history = tuple(_event(fields) for fields in events)
            model.load_state_dict(_part(tensors, "model."))
            best = _part(tensors, "best.")
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in _part(tensors, "optimiser.").items():
                index, _, key = name.partition(".")
                state.setdefault(int(index), {})[key] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise FolderError(
                f"{self._file} does not fit this training run; remove {self._file.parent} to begin anew."
            ) from error
        return Restored(best, history)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _event(fields: dict[str, Any]) -> EpochEnded:
    """An epoch as it was written; JSON knows no tuples."""
    fields["early"] = tuple((seconds, bits) for seconds, bits in fields.get("early", ()))
    return EpochEnded(**fields)
