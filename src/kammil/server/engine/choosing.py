"""The next character of many texts that belong to different calls: what `decoding.draw` does, for all at once.

The calls that ask for nothing beyond temperature and filters, which are most, share one pass of each filter. Shapes: B
batch, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.decoding import Decoding, filters, greedy, sample
from kammil.decoding.filters import Rows
from kammil.decoding.writing import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.models.base import Ids, LogProbabilities
from kammil.server.engine.calls import Job, Token, Writing, best_ids


def choose(writings: Sequence[Writing], log_probabilities: LogProbabilities) -> Ids:
    """One more character for every live text: which, (B,).

    Args:
        writings: whose live texts stand one after the other in the batch.
        log_probabilities: (B, V), of what may follow them.

    A writing for which the model gives no probabilities fails.
    """
    weights = log_probabilities.astype(np.float64)
    ids = np.zeros(len(weights), np.int64)
    ends = np.zeros(len(weights), np.bool_)
    alike: dict[tuple[object, ...], tuple[Writing, list[Job], list[int]]] = {}
    begin = 0
    for writing in writings:
        places = list(range(begin, begin + len(writing.live)))
        begin += len(places)
        if writing.plain:
            _, jobs, rows = alike.setdefault(_filtering(writing.guide.options), (writing, [], []))
            jobs.extend(writing.live)
            rows.extend(places)
        else:
            part = slice(places[0], begin)
            drafts = [job.draft for job in writing.live]
            weighed, ends[part] = writing.guide.weigh(weights[part], drafts, writing.memory)
            ids[part] = _drawn(weighed, writing.guide.options, writing.live)
            writing.memory = writing.guide.after(writing.memory, np.arange(len(places)), ids[part])
    for writing, jobs, rows in alike.values():
        part = weights if len(rows) == len(weights) else weights[rows]
        ids[rows] = _drawn(part + writing.guide.refused, writing.guide.options, jobs)
    _add(writings, log_probabilities, ids, ends)
    return ids


def _filtering(options: Decoding) -> tuple[object, ...]:
    """What decides how log-weights are filtered."""
    return options.temperature, options.top_k, options.top_p, options.min_p, options.typical_p


def _drawn(weights: Rows, options: Decoding, jobs: Sequence[Job]) -> Ids:
    """One id for each row, (B,)."""
    for step in filters(options):
        weights = step(weights)
    return greedy(weights) if options.temperature == 0 else sample(weights, [job.generator for job in jobs])


def _add(writings: Sequence[Writing], log_probabilities: LogProbabilities, ids: Ids, ends: NDArray[np.bool_]) -> None:
    """Give every draft its character, and note what was decided."""
    costs = log_probabilities[np.arange(len(ids)), ids].tolist()
    chosen, ending = ids.tolist(), ends.tolist()
    row = 0
    for writing in writings:
        due = writing.guide.missing(writing.memory.states) > 0 if not writing.plain else None
        tops = None
        if writing.top is not None:
            tops = best_ids(log_probabilities[row : row + len(writing.live)], writing.top)
        for i, job in enumerate(writing.live):
            # An end that was forced is no decision of the model's.
            cost = 0.0 if ending[row] else costs[row]
            if not math.isfinite(cost):  # there was nothing to choose, or NaN
                raise FolderError(NO_PROBABILITIES)
            job.draft.add(writing.guide.piece(chosen[row]), -cost / math.log(2), due=due is not None and bool(due[i]))
            job.decided += 1
            if tops is not None:
                job.tokens.append(Token(chosen[row], costs[row], tops[i]))
            row += 1
