"""Whether a text was copied, as far as the runs of letters that a model's folder keeps can tell (`kammil.seen`).

A text counts as seen only if all of its runs do: a filter that takes 5 of 100 new runs for known ones still tells a
new text of some length from a copy.
"""

from __future__ import annotations

from typing import Literal

from kammil.seen import RUN, Runs, build
from kammil.text import fold

__all__ = ["RUN", "Novelty", "Seen", "build"]

Novelty = Literal["seen", "new"]


class Seen(Runs):
    """The filter of a model's training texts, as a judge."""

    def judge(self, text: str, prompt: str = "") -> Novelty:
        """Whether every run of `text` stands in the training texts; a short text is lengthened from its prompt."""
        letters = fold(text)
        if not letters:
            return "new"
        if len(letters) < RUN:
            letters = (fold(prompt) + letters)[-RUN:]
        return "seen" if self.known([letters]).all() else "new"
