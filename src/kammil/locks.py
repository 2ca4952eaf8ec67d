"""A lock for each model that is being trained: the system frees it after a kill, and its file names the holder."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from kammil import folder_swap
from kammil.errors import FolderError
from kammil.files import reason

LOCK, HOLDER, RUN, CHECKPOINT = "lock", "holder.json", "run.json", "checkpoint.safetensors"
"""Files in the training folder beside a model: the lock, its holder, the run, the state after an epoch."""


def training_folder(out: Path) -> Path:
    """Return the folder beside a model that holds the lock of its training and the files to resume it from."""
    return out.with_name(f".{out.name}.training")


@contextmanager
def run_lock(out: Path) -> Generator[None]:
    """Hold the lock of the model `out`, and first remove what killed programs left.

    Raises `FolderError` at once, with the holder's name, if another program holds it, or if `out` cannot be written.
    """
    from filelock import FileLock, Timeout  # imported here, since only writers need it

    place, created = training_folder(out), False
    try:
        created = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        if any(path.is_symlink() for path in (place, *place.iterdir())):  # its files are overwritten and removed
            raise FolderError(f"{place} is a link, or holds one, and no training makes any; remove it.")
        lock = FileLock(place / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise FolderError(
            f"{out} is being made by another program{_holder(place)}; wait for it, or name another folder with --out."
        ) from error
    except (OSError, ValueError) as error:
        if created:
            with suppress(OSError, ValueError):
                place.rmdir()
        raise FolderError(f"cannot write {out}: {reason(error)}; name another place with --out.") from error
    try:
        with suppress(OSError):  # a full disk: the lock holds without a name
            (place / HOLDER).write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname()}), "utf-8")
        folder_swap.clean_up(Path(os.path.realpath(out)))
        yield
    finally:
        _remove_lock(place)
        lock.release()
        with suppress(OSError):
            if os.name == "nt" and not any(p.name != LOCK for p in place.iterdir()):
                (place / LOCK).unlink()  # an open file cannot be removed there
            place.rmdir()


def interrupted(out: Path) -> bool:
    """Return whether an interrupted training of `out` can be resumed: a checkpoint is there, if of one member only."""
    return any(training_folder(out).glob(f"*{CHECKPOINT}"))


def clear_training_folder(out: Path) -> None:
    """Remove all files in the training folder but the lock and its holder's name.

    The description of the run goes last: a checkpoint without one could not be gone on from.
    """
    for path in sorted(training_folder(out).iterdir(), key=lambda path: path.name == RUN):
        if path.name in (LOCK, HOLDER):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def recover(path: Path) -> bool:
    """Restore a model that a killed program had moved aside, unless the lock is held; return whether it is there."""
    try:
        place = Path(os.path.realpath(path))
        if os.path.lexists(place) or not folder_swap.leftovers(place):
            return False
        with run_lock(path):
            return place.exists()
    except (FolderError, OSError, ValueError):  # ValueError: a name that no file can have
        return False


def _remove_lock(place: Path) -> None:
    """Remove the lock and its holder's name; on POSIX while it is held, so that nobody locks a removed file."""
    for name in (HOLDER, LOCK):
        with suppress(OSError):
            (place / name).unlink()


def _holder(place: Path) -> str:
    """Return the lock's holder in brackets, or "" where its file cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        holder = cast(dict[str, Any], json.loads((place / HOLDER).read_text("utf-8")))
        return f" (process {int(holder['process'])} on {str(holder['host'])[:80]})"
    return ""
