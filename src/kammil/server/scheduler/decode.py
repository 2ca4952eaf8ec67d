"""Steps the generated texts. Shapes: B batch, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.completer import Completer
from kammil.decoding.sampling import decode_step
from kammil.language_model import Ids, LogProbabilities, State, concat_states, select_rows
from kammil.server.scheduler.prefill import RowShapes, row_shapes
from kammil.server.scheduler.requests import Generation, ReplyQueue


@dataclass(eq=False)
class Batch:
    """Texts that are stepped in one call."""

    generations: list[Generation]
    log_probabilities: LogProbabilities
    """(B, V), of the next ids."""
    state: State
    """B rows."""


class DecodeBatches:
    """All batches of a model, of bounded sizes."""

    def __init__(self, completer: Completer, replies: ReplyQueue, max_batch: int) -> None:
        self._completer, self._replies, self._max_batch = completer, replies, max_batch
        self.batches: list[Batch] = []
        self.steps = self.rows = 0

    @property
    def live(self) -> int:
        """Number of texts being generated."""
        return sum(len(batch.log_probabilities) for batch in self.batches)

    def step(self, new: Sequence[Batch]) -> None:
        """Add new batches, and generate a character of every text."""
        if new:
            with self._replies.failing([call for batch in new for call in batch.generations]):
                self.batches = self._merge([*self.batches, *new])
        self.batches = [batch for batch in self.batches if self._step_batch(batch)]

    def _merge(self, batches: Sequence[Batch]) -> list[Batch]:
        """Merge batches as far as state shapes and the bound allow."""
        states = self._completer.language_model.pad_states([batch.state for batch in batches])
        groups: list[list[Batch]] = []
        last: dict[RowShapes, list[Batch]] = {}
        for batch, state in zip(batches, states, strict=True):
            batch.state, key = state, row_shapes(state)
            group = last.get(key)
            if group is None or sum(len(one.log_probabilities) for one in [*group, batch]) > self._max_batch:
                last[key] = group = []
                groups.append(group)
            group.append(batch)
        return [group[0] if len(group) == 1 else _joined(group) for group in groups]

    def _step_batch(self, batch: Batch) -> bool:
        """Return whether any text goes on."""
        with self._replies.failing(batch.generations):
            wanted = [self._replies.still_wanted(generation) for generation in batch.generations]
            if not all(wanted):
                self._drop_finished(batch)
            if not batch.generations:
                return False
            groups = [generation.group for generation in batch.generations]
            ids, chosen, failures = decode_step(groups, batch.log_probabilities)
            begin = 0
            for generation in batch.generations:
                rows = slice(begin, begin + len(generation.live))
                begin = rows.stop
                with self._replies.failing([generation]):
                    if (error := failures.get(generation.group)) is not None:
                        raise error
                    generation.append(ids[rows], batch.log_probabilities[rows], chosen[rows])
                    self._replies.send_parts(generation)
                    if all(sequence.ended for sequence in generation.live):
                        self._replies.resolve(generation, generation.texts())
            kept = self._drop_finished(batch)
            if not batch.generations:
                return False
            batch.log_probabilities, batch.state = self._completer.language_model.step(ids[kept], batch.state)
            self.steps, self.rows = self.steps + 1, self.rows + len(kept)
            return True
        return False

    def _drop_finished(self, batch: Batch) -> Ids:
        """Drop ended and answered texts; return the rows that stay."""
        if not any(g.answered or any(sequence.ended for sequence in g.live) for g in batch.generations):
            return np.arange(len(batch.log_probabilities))  # most steps
        kept, row = list[int](), 0
        for generation in batch.generations:
            stay = [i for i, sequence in enumerate(generation.live) if not sequence.ended and not generation.answered]
            kept.extend(row + i for i in stay)
            row += len(generation.live)
            if len(stay) < len(generation.live):
                generation.keep(stay)
        which = np.array(kept, np.int64)
        if len(which) < row:
            batch.generations = [generation for generation in batch.generations if generation.live]
            batch.log_probabilities, batch.state = batch.log_probabilities[which], select_rows(batch.state, which)
        return which


def _joined(group: Sequence[Batch]) -> Batch:
    return Batch(
        [generation for batch in group for generation in batch.generations],
        np.concatenate([batch.log_probabilities for batch in group]),
        concat_states([batch.state for batch in group]),
    )
