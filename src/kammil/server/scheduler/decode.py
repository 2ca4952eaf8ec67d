"""Texts that are being written, in as few batches as their states allow. Shapes: B batch, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.completer import Completer
from kammil.language_model import Ids, LogProbabilities, State, concat_states, select_rows
from kammil.server.scheduler.prefill import Shapes, shapes
from kammil.server.scheduler.replies import Answers
from kammil.server.scheduler.requests import Writing
from kammil.server.scheduler.sample import choose


@dataclass(eq=False)
class Batch:
    """Texts that step together."""

    writings: list[Writing]
    log_probabilities: LogProbabilities
    """(B, V): of what may follow each live text of the writings, one after the other."""
    state: State
    """Of the runner there, B rows."""


class Batches:
    """All of a model's.

    Args:
        model: steps them.
        answers: where texts and failures go.
        most: texts in one batch at most.
    """

    def __init__(self, model: Completer, answers: Answers, most: int) -> None:
        """Nothing is written."""
        self._model, self._answers, self._most = model, answers, most
        self._batches: list[Batch] = []
        self.steps = self.rows = 0
        """Steps so far, and the rows of all of them."""

    def __len__(self) -> int:
        """Batches that step."""
        return len(self._batches)

    @property
    def live(self) -> int:
        """Texts being written."""
        return sum(len(batch.log_probabilities) for batch in self._batches)

    def clear(self) -> None:
        """Let all of them go."""
        self._batches = []

    def step(self, new: Sequence[Batch]) -> None:
        """Take in texts, and write one more character of every one."""
        if new:
            try:
                self._batches = self._packed([*self._batches, *new])
            except Exception as error:  # those that were there go on as they were
                self._answers.fail([writing for batch in new for writing in batch.writings], error)
        self._batches = [batch for batch in self._batches if self._step(batch)]

    def _packed(self, every: Sequence[Batch]) -> list[Batch]:
        """The same texts in as few batches as their states and the bound allow."""
        states = self._model.language_model.pad_states([batch.state for batch in every])
        open_: dict[Shapes, list[Batch]] = {}
        full: list[list[Batch]] = []
        for batch, state in zip(every, states, strict=True):
            batch.state = state
            key = shapes(state)
            group = open_.setdefault(key, [])
            if group and sum(len(one.log_probabilities) for one in [*group, batch]) > self._most:
                full.append(group)
                open_[key] = group = []
            group.append(batch)
        return [
            group[0]
            if len(group) == 1
            else Batch(
                [writing for batch in group for writing in batch.writings],
                np.concatenate([batch.log_probabilities for batch in group]),
                concat_states([batch.state for batch in group]),
            )
            for group in [*full, *open_.values()]
        ]

    def _step(self, batch: Batch) -> bool:
        """Write one more character of every text; whether there is more to write."""
        try:
            wanted = [self._answers.wanted(writing) for writing in batch.writings]
            if not all(wanted):
                self._drop(batch)
            if not batch.writings:
                return False
            ids, failed = choose(batch.writings, batch.log_probabilities)
            for writing, error in failed.items():
                self._answers.fail([writing], error)
            for writing in batch.writings:
                if not writing.settled:
                    self._tell(writing)
            kept = self._drop(batch)
            if not batch.writings:
                return False
            batch.log_probabilities, batch.state = self._model.language_model.step(ids[kept], batch.state)
            self.steps += 1
            self.rows += len(kept)
        except Exception as error:
            self._answers.fail(batch.writings, error)
            return False
        return True

    def _tell(self, writing: Writing) -> None:
        """Say what is new of a writing, and whether that is all."""
        try:
            self._answers.note(writing)
            if all(job.draft.reason is not None for job in writing.live):
                self._answers.settle(writing, writing.written())
        except Exception as error:
            self._answers.fail([writing], error)

    def _drop(self, batch: Batch) -> Ids:
        """Let the texts go that are finished, or that nobody wants; the rows that stay."""
        if not any(w.settled or any(job.draft.reason is not None for job in w.live) for w in batch.writings):
            return np.arange(len(batch.log_probabilities))  # most steps
        kept: list[int] = []
        row = 0
        for writing in batch.writings:
            stay = [i for i, job in enumerate(writing.live) if job.draft.reason is None and not writing.settled]
            kept.extend(row + i for i in stay)
            row += len(writing.live)
            if len(stay) < len(writing.live):
                writing.live = [writing.live[i] for i in stay]
                writing.memory = writing.memory.select(np.array(stay, np.int64))
        which = np.array(kept, np.int64)
        if len(which) < row:
            batch.writings = [writing for writing in batch.writings if writing.live]
            batch.log_probabilities, batch.state = batch.log_probabilities[which], select_rows(batch.state, which)
        return which
