"""A profile: texts that a person wrote, in a file of their own, so that any model can learn them when it is opened.

The file holds plain texts, oldest first, and nothing of a model: it goes with any blend and outlives retraining. It is
JSON lines: `{"kammil-profile": 1}`, then `{"text": "..."}` for every time that a text was learnt. It lies where its
user says, is readable by them alone, and is never sent anywhere.

To learn is to add a line; only to forget, and to let the oldest go, the file is written anew. Programs that write at
the same time take turns (a lock beside the file), and each sees what the others wrote.
"""

from __future__ import annotations

import json
import os
import reprlib
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from kammil import files
from kammil.errors import DataError, OptionError

FORMAT = 1
"""Raised when a profile written by a newer Kammil could be misread by this one."""
TEXTS, CHARACTERS = 2_000, 400_000
"""Texts kept, and their characters in all: beyond them the oldest go. A blend learns as many in a quarter of a second
when it is opened; who has more texts had better train on them."""
MAX_CHARACTERS = 4_000
"""Characters of one text at most."""
_LARGEST = 16 << 20
"""Bytes of a file that is opened: more than `CHARACTERS` can take, twice."""
_MARK = "kammil-profile"
_PATIENCE = 10.0
"""Seconds to wait for other programs that write; each takes a few milliseconds."""

_Stamp = tuple[int, int, int] | None
"""What tells one state of the file from another: its number, size and time; None where there is no file."""


class Profile:
    """The texts of one file, learnt and forgotten there. A file that is not there yet is an empty profile.

    Args:
        path: of the file; its folder is made when something is first learnt.

    Every method raises `DataError` for a file that is no profile or cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        """Nothing is read before it is asked for."""
        self.path = Path(path)
        self.version = 0
        """Another number whenever the texts have changed."""
        self._texts: list[str] = []
        self._lines = 0  # of the file; those beyond what is kept go when it is written anew
        self._whole = False  # whether a line can be added
        self._stamp: _Stamp = None

    def exists(self) -> bool:
        """Whether there is a file; it may be damaged."""
        return _stamp(self.path) is not None

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, oldest first, each as often as it was learnt."""
        self.refresh()
        return tuple(self._texts)

    def refresh(self) -> None:
        """Read the file again if any program has changed it since; a glance at the file system if not."""
        if _stamp(self.path) == self._stamp:
            return
        content, stamp = _read(self.path)
        texts, self._whole = _parse(content, self.path) if content else ([], False)
        self._stamp, self._lines = stamp, len(texts)
        self._take(_newest(texts))

    def learn(self, *texts: str) -> int:
        """Add texts, without the white space around them; returns how many old ones had to go.

        `OptionError` for one that is empty or too long; none is added then.
        """
        new = [checked(text) for text in texts]
        with self._turn():
            kept = _newest([*self._texts, *new])
            gone = len(self._texts) + len(new) - len(kept)
            lines = b"".join(map(_line, new))
            room = self._lines + len(new) <= 2 * TEXTS and (self._stamp or (0, 0))[1] + len(lines) <= _LARGEST // 2
            if self._stamp is not None and self._whole and room:
                self._append(lines)
                self._lines += len(new)
            else:
                self._write(kept)
            self._take(kept)
        return gone

    def forget(self, *texts: str) -> None:
        """Take texts out, of each the one learnt last; `OptionError` if one is not there, and then all stay."""
        with self._turn():
            kept = self._texts[::-1]
            for text in texts:
                if text.strip() not in kept:
                    raise OptionError(
                        f"the text {reprlib.repr(text)} was not learnt, so it cannot be forgotten; "
                        f"see what was with: kammil profile show {self.path}"
                    )
                kept.remove(text.strip())
            kept.reverse()
            self._write(kept)
            self._take(kept)

    def wipe(self) -> None:
        """Delete the file, and with it all texts. Its lines may be damaged, but it must begin as a profile does."""
        with self._turn(read=False):
            content, _ = _read(self.path)
            if content:
                _check_head(content.partition(b"\n")[0], self.path)
            self.path.unlink(missing_ok=True)
            self._lock.unlink(missing_ok=True)
            self._stamp, self._lines, self._whole = None, 0, False
            self._take([])

    def _take(self, texts: list[str]) -> None:
        """Hold other texts from now on."""
        self._texts = texts
        self.version += 1

    @property
    def _lock(self) -> Path:
        """A file that says nothing; who holds its lock may write."""
        return self.path.with_name(f".{self.path.name}.lock")

    @contextmanager
    def _turn(self, *, read: bool = True) -> Generator[None]:
        """No other program writes meanwhile; what they wrote before is read first."""
        from filelock import FileLock, Timeout  # only those who write pay for it

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock, timeout=_PATIENCE, mode=0o600, poll_interval=0.002):
                if read:
                    self.refresh()
                yield
        except Timeout as error:
            raise DataError(f"another program has been writing {self.path} for {_PATIENCE:g} s; try again.") from error
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise DataError(f"cannot write {self.path}: {_why(error)}; name another file.") from error

    def _append(self, lines: bytes) -> None:
        """Add lines. They are left to the system to bring to the disk: to wait for it takes longer than all else."""
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(self.path, flags)
        try:
            while lines:
                lines = lines[os.write(file, lines) :]
        finally:
            os.close(file)
        self._stamped()

    def _write(self, texts: list[str]) -> None:
        """Write the file anew, whole or not at all."""
        head = json.dumps({_MARK: FORMAT}).encode() + b"\n"
        files.write_atomic(self.path, head + b"".join(map(_line, texts)), private=True)
        self._lines, self._whole = len(texts), True
        self._stamped()

    def _stamped(self) -> None:
        """Give the file a time of its own, that no earlier state had, so that all who read it see that it changed."""
        now = max(time.time_ns(), (self._stamp or (0, 0, 0))[2] + 1)
        os.utime(self.path, ns=(now, now))
        self._stamp = _stamp(self.path)


def checked(text: str) -> str:
    """A text without the white space around it; `OptionError` for one that is empty or too long."""
    text = text.strip()
    if not text:
        raise OptionError(f"the text {text!r} is empty, so there is nothing to learn; give one with characters.")
    if len(text) > MAX_CHARACTERS:
        raise OptionError(
            f"the text {reprlib.repr(text)} has {len(text):,} characters and a profile takes at most "
            f"{MAX_CHARACTERS:,}; learn it in pieces."
        )
    return text


def _newest(texts: list[str]) -> list[str]:
    """The last ones that fit into a profile."""
    left = CHARACTERS
    for n, text in enumerate(reversed(texts[-TEXTS:])):
        left -= len(text)
        if left < 0:
            return texts[-n:]  # one at least: the longest text fits
    return texts[-TEXTS:]


def _line(text: str) -> bytes:
    """A text as a line of the file; readable, unless it holds half a character, which no UTF-8 can."""
    try:
        return json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps({"text": text}).encode() + b"\n"


def _stamp(path: Path) -> _Stamp:
    """The state of a file; `DataError` for anything but a plain file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {_why(error)}; name another file.") from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path} is a folder, a link or a device, and a profile is a plain file; name another one.")
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path) -> tuple[bytes, _Stamp]:
    """The bytes of a file, none if it is not there, and its state before they were read."""
    stamp = _stamp(path)
    if stamp is None:
        return b"", None
    if stamp[1] > _LARGEST:
        raise DataError(f"{path} has more than {_LARGEST >> 20} MiB, which no profile has; name another file.")
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST), stamp
    except FileNotFoundError:  # wiped in between
        return b"", None
    except OSError as error:
        raise DataError(f"cannot read {path}: {_why(error)}; name another file.") from error


def _parse(content: bytes, path: Path) -> tuple[list[str], bool]:
    """The texts of a file, and whether its last line is whole: a last line that a crash cut off is left out."""
    head, *lines = content.split(b"\n")
    _check_head(head, path)
    texts = [_text(line, number, path) for number, line in enumerate(lines[:-1], 2) if line.strip()]
    last = lines[-1] if lines else b""
    if last:
        with suppress(DataError):
            texts.append(_text(last, 0, path))
    return texts, bool(lines) and not last


def _check_head(line: bytes, path: Path) -> None:
    """`DataError` if a file does not begin as a profile does."""
    found = _json(line)
    if found is None or found.keys() != {_MARK}:
        raise DataError(f"{path} is no profile; name another file, or one that is not there yet.")
    if found[_MARK] != FORMAT or isinstance(found[_MARK], bool):
        raise DataError(
            f"{path} has format {reprlib.repr(found[_MARK])} and this Kammil reads format {FORMAT}; update Kammil."
        )


def _text(line: bytes, number: int, path: Path) -> str:
    """The text of a line."""
    found = _json(line)
    text = found["text"] if found is not None and found.keys() == {"text"} else None
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_CHARACTERS:
        raise DataError(f"line {number} of {path} is no text of a profile; take it out, or wipe the profile.")
    return text.strip()


def _json(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None for anything else."""
    try:
        found: Any = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None


def _why(error: OSError | ValueError) -> str:
    """The reason alone: the path stands in our sentence already."""
    if isinstance(error, ValueError):
        return "no file can have that name"
    return error.strerror or str(error)
