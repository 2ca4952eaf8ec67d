"""A session: one text while it is being typed. The cost of a keystroke depends on what it changed, not on the text.

```python
session = model.session()
session.update("شو حل")                 # the whole text so far, after any edit
session.complete(length=30).text
session.suggest(k=3)
session.phrase().added                  # ghost text
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Unpack

from kammil.completion.completer import Completer, Completion
from kammil.completion.ghost_text import GHOST, MAX_WORDS, GhostLevel, Phrase
from kammil.completion.state_cache import MAX_MEGABYTES
from kammil.completion.suggestions import MIN_PROBABILITY, Suggestion
from kammil.decoding.options import Options


class Session:
    """One text that is being typed, with a state cache of its own.

    Args:
        model: may be shared by any number of sessions; none sees the text of another.
        megabytes: bound of the state cache.
    """

    def __init__(self, model: Completer, *, megabytes: float = MAX_MEGABYTES) -> None:
        self._model = model.with_own_cache(megabytes)
        self._text = ""

    @property
    def text(self) -> str:
        """Return the text so far, as it was given."""
        return self._text

    def update(self, text: str) -> None:
        """Set the whole text typed so far, and read what is new of it."""
        self._text = text
        self._model.after(text)

    def complete(self, **options: Unpack[Options]) -> Completion:
        """Complete the text; see `Completer.complete`."""
        return self._model.complete(self._text, **options)

    def samples(self, n: int, **options: Unpack[Options]) -> list[Completion]:
        """Write `n` completions of the text; see `Completer.samples`."""
        return self._model.samples(self._text, n, **options)

    def stream(self, **options: Unpack[Options]) -> Iterator[str]:
        """Stream the text of `complete` in pieces; see `Completer.stream`."""
        return self._model.stream(self._text, **options)

    def suggest(
        self,
        k: int = 3,
        *,
        threshold: float = MIN_PROBABILITY,
        correct: bool = True,
        forbid: Sequence[str] = (),
        allow_offensive: bool = False,
    ) -> list[Suggestion]:
        """Suggest endings of the current word, or next words; see `Completer.suggest`."""
        return self._model.suggest(
            self._text, k, threshold=threshold, correct=correct, forbid=forbid, allow_offensive=allow_offensive
        )

    def phrase(
        self,
        *,
        words: int = MAX_WORDS,
        ghost: GhostLevel = GHOST,
        threshold: float | None = None,
        forbid: Sequence[str] = (),
        allow_offensive: bool = False,
    ) -> Phrase:
        """Predict ghost text after the text; see `Completer.phrase`."""
        return self._model.phrase(
            self._text,
            words=words,
            ghost=ghost,
            threshold=threshold,
            forbid=forbid,
            allow_offensive=allow_offensive,
        )
