"""Files and folders that are replaced whole, one writer at a time, and mended after a kill."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from kammil.errors import FolderError

LOCK, HOLDER, RUN, CHECKPOINT = "lock", "holder.json", "run.json", "checkpoint.safetensors"
"""Files in the training folder beside a model; a checkpoint is the state after an epoch."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SUFFIX = r"[a-z0-9_]{8}\.(draft|old)"
"""Ending of unfinished and replaced folders' names, made by `tempfile.mkdtemp`."""


def reason(error: OSError | ValueError | RuntimeError) -> str:
    """Return the reason of an error without its path, which our messages name already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# One file


def write_atomic(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a draft beside the file, flush it and rename it, or raise `FolderError`; `private`: for its owner alone."""
    draft = draft_of(path)
    try:
        draft.unlink(missing_ok=True)  # in a stranger's folder it may be a link to another file
        mode = 0o600 if private else 0o666
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):  # a name that is too long
            draft.unlink(missing_ok=True)
        raise FolderError(f"cannot write {path}: {reason(error)}; free some space or name another place.") from error


def draft_of(path: Path) -> Path:
    """Return the path of a file's draft, which a killed program leaves."""
    return path.with_name(f".{path.name}.draft")


# One folder


def replace(draft: Path, target: Path) -> None:
    """Move a finished folder to `target` and then remove the one that was there.

    Where the system can exchange both in one step, there is a model at `target` at every moment.
    """
    if not target.exists():
        draft.rename(target)
    elif exchange(draft, target):
        shutil.rmtree(draft, ignore_errors=True)
    else:
        old = draft.with_suffix(".old")
        target.rename(old)
        try:
            draft.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def new_folder(path: Path, check: Callable[[], None]) -> Generator[Path]:
    """Create a draft folder, which becomes `path` when the block succeeds and is removed when it fails.

    Raises what `check` raises before and after the block, `FolderError` if it cannot be written. A link stays one.
    """
    check()
    try:
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".draft", dir=target.parent))
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot write {path}: {reason(error)}; name another place with --out.") from error
    try:
        yield draft
        draft.chmod(0o755)
        check()  # again, since another program may have written there
        replace(draft, target)
    except OSError as error:
        raise FolderError(f"cannot write {path}: {reason(error)}; free some space or name another place.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def entries(path: Path) -> list[str]:
    """Return the names in a folder that is to be written, none where nothing is; `FolderError` for no folder."""
    try:
        return sorted(entry.name for entry in path.iterdir()) if os.path.lexists(path) else []
    except OSError as error:
        raise FolderError(f"cannot write {path}: {reason(error)}; name another place with --out.") from error


def exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; return false where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # an older C library
        return False
    return renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0


def leftovers(target: Path) -> list[Path]:
    """Return drafts, and a folder being replaced, that a killed program left beside `target`."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{_SUFFIX}")
    try:
        with os.scandir(target.parent) as entries:
            names = [e.name for e in entries if pattern.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except (OSError, ValueError):
        return []
    return [target.parent / name for name in sorted(names)]


def restore(target: Path) -> None:
    """Move the folder being replaced back to `target`, if nothing is there."""
    old = [path for path in leftovers(target) if path.suffix == ".old"]
    if len(old) == 1 and not os.path.lexists(target):
        with suppress(OSError):
            old[0].rename(target)


def recover(path: Path) -> bool:
    """Restore a model that a killed program moved aside, unless it is locked; return whether it is there."""
    try:
        place = Path(os.path.realpath(path))
        if os.path.lexists(place) or not leftovers(place):
            return False
        with run_lock(path):
            return place.exists()
    except (FolderError, OSError, ValueError):  # ValueError: a name that no file can have
        return False


# One writer


def training_folder(out: Path) -> Path:
    """Return the folder, beside a model, of its training's lock and checkpoint."""
    return out.with_name(f".{out.name}.training")


@contextmanager
def run_lock(out: Path) -> Generator[None]:
    """Hold the lock of the model `out`, which the system frees after a kill, and mend what killed programs left.

    Raises `FolderError` at once if another program holds the lock, or `out` cannot be written.
    """
    from filelock import FileLock, Timeout  # only writers need it

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
        target = Path(os.path.realpath(out))
        restore(target)
        for path in leftovers(target):
            shutil.rmtree(path, ignore_errors=True)
        yield
    finally:
        for name in (HOLDER, LOCK):  # on POSIX while it is held, so that nobody locks a removed file
            with suppress(OSError):
                (place / name).unlink()
        lock.release()
        with suppress(OSError):
            if os.name == "nt" and not any(p.name != LOCK for p in place.iterdir()):
                (place / LOCK).unlink()  # Windows removes no open file
            place.rmdir()


def _holder(place: Path) -> str:
    with suppress(OSError, ValueError, TypeError, KeyError):
        holder = cast(dict[str, Any], json.loads((place / HOLDER).read_text("utf-8")))
        return f" (process {int(holder['process'])} on {str(holder['host'])[:80]})"
    return ""


def interrupted(out: Path) -> bool:
    """Return whether there is a checkpoint of `out`, if only of one member."""
    return any(training_folder(out).glob(f"*{CHECKPOINT}"))


def clear_training_folder(out: Path) -> None:
    """Remove all files of the training folder but lock and holder; `RUN` last, since a checkpoint needs it."""
    for path in sorted(training_folder(out).iterdir(), key=lambda path: path.name == RUN):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (LOCK, HOLDER):
            path.unlink(missing_ok=True)
