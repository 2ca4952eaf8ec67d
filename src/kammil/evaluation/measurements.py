"""What a report measures beyond the figures of an evaluation, on as many texts as a few seconds allow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kammil.completion.completer import Completer
from kammil.completion.explain import Explanation, explain
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.metrics import normalised_texts, spread
from kammil.evaluation.samples import Sample, samples
from kammil.evaluation.slices import Slice, slices
from kammil.evaluation.typing_report import TypingReport, simulate

SECONDS = 6.0
"""Time for one report, where a training has no minutes of its own: little beside the shortest useful training."""
TYPING_SHARE = 0.6
"""Share of the time for the simulated writer, who takes longest by far."""
QUOTED = 4
"""Texts that are quoted, with their completions and their heat maps."""
SLICED, SLICED_CHARACTERS = 2000, 200_000
"""Most texts, and most characters, that are scored for the slices."""
MAX_LENGTH = 280
"""Characters after which a text is cut before it is typed or quoted: nobody reads a heat map of pages."""
_PILOT = 2
"""Texts that are typed to learn how long one takes."""
_BATCHED = 0.5
"""Time of a text among many over that of one of the first few: many are typed in one batch. With a blend on the
embedded corpus, 30 texts take 0.10 s each and 3 take 0.23 s each (docs/log.md#what-does-a-report-cost)."""
_TYPED_A_SECOND = 10
"""Most texts that are typed for each second of a report: 60 in six, which gives narrow intervals already."""


@dataclass(frozen=True)
class Measurements:
    """Figures and quotations of a report, measured on texts that the model has not seen."""

    samples: tuple[Sample, ...]
    explanations: tuple[Explanation, ...]
    """Explanations of the same texts."""
    slices: tuple[Slice, ...]
    sliced: int
    """Number of texts that were scored for the slices."""
    typing: TypingReport | None
    """Report of the simulated writer; None where fewer than `MIN_TEXTS` texts could be typed in the time."""


def measure(model: Completer, texts: Sequence[str], *, seconds: float = SECONDS) -> Measurements:
    """Measure a model on texts that it has not seen; the time decides how many of them are typed."""
    normalised = normalised_texts(model, texts)
    scored = within(normalised, SLICED, SLICED_CHARACTERS)
    short = [cut(text, MAX_LENGTH) for text in normalised]
    quoted = spread(short, QUOTED)
    return Measurements(
        tuple(samples(model, quoted, len(quoted))) if quoted else (),
        tuple(explain(model, text) for text in quoted),
        tuple(slices(model, scored)),
        len(scored),
        _type(model, short, TYPING_SHARE * seconds),
    )


def _type(model: Completer, texts: Sequence[str], seconds: float) -> TypingReport | None:
    """Type as many texts as there is time for, by the time that a few of them take; None if those are too few."""
    if len(texts) < MIN_TEXTS:
        return None
    began = time.monotonic()
    simulate(model, spread(texts, _PILOT), max_texts=None)
    pilot = time.monotonic() - began
    in_time = int((seconds - pilot) / (_BATCHED * max(pilot, 1e-6) / _PILOT))
    number = min(in_time, len(texts), int(_TYPED_A_SECOND * seconds / TYPING_SHARE))
    return simulate(model, spread(texts, number), max_texts=None) if number >= MIN_TEXTS else None


def within(texts: Sequence[str], number: int, characters: int) -> list[str]:
    """Return at most so many texts of at most so many characters together, at even distances; one at least."""
    chosen = spread(texts, number)
    while len(chosen) > 1 and (total := sum(map(len, chosen))) > characters:
        chosen = spread(chosen, max(1, min(len(chosen) - 1, len(chosen) * characters // total)))
    return chosen


def cut(text: str, length: int) -> str:
    """Cut a text to at most so many characters, behind its last word that fits whole, if any does."""
    if len(text) <= length:
        return text
    words, space, _ = text[: length + 1].rpartition(" ")
    return words.rstrip() or text[:length] if space else text[:length]
