"""What was said before a text: earlier messages are learnt for this text alone (docs/context.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kammil.errors import OptionError

MAX_MESSAGES, MAX_CHARACTERS = 40, 2_000  # of the last messages, which count
MAX_HEARD = 150  # last characters that networks hear before the text
KEPT = 2  # contexts that a model keeps ready, each with a state cache of its own
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
