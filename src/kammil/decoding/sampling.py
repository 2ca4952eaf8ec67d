"""Autoregressive generation: predict, choose, append, read what was appended, and so on.

An *autoregressive* model gives probabilities of the next character from all characters before it. To write a text, one
character is drawn from these probabilities (or the most probable one is taken), appended, and read in its turn, so
that the next prediction depends on it. While it learned, the model read the true characters instead (*teacher forcing*,
see `training/loss.py`): its own mistakes are a kind of past that it never met. This difference is *exposure bias*, one
reason why long generations drift or repeat themselves; temperature, filters and penalties work against it.

Several texts are generated in one batch, each with a random generator of its own, so that a text does not depend on the
others.

Shapes: B batch, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from kammil.decoding.constraints import Constraints
from kammil.decoding.filters import filters
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.samplers import first_above, greedy, sample
from kammil.errors import FolderError
from kammil.language_model import BulkSampler, Ids, LanguageModel, LogProbabilities, State, max_rows, select_rows

Step = Callable[[Ids, State], tuple[LogProbabilities, State]]
"""As `Runner.step`."""

_AT_ONCE = 32
"""Characters that a runner draws in one call at most: the one who reads along waits for them."""
NO_PROBABILITIES = "the model gives no probabilities; copy the model folder again."


def generate(
    runner: LanguageModel,
    guide: Constraints,
    log_probabilities: LogProbabilities,
    state: State,
    n: int,
    *,
    step: Step | None = None,
) -> Iterator[list[Hypothesis]]:
    """The drafts of n texts after every step, or after as many as the runner draws at once; the last ones are finished.

    Of many texts some are written after the others, where all together would take much memory.

    Args:
        runner: the model.
        guide: the rules, and the options.
        log_probabilities: of what may come first, (1, V).
        state: of the model there, one row.
        n: how many.
        step: what steps one text in place of the runner; not asked where the runner draws by itself.

    Draft i depends on the seed and on i alone, not on n.
    """
    options, step = guide.options, step or runner.step
    drafts = [Hypothesis(options) for _ in range(n)]
    if options.length == 0:
        yield drafts
        return
    if n == 1 and guide.only_temperature:
        if isinstance(runner, BulkSampler) and runner.can_sample(options.temperature):
            yield from _drawn(runner, guide, state, drafts[0])
        else:
            yield from _alone(step, guide, log_probabilities, state, drafts[0])
        return
    together = max_rows(runner, n, options.length)
    for begin in range(0, n, together):
        live = list(range(begin, min(n, begin + together)))
        yield from _several(step, guide, log_probabilities, state, drafts, live)


def _several(
    step: Step,
    guide: Constraints,
    log_probabilities: LogProbabilities,
    state: State,
    drafts: list[Hypothesis],
    live: list[int],
) -> Iterator[list[Hypothesis]]:
    """As `draw` for some of the texts, stepped together."""
    options, n = guide.options, len(live)
    narrow = filters(options)
    generators = {i: np.random.default_rng([options.seed, i]) for i in live}
    memory = guide.initial_state(n)
    if n > 1:
        log_probabilities, state = log_probabilities.repeat(n, axis=0), select_rows(state, np.zeros(n, np.int64))
    while True:
        choices, ends = guide.apply(log_probabilities.astype(np.float64), [drafts[i] for i in live], memory)
        for one in narrow:
            choices = one(choices)
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
            ids, state, memory = ids[keep], select_rows(state, keep), memory.select(keep)
        log_probabilities, state = step(ids, state)  # (live, V)


def _alone(
    step: Step, guide: Constraints, log_probabilities: LogProbabilities, state: State, draft: Hypothesis
) -> Iterator[list[Hypothesis]]:
    """As `draw` for one text, the same one, where temperature and chance decide alone: what a person waits for most.

    The same arithmetic on one row in place, without what several rows and other options need.
    """
    value, refused = guide.options.temperature, guide.refused
    generator = np.random.default_rng([guide.options.seed, 0])
    row = np.empty(len(refused))
    while True:
        said = log_probabilities[0]
        np.add(said, refused, out=row)
        if value not in (0, 1):
            row -= row.max()
            with np.errstate(over="ignore"):
                row /= value
        id = int(row.argmax()) if value == 0 else first_above(row, generator)
        bits = -float(said[id]) / math.log(2)
        if not math.isfinite(bits):
            raise FolderError(NO_PROBABILITIES)
        draft.add(guide.piece(id), bits)
        yield [draft]
        if draft.reason is not None:
            return
        log_probabilities, state = step(np.array([id]), state)  # (1, V)


def _drawn(runner: BulkSampler, guide: Constraints, state: State, draft: Hypothesis) -> Iterator[list[Hypothesis]]:
    """As `draw` for one text, the same one, where the runner draws many characters at once: a draft after all these."""
    options, refused = guide.options, guide.refused
    generator = np.random.default_rng([options.seed, 0])
    while draft.reason is None:
        chances = generator.random(min(_AT_ONCE, options.length - len(draft.text)))
        ids, paid, state = runner.sample(state, chances, temperature=options.temperature, refused=refused)
        bits = paid.astype(np.float64) / -math.log(2) - refused[ids]
        for id, cost in zip(ids.tolist(), bits.tolist(), strict=True):
            if not math.isfinite(cost):
                raise FolderError(NO_PROBABILITIES)
            draft.add(guide.piece(id), cost)
            if draft.reason is not None:
                break
        yield [draft]


def keep_best(drafts: list[Hypothesis], n: int) -> list[Hypothesis]:
    """The n finished drafts with the most probability per character, best first; of equals, the first drawn."""
    return sorted(drafts, key=lambda draft: draft.mean_bits)[:n]
