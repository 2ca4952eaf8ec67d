"""Write files atomically, so that a reader never sees half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kammil.errors import FolderError


def reason(error: OSError | ValueError | RuntimeError) -> str:
    """Return the reason of an error without the path, which our sentence names already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def write_atomic(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a draft beside the file, flush it to the disk, and rename it; `private`: readable by its owner alone.

    Raises `FolderError`, and removes the draft, where it cannot be written.
    """
    draft = draft_of(path)
    try:
        draft.unlink(missing_ok=True)  # in a stranger's folder it may be a link to another file
        with open(draft, "xb", opener=_private if private else None) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):  # a name that is too long
            draft.unlink(missing_ok=True)
        raise FolderError(f"cannot write {path}: {reason(error)}; free some space or name another place.") from error


def draft_of(path: Path) -> Path:
    """Return the path of the draft of a file; a program that is killed while it writes leaves it."""
    return path.with_name(f".{path.name}.draft")


def _private(path: str, flags: int) -> int:
    """Create a file that only its owner may ever read."""
    return os.open(path, flags, 0o600)
