"""Reads prompts piece by piece, many in one call. Shapes: B batch, T time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.state_cache import STRIDE, Prefill
from kammil.language_model import State, concat_states, max_rows, select_rows
from kammil.server.scheduler.requests import PromptScorer, ReadingRequest, ReplyQueue

MAX_PROMPTS = 32
"""Maximum number of prompts per round, for which texts wait."""
MAX_SCORED = 4
"""The same for scores, whose every position costs."""
MIN_TO_SPLIT = 3
"""Minimum number of prompts that are read in pieces of common sizes."""

RowShapes = tuple[tuple[int, ...], ...]
PendingPrompt = tuple[ReadingRequest, Prefill | PromptScorer]
"""A request and the reader of its text."""


class PrefillQueue:
    """Requests whose prompts are being read; if `batched`, several share a call."""

    def __init__(self, completer: Completer, replies: ReplyQueue, *, batched: bool) -> None:
        self._completer, self._replies, self._batched = completer, replies, batched
        self.pending: list[PendingPrompt] = []

    def step(self) -> list[PendingPrompt]:
        """Read a piece of each prompt; remove and return those that are done."""
        self.pending = [pair for pair in self.pending if self._replies.still_wanted(pair[0])]
        for scored, maximum in ((False, MAX_PROMPTS), (True, MAX_SCORED)):
            group = [one for one in self.pending if isinstance(one[1], PromptScorer) is scored and one[1].remaining]
            if group:
                rows = max_rows(self._completer.language_model, maximum, STRIDE, each=STRIDE if scored else 1)
                self._step_group(group[: rows if self._batched else 1], scored=scored)
        left = [pair for pair in self.pending if not pair[0].answered]
        self.pending = [pair for pair in left if pair[1].remaining]
        return [pair for pair in left if not pair[1].remaining]

    def _step_group(self, pending: Sequence[PendingPrompt], *, scored: bool) -> None:
        """Share calls for powers of two, if there are many prompts: 45 ids are 32, 8, 4 and 1."""
        remaining = [reader.remaining for _, reader in pending]
        split = len(pending) >= MIN_TO_SPLIT
        sizes = {1 << bit for bit in range(max(remaining).bit_length())} if split else set(remaining)
        for size in sorted(sizes, reverse=True):
            part = [pair for pair, n in zip(pending, remaining, strict=True) if (n & size if split else n == size)]
            self._forward([pair for pair in part if not pair[0].answered], size, scored=scored)

    def _forward(self, pending: Sequence[PendingPrompt], size: int, *, scored: bool) -> None:
        """Read `size` ids of each prompt, in one call per shape of states."""
        model, failing = self._completer.language_model, self._replies.failing
        groups: dict[RowShapes, list[tuple[PendingPrompt, State]]] = {}
        with failing([call for call, _ in pending]):
            states = [reader.state for _, reader in pending]
            if len(pending) > 1:
                states = model.pad_states(states)
            keys = [row_shapes(state) for state in states]
            for key, pair, state in zip(keys, pending, states, strict=True):
                groups.setdefault(key, []).append((pair, state))
        for group in groups.values():
            with failing([call for (call, _), _ in group]):
                ids = np.stack([reader.next_ids(size) for (_, reader), _ in group])  # (B, T)
                state = concat_states([state for _, state in group])
                read, state = model.forward(ids, state, last=None if scored else 1)
                for i, ((call, reader), _) in enumerate(group):
                    with failing([call]):
                        # A copy, lest the cache keep the whole batch alive.
                        row_state = state if len(group) == 1 else select_rows(state, np.array([i]))
                        reader.advance(size, read[i] if len(group) == 1 else read[i].copy(), row_state)


def row_shapes(state: State) -> RowShapes:
    """Return the shapes of a state's row."""
    return tuple(array.shape[1:] for array in state)
