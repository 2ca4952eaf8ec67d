"""A text while it is being typed: every keystroke costs what it changed.

```python
session = model.session()
session.update("شو حل")                 # the whole text so far, whatever was typed, deleted or jumped to
session.complete(length=30).text
session.suggest(k=3)
session.phrase().added                  # ghost text
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from kammil.completion.completer import Completer, Completion
from kammil.completion.ghost_text import MAX_WORDS, MIN_GHOST_PROBABILITY, Phrase
from kammil.completion.state_cache import MEGABYTES
from kammil.completion.suggestions import MIN_PROBABILITY, Suggestion
from kammil.decoding.options import Options


class Session:
    """One person's text on a model that others may use as well.

    Args:
        model: completes; it is shared, what was typed is not.
        megabytes: of states that are kept along the text at most.
    """

    def __init__(self, model: Completer, *, megabytes: float = MEGABYTES) -> None:
        """Nothing typed."""
        self._model = model.with_own_cache(megabytes)
        self._text = ""

    @property
    def text(self) -> str:
        """The text so far, as it was given."""
        return self._text

    def update(self, text: str) -> None:
        """Take the whole text typed so far, and read what is new of it."""
        self._text = text
        self._model.after(text)

    def complete(self, **options: Unpack[Options]) -> Completion:
        """What may follow the text; see `Completer.complete`."""
        return self._model.complete(self._text, **options)

    def samples(self, n: int, **options: Unpack[Options]) -> list[Completion]:
        """`n` of them; see `Completer.samples`."""
        return self._model.samples(self._text, n, **options)

    def stream(self, **options: Unpack[Options]) -> Iterator[str]:
        """The text of `complete`, piece by piece; see `Completer.stream`."""
        return self._model.stream(self._text, **options)

    def suggest(self, k: int = 3, *, threshold: float = MIN_PROBABILITY) -> list[Suggestion]:
        """Words that may come next, or what the word at hand may become; see `Completer.suggest`."""
        return self._model.suggest(self._text, k, threshold=threshold)

    def phrase(self, *, words: int = MAX_WORDS, threshold: float = MIN_GHOST_PROBABILITY) -> Phrase:
        """The most probable words that may come next, one after the other; see `Completer.phrase`."""
        return self._model.phrase(self._text, words=words, threshold=threshold)
