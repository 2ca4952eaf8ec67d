"""Texts of a user, which a model learns while it runs, and the profile, the file that keeps them.

A profile is JSON lines: `{"kammil-profile": 1}`, then `{"text": "..."}` for every text learnt, oldest first. Only the
user can read it. Learning appends a line; forgetting, or dropping the oldest, rewrites the file. A lock file beside it
serialises writers.
"""

from __future__ import annotations

import json
import os
import reprlib
import stat
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from threading import RLock
from typing import Any, cast

import numpy as np

from kammil import storage
from kammil.data.blocklist import BlockedWord, offensive_words
from kammil.errors import DataError, FolderError, OptionError
from kammil.language_model import AdaptiveModel, Ids, LanguageModel
from kammil.languages import known, pooled, union
from kammil.text import words

FORMAT = 1
"""Incremented when an older Kammil could misread a new profile."""
MAX_TEXTS, MAX_TOTAL_CHARACTERS = 2_000, 400_000
"""Maximum number of texts, and of characters of all; the oldest are dropped."""
MAX_CHARACTERS = 4_000
MAX_OPENING = 40
"""Number of characters that are searched for a first word."""
CANNOT_LEARN = "this model cannot learn while it runs; train one with --model blend."
MIN_LETTERS, MAX_CAREFUL = 12, 0.05
"""Minimum number of learnt letters of a careful spelling and of the plain one, and maximum share of the first, for
their writer to do without it (docs/log.md#is-a-writers-own-spelling-offered)."""
_MAX_BYTES = 16 << 20  # more than twice what `MAX_TOTAL_CHARACTERS` can take
_FORMAT_KEY = "kammil-profile"
HEAD = {_FORMAT_KEY: FORMAT}
"""First line of a profile."""
_LOCK_SECONDS = 10.0  # wait for other programs that write

_Stamp = tuple[int, int, int] | None
"""Inode, size and time of a file, if there is one."""


class Profile:
    """The texts of one profile file, which is read when needed; a missing one is empty, and made with its folder for
    the first text. Methods raise `DataError` for a file that is no profile or cannot be read or written."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.version = 0
        """Incremented whenever the texts change."""
        self._texts: list[str] = []
        self._num_lines = 0  # of the file, dropped texts included
        self._can_append = False  # whether the last line is complete
        self._stamp: _Stamp = None

    def exists(self) -> bool:
        """Return whether there is a file, if only a damaged one."""
        return _stamp(self.path) is not None

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the texts, oldest first, each as often as learnt."""
        self.refresh()
        return tuple(self._texts)

    def refresh(self) -> None:
        """Read the file again if it has changed; else this costs one `lstat`."""
        if _stamp(self.path) == self._stamp:
            return
        content, stamp = _read(self.path)
        texts, self._can_append = _parse(content, self.path) if content else ([], False)
        self._stamp, self._num_lines = stamp, len(texts)
        self._texts, self.version = _newest(texts), self.version + 1

    def learn(self, *texts: str, instead_of: Iterable[str] = ()) -> int:
        """Add stripped texts, or, with `OptionError` for an empty or too long one, none; returns the number of old ones
        dropped. The same write removes the texts `instead_of` that are there."""
        new = [check_text(text) for text in texts]
        with self._exclusive():
            old = self._without(instead_of)[0]
            kept = _newest([*old, *new])
            dropped = len(old) + len(new) - len(kept)
            lines = b"".join(map(_line, new))
            size = _MAX_BYTES if self._stamp is None else self._stamp[1] + len(lines)
            grows = self._can_append and len(old) == len(self._texts)
            if grows and self._num_lines + len(new) <= 2 * MAX_TEXTS and size <= _MAX_BYTES // 2:
                self._append(lines)
                self._num_lines += len(new)
            else:
                self._write(kept)
            self._texts, self.version = kept, self.version + 1
        return dropped

    def forget(self, *texts: str) -> None:
        """Remove each text where it was learnt last; `OptionError` if one is missing, then none is."""
        with self._exclusive():
            kept, missing = self._without(texts)
            if missing:
                raise OptionError(
                    f"the text {reprlib.repr(missing[0])} was not learnt, so it cannot be forgotten; "
                    f"see what was with: kammil profile show {self.path}"
                )
            self._write(kept)
            self._texts, self.version = kept, self.version + 1

    def _without(self, texts: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return what is left without the texts, each where it was learnt last, and those that are not there."""
        kept, missing = self._texts[::-1], list[str]()
        for text in texts:
            if text.strip() in kept:
                kept.remove(text.strip())
            else:
                missing.append(text)
        return kept[::-1], missing

    def wipe(self) -> None:
        """Delete the file, which may be damaged but must begin as a profile."""
        with self._exclusive(read=False):
            self._check_first_line()
            self.path.unlink(missing_ok=True)
            self._lock.unlink(missing_ok=True)
            self._stamp, self._num_lines, self._can_append = None, 0, False
            self._texts, self.version = [], self.version + 1

    @property
    def _lock(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    def _check_first_line(self) -> None:
        content, _ = _read(self.path)
        if content:
            _check_head(content.partition(b"\n")[0], self.path)

    @contextmanager
    def _exclusive(self, *, read: bool = True) -> Generator[None]:
        from filelock import FileLock, Timeout  # imported only by programs that write

        try:
            if not self._lock.exists():  # a file that is no profile gets no lock beside it
                self._check_first_line()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock, timeout=_LOCK_SECONDS, mode=0o600, poll_interval=0.002):
                storage.draft_of(self.path).unlink(missing_ok=True)  # texts that a killed program was writing
                if read:
                    self.refresh()
                yield
        except Timeout as error:
            raise DataError(
                f"another program has been writing {self.path} for {_LOCK_SECONDS:g} s; try again."
            ) from error
        except FolderError as error:  # of `storage`, such as a full disk
            raise DataError(str(error)) from error
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise DataError(f"cannot write {self.path}: {storage.reason(error)}; name another file.") from error

    def _append(self, lines: bytes) -> None:
        # Without fsync, which would take longer than the rest.
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with open(self.path, "ab", buffering=0, opener=lambda path, _: os.open(path, flags)) as file:
            while lines:
                lines = lines[file.write(lines) :]
        self._touch()

    def _write(self, texts: list[str]) -> None:
        head = json.dumps(HEAD).encode() + b"\n"
        storage.write_atomic(self.path, head + b"".join(map(_line, texts)), private=True)
        self._num_lines, self._can_append = len(texts), True
        self._touch()

    def _touch(self) -> None:
        now = max(time.time_ns(), (self._stamp or (0, 0, 0))[2] + 1)  # no earlier state had this time
        os.utime(self.path, ns=(now, now))
        self._stamp = _stamp(self.path)


def check_text(text: str) -> str:
    """Strip a text; `OptionError` if it is empty or too long."""
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
    room = MAX_TOTAL_CHARACTERS
    for n, text in enumerate(reversed(texts[-MAX_TEXTS:])):
        room -= len(text)
        if room < 0:
            return texts[-n:]  # n >= 1: the longest text fits
    return texts[-MAX_TEXTS:]


def _line(text: str) -> bytes:
    try:
        return json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps({"text": text}).encode() + b"\n"


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {storage.reason(error)}; name another file.") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is a folder, a link or a device, and a profile is a plain file; name another one.")
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> tuple[bytes, _Stamp]:
    stamp = _stamp(path)
    if stamp is None:
        return b"", None
    if stamp[1] > _MAX_BYTES:
        raise DataError(f"{path} has more than {_MAX_BYTES >> 20} MiB, which no profile has; name another file.")
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES), stamp
    except FileNotFoundError:  # wiped in between
        return b"", None
    except OSError as error:
        raise DataError(f"cannot read {path}: {storage.reason(error)}; name another file.") from error


def _parse(content: bytes, path: Path) -> tuple[list[str], bool]:
    # A last line that a crash cut off is left out; nothing may be appended to it.
    head, *lines = content.split(b"\n")
    _check_head(head, path)
    texts = [_text(line, number, path) for number, line in enumerate(lines[:-1], 2) if line.strip()]
    last = lines[-1] if lines else b""
    if last:
        with suppress(DataError):
            texts.append(_text(last, 0, path))
    return texts, bool(lines) and not last


def _check_head(line: bytes, path: Path) -> None:
    head = _json(line)
    if head is None or head.keys() != {_FORMAT_KEY}:
        raise DataError(
            f"{path} is no profile; if it holds texts, make one of it with: kammil profile learn PROFILE.jsonl {path}"
        )
    if head[_FORMAT_KEY] != FORMAT or isinstance(head[_FORMAT_KEY], bool):
        raise DataError(
            f"{path} has format {reprlib.repr(head[_FORMAT_KEY])} and this Kammil reads format {FORMAT}; update Kammil."
        )


def _text(line: bytes, number: int, path: Path) -> str:
    entry = _json(line)
    text = entry["text"] if entry is not None and entry.keys() == {"text"} else None
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_CHARACTERS:
        raise DataError(f"line {number} of {path} is no text of a profile; take it out, or wipe the profile.")
    return text.strip()


def _json(line: bytes) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def is_profile(path: Path) -> bool:
    """Return whether a file begins as a profile does, of whichever format."""
    try:
        with path.open("rb") as file:
            head = _json(file.readline(1000))
    except OSError:
        return False
    return head is not None and head.keys() == {_FORMAT_KEY}


class Adaptation:
    """Teaches a language model the texts of its user; `OptionError` for a profile with a model that cannot learn.

    Args:
        encode: converts a text to ids, as the model sees it.
        profile: file of the texts, which any program may change; None keeps them in memory.
    """

    def __init__(self, model: LanguageModel, encode: Callable[[str], Ids], profile: Profile | None = None) -> None:
        self._model, self._encode, self._profile = model, encode, profile
        self._version, self._lock = -1, RLock()
        self._texts: Counter[str] = Counter()  # that the model knows, as they were spelled
        self._taught: Counter[BlockedWord] = Counter()
        self.user_allowed_words: frozenset[BlockedWord] = frozenset()
        """Offensive words in learnt texts, which their writer may be shown."""
        self.first_words = Counter[str]()
        """First word -> number of learnt texts."""
        self._letters: Counter[str] = Counter()
        self.unused: frozenset[str] = frozenset()
        """Kinds of careful spelling (`Language.careful`) that learnt texts do without."""
        if profile is not None:
            self._adaptive_model()
            self.sync_profile()

    def fork(self, model: LanguageModel, *, learnt: bool) -> Adaptation:
        """Return another model's adaptation, without a profile: the same texts, or none."""
        forked = Adaptation(model, self._encode)
        if learnt:
            forked._taught, forked.user_allowed_words = self._taught.copy(), self.user_allowed_words
            forked.first_words, forked._texts = self.first_words.copy(), self._texts.copy()
            forked._letters, forked.unused = self._letters.copy(), self.unused
        return forked

    @property
    def texts(self) -> Sequence[str]:
        """Return the learnt texts, oldest first."""
        return tuple(self._texts.elements()) if self._profile is None else self._profile.texts

    def sync_profile(self) -> None:
        """Learn and forget texts until the model knows the profile's."""
        if self._profile is None:
            return
        self._profile.refresh()
        if self._profile.version == self._version:
            return
        with self._lock:
            self._sync(self._profile)

    def _sync(self, profile: Profile) -> None:
        version, wanted = profile.version, Counter(profile.texts)
        old, new = list((self._texts - wanted).elements()), list((wanted - self._texts).elements())
        model = self._adaptive_model()
        model.forget(*map(self._encode, old))
        self._count_words(new, old)
        # Text rules may leave nothing of a text.
        model.learn_all([ids for ids in map(self._encode, new) if len(ids)])
        self._texts, self._version = wanted, version

    def learn(self, text: str) -> None:
        """Learn a text; `OptionError` for an empty one, or a model that cannot learn."""
        ids = self._encode(text)
        if not len(ids):
            raise OptionError(f"the text {text!r} is empty, so there is nothing to learn; give one with characters.")
        model = self._adaptive_model()
        if self._profile is None:
            self._texts[text] = self._texts.pop(text, 0) + 1  # the newest is last
            self._count_words([text], [])
            model.learn(ids)  # last: what is made of texts is made anew for another version of the model
        else:
            self._profile.learn(text)
            self.sync_profile()

    def forget(self, text: str) -> None:
        """Undo one `learn` of this text, else of one of the same ids; `OptionError` if there was none."""
        ids, model = self._encode(text), self._adaptive_model()
        self.sync_profile()
        texts = [text, *reversed(self._texts if self._profile is None else self._profile.texts)]
        alike = (other for other in texts if other in self._texts and np.array_equal(self._encode(other), ids))
        if (learnt := next(alike, None)) is None:
            raise OptionError(f"the text {text!r} was not learnt, so it cannot be forgotten.")
        if self._profile is None:
            self._texts -= Counter([learnt])
            self._count_words([], [learnt])
            model.forget(ids)
        else:
            self._profile.forget(learnt)
            self.sync_profile()

    def _adaptive_model(self) -> AdaptiveModel:
        if not isinstance(self._model, AdaptiveModel):
            raise OptionError(CANNOT_LEARN)
        return self._model

    def _count_words(self, learnt: Iterable[str], forgotten: Iterable[str]) -> None:
        offensive = offensive_words()
        for texts, step in ((learnt, 1), (forgotten, -1)):
            for text in texts:
                for entry in offensive.entries_in(text):
                    self._taught[entry] += step
                for begin, end in words(text[:MAX_OPENING])[:1]:
                    self.first_words[text[begin:end]] += step
                for letter, number in Counter(text).items():
                    self._letters[letter] += step * number
        self.first_words += Counter()  # without those of forgotten texts
        self.user_allowed_words = frozenset(entry for entry, count in self._taught.items() if count > 0)
        self.unused = frozenset(kind for kind, plain in spellings().items() if self._is_unused(kind, plain))

    def _is_unused(self, kind: str, plain: str) -> bool:
        careful, others = (sum(self._letters[letter] for letter in letters) for letters in (kind, plain))
        return careful + others >= MIN_LETTERS and careful <= MAX_CAREFUL * (careful + others)


@pooled
def spellings() -> dict[str, str]:
    """Return the letters of each kind of careful spelling -> those of a plain one."""
    folds = union("folds")
    kinds = chain(*(language.careful for language in known().values()))
    return {kind: "".join({folds.get(letter, letter): None for letter in kind}) for kind in kinds}
