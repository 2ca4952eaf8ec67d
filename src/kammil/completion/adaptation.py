"""Adaptation of a model to its user: it learns texts while it runs, or keeps up with the texts of a profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from kammil.completion.profile import Profile
from kammil.data.blocklist import BlockedWord, offensive_words
from kammil.errors import OptionError
from kammil.language_model import AdaptiveModel, Ids, LanguageModel
from kammil.text import words

MAX_OPENING = 40
"""Characters at the start of a text that are searched for its first word."""
CANNOT_LEARN = "this model cannot learn while it runs; train one with --model blend."


class Adaptation:
    """Teaches a language model the texts of its user.

    Args:
        model: the language model; only an `AdaptiveModel` can learn.
        encode: converts a text to ids, as the model sees it.
        profile: keeps the learnt texts in a file; None keeps them as long as the model lives.

    Raises: `OptionError` for a profile with a model that cannot learn.
    """

    def __init__(self, model: LanguageModel, encode: Callable[[str], Ids], profile: Profile | None = None) -> None:
        self._model, self._encode, self._profile = model, encode, profile
        self._version = -1
        self._synced: Counter[str] = Counter()  # texts of the profile that the model has learnt
        self._taught: Counter[BlockedWord] = Counter()
        self.user_allowed_words: frozenset[BlockedWord] = frozenset()
        """Entries of the list of offensive words that learnt texts hold: who wrote them may be shown them."""
        self.first_words = Counter[str]()
        """First word of learnt texts -> how many begin with it."""
        if profile is not None:
            self._adaptive_model()
            self.sync_profile()

    def sync_profile(self) -> None:
        """Learn and forget texts until the model knows those of the profile: any program may have changed it."""
        if self._profile is None:
            return
        self._profile.refresh()
        if self._profile.version == self._version:
            return
        wanted = Counter(self._profile.texts)
        model = self._adaptive_model()
        for text in (self._synced - wanted).elements():
            model.forget(self._encode(text))
        new = [self._encode(text) for text in (wanted - self._synced).elements()]
        self._count_words((wanted - self._synced).elements(), (self._synced - wanted).elements())
        model.learn_all([ids for ids in new if len(ids)])  # the text rules of a model may leave nothing of a text
        self._synced, self._version = wanted, self._profile.version

    def learn(self, text: str) -> None:
        """Learn a text; `OptionError` for an empty one, or a model that cannot learn."""
        ids = self._encode(text)
        if not len(ids):
            raise OptionError(f"the text {text!r} is empty, so there is nothing to learn; give one with characters.")
        model = self._adaptive_model()
        if self._profile is None:
            model.learn(ids)
            self._count_words([text], [])
            return
        self._profile.learn(text)
        self.sync_profile()

    def forget(self, text: str) -> None:
        """Undo one `learn` of a text with the same ids; `OptionError` if there was none."""
        ids, model = self._encode(text), self._adaptive_model()
        if self._profile is None:
            found = model.forget(ids)
            if found:
                self._count_words([], [text])
        else:
            candidates = (t for t in reversed(self._profile.texts) if np.array_equal(self._encode(t), ids))
            matching = next(candidates, None)
            found = matching is not None
            if matching is not None:
                self._profile.forget(matching)
                self.sync_profile()
        if not found:
            raise OptionError(f"the text {text!r} was not learnt, so it cannot be forgotten.")

    def take_words_of(self, other: Adaptation) -> None:
        """Count the words of the texts that another has learnt, for a model that has learnt them too."""
        self._taught, self.user_allowed_words = other._taught.copy(), other.user_allowed_words
        self.first_words = other.first_words.copy()

    def _count_words(self, learnt: Iterable[str], forgotten: Iterable[str]) -> None:
        """Count in how many texts that were learnt each offensive word stands, and which words are first."""
        offensive = offensive_words()
        for texts, step in ((learnt, 1), (forgotten, -1)):
            for text in texts:
                for entry in offensive.entries_in(text):
                    self._taught[entry] += step
                for begin, end in words(text[:MAX_OPENING])[:1]:
                    self.first_words[text[begin:end]] += step
        self.first_words += Counter()  # without those of forgotten texts
        self.user_allowed_words = frozenset(entry for entry, count in self._taught.items() if count > 0)

    def _adaptive_model(self) -> AdaptiveModel:
        if not isinstance(self._model, AdaptiveModel):
            raise OptionError(CANNOT_LEARN)
        return self._model
