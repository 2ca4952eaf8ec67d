"""Keystrokes saved by ghost text: one suggestion at a time, the model's greedy completion of the word at hand.

The simulated writer types a text character by character. At every place, the beginning of a word included, the ghost
shows how the model would finish the word. As soon as that is what they are going to write, they take it with one key,
which also types the space after it (Trnka & McCoy 2008, "Evaluating word prediction: framing keystroke savings").
Wrong suggestions cost nothing: they are overlooked. What is counted is a key for each character (code point), so a
letter that needs two keys counts as one, with and without help.

A suggestion is right if every greedy choice up to the end of the word is; `greedy.guesses` knows these for all places
of a text from one pass, so nothing is searched for and no key is simulated twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kammil.evaluation.greedy import Guesses
from kammil.evaluation.intervals import Array
from kammil.evaluation.words import completed_from, spans


def keystrokes_saved(guesses: Sequence[Guesses], texts: Sequence[str]) -> Array:
    """For each text, keys saved and keys without help, (N, 2)."""
    made = np.zeros((len(texts), 2))
    for row, guess, text in zip(made, guesses, texts, strict=True):
        row[:] = sum(_saved(guess, a, b, len(text)) for a, b in spans(text)), len(text)
    return made


def _saved(guess: Guesses, begin: int, end: int, length: int) -> int:
    """Keys saved on the word [begin, end): what is left of it, and the space after it if there is one, for one key."""
    left = end - completed_from(guess, begin, end)
    return max(0, left + (end < length) - 1) if left else 0
