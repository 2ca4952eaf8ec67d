"""Slices: how well a model predicts kinds of texts, such as those with emoji, each beside all other texts.

A figure over all texts may hide that one kind is predicted badly (Ribeiro et al. 2020, "Beyond accuracy"). Slices
differ in more than their names: texts with emoji are shorter.

Shapes: N texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.scoring import score_in_batches
from kammil.data.audit import script
from kammil.data.dialects import DIALECTS, UNCLEAR, likely
from kammil.evaluation.bootstrap import MIN_TEXTS, Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.metrics import normalised_texts

_NO_LETTERS = frozenset({"digits", "emoji", "punctuation", "space", "other"})
"""Classes of `audit.script` other than scripts."""
_ELONGATED = regex.compile(r"(\p{L})\1\1")
DIALECT = "likely dialect"
"""Guessed criterion, for texts with Arabic letters."""
_EMOJI = {True: "with emoji", False: "without emoji"}
_ELONGATION = {True: "a letter three times in a row", False: "no letter three times in a row"}
_SCRIPTS = {
    (True, True): "Latin letters among those of another script",
    (True, False): "Latin letters only",
    (False, True): "letters of other scripts only",
    (False, False): "no letters",
}
"""(Latin letters, others) -> name."""


@dataclass(frozen=True)
class Slice:
    """Figures of one kind of texts."""

    criterion: str
    name: str
    texts: int
    bits_per_character: Interval | None
    """Without ends of texts; None, as `top1`, below `MIN_TEXTS` texts."""
    difference: Interval | None
    """Minus the bits of all other texts; None where either are too few."""
    top1: Interval | None


def slices(model: Completer, texts: Sequence[str]) -> list[Slice]:
    """Measure a model on each slice that has texts."""
    normalised = normalised_texts(model, texts)
    if not normalised:
        return []
    scores = score_in_batches(model.language_model, model.vocabulary, normalised)
    sums = np.array([[s.bits[:-1].sum(), (s.ranks[:-1] == 0).sum(), len(s.bits) - 1] for s in scores])
    kinds = [
        (criterion, name, np.array([kind == name for kind in found]))
        for criterion, (names, found) in memberships(normalised).items()
        for name in names
        if name in found
    ]
    return measure(sums, kinds)


def memberships(texts: Sequence[str]) -> dict[str, tuple[Sequence[str], list[str | None]]]:
    """Return for each criterion the ordered names of its slices, and that of each text."""
    scripts = [{script(char) for char in set(text)} for text in texts]
    low, high = (int(bound) for bound in np.quantile([*map(len, texts)], [1 / 3, 2 / 3]))
    thirds = [
        f"up to {low:,} characters",
        f"{low + 1:,} to {high:,} characters",
        f"more than {high:,} characters",
    ]
    letters = [found - _NO_LETTERS for found in scripts]
    return {
        "emoji": ([*_EMOJI.values()], [_EMOJI["emoji" in found] for found in scripts]),
        "scripts": (
            [*_SCRIPTS.values()],
            [_SCRIPTS["Latin" in found, bool(found - {"Latin"})] for found in letters],
        ),
        "elongation": ([*_ELONGATION.values()], [_ELONGATION[bool(_ELONGATED.search(text))] for text in texts]),
        "length": (thirds, [thirds[(len(text) > low) + (len(text) > high)] for text in texts]),
        DIALECT: (
            [*DIALECTS, UNCLEAR],
            [likely(text) if "Arabic" in found else None for text, found in zip(texts, scripts, strict=True)],
        ),
    }


def measure(sums: Array, kinds: Sequence[tuple[str, str, NDArray[np.bool_]]]) -> list[Slice]:
    """Estimate figures from bits, right characters and characters, (N, 3), by criterion, name and texts inside,
    (N,)."""
    bits, right = sums[:, [0, 2]], sums[:, [1, 2]]
    columns = [part * of[:, None] for _, _, of in kinds for part, of in ((bits, of), (bits, ~of), (right, of))]
    found = iter(estimates([Statistic(each, quotient) for each in columns]))
    measured: list[Slice] = []
    for criterion, name, inside in kinds:
        texts, others = int(inside.sum()), int((~inside).sum())
        own, rest, hits = next(found), next(found), next(found)
        figures = [(own, texts), (own.minus(rest), min(texts, others)), (hits, texts)]
        shown = (estimate.interval() if fewest >= MIN_TEXTS else None for estimate, fewest in figures)
        measured.append(Slice(criterion, name, texts, *shown))
    return measured
