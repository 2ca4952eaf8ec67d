"""Replace a folder in one step, and repair what a kill left between steps."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SUFFIX = r"[a-z0-9_]{8}\.(draft|old)"
"""Ending of the names of unfinished and replaced folders, as `tempfile.mkdtemp` makes them."""


def replace(draft: Path, target: Path) -> None:
    """Move a finished folder to `target`; a folder there is removed only after that.

    Where the system can, the two are exchanged in one step, so that there is a model at `target` at every moment.
    """
    if not target.exists():
        draft.rename(target)
        return
    if exchange(draft, target):
        shutil.rmtree(draft, ignore_errors=True)
        return
    old = draft.with_suffix(".old")
    target.rename(old)
    try:
        draft.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; return false where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # an older C library
        return False
    return renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0


def leftovers(target: Path) -> list[Path]:
    """Return the folders beside `target` that a killed program left: drafts, and the folder it was replacing."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{_SUFFIX}")
    try:
        with os.scandir(target.parent) as entries:
            names = [e.name for e in entries if pattern.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except (OSError, ValueError):
        return []
    return [target.parent / name for name in sorted(names)]


def restore(target: Path) -> bool:
    """Move the folder that was being replaced back to `target` if nothing is there; return whether it was."""
    if os.path.lexists(target):
        return False
    old = [path for path in leftovers(target) if path.suffix == ".old"]
    if len(old) != 1:
        return False
    with suppress(OSError):
        old[0].rename(target)
        return True
    return False


def clean_up(target: Path) -> None:
    """Restore the folder that was being replaced, and remove other leftovers; call it with the lock of `target`."""
    restore(target)
    for path in leftovers(target):
        shutil.rmtree(path, ignore_errors=True)
