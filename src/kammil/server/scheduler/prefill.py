"""Reads prompts into a model: one piece of each prompt per round, many prompts per call. Shapes: B batch, T time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.state_cache import STRIDE, Prefill
from kammil.language_model import State, concat_states, max_rows, select_rows
from kammil.server.scheduler.replies import ReplyQueue
from kammil.server.scheduler.requests import Generation, PromptScorer, ScoreCall, SuggestCall

MAX_PROMPTS = 32
"""Most prompts of which a piece is read in one round; texts that are being generated wait meanwhile."""
MAX_SCORED = 4
"""Most texts to be scored of which a piece is read in one round: every position costs, not only the last."""
MIN_TO_SPLIT = 3
"""From this many prompts on, they are read in pieces of common sizes; for fewer, the additional calls cost more than
they save."""

RowShapes = tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class PendingPrefill:
    """A request whose prompt is being read."""

    call: Generation | SuggestCall | ScoreCall
    prefill: Prefill | PromptScorer
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

    def add(self, call: Generation | SuggestCall | ScoreCall, prefill: Prefill | PromptScorer) -> None:
        """Add a request whose prompt is to be read."""
        self._pending.append(PendingPrefill(call, prefill))

    def step(self) -> list[tuple[Generation | SuggestCall | ScoreCall, Prefill | PromptScorer]]:
        """Read a piece of each prompt; remove and return the requests whose prompts are read to their ends."""
        self._pending = [prompt for prompt in self._pending if self._replies.still_wanted(prompt.call)]
        for scored, most in ((False, MAX_PROMPTS), (True, MAX_SCORED)):
            pending = [
                prompt
                for prompt in self._pending
                if isinstance(prompt.prefill, PromptScorer) is scored and prompt.prefill.remaining
            ]
            if not self._batched:
                pending = pending[:1]
            if pending:
                num_prompts = max_rows(self._completer.language_model, most, STRIDE, each=STRIDE if scored else 1)
                self._step_group(pending[:num_prompts], scored=scored)
        ready = [prompt for prompt in self._pending if not prompt.failed and not prompt.prefill.remaining]
        self._pending = [prompt for prompt in self._pending if not prompt.failed and prompt.prefill.remaining]
        return [(prompt.call, prompt.prefill) for prompt in ready]

    def _step_group(self, pending: Sequence[PendingPrefill], *, scored: bool) -> None:
        """Read the next piece of each prompt.

        Prompts of many lengths share calls when each is read in pieces whose sizes are powers of two: 45 ids are 32, 8,
        4 and 1. A few prompts are read faster one by one.
        """
        remaining = [prompt.prefill.remaining for prompt in pending]
        split = len(pending) >= MIN_TO_SPLIT
        sizes = {1 << bit for bit in range(max(remaining).bit_length())} if split else set(remaining)
        for size in sorted(sizes, reverse=True):
            part = [prompt for prompt, n in zip(pending, remaining, strict=True) if (n & size if split else n == size)]
            self._forward([prompt for prompt in part if not prompt.failed], size, scored=scored)

    def _forward(self, pending: Sequence[PendingPrefill], size: int, *, scored: bool) -> None:
        """Read `size` ids of each prompt; prompts whose states have the same shapes share a call."""
        groups: dict[object, list[tuple[PendingPrefill, State]]] = {}
        try:
            states = [prompt.prefill.state for prompt in pending]
            if len(pending) > 1:
                states = self._completer.language_model.pad_states(states)
            for prompt, state in zip(pending, states, strict=True):
                groups.setdefault(row_shapes(state), []).append((prompt, state))
        except Exception as error:
            self._fail(pending, error)
            return
        for group in groups.values():
            try:
                ids = np.stack([prompt.prefill.next_ids(size) for prompt, _ in group])  # (B, T)
                state = concat_states([state for _, state in group])
                read, state = self._completer.language_model.forward(ids, state, last=None if scored else 1)
            except Exception as error:
                self._fail([prompt for prompt, _ in group], error)
                continue
            for i, (prompt, _) in enumerate(group):
                try:
                    # A copy: what is cached of one text must not keep the arrays of the whole batch alive.
                    row_state = state if len(group) == 1 else select_rows(state, np.array([i]))
                    prompt.prefill.advance(size, read[i] if len(group) == 1 else read[i].copy(), row_state)
                except Exception as error:
                    self._fail([prompt], error)

    def _fail(self, pending: Sequence[PendingPrefill], error: Exception) -> None:
        """Answer requests with an error."""
        for prompt in pending:
            prompt.failed = True
        self._replies.fail([prompt.call for prompt in pending], error)


def row_shapes(state: State) -> RowShapes:
    """Return the shapes of one row of a state's arrays."""
    return tuple(array.shape[1:] for array in state)
