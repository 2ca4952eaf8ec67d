"""Texts that clients taught a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from kammil.completion.completer import Completer
from kammil.completion.learning import MAX_TEXTS, MAX_TOTAL_CHARACTERS
from kammil.data.blocklist import BlockedWord, offensive_words
from kammil.server.api.responses import ApiError

Session = str | None
"""Name of a client's session; None for clients without one."""


class LearntTexts:
    """Each session's learnt texts, bounded like a profile, together with those of its `siblings`.

    Only one thread at a time may use siblings (`LoadedModel.update`), but for `user_allowed_words` and `check_fits`.
    """

    def __init__(self, completer: Completer, siblings: Callable[[], Iterable[LearntTexts]] = tuple) -> None:
        self._completer, self.siblings = completer, siblings
        self.size = (0, 0)
        """Number of texts, and of their characters."""
        self._texts: dict[Session, deque[tuple[str, int, frozenset[BlockedWord]]]] = {}
        """Oldest first: text, normalised length, offensive words."""
        self._allowed: dict[Session, frozenset[BlockedWord]] = {}
        self._words_of_profile = completer.user_allowed_words

    def check_fits(self, text: str) -> int:
        """Return the normalised length of a text; `ApiError` if it is empty or does not fit."""
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
        """Teach a text and return the session's number of texts; `ApiError` as in `check_fits`."""
        size, words = self.check_fits(text), frozenset(offensive_words().entries_in(text))
        self._completer.learn(text)
        self._texts.setdefault(session, deque()).append((text, size, words))
        self.size = (self.size[0] + 1, self.size[1] + size)
        if words:
            self._allowed[session] = self._allowed.get(session, frozenset()) | words
        return len(self._texts[session])

    def forget(self, session: Session) -> bool:
        """Forget the oldest text of a session; return False if it has none."""
        known = self._texts.get(session)
        if not known:
            return False
        text, size, words = known[0]
        self._completer.forget(text)
        known.popleft()
        self.size = (self.size[0] - 1, self.size[1] - size)
        if words:
            self._allowed[session] = frozenset[BlockedWord]().union(*(words for _, _, words in known))
        if not known:
            del self._texts[session]
            self._allowed.pop(session, None)
        return True

    def counts(self) -> dict[Session, int]:
        """Return the number of texts of each session."""
        return {session: len(texts) for session, texts in self._texts.items()}

    def user_allowed_words(self, session: Session) -> frozenset[BlockedWord]:
        """Return offensive words that a session may be shown, since it or the profile wrote them."""
        return self._words_of_profile | self._allowed.get(session, frozenset())
