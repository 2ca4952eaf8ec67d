"""Accuracy by position after the prompt, teacher-forced and free-running.

*Teacher-forced*: before each character the model has read all true ones. *Free-running*: it has read what it wrote
itself, as it does when it is used. At the first position both have read the same. What is lost from there on is the
cost of *exposure bias*, reading one's own errors where only true text was read in training (Ranzato et al. 2016), and
of counting by position: after a letter too many, all later ones stand in another place, right or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kammil.completion.scoring import TokenScores
from kammil.evaluation.bootstrap import Interval, Statistic, estimates, quotient
from kammil.language_model import Ids


@dataclass(frozen=True)
class PositionAccuracy:
    """Accuracy at one position after the prompt, over the texts that have a character there."""

    position: int
    """1 for the first character of the target."""
    texts: int
    """Number of texts whose target reaches this position."""
    teacher_forced: Interval
    """Share of the characters that were the most probable."""
    free_running: Interval
    """Share of the characters that a greedy completion has in this place."""
    difference: Interval
    """Teacher-forced minus free-running, paired."""


def accuracy_by_position(
    scores: Sequence[TokenScores], written: Sequence[Ids], true: Sequence[Ids], spans: Sequence[slice]
) -> tuple[PositionAccuracy, ...]:
    """Compute accuracy at each position of the targets of N texts.

    Args:
        scores: teacher-forced scores of the whole texts.
        written: greedy completions of the prompts.
        true: encoded targets.
        spans: positions of the targets in the texts.
    """
    length = max((len(ids) for ids in true), default=0)
    present, forced, free = (np.zeros((len(true), length)) for _ in range(3))  # (N, length) each
    for i, (score, answer, ids, span) in enumerate(zip(scores, written, true, spans, strict=True)):
        n = min(len(answer), len(ids))
        present[i, : len(ids)] = 1
        forced[i, : len(ids)] = score.ranks[span] == 0
        free[i, :n] = answer[:n] == ids[:n]
    shares = [
        Statistic(np.stack(pair, 1), quotient)
        for hits in (forced, free)
        for pair in zip(hits.T, present.T, strict=True)
    ]
    estimated = estimates(shares)
    result: list[PositionAccuracy] = []
    for k, pair in enumerate(zip(estimated[:length], estimated[length:], strict=True)):
        reaching = int(present[:, k].sum())
        teacher, own = (replace(estimate, texts=reaching) for estimate in pair)
        intervals = teacher.interval(), own.interval(), teacher.minus(own).interval()
        assert all(interval is not None for interval in intervals)  # `length` is that of the longest target
        result.append(PositionAccuracy(k + 1, reaching, *(i for i in intervals if i is not None)))
    return tuple(result)
