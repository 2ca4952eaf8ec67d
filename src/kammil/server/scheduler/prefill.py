"""Reads prompts into a model: one piece of each prompt per round, many prompts per call. Shapes: B batch, T time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.state_cache import EVERY, Reading
from kammil.language_model import State, joined, rows, rows_at_once
from kammil.server.scheduler.replies import ReplyQueue
from kammil.server.scheduler.requests import Generation, PromptScorer, ScoreCall, SuggestCall

MAX_PROMPTS = 32
"""Most prompts of which a piece is read in one round; texts that are being generated wait meanwhile."""
MAX_SCORED = 4
"""The same for texts to be scored, where every position costs, not only the last one."""
MIN_TO_SPLIT = 3
"""From this many prompts on, they are read in pieces of common sizes; for fewer, the additional calls cost more than
they save."""

RowShapes = tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class PendingPrefill:
    """A request whose prompt is being read."""

    call: Generation | SuggestCall | ScoreCall
    prefill: Reading | PromptScorer
    failed: bool = False


class PrefillQueue:
    """The requests whose prompts are not read to their ends.

    Args:
        completer: the model that reads them.
        replies: takes failures.
        batched: whether several prompts may share a call.
    """

    def __init__(self, completer: Completer, replies: ReplyQueue, *, batched: bool) -> None:
        self._completer, self._replies, self._batched = completer, replies, batched
        self._pending: list[PendingPrefill] = []

    def __len__(self) -> int:
        """Number of requests whose prompts are being read."""
        return len(self._pending)

    def clear(self) -> None:
        """Drop all requests."""
        self._pending = []

    def add(self, call: Generation | SuggestCall | ScoreCall, prefill: Reading | PromptScorer) -> None:
        """Add a request whose prompt is to be read."""
        self._pending.append(PendingPrefill(call, prefill))

    def step(self) -> list[tuple[Generation | SuggestCall | ScoreCall, Reading | PromptScorer]]:
        """Read a piece of each prompt; remove and return the requests whose prompts are read to their ends."""
        self._pending = [one for one in self._pending if self._replies.still_wanted(one.call)]
        for scanned, most in ((False, MAX_PROMPTS), (True, MAX_SCORED)):
            pending = [
                one for one in self._pending if isinstance(one.prefill, PromptScorer) is scanned and one.prefill.due
            ]
            if not self._batched:
                pending = pending[:1]
            if pending:
                together = rows_at_once(self._completer.runner, most, EVERY, each=EVERY if scanned else 1)
                self._step_group(pending[:together], scanned=scanned)
        ready = [one for one in self._pending if not one.failed and not one.prefill.due]
        self._pending = [one for one in self._pending if not one.failed and one.prefill.due]
        return [(one.call, one.prefill) for one in ready]

    def _step_group(self, pending: Sequence[PendingPrefill], *, scanned: bool) -> None:
        """Read the next piece of each prompt.

        Prompts of many lengths share calls when each is read in pieces whose sizes are powers of two: 45 ids are 32, 8,
        4 and 1. A few prompts are read faster one by one.
        """
        due = [one.prefill.due for one in pending]
        sizes = set(due) if len(pending) < MIN_TO_SPLIT else {1 << bit for bit in range(max(due).bit_length())}
        for size in sorted(sizes, reverse=True):
            part = [
                one
                for one, n in zip(pending, due, strict=True)
                if (n == size if len(pending) < MIN_TO_SPLIT else n & size)
            ]
            self._forward([one for one in part if not one.failed], size, scanned=scanned)

    def _forward(self, pending: Sequence[PendingPrefill], size: int, *, scanned: bool) -> None:
        """Read `size` ids of each prompt; prompts whose states have the same shapes share a call."""
        groups: dict[object, list[tuple[PendingPrefill, State]]] = {}
        try:
            states = (
                self._completer.runner.aligned([one.prefill.state for one in pending]) if len(pending) > 1 else None
            )
            for i, one in enumerate(pending):
                state = states[i] if states is not None else one.prefill.state
                groups.setdefault(row_shapes(state), []).append((one, state))
        except Exception as error:
            self._fail(pending, error)
            return
        for group in groups.values():
            try:
                ids = np.stack([one.prefill.piece(size) for one, _ in group])  # (B, T)
                state = joined([state for _, state in group])
                read, state = self._completer.runner.read(ids, state, last=None if scanned else 1)
            except Exception as error:
                self._fail([one for one, _ in group], error)
                continue
            for i, (one, _) in enumerate(group):
                try:
                    # A copy: what is cached of one text must not keep the arrays of the whole batch alive.
                    own = state if len(group) == 1 else rows(state, np.array([i]))
                    one.prefill.take(size, read[i] if len(group) == 1 else read[i].copy(), own)
                except Exception as error:
                    self._fail([one], error)

    def _fail(self, pending: Sequence[PendingPrefill], error: Exception) -> None:
        """Answer requests with an error."""
        for one in pending:
            one.failed = True
        self._replies.fail([one.call for one in pending], error)


def row_shapes(state: State) -> RowShapes:
    """Return the shapes of one row of a state's arrays."""
    return tuple(array.shape[1:] for array in state)
