"""The texts that clients taught a model, by session, with bounds on their number and length."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from kammil.completion.completer import Completer
from kammil.completion.profile import MAX_TEXTS, MAX_TOTAL_CHARACTERS
from kammil.data.blocklist import BlockedWord, offensive_words
from kammil.server.api.responses import ApiError

Session = str | None
"""Name of a client's session; None for clients without one."""


class LearntTexts:
    """The list of learnt texts, which always agrees with what the model has learnt.

    Only the scheduler's thread may use it, in model updates that run to their ends; `user_allowed_words` and
    `check_fits` may be asked from any thread. The bounds are those of a profile.

    Args:
        completer: the model that learns and forgets; the texts of the server's profile, which it knows, are not listed.
        siblings: returns the lists that share the bounds with this one, which may be passed by one text for each.
    """

    def __init__(self, completer: Completer, siblings: Callable[[], Iterable[LearntTexts]] = tuple) -> None:
        self._completer, self.siblings = completer, siblings
        self._words_of_profile = completer.user_allowed_words
        self.size = (0, 0)
        """Number of texts, and of their characters."""
        self._texts: dict[Session, deque[tuple[str, int, frozenset[BlockedWord]]]] = {}
        """Texts of each session, oldest first, each with its length after normalisation, and its offensive words."""
        self._user_allowed_words: dict[Session, frozenset[BlockedWord]] = {}
        """Entries of the list of offensive words in the texts of each session that wrote some."""

    def check_fits(self, text: str) -> int:
        """Return the length of a text after normalisation; `ApiError` for an empty one, or if no more fit."""
        size = len(self._completer.normalise(text))
        if not size:
            message = "the text is empty, so there is nothing to learn; give one with characters."
            raise ApiError(400, message, param="text")
        sizes = [self.size, *(other.size for other in self.siblings() if other is not self)]
        texts, characters = map(sum, zip(*sizes, strict=True))
        if texts >= MAX_TEXTS or characters + size > MAX_TOTAL_CHARACTERS:
            most = f"{MAX_TEXTS:,} texts of {MAX_TOTAL_CHARACTERS:,} characters in all"
            raise ApiError(400, f"this server learns {most} at most; let it forget some first.", param="text")
        return size

    def learn(self, session: Session, text: str) -> int:
        """Teach the model a text and return the number of texts of this session; `ApiError` if no more fit."""
        size = self.check_fits(text)
        self._completer.learn(text)
        known = self._texts.setdefault(session, deque())
        words = frozenset(offensive_words().entries_in(text))
        known.append((text, size, words))
        self._count(1, size)
        self._unite_words(session, words)
        return len(known)

    def user_allowed_words(self, session: Session) -> frozenset[BlockedWord]:
        """Return the entries of the list of offensive words that a session taught, which it alone may be shown, and
        those that the model knew before, which every session may."""
        return self._words_of_profile | self._user_allowed_words.get(session, frozenset())

    def counts(self) -> dict[Session, int]:
        """Return the number of texts of each session."""
        return {session: len(texts) for session, texts in self._texts.items()}

    def forget(self, session: Session) -> bool:
        """Make the model forget the oldest text of a session; return False if it has none."""
        known = self._texts.get(session)
        if not known:
            return False
        self._completer.forget(known[0][0])
        _, size, words = known.popleft()
        self._count(-1, -size)
        if not known:
            del self._texts[session]
        self._unite_words(session, words)
        return True

    def restore(self, other: LearntTexts) -> None:
        """Learn all texts of another model, whose thread has ended."""
        for session, texts in other._texts.items():
            for text, size, words in texts:
                self._completer.learn(text)
                self._texts.setdefault(session, deque()).append((text, size, words))
                self._count(1, size)
        self._user_allowed_words = dict(other._user_allowed_words)

    def _unite_words(self, session: Session, changed: frozenset[BlockedWord]) -> None:
        """Unite the offensive words of a session again, if the text that came or went has some."""
        if not changed:
            return
        if words := frozenset[BlockedWord]().union(*(words for _, _, words in self._texts.get(session, ()))):
            self._user_allowed_words[session] = words
        else:
            self._user_allowed_words.pop(session, None)

    def _count(self, texts: int, characters: int) -> None:
        self.size = (self.size[0] + texts, self.size[1] + characters)
