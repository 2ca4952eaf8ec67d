"""Beam search: the most probable texts, as far as a few at a time can find them. Shapes: B beams, V vocabulary.

The score of a text is the mean log-probability of its decisions, the end among them: else the shortest text would win
(Graves 2012, arXiv:1211.3711; Wu et al. 2016, arXiv:1609.08144). With forced strings the beams are dealt by the number
of missing characters: texts that have paid for a string are not crowded out (Post & Vilar 2018, arXiv:1804.06609).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.constraints import Constraints
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State, select_rows


def beam_search(
    model: LanguageModel, constraints: Constraints, log_probabilities: LogProbabilities, state: State, n: int
) -> Iterator[list[Hypothesis]]:
    """Yield up to n different texts after every step, best first; arguments as of `generate`.

    A step visits the extensions of all beams, best first, until B of them continue; the search ends when no unfinished
    text can be among the best n.
    """
    options = constraints.options
    if options.length == 0:
        yield [constraints.hypothesis()]
        return
    live, totals, counts = [constraints.hypothesis()], np.zeros(1), constraints.counts(1)
    finished: dict[str, tuple[float, Hypothesis]] = {}
    for step in range(1, options.length + 1):
        weights, ends = constraints.apply(log_probabilities.astype(np.float64), live, counts)
        if np.isnan(weights).any():
            raise FolderError(NO_PROBABILITIES)
        scores = totals[:, None] + weights  # (B, V)
        parents, ids = ordered_extensions(scores, constraints.missing_after(live))  # (B * V,) at most
        unfinished, chosen, ended = list[Hypothesis](), list[int](), 0
        for rank, (parent, id) in enumerate(zip(parents.tolist(), ids.tolist(), strict=True)):
            if len(unfinished) == options.beams or (step == options.length and ended == options.beams):
                break
            bits = 0.0 if ends[parent] else -float(log_probabilities[parent, id]) / math.log(2)
            hypothesis = live[parent].extended(constraints.piece(id), bits)
            if hypothesis.reason is None:
                unfinished.append(hypothesis)
                chosen.append(rank)
            else:
                score = float(scores[parent, id]) / step
                earlier = finished.get(hypothesis.text)
                ended += earlier is None
                if earlier is None or score > earlier[0]:
                    finished[hypothesis.text] = score, hypothesis
        best = sorted((score for score, _ in finished.values()), reverse=True)[:n]
        if not unfinished:
            break
        kept = np.array(chosen, np.int64)
        totals = scores[parents[kept], ids[kept]]
        # Log-probabilities only fall, and are divided by `length` at most.
        if len(best) == n and best[-1] >= totals.max() / options.length:
            break
        live, counts = unfinished, constraints.counted(counts, parents[kept], ids[kept])
        log_probabilities, state = model.step(ids[kept], select_rows(state, parents[kept]))
        yield _best(n, finished.values(), zip(totals / step, live, strict=True))
    yield _best(n, finished.values())


def _best(n: int, *scored: Iterable[tuple[float, Hypothesis]]) -> list[Hypothesis]:
    different: dict[str, Hypothesis] = {}
    for _, hypothesis in sorted(chain(*scored), key=lambda scored: -scored[0]):
        different.setdefault(hypothesis.text, hypothesis)
    return [*different.values()][:n]


def ordered_extensions(scores: NDArray[np.float64], missing: Ids | None) -> tuple[Ids, Ids]:
    """Return beams and ids of extensions by score, (B, V), or, with `missing` characters of forced strings, (B, V), the
    best of each number of them, then all second best, and so on."""
    order = np.argsort(-scores, axis=None, kind="stable")  # of equals, the better beam, the lower id
    order = order[np.isfinite(scores.ravel()[order])]
    if missing is not None:
        needed = missing.ravel()[order]
        by = np.argsort(needed, kind="stable")
        _, first = np.unique(needed[by], return_index=True)
        begins = np.repeat(first, np.diff(np.append(first, len(by))))
        rank = np.empty_like(by)
        rank[by] = np.arange(len(by)) - begins
        order = order[np.argsort(rank, kind="stable")]
    parents, ids = np.divmod(order, scores.shape[1])
    return parents, ids
