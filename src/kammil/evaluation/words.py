"""Next-word exact match: how often the greedy completion at a word's beginning is that whole word, and ends there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kammil.evaluation.greedy import Guesses
from kammil.evaluation.intervals import Array
from kammil.text import words


def completed_from(guess: Guesses, begin: int, end: int) -> int:
    """The first place from which the greedy completion finishes the word [begin, end); `end` if there is none."""
    if not guess.ends[end]:
        return end
    wrong = np.flatnonzero(~guess.right[begin:end])
    return begin + int(wrong[-1]) + 1 if len(wrong) else begin


def next_word(guesses: Sequence[Guesses], texts: Sequence[str], targets: Sequence[slice]) -> Array:
    """For each text, right words and all that begin inside its target and not the text, (N, 2)."""
    made = np.zeros((len(texts), 2))
    for row, guess, text, target in zip(made, guesses, texts, targets, strict=True):
        asked = [(a, b) for a, b in words(text) if max(1, target.start) <= a < target.stop]
        row[:] = sum(completed_from(guess, a, b) == a for a, b in asked), len(asked)
    return made
