"""Beam search: the most probable texts, as far as a few at a time can find them. Shapes: B beams, V vocabulary.

The score of a text is the mean log-probability of its decisions, the end among them: without a mean, the shortest text
would win (Graves 2012, arXiv:1211.3711; lengths: Wu et al. 2016, arXiv:1609.08144). With as many beams as there are
beginnings, the search is exact. Texts that come out are all different. With forced strings the beams are dealt to
those that are as far with them, so that texts which have yet to pay for a forced string are not crowded out by those
which put it off (Post & Vilar 2018, arXiv:1804.06609).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.constraints import Constraints, ConstraintState
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State, select_rows


def beam_search(
    runner: LanguageModel, guide: Constraints, log_probabilities: LogProbabilities, state: State, n: int
) -> list[Hypothesis]:
    """At most n different texts, best first, fewer where there are no more; arguments as for `writing.draw`."""
    steps = beam_steps(runner, guide, log_probabilities, state, n)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def beam_steps(
    runner: LanguageModel, guide: Constraints, log_probabilities: LogProbabilities, state: State, n: int
) -> Generator[Callable[[], list[Hypothesis]], None, list[Hypothesis]]:
    """As `search`, stopping after every step, for those who have other things to do in between.

    It gives what tells the best texts until the next step, for those whose time is over: some may have no end yet.

    In every step the extensions of all beams are gone through, best first, until B of them go on; those that end on
    the way are finished. The search ends when nothing that goes on can still be among the best n.
    """
    options = guide.options
    if options.length == 0:
        return [Hypothesis(options)]
    live, totals, memory = [Hypothesis(options)], np.zeros(1), guide.initial_state(1)
    finished: dict[str, tuple[float, Hypothesis]] = {}
    for step in range(1, options.length + 1):
        weights, ends = guide.apply(log_probabilities.astype(np.float64), live, memory)
        if np.isnan(weights).any():
            raise FolderError(NO_PROBABILITIES)
        scores = totals[:, None] + weights  # (B, V)
        parents, ids, due = _dealt(scores, memory, guide)  # (B * V,) at most
        going, chosen, ended = list[Hypothesis](), list[int](), 0
        for at, (parent, id) in enumerate(zip(parents.tolist(), ids.tolist(), strict=True)):
            if len(going) == options.beams or (step == options.length and ended == options.beams):
                break
            bits = 0.0 if ends[parent] else -float(log_probabilities[parent, id]) / math.log(2)
            draft = live[parent].extended(guide.piece(id), bits, due=bool(due[at]))
            if draft.reason is None:
                going.append(draft)
                chosen.append(at)
            else:
                score = float(scores[parent, id]) / step
                known = finished.get(draft.text)
                ended += known is None
                if known is None or score > known[0]:
                    finished[draft.text] = score, draft
        best = sorted((score for score, _ in finished.values()), reverse=True)[:n]
        if not going:
            break
        kept = np.array(chosen, np.int64)
        totals = scores[parents[kept], ids[kept]]
        # Log-probabilities only fall, and are divided by `length` at most.
        if len(best) == n and best[-1] >= totals.max() / options.length:
            break
        live, memory = going, guide.after(memory, parents[kept], ids[kept])
        log_probabilities, state = runner.step(ids[kept], select_rows(state, parents[kept]))
        yield partial(_best, n, finished.values(), zip(totals / step, live, strict=True))
    return _best(n, finished.values())


def _best(n: int, *scored: Iterable[tuple[float, Hypothesis]]) -> list[Hypothesis]:
    """The n different texts of the highest scores, best first."""
    different: dict[str, Hypothesis] = {}
    for _, draft in sorted(chain(*scored), key=lambda one: -one[0]):
        different.setdefault(draft.text, draft)
    return [*different.values()][:n]


def _dealt(
    scores: NDArray[np.float64], memory: ConstraintState, guide: Constraints
) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    """Extensions in the order they are gone through: their beams, their ids, and whether a forced string is missing.

    By their scores; with forced strings, the best of those that miss as many characters each, then all second best.
    """
    order = np.argsort(-scores, axis=None, kind="stable")  # of equals, the better beam, the lower id
    order = order[np.isfinite(scores.ravel()[order])]
    parents, ids = np.divmod(order, scores.shape[1])
    missing = guide.missing(guide.states(memory, parents, ids))
    if missing.any():
        by = np.argsort(missing, kind="stable")
        _, first = np.unique(missing[by], return_index=True)
        begins = np.repeat(first, np.diff(np.append(first, len(by))))
        rank = np.empty_like(by)
        rank[by] = np.arange(len(by)) - begins
        dealt = np.argsort(rank, kind="stable")
        parents, ids, missing = parents[dealt], ids[dealt], missing[dealt]
    return parents, ids, missing > 0
