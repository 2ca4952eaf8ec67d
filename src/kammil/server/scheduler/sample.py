"""The next character of many texts that belong to different calls: what `decoding.draw` does, for all at once.

The calls that ask for nothing beyond temperature and filters, which are most, share one pass of each filter. Shapes: B
batch, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.decoding import DecodingOptions, filters, greedy, sample
from kammil.decoding.filters import LogWeights
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.language_model import Ids, LogProbabilities
from kammil.server.scheduler.requests import Job, Token, Writing, best_ids

Failed = dict[Writing, Exception]
"""Writings that come to nothing, and why."""


def choose(writings: Sequence[Writing], log_probabilities: LogProbabilities) -> tuple[Ids, Failed]:
    """One more character for every live text: which, (B,); and the writings that failed, whose texts have none.

    Args:
        writings: whose live texts stand one after the other in the batch.
        log_probabilities: (B, V), of what may follow them.

    What goes wrong with one writing, such as a model that gives no probabilities for it, is nothing to the others.
    """
    weights = log_probabilities.astype(np.float64)
    ids = np.zeros(len(weights), np.int64)
    ends = np.zeros(len(weights), np.bool_)
    alike: dict[tuple[object, ...], list[tuple[Writing, list[int]]]] = {}
    failed: Failed = {}
    begin = 0
    for writing in writings:
        places = list(range(begin, begin + len(writing.live)))
        begin += len(places)
        if writing.plain:
            alike.setdefault(_filtering(writing.guide.options), []).append((writing, places))
            continue
        part = slice(places[0], begin)
        try:
            drafts = [job.draft for job in writing.live]
            weighed, ends[part] = writing.guide.apply(weights[part], drafts, writing.memory)
            ids[part] = _drawn(weighed, writing.guide.options, writing.live)
            writing.memory = writing.guide.after(writing.memory, np.arange(len(places)), ids[part])
        except Exception as error:
            failed[writing] = error
    for group in alike.values():
        _choose_alike(group, weights, ids, failed)
    _add(writings, log_probabilities, ids, ends, failed)
    return ids, failed


def _choose_alike(group: Sequence[tuple[Writing, list[int]]], weights: LogWeights, ids: Ids, failed: Failed) -> None:
    """Choose for writings that are filtered alike, all at once; one by one where that fails."""
    rows = [row for _, places in group for row in places]
    jobs = [job for writing, _ in group for job in writing.live]
    first, _ = group[0]
    try:
        part = weights if len(rows) == len(weights) else weights[rows]
        ids[rows] = _drawn(part + first.guide.refused, first.guide.options, jobs)
    except Exception as error:
        if len(group) == 1:
            failed[first] = error
            return
        for job in jobs:
            job.rewind()
        for one in group:
            _choose_alike([one], weights, ids, failed)


def _filtering(options: DecodingOptions) -> tuple[object, ...]:
    """What decides how log-weights are filtered."""
    return options.temperature, options.top_k, options.top_p, options.min_p, options.typical_p


def _drawn(weights: LogWeights, options: DecodingOptions, jobs: Sequence[Job]) -> Ids:
    """One id for each row, (B,)."""
    for step in filters(options):
        weights = step(weights)
    return greedy(weights) if options.temperature == 0 else sample(weights, [job.generator for job in jobs])


def _add(
    writings: Sequence[Writing],
    log_probabilities: LogProbabilities,
    ids: Ids,
    ends: NDArray[np.bool_],
    failed: Failed,
) -> None:
    """Give every draft its character, and note what was decided."""
    costs = log_probabilities[np.arange(len(ids)), ids].tolist()
    chosen, ending = ids.tolist(), ends.tolist()
    row = 0
    for writing in writings:
        part = slice(row, row + len(writing.live))
        row = part.stop
        if writing in failed:
            continue
        try:
            _add_own(writing, log_probabilities[part], chosen[part], costs[part], ending[part])
        except Exception as error:
            failed[writing] = error


def _add_own(
    writing: Writing,
    log_probabilities: LogProbabilities,
    chosen: Sequence[int],
    costs: Sequence[float],
    ending: Sequence[bool],
) -> None:
    """Give the drafts of one writing their characters."""
    due = writing.guide.missing(writing.memory.states) > 0 if not writing.plain else None
    tops = best_ids(log_probabilities, writing.top) if writing.top is not None else None
    for i, job in enumerate(writing.live):
        # An end that was forced is no decision of the model's.
        cost = 0.0 if ending[i] else costs[i]
        if not math.isfinite(cost):  # there was nothing to choose, or NaN
            raise FolderError(NO_PROBABILITIES)
        job.draft.add(writing.guide.piece(chosen[i]), -cost / math.log(2), due=due is not None and bool(due[i]))
        job.decided += 1
        if tops is not None:
            job.tokens.append(Token(chosen[i], costs[i], tops[i]))
