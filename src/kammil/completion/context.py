"""What was said before a text: earlier messages are learnt for this text alone (docs/context.md)."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import RLock
from typing import Generic, TypeVar

from kammil.errors import OptionError

MAX_MESSAGES, MAX_CHARACTERS = 40, 2_000  # of the last messages, which count
MAX_HEARD = 150  # last characters that networks hear before the text
KEPT = 2  # contexts that a session keeps ready, each with a state cache of its own
MAX_MEGABYTES = 128.0  # of the contexts of all sessions
CHARACTER_BYTES = 160  # of a message that was learnt: a pair and its count for each type of n-gram
STOPS = ".!?؟…،"
"""Ends of a message behind which no full stop is put."""


def recent(messages: Sequence[object], normalise: Callable[[str], str]) -> tuple[str, ...]:
    """Return the last messages that fit, normalised, oldest first, without empty ones; of one too long its end counts.
    `OptionError` for anything but a list of texts."""
    last = [message for message in messages[-MAX_MESSAGES:] if isinstance(message, str)]
    if isinstance(messages, str) or len(last) < len(messages[-MAX_MESSAGES:]):
        raise OptionError(f"the context {messages!r:.60} is no list of texts; give the earlier messages, oldest first.")
    found, room = list[str](), MAX_CHARACTERS
    for message in reversed(last):
        text = normalise(message[-MAX_CHARACTERS:]).strip()
        room -= len(text)
        if room < 0:
            break
        found += [text] if text else []
    return tuple(reversed(found))


def heard(messages: Sequence[str]) -> str:
    """Return the end of messages as one text, a stop behind each."""
    return "".join(message + (" " if message[-1] in STOPS else ". ") for message in messages)[-MAX_HEARD:]


Owner = TypeVar("Owner")
Reader = TypeVar("Reader")
Key = tuple["weakref.ref[Owner]", tuple[str, ...]]


class Contexts(Generic[Owner, Reader]):
    """What has read earlier messages, of all sessions, each with the version of the model that it was made from.

    An owner's last `KEPT` are there while all together keep within `MAX_MEGABYTES`, and none once the owner is gone.
    """

    def __init__(self, size: Callable[[Reader], int]) -> None:
        self._size = size
        self._readers: OrderedDict[Key[Owner], tuple[int, Reader]] = OrderedDict()  # least recently used first
        self._lock = RLock()

    def of(self, owner: Owner) -> dict[tuple[str, ...], tuple[int, Reader]]:
        """Return version and reader by messages."""
        with self._lock:
            return {texts: found for (whose, texts), found in self._readers.items() if whose() is owner}

    def get(self, owner: Owner, texts: tuple[str, ...], version: int) -> Reader | None:
        """Return the one of a version, if any."""
        with self._lock:
            found = self._readers.get(key := (weakref.ref(owner), texts))
            if found is None or found[0] != version:
                return None
            self._readers.move_to_end(key)
            return found[1]

    def put(self, owner: Owner, texts: tuple[str, ...], version: int, reader: Reader) -> None:
        """Keep one; the longest unused give way."""
        with self._lock:
            self._readers.pop(key := (weakref.ref(owner), texts), None)
            self._readers[key] = version, reader
            own = [one for one in self._readers if one[0] == key[0]]
            for one in [*own[:-KEPT], *(one for one in self._readers if one[0]() is None)]:
                del self._readers[one]
            size = sum(
                self._size(kept) + CHARACTER_BYTES * sum(map(len, texts))
                for (_, texts), (_, kept) in self._readers.items()
            )
            while size > 1e6 * MAX_MEGABYTES and len(self._readers) > 1:
                (_, texts), (_, kept) = self._readers.popitem(last=False)
                size -= self._size(kept) + CHARACTER_BYTES * sum(map(len, texts))

    def clear(self) -> None:
        """Forget all messages."""
        with self._lock:
            self._readers.clear()
