"""Putting a folder where another one stands, and mending what a kill left between."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_UNDONE = r"[a-z0-9_]{8}\.(draft|old)"
"""How the names end of folders that were not finished, or were just replaced; what `tempfile.mkdtemp` makes."""


def place(draft: Path, target: Path) -> None:
    """Put a finished folder in its place; what was there goes only when the new one stands.

    Where the system can, the two are exchanged in one step, so that a model stands under the name at every moment.
    """
    if not target.exists():
        draft.rename(target)
        return
    if exchanged(draft, target):
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


def exchanged(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; false where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # an older C library
        return False
    return exchange(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def undone(target: Path) -> list[Path]:
    """Folders beside `target` that a killed program left: drafts, and what it was about to replace."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{_UNDONE}")
    try:
        with os.scandir(target.parent) as entries:
            names = [e.name for e in entries if pattern.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except (OSError, ValueError):
        return []
    return [target.parent / name for name in sorted(names)]


def put_back(target: Path) -> bool:
    """Whether nothing stands at `target` and what was to be replaced there is put back."""
    if os.path.lexists(target):
        return False
    old = [path for path in undone(target) if path.suffix == ".old"]
    if len(old) != 1:
        return False
    with suppress(OSError):
        old[0].rename(target)
        return True
    return False


def clear(target: Path) -> None:
    """Put back what was to be replaced, and remove what else was left; only for who holds the lock of `target`."""
    put_back(target)
    for path in undone(target):
        shutil.rmtree(path, ignore_errors=True)
