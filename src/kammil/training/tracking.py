"""Record a run: in `events.jsonl`, and with TensorBoard where it is asked for.

A line of `events.jsonl` is an event: `time`, `event`, the `member` of a blend, and the fields of the class of that name
in `progress`; numbers that are not finite are null. The last line, `Evaluated`, has the validation figures. A resumed
run appends, so the steps of an interrupted epoch stand there twice.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.progress import EpochEnded, Event, Listener, MemberEvent, PhaseProgress, TrainingProgress
from kammil.storage import reason

TENSORBOARD_FOLDER = "runs"
_INTERVAL, _SHARE = 1.0, 1 / 300
"""Minimum seconds between two recorded steps, and the same as a share of the seconds so far."""


def parts(event: Event) -> tuple[int | None, Any]:
    """Return the number of the member, None for a single network, and its event."""
    return (event.member, event.event) if isinstance(event, MemberEvent) else (None, event)


def line(name: str, fields: Mapping[str, Any]) -> bytes:
    """Return a line of `events.jsonl`."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return (json.dumps({"time": now, "event": name, **_finite(fields)}, ensure_ascii=False) + "\n").encode()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(cell) for name, cell in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(cell) for cell in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class RateLimited:
    """Passes on events; of steps the first of each epoch, and then one a second or fewer."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners, self._written = listeners, dict[int | None, float]()

    def __call__(self, event: Event) -> None:
        """Pass an event on, or not."""
        member, inner = parts(event)
        if isinstance(inner, PhaseProgress):
            return
        if isinstance(inner, TrainingProgress):
            now = time.monotonic()
            pause = max(_INTERVAL, _SHARE * inner.elapsed)
            if inner.step > 1 and now - self._written.get(member, -math.inf) < pause:
                return
            self._written[member] = now
        for listen in self._listeners:
            listen(event)


class EventLog:
    """Appends events to a file after its last whole line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._size: int | None = None

    def __call__(self, event: Event) -> None:
        """Write an event; `FolderError` if it cannot be written."""
        member, inner = parts(event)
        fields = {} if member is None else {"member": member}
        content = line(type(inner).__name__, fields | asdict(inner))
        try:
            if self._size is None:
                self._size = len(self.content())
            with self._file.open("r+b" if self._size else "wb") as file:
                file.truncate(self._size)  # a kill may have left half a line
                file.seek(self._size)
                file.write(content)
            self._size += len(content)
        except OSError as error:
            raise FolderError(f"cannot write {self._file}: {reason(error)}; free some space.") from error

    def content(self) -> bytes:
        """Return all whole lines."""
        if not self._file.exists():
            return b""
        content = self._file.read_bytes()
        return content[: content.rfind(b"\n") + 1]


class ScalarWriter:
    """Calls `write` with name, value and step over all epochs."""

    def __init__(self, write: Callable[[str, float, int], object]) -> None:
        self._write, self._steps = write, dict[int | None, int]()

    def __call__(self, event: Event) -> None:
        """Write the figures of a step or an epoch."""
        member, inner = parts(event)
        prefix = "" if member is None else f"member {member}/"
        figures, step = dict[str, float](), 0
        if isinstance(inner, TrainingProgress):
            self._steps[member] = inner.steps
            step = (inner.epoch - 1) * inner.steps + inner.step
            figures = {"bits/step": inner.train_bits, "learning rate": inner.learning_rate}
        elif isinstance(inner, EpochEnded):
            step = inner.epoch * self._steps.get(member, 1)
            for kind in ("bits", "accuracy"):
                figures[f"{kind}/training"] = getattr(inner, f"train_{kind}")
                figures[f"{kind}/validation"] = getattr(inner, f"validation_{kind}")
        for name, value in figures.items():
            self._write(prefix + name, value, step)


def check(trackers: Sequence[str]) -> None:
    """Raise `OptionError` for an unknown tracker."""
    if isinstance(trackers, str):
        raise OptionError(f"track is {trackers!r}, but it must be a list, such as ['tensorboard'].")
    for name in trackers:
        if name != "tensorboard":
            raise OptionError(f"track is {name!r}, but it must be tensorboard.")


@contextmanager
def tracked(out: Path, trackers: Sequence[str]) -> Generator[list[Listener]]:
    """Yield the listeners of trackers: TensorBoard's writes to `runs/NAME/TIME` beside the model."""
    if not trackers:
        yield []
        return
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"tracking needs {error.name}", "train", "track") from error

    now = datetime.now(UTC).strftime("%Y-%m-%d %H.%M.%S")
    folder = out.absolute().parent / TENSORBOARD_FOLDER / out.name / now
    with SummaryWriter(str(folder)) as writer:
        yield [ScalarWriter(writer.add_scalar)]
