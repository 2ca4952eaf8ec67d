"""Samples the next character of many texts of different requests: what `decoding.generate` does, for all at once.

Most requests ask for nothing beyond temperature and filters; those that agree in these share one pass of each filter.
Shapes: B batch, V vocabulary.
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
from kammil.server.scheduler.requests import Generation, TextSequence, TokenLogprobs, top_ids

Failed = dict[Generation, Exception]
"""Generations that failed, and why."""


def sample_next(generations: Sequence[Generation], log_probabilities: LogProbabilities) -> tuple[Ids, Failed]:
    """Sample one more id for every live text, and append it; return the ids, (B,), and the generations that failed.

    Args:
        generations: their live texts are the rows of the batch, one generation after the other.
        log_probabilities: (B, V), of the next id of each text.

    A failure of one generation, such as a model that gives it no probabilities, does not affect the others.
    """
    weights = log_probabilities.astype(np.float64)
    ids = np.zeros(len(weights), np.int64)
    ends = np.zeros(len(weights), np.bool_)
    alike: dict[tuple[object, ...], list[tuple[Generation, list[int]]]] = {}
    failed: Failed = {}
    begin = 0
    for generation in generations:
        places = list(range(begin, begin + len(generation.live)))
        begin += len(places)
        if generation.static_mask:
            alike.setdefault(generation.sampling_options, []).append((generation, places))
            continue
        part = slice(places[0], begin)
        try:
            hypotheses = [sequence.hypothesis for sequence in generation.live]
            weighed, ends[part] = generation.constraints.apply(weights[part], hypotheses, generation.constraint_state)
            ids[part] = _sample(weighed, generation.constraints.options, generation.live)
            generation.constraint_state = generation.constraints.after(
                generation.constraint_state, np.arange(len(places)), ids[part]
            )
        except Exception as error:
            failed[generation] = error
    for group in alike.values():
        _sample_group(group, weights, ids, failed)
    _append_all(generations, log_probabilities, ids, ends, failed)
    return ids, failed


def _sample_group(group: Sequence[tuple[Generation, list[int]]], weights: LogWeights, ids: Ids, failed: Failed) -> None:
    """Sample for generations with the same filters, all at once; if that fails, one by one."""
    rows = [row for _, places in group for row in places]
    sequences = [sequence for generation, _ in group for sequence in generation.live]
    first, _ = group[0]
    try:
        part = weights if len(rows) == len(weights) else weights[rows]
        ids[rows] = _sample(part + first.constraints.refused, first.constraints.options, sequences)
    except Exception as error:
        if len(group) == 1:
            failed[first] = error
            return
        for sequence in sequences:
            sequence.reset_generator()
        for one in group:
            _sample_group([one], weights, ids, failed)


def _sample(weights: LogWeights, options: DecodingOptions, sequences: Sequence[TextSequence]) -> Ids:
    """Filter and sample one id for each row, (B,)."""
    for step in filters(options):
        weights = step(weights)
    return (
        greedy(weights) if options.temperature == 0 else sample(weights, [sequence.generator for sequence in sequences])
    )


def _append_all(
    generations: Sequence[Generation],
    log_probabilities: LogProbabilities,
    ids: Ids,
    ends: NDArray[np.bool_],
    failed: Failed,
) -> None:
    """Append its character to every text, and record what was decided."""
    costs = log_probabilities[np.arange(len(ids)), ids].tolist()
    chosen, ending = ids.tolist(), ends.tolist()
    row = 0
    for generation in generations:
        part = slice(row, row + len(generation.live))
        row = part.stop
        if generation in failed:
            continue
        try:
            _append(generation, log_probabilities[part], chosen[part], costs[part], ending[part])
        except Exception as error:
            failed[generation] = error


def _append(
    generation: Generation,
    log_probabilities: LogProbabilities,
    chosen: Sequence[int],
    costs: Sequence[float],
    ending: Sequence[bool],
) -> None:
    """Append their characters to the texts of one generation."""
    due = generation.constraints.missing(generation.constraint_state.states) > 0 if not generation.static_mask else None
    tops = top_ids(log_probabilities, generation.num_top) if generation.num_top is not None else None
    for i, sequence in enumerate(generation.live):
        # An end that was forced is not the model's decision, so it costs nothing.
        cost = 0.0 if ending[i] else costs[i]
        if not math.isfinite(cost):  # there was no id to choose, or NaN
            raise FolderError(NO_PROBABILITIES)
        sequence.hypothesis.add(
            generation.constraints.piece(chosen[i]), -cost / math.log(2), due=due is not None and bool(due[i])
        )
        sequence.num_decisions += 1
        if tops is not None:
            sequence.tokens.append(TokenLogprobs(chosen[i], costs[i], tops[i]))
