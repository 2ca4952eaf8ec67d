"""Drawing texts: several at once, each with a generator of its own. Shapes: B batch, V vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from kammil.decoding.choosers import greedy, sample
from kammil.decoding.draft import Draft
from kammil.decoding.filters import filters
from kammil.decoding.guide import Guide
from kammil.errors import FolderError
from kammil.models.base import LogProbabilities, Runner, State, rows

NO_PROBABILITIES = "the model gives no probabilities; copy the model folder again."


def draw(
    runner: Runner, guide: Guide, log_probabilities: LogProbabilities, state: State, n: int
) -> Iterator[list[Draft]]:
    """The drafts of n texts after every step; the last ones are finished.

    Args:
        runner: the model.
        guide: the rules, and the options.
        log_probabilities: of what may come first, (1, V).
        state: of the model there, one row.
        n: how many.

    Draft i depends on the seed and on i alone, not on n.
    """
    options = guide.options
    drafts = [Draft(options) for _ in range(n)]
    if options.length == 0:
        yield drafts
        return
    steps = filters(options)
    generators = [np.random.default_rng([options.seed, i]) for i in range(n)]
    memory = guide.memory(n)
    if n > 1:
        log_probabilities, state = log_probabilities.repeat(n, axis=0), rows(state, np.zeros(n, np.int64))
    live = list(range(n))
    while True:
        choices, ends = guide.weigh(log_probabilities.astype(np.float64), [drafts[i] for i in live], memory)
        for step in steps:
            choices = step(choices)
        ids = greedy(choices) if options.temperature == 0 else sample(choices, [generators[i] for i in live])
        memory = guide.after(memory, np.arange(len(live)), ids)
        due = guide.missing(memory.states) > 0
        for row, (i, id) in enumerate(zip(live, ids.tolist(), strict=True)):
            bits = -float(log_probabilities[row, id]) / math.log(2)
            if ends[row]:
                bits = 0.0  # no decision of the model's
            elif not math.isfinite(bits):  # there was nothing to choose, or NaN
                raise FolderError(NO_PROBABILITIES)
            drafts[i].add(guide.piece(id), bits, due=bool(due[row]))
        yield drafts
        keep = np.array([row for row, i in enumerate(live) if drafts[i].reason is None], np.int64)
        if len(keep) == 0:
            return
        if len(keep) < len(live):
            live = [live[row] for row in keep.tolist()]
            ids, state, memory = ids[keep], rows(state, keep), memory.rows(keep)
        log_probabilities, state = runner.step(ids, state)  # (live, V)


def best(drafts: list[Draft], n: int) -> list[Draft]:
    """The n finished drafts with the most probability per character, best first; of equals, the first drawn."""
    return sorted(drafts, key=lambda draft: draft.mean_bits)[:n]
