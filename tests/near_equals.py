"""One tolerance for two passes of a network, whose sums round in another order, and so may rank equals in another."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import pytest

from kammil.completion.completer import Completer

NEAR = 1e-5
"""By how much a probability of two passes may part, as a share of it."""


def near(probability: float) -> object:
    """What equals a probability of another pass."""
    return pytest.approx(probability, rel=NEAR, abs=1e-12)


def assert_ranked_alike(ours: Sequence[tuple[Hashable, float]], theirs: Sequence[tuple[Hashable, float]]) -> None:
    """The same things with the same probabilities in the same places; near-equals may change places, or part at the
    end of the list."""
    assert [p for _, p in ours] == [near(p) for _, p in theirs]
    for one, other in ((ours, theirs), (theirs, ours)):
        known = dict(other)
        for thing, p in one:
            assert near(p) == known.get(thing, other[-1][1]), thing


def assert_chosen_alike(model: Completer, prompt: str, text: str, other: str) -> int:
    """The most probable characters of two passes are the same, up to where both are as probable; return how many."""
    at = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    if text != other:
        one, two = (
            -model.score(each[: at + 1], given=prompt).bits[at] * math.log(2) for each in (text, other)
        )  # of the next character, or the end
        assert one == pytest.approx(two, abs=NEAR), (text, other)
    return at
