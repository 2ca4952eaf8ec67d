"""What a running side has learnt of its user: texts taken in while it runs, or those of a profile, followed as it
changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from kammil.completion.profile import Profile
from kammil.errors import OptionError
from kammil.language_model import AdaptiveModel, Ids, LanguageModel

CANNOT_LEARN = "this model cannot learn while it runs; train one with --model blend."


class Adaptation:
    """Teaches a running side.

    Args:
        runner: learns, if it is of a kind that can.
        encode: makes ids of a text, as the model sees it.
        profile: where learnt texts are kept, and come from; None to keep them no longer than the runner.

    `OptionError` for a profile and a runner that cannot learn.
    """

    def __init__(self, runner: LanguageModel, encode: Callable[[str], Ids], profile: Profile | None = None) -> None:
        """Learn the profile."""
        self._runner, self._encode, self._profile = runner, encode, profile
        self._version = -1
        self._known: Counter[str] = Counter()  # texts of the profile that the runner knows
        if profile is not None:
            self._learner()
            self.follow()

    def follow(self) -> None:
        """Bring the runner to what the profile holds now: any program may have changed it."""
        if self._profile is None:
            return
        self._profile.refresh()
        if self._profile.version == self._version:
            return
        wanted = Counter(self._profile.texts)
        learner = self._learner()
        for text in (self._known - wanted).elements():
            learner.forget(self._encode(text))
        new = [self._encode(text) for text in (wanted - self._known).elements()]
        learner.learn_all([ids for ids in new if len(ids)])  # a text may be nothing to the rules of a model
        self._known, self._version = wanted, self._profile.version

    def learn(self, text: str) -> None:
        """Take in a text; `OptionError` for an empty one, or a runner that cannot learn."""
        ids = self._encode(text)
        if not len(ids):
            raise OptionError(f"the text {text!r} is empty, so there is nothing to learn; give one with characters.")
        learner = self._learner()
        if self._profile is None:
            learner.learn(ids)
            return
        self._profile.learn(text)
        self.follow()

    def forget(self, text: str) -> None:
        """Undo one `learn` of a text that the model sees as the same; `OptionError` if there is none."""
        ids, learner = self._encode(text), self._learner()
        if self._profile is None:
            found = learner.forget(ids)
        else:
            same = (t for t in reversed(self._profile.texts) if np.array_equal(self._encode(t), ids))
            kept = next(same, None)
            found = kept is not None
            if kept is not None:
                self._profile.forget(kept)
                self.follow()
        if not found:
            raise OptionError(f"the text {text!r} was not learnt, so it cannot be forgotten.")

    def _learner(self) -> AdaptiveModel:
        """The running side, where it can learn."""
        if not isinstance(self._runner, AdaptiveModel):
            raise OptionError(CANNOT_LEARN)
        return self._runner
