"""Write files so that a reader never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path

from kammil.errors import FolderError


def explained(error: OSError | ValueError | RuntimeError) -> str:
    """The reason alone: the path stands in our sentence already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def write_atomic(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole: to a draft beside it, flushed to the disk, then renamed; `private`: for its owner alone."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        if private:
            draft.unlink(missing_ok=True)
        with open(draft, "wb", opener=_private if private else None) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise FolderError(f"cannot write {path}: {explained(error)}; free some space or name another place.") from error


def _private(path: str, flags: int) -> int:
    """Open a file that is new, and that nobody else may read from its first moment on."""
    return os.open(path, flags | os.O_EXCL, 0o600)
