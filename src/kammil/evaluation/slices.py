"""Slices: how well a model predicts kinds of texts, such as those with emoji, each beside all other texts.

A figure over all texts may hide that one kind is predicted badly (Ribeiro et al. 2020, "Beyond accuracy"). A slice of
fewer than `MIN_TEXTS` texts has no figures, and neither has the difference from fewer other texts. Texts of a slice
differ from the others in more than what names it: texts with emoji are also shorter, for one.

Shapes: N texts, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.data.audit import script
from kammil.data.dialects import DIALECTS, UNCLEAR, likely
from kammil.evaluation.bootstrap import MIN_TEXTS, Array, Interval, Statistic, estimates, quotient
from kammil.evaluation.metrics import normalised_texts, score_in_batches

_NO_LETTERS = frozenset({"digits", "emoji", "punctuation", "space", "other"})
"""Classes of `audit.script` that are no script."""
_ELONGATED = regex.compile(r"(\p{L})\1\1")
DIALECT = "likely dialect"
"""Criterion whose slices are guessed from words, and only for texts with Arabic letters."""
_SCRIPTS = {
    (True, True): "Latin letters among those of another script",
    (True, False): "Latin letters only",
    (False, True): "letters of other scripts only",
    (False, False): "no letters",
}
"""Slice of a text by whether it has Latin letters, and whether it has others."""


@dataclass(frozen=True)
class Slice:
    """The figures of one kind of texts."""

    criterion: str
    """By what the texts are told apart, such as `emoji`."""
    name: str
    """Which of them these are, such as `with emoji`."""
    texts: int
    bits_per_character: Interval | None
    """Mean bits of the characters, without the ends of texts; None for fewer than `MIN_TEXTS` texts."""
    difference: Interval | None
    """Bits per character of these texts minus those of all others; None where either are too few."""
    top1: Interval | None
    """Share of the characters that were the most probable; None as for the bits."""


def slices(model: Completer, texts: Sequence[str]) -> list[Slice]:
    """Measure a model on each slice of some texts that has any; a text is in one slice of a criterion at most."""
    normalised = normalised_texts(model, texts)
    if not normalised:
        return []
    scores = score_in_batches(model.language_model, model.vocabulary, normalised)
    sums = np.array(
        [
            [score.bits[:-1].sum(), (score.ranks[:-1] == 0).sum(), len(text)]
            for score, text in zip(scores, normalised, strict=True)
        ]
    )
    kinds = [
        (criterion, name, np.array([kind == name for kind in found]))
        for criterion, found in memberships(normalised).items()
        for name in _ordered(criterion, found)
    ]
    return measure(sums, kinds)


def memberships(texts: Sequence[str]) -> dict[str, list[str | None]]:
    """Return for each criterion the slice of each text, or None where it belongs to none."""
    by_length = _length_names([len(text) for text in texts])
    return {
        "emoji": [_emoji(text) for text in texts],
        "scripts": [_scripts(text) for text in texts],
        "elongation": [_elongation(text) for text in texts],
        "length": [by_length(len(text)) for text in texts],
        DIALECT: [_dialect(text) for text in texts],
    }


def measure(sums: Array, kinds: Sequence[tuple[str, str, NDArray[np.bool_]]]) -> list[Slice]:
    """Estimate the figures of slices.

    Args:
        sums: (N, 3): bits, characters that were the most probable, and characters of each text.
        kinds: criterion, name, and which texts belong to the slice, (N,).
    """
    statistics: list[Statistic] = []
    for _, _, inside in kinds:
        within, outside = sums * inside[:, None], sums * ~inside[:, None]
        statistics += [
            Statistic(within[:, [0, 2]], quotient),
            Statistic(np.concatenate([within[:, [0, 2]], outside[:, [0, 2]]], axis=1), _difference),
            Statistic(within[:, [1, 2]], quotient),
        ]
    figures = [estimate.interval() for estimate in estimates(statistics)]
    found: list[Slice] = []
    for i, (criterion, name, inside) in enumerate(kinds):
        bits, difference, top1 = figures[3 * i : 3 * i + 3]
        count = int(inside.sum())
        enough, comparable = count >= MIN_TEXTS, min(count, len(inside) - count) >= MIN_TEXTS
        found.append(
            Slice(
                criterion,
                name,
                count,
                bits if enough else None,
                difference if comparable else None,
                top1 if enough else None,
            )
        )
    return found


def _difference(sums: Array) -> Array:
    """Return the first quotient of sums minus the second, (R, 4) -> (R,)."""
    return quotient(sums[:, :2]) - quotient(sums[:, 2:])


def _emoji(text: str) -> str:
    return "with emoji" if any(script(char) == "emoji" for char in set(text)) else "without emoji"


def _scripts(text: str) -> str:
    found = {script(char) for char in set(text)} - _NO_LETTERS
    return _SCRIPTS["Latin" in found, bool(found - {"Latin"})]


def _elongation(text: str) -> str:
    return "a letter three times in a row" if _ELONGATED.search(text) else "no letter three times in a row"


def _dialect(text: str) -> str | None:
    return likely(text) if any(script(char) == "Arabic" for char in set(text)) else None


def _length_names(lengths: Sequence[int]) -> Callable[[int], str]:
    """Return a function that names the third of the texts, by length, that a length is in."""
    low, high = (int(bound) for bound in np.quantile(lengths, [1 / 3, 2 / 3]))

    def name(length: int) -> str:
        if length <= low:
            return f"up to {low:,} characters"
        return f"{low + 1:,} to {high:,} characters" if length <= high else f"more than {high:,} characters"

    return name


def _ordered(criterion: str, found: Sequence[str | None]) -> list[str]:
    """Return the names of slices that have texts, in the order shown."""
    orders: Mapping[str, Sequence[str]] = {
        "emoji": ("with emoji", "without emoji"),
        "scripts": tuple(_SCRIPTS.values()),
        "elongation": ("a letter three times in a row", "no letter three times in a row"),
        DIALECT: (*DIALECTS, UNCLEAR),
    }
    names = {name for name in found if name is not None}
    if criterion in orders:
        return [name for name in orders[criterion] if name in names]
    # Lengths: "up to" comes first, "more than" last.
    return sorted(names, key=lambda name: (name.startswith("more"), not name.startswith("up"), name))
