"""Sampling: the next character of many texts at once, each with its own generator. Shapes: B batch, V vocabulary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.constraints import Constraints
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.samplers import greedy, sample
from kammil.errors import FolderError
from kammil.language_model import BulkSampler, Ids, LanguageModel, LogProbabilities, State, max_rows, select_rows

Step = Callable[[Ids, State], tuple[LogProbabilities, State]]
"""As `LanguageModel.step`."""

_BULK = 32
"""Most characters that a `BulkSampler` samples in one call: a reader of the stream waits for them."""
NO_PROBABILITIES = "the model gives no probabilities; copy the model folder again."


class SequenceGroup:
    """Texts of one call that are sampled together, with one generator each.

    Args:
        constraints: what all of them may become.
        hypotheses: the texts.
        first: index of the first one in its call: text i depends on the seed and on i alone, not on how many there are.
    """

    def __init__(self, constraints: Constraints, hypotheses: Sequence[Hypothesis], first: int = 0) -> None:
        seed = constraints.options.seed
        self.constraints, self.live = constraints, list(hypotheses)
        """The texts that have not ended."""
        self.generators = [np.random.default_rng([seed, first + i]) for i in range(len(hypotheses))]
        self.state = constraints.initial_state(len(hypotheses))

    def __len__(self) -> int:
        """Number of texts that have not ended."""
        return len(self.live)

    def select(self, rows: Sequence[int]) -> None:
        """Keep only these of the texts."""
        self.live, self.generators = [self.live[row] for row in rows], [self.generators[row] for row in rows]
        self.state = self.state.select(np.array(rows, np.int64))

    def append(self, decisions: Sequence[tuple[int, float, bool]]) -> None:
        """Append to each text its decision: an id, its log-probability under the model, and whether the text had to
        end since nothing may follow, which is no decision of the model and costs nothing.

        `FolderError` for any other log-probability that is not finite.
        """
        forced_left: Sequence[bool] = [False] * len(decisions)
        if not self.constraints.static_mask:
            ids = np.array([id for id, _, _ in decisions])
            self.state = self.constraints.after(self.state, np.arange(len(ids)), ids)
            forced_left = (self.constraints.missing(self.state.states) > 0).tolist()
        for text, (id, log_probability, end), due in zip(self.live, decisions, forced_left, strict=True):
            bits = 0.0 if end else log_probability / -math.log(2)
            if not math.isfinite(bits):  # there was no id to choose, or NaN
                raise FolderError(NO_PROBABILITIES)
            text.add(self.constraints.piece(id), bits, due=due)


Batch = list[tuple[SequenceGroup, slice]]
"""Groups, each with its rows, that go through the filters together."""


def decode_step(
    groups: Sequence[SequenceGroup], log_probabilities: LogProbabilities
) -> tuple[Ids, LogProbabilities, dict[SequenceGroup, Exception]]:
    """Choose the next character of every text, and append it.

    Args:
        groups: of one model; their live texts are the rows, one group after the other.
        log_probabilities: (B, V), of the next id of each text.

    Returns:
        The ids, (B,), their log-probabilities, (B,), and why a group failed: its texts are not to be gone on with. A
        failure of one group, such as a model that gives it no probabilities, changes nothing for the others.
    """
    batch_size = len(log_probabilities)
    ids, ends, chances = np.zeros(batch_size, np.int64), np.zeros(batch_size, np.bool_), np.zeros(batch_size)
    batches: dict[object, Batch] = {}
    slices: list[slice] = []
    begin = 0
    for group in groups:
        rows = slice(begin, begin + len(group))
        slices.append(rows)
        begin = rows.stop
        if group.constraints.options.temperature:
            chances[rows] = [generator.random() for generator in group.generators]
        batches.setdefault(group.constraints.batch_key, []).append((group, rows))
    failures: dict[SequenceGroup, Exception] = {}
    for batch in batches.values():
        _choose(batch, log_probabilities, chances, ids, ends, failures)
    chosen = log_probabilities[np.arange(batch_size), ids]
    decisions = [*zip(ids.tolist(), chosen.tolist(), ends.tolist(), strict=True)]
    for group, rows in zip(groups, slices, strict=True):
        if group not in failures:
            try:
                group.append(decisions[rows])
            except Exception as error:
                failures[group] = error
    return ids, chosen, failures


def _choose(
    batch: Batch,
    log_probabilities: LogProbabilities,
    chances: NDArray[np.float64],
    ids: Ids,
    ends: NDArray[np.bool_],
    failures: dict[SequenceGroup, Exception],
) -> None:
    """Write into `ids` and `ends` what the groups of a batch choose; if that fails, one group after the other."""
    (group, rows), *others = batch
    constraints = group.constraints
    which = [*chain.from_iterable(range(at.start, at.stop) for _, at in batch)] if others else rows
    try:
        weights = log_probabilities[which]
        if constraints.static_mask:
            weights = weights + constraints.refused  # in double precision
        else:
            weights, ends[rows] = constraints.apply(weights.astype(np.float64), group.live, group.state)
        for keep in constraints.filters:
            weights = keep(weights)
        ids[which] = sample(weights, chances[which]) if constraints.options.temperature else greedy(weights)
    except Exception as error:
        if not others:
            failures[group] = error
        for one in batch if others else ():
            _choose([one], log_probabilities, chances, ids, ends, failures)


def generate(
    model: LanguageModel,
    constraints: Constraints,
    log_probabilities: LogProbabilities,
    state: State,
    n: int,
    *,
    step: Step | None = None,
) -> Iterator[list[Hypothesis]]:
    """Yield n texts after every step, or after every `_BULK` characters of a `BulkSampler`; the last ones are complete.

    Args:
        model: the model.
        constraints: what may be written, and the options.
        log_probabilities: (1, V), of the first character.
        state: the model's state there, one row.
        n: number of texts; where all together would take much memory, some are written after the others.
        step: called in place of `model.step`; not where the model samples many characters at once.
    """
    options = constraints.options
    hypotheses = [Hypothesis(options) for _ in range(n)]
    if options.length == 0:
        yield hypotheses
        return
    only_one = n == 1 and constraints.only_temperature
    if only_one and isinstance(model, BulkSampler) and model.can_sample(options.temperature):
        yield from _sample_in_bulk(model, constraints, state, hypotheses[0])
        return
    together = max_rows(model, n, options.length)
    for begin in range(0, n, together):
        group = SequenceGroup(constraints, hypotheses[begin : begin + together], begin)
        for _ in _sample_group(step or model.step, group, log_probabilities, state):
            yield hypotheses


def _sample_group(
    step: Step, group: SequenceGroup, log_probabilities: LogProbabilities, state: State
) -> Iterator[None]:
    """Step a group until all of its texts have ended."""
    if len(group) > 1:
        log_probabilities = log_probabilities.repeat(len(group), axis=0)
        state = select_rows(state, np.zeros(len(group), np.int64))
    while True:
        ids, _, failures = decode_step([group], log_probabilities)
        for error in failures.values():
            raise error
        yield
        kept = [row for row, hypothesis in enumerate(group.live) if hypothesis.reason is None]
        if not kept:
            return
        if len(kept) < len(ids):
            ids, state = ids[kept], select_rows(state, np.array(kept))
            group.select(kept)
        log_probabilities, state = step(ids, state)  # (live, V)


def _sample_in_bulk(
    model: BulkSampler, constraints: Constraints, state: State, hypothesis: Hypothesis
) -> Iterator[list[Hypothesis]]:
    """Yield the text that `decode_step` would give, after every `_BULK` characters."""
    options, refused = constraints.options, constraints.refused
    generator = np.random.default_rng([options.seed, 0])
    while hypothesis.reason is None:
        chances = generator.random(min(_BULK, options.length - len(hypothesis.text)))
        ids, log_probabilities, state = model.sample(state, chances, temperature=options.temperature, refused=refused)
        bits = log_probabilities.astype(np.float64) / -math.log(2) - refused[ids]
        for id, cost in zip(ids.tolist(), bits.tolist(), strict=True):
            if not math.isfinite(cost):
                raise FolderError(NO_PROBABILITIES)
            hypothesis.add(constraints.piece(id), cost)
            if hypothesis.reason is not None:
                break
        yield [hypothesis]


def keep_best(hypotheses: list[Hypothesis], n: int) -> list[Hypothesis]:
    """Return the n texts with the fewest bits per character, best first; of equals, the first one sampled."""
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.mean_bits)[:n]
