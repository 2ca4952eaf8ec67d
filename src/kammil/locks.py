"""One program at a time writes a model: a lock of the system's, so that a kill frees it, and who holds it, by name."""

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

LOCK, HOLDER, RUN, CHECKPOINT = "lock", "holder.json", "run.json", "checkpoint.safetensors"
"""Files in the folder that waits beside a model: the lock, who holds it, of which run it is, the state of an epoch."""


def waiting(out: Path) -> Path:
    """The folder beside a model in which its training keeps what an interruption must not lose, and its lock."""
    return out.with_name(f".{out.name}.training")


@contextmanager
def run_lock(out: Path) -> Generator[None]:
    """Be the only program that makes the model `out`; what killed ones left is mended first.

    `FolderError` at once, with the other one's name, where another one is at it; and where nothing can be written.
    """
    from filelock import FileLock, Timeout  # only those who write pay for it

    place, made = waiting(out), False
    try:
        made = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise FolderError(
            f"{out} is being made by another program{_holder(place)}; wait for it, or name another folder with --out."
        ) from error
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if made:
            with suppress(OSError, ValueError):
                place.rmdir()
        raise FolderError(f"cannot write {out}: {why}; name another place with --out.") from error
    try:
        with suppress(OSError):  # a full disk: the lock holds without a name
            (place / HOLDER).write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname()}), "utf-8")
        folder_swap.clear(Path(os.path.realpath(out)))
        yield
    finally:
        _leave(place)
        lock.release()
        with suppress(OSError):
            if os.name == "nt" and not any(p.name != LOCK for p in place.iterdir()):
                (place / LOCK).unlink()  # an open file cannot be removed there
            place.rmdir()


def interrupted(out: Path) -> bool:
    """Whether a training of `out` waits to be gone on with: the state of an epoch is there, of a member at least."""
    return any(waiting(out).glob(f"*{CHECKPOINT}"))


def empty(out: Path) -> None:
    """Remove what waits, but not the lock that is held."""
    for path in waiting(out).iterdir():
        if path.name in (LOCK, HOLDER):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def mend(path: Path) -> bool:
    """Whether a model that a killed program had put aside stands at `path` again; never while a living one is at it."""
    try:
        place = Path(os.path.realpath(path))
        if os.path.lexists(place) or not folder_swap.undone(place):
            return False
        with run_lock(path):
            return place.exists()
    except (FolderError, OSError, ValueError):  # ValueError: a name that no file can have
        return False


def _leave(place: Path) -> None:
    """Take away the lock and its holder's name; on POSIX while it is held, so that nobody locks a file that is gone."""
    for name in (HOLDER, LOCK):
        with suppress(OSError):
            (place / name).unlink()


def _holder(place: Path) -> str:
    """Who holds the lock, as far as it says so."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = cast(dict[str, Any], json.loads((place / HOLDER).read_text("utf-8")))
        return f" (process {int(said['process'])} on {str(said['host'])[:80]!s})"
    return ""
