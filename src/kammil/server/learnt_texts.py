"""Texts that clients taught a model, by session, and how many and how long they may be."""

from __future__ import annotations

from collections import deque

from kammil.completion.completer import Completer
from kammil.completion.profile import CHARACTERS, TEXTS
from kammil.server.api.errors import ApiError

Session = str | None
"""What a client calls itself; None for those who have no name."""


class Taught:
    """What is listed here the model knows, and what it was taught here is listed.

    The engine's thread alone may use it, in calls that are done whole or not at all: so it stays true whoever is cut
    off. As much is taken as a profile holds; a character that was learnt takes the bundled model some 120 bytes.

    Args:
        model: learns and forgets.
    """

    def __init__(self, model: Completer) -> None:
        """Nothing was taught."""
        self._model = model
        self._texts: dict[Session, deque[tuple[str, int]]] = {}
        """Oldest first, each with its characters as the model sees them."""

    def learn(self, session: Session, text: str) -> int:
        """Teach the model a text; how many of the session it knows now. `ApiError` if no more fit."""
        size = len(self._model.normalise(text))
        sizes = [size for texts in self._texts.values() for _, size in texts]
        if len(sizes) >= TEXTS or sum(sizes) + size > CHARACTERS:
            most = f"{TEXTS:,} texts of {CHARACTERS:,} characters in all"
            raise ApiError(400, f"this server learns {most} at most; let some be forgotten first.", param="text")
        self._model.learn(text)
        known = self._texts.setdefault(session, deque())
        known.append((text, size))
        return len(known)

    def counts(self) -> dict[Session, int]:
        """How many texts each session has taught."""
        return {session: len(texts) for session, texts in self._texts.items()}

    def forget(self, session: Session) -> bool:
        """Make the model forget the oldest text of a session; false if there is none."""
        known = self._texts.get(session)
        if not known:
            return False
        self._model.forget(known[0][0])
        known.popleft()
        if not known:
            del self._texts[session]
        return True

    def restore(self, other: Taught) -> None:
        """Learn all that another model was taught, whose thread has ended."""
        for session, texts in other._texts.items():
            for text, size in texts:
                self._model.learn(text)
                self._texts.setdefault(session, deque()).append((text, size))
