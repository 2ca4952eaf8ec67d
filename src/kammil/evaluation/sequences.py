"""How far a greedy completion is right as a sequence: to the end of its first word, to the last character.

A share of characters in the right place says nothing about whether a word could be used: one wrong letter shifts all
later ones. These measures ask how long a completion is right from its beginning, which is what somebody who accepts it
gets.
"""

from __future__ import annotations

import numpy as np

from kammil.language_model import Ids
from kammil.text import words


def right_prefix(written: Ids, true: Ids) -> int:
    """Return how many ids are right before the first wrong one; UNK is never written, so never right."""
    n = min(len(written), len(true))
    wrong = np.flatnonzero(written[:n] != true[:n])
    return int(wrong[0]) if len(wrong) else n


def first_word_right(text: str, target: slice, completion: str) -> bool | None:
    """Return whether a completion has the first word of the target right, and ends it where the text does.

    Where the prompt ends inside a word, the rest of that word is asked for. Of a word that the target cuts off, only
    the part inside it is. None if no word is in the target.
    """
    word = next(((begin, end) for begin, end in words(text) if end > target.start), None)
    if word is None or word[0] >= target.stop:
        return None
    begin, end = word
    if end > target.stop:
        return completion.startswith(text[target])
    whole = text[: target.start] + completion
    # Whether a mark or a joiner is part of a word depends on its neighbours, so whole texts are searched.
    return whole[:end] == text[:end] and any(span == (begin, end) for span in words(whole))
