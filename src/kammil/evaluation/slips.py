"""Slips: texts as hurried fingers type them.

A slip takes the place of one letter, and stays: a neighbour on the keyboard, or, for letters that people spell in two
ways, half of the time the other way (ا for أ, ه for ة, ي for ى, د for ذ). Swapped, missing and doubled letters are left
out: with letters one for one, a position means the same in what is wanted and in what is typed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kammil.errors import OptionError
from kammil.languages import neighbours, union


def with_slips(texts: Sequence[str], rate: float, *, seed: int = 0) -> list[str]:
    """Return texts of the same lengths in which about `rate` of the letters are slips; the same for the same seed.

    `OptionError` for a rate that is no share.
    """
    if check_slips(rate) == 0:
        return list(texts)
    generator = np.random.default_rng(seed)
    return ["".join(_typed(text, rate, generator)) for text in texts]


def check_slips(rate: float) -> float:
    """Return the share of slips; `OptionError` if it is not between 0 and 1."""
    if not 0 <= rate <= 1:
        raise OptionError(f"slips is {rate}, but it must be between 0 and 1, such as 0.03.")
    return rate


def _typed(text: str, rate: float, generator: np.random.Generator) -> list[str]:
    characters, beside = list(text), neighbours()
    respelt, respelt_last = union("respelt"), union("respelt") | union("respelt_last")
    for i in np.flatnonzero(generator.random(len(text)) < rate).tolist():
        letter, last = characters[i], not text[i + 1 : i + 2].isalpha()
        spelling, keys = (respelt_last if last else respelt).get(letter), beside.get(letter, "")
        if spelling and (not keys or generator.random() < 0.5):
            characters[i] = spelling
        elif keys:
            characters[i] = keys[int(generator.integers(len(keys)))]
    return characters
