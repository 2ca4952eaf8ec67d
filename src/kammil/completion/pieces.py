"""Pieces: what is suggested in a script without spaces (`text.UNSPACED_SCRIPTS`), where nothing closes a word.

A *piece* is the next letters, up to `MAX_PIECE` characters. Its probability is that of its letters. A list has the
pieces that save most keys on the average, one after the other: the first has the highest probability times the keys
that a tap saves, its letters but one; the next one saves most beyond those before it, and so on (`choose_pieces`). So
of two pieces, one the beginning of the other, both are suggested only where the text may well go on differently: a
piece ends where the model is no longer certain. Single letters, which save no key, fill the rest of the list.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import numpy as np

from kammil.language_model import Ids

MAX_PIECE = 8
"""Maximum number of characters of a piece of a script without spaces. In Japanese translations five pieces save 30.0 %
of the keystrokes with 4, 31.6 % with 6, 32.0 % with 8, 32.2 % with 12; in Chinese messages no more with 8 than with
4."""
SINGLE = 0.01
"""Keys that a tap on a single letter saves, by an estimate that puts it behind everything that saves more. It takes the
place of one key, but of several where an input method spells the letter. With 0.5 five suggestions save 8.8 % of the
keys of Chinese messages in place of 10.3 %; but if a Han letter took two keys, 25 in place of 20 %."""

Pieces = Mapping[tuple[int, ...], float]
"""Ids of pieces, and their probabilities."""


def choose_pieces(candidates: Pieces, k: int) -> tuple[list[tuple[Ids, float]], float]:
    """Choose the k pieces that save most keys together, one after the other.

    A writer takes the longest of the pieces that are right, for one key. So a piece adds, with the probability that the
    text goes on with it and with none of the longer ones that were chosen, its letters beyond those of the longest
    chosen one that it begins with. What a piece adds only falls as others are chosen (the saving is submodular), which
    makes the greedy choice at least 1 - 1/e of the best one (Nemhauser, Wolsey & Fisher 1978), and lets a heap hold
    bounds that are renewed only at its top.

    Args:
        candidates: the pieces.
        k: maximum number of pieces.

    Returns: ids and probabilities in the order of the choice, and what the last of k pieces adds; 0 if they are fewer.
    """
    chosen: dict[tuple[int, ...], float] = {}

    def gain(path: tuple[int, ...]) -> float:
        shorter = max((len(other) for other in chosen if path[: len(other)] == other), default=1 - SINGLE)
        longer = [other for other in chosen if other[: len(path)] == path]
        nearest = [one for one in longer if not any(one != other and one[: len(other)] == other for other in longer)]
        return (candidates[path] - sum(chosen[one] for one in nearest)) * (len(path) - shorter)

    bounds = [(-p * (len(path) - 1 + SINGLE), path) for path, p in candidates.items()]
    heapq.heapify(bounds)
    least = 0.0
    while bounds and len(chosen) < k:
        _, path = heapq.heappop(bounds)
        least = gain(path)
        if bounds and -least > bounds[0][0]:
            heapq.heappush(bounds, (-least, path))
        elif least > 0:
            chosen[path] = candidates[path]
    return [(np.array(path, np.int64), p) for path, p in chosen.items()], least if len(chosen) == k else 0.0
