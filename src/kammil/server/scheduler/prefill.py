"""Prompts on their way into a model: a piece of each in a round, many in one call. Shapes: B batch, T time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.state_cache import EVERY, Prefill
from kammil.language_model import State, concat_states, max_rows, select_rows
from kammil.server.scheduler.replies import Answers
from kammil.server.scheduler.requests import Scanning, Scoring, Suggesting, Writing

PROMPTS = 32
"""Prompts of which a piece is read in one round at most; those who write wait meanwhile."""
SCANNED = 4
"""The same of texts that are scored: there every place costs, not only the last."""
MANY = 3
"""Prompts that are read in pieces of common sizes; the calls for fewer would take longer than what is shared."""

Shapes = tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class Waiting:
    """A call whose text is still being read."""

    call: Writing | Suggesting | Scoring
    reading: Prefill | Scanning
    failed: bool = False


class Prompts:
    """Those that are not yet read.

    Args:
        model: reads them.
        answers: where failures go.
        together: whether several may share a call.
    """

    def __init__(self, model: Completer, answers: Answers, *, together: bool) -> None:
        """None waits."""
        self._model, self._answers, self._together = model, answers, together
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        """Calls whose text is being read."""
        return len(self._waiting)

    def clear(self) -> None:
        """Let all of them go."""
        self._waiting = []

    def add(self, call: Writing | Suggesting | Scoring, reading: Prefill | Scanning) -> None:
        """Take up a call whose text is to be read."""
        self._waiting.append(Waiting(call, reading))

    def read(self) -> list[tuple[Writing | Suggesting | Scoring, Prefill | Scanning]]:
        """Read a piece of what waits; those that are read to their ends leave."""
        self._waiting = [one for one in self._waiting if self._answers.wanted(one.call)]
        for scanned, most in ((False, PROMPTS), (True, SCANNED)):
            some = [
                one for one in self._waiting if isinstance(one.reading, Scanning) is scanned and one.reading.remaining
            ]
            if not self._together:
                some = some[:1]
            if some:
                together = max_rows(self._model.language_model, most, EVERY, each=EVERY if scanned else 1)
                self._read_pieces(some[:together], scanned=scanned)
        ready = [one for one in self._waiting if not one.failed and not one.reading.remaining]
        self._waiting = [one for one in self._waiting if not one.failed and one.reading.remaining]
        return [(one.call, one.reading) for one in ready]

    def _read_pieces(self, some: Sequence[Waiting], *, scanned: bool) -> None:
        """Read the next piece of each of these.

        Texts of many lengths share their calls when each is read in pieces whose sizes are powers of two: 45 ids are
        32, 8, 4 and 1. A few texts are read sooner one by one.
        """
        due = [one.reading.remaining for one in some]
        sizes = set(due) if len(some) < MANY else {1 << bit for bit in range(max(due).bit_length())}
        for size in sorted(sizes, reverse=True):
            part = [one for one, n in zip(some, due, strict=True) if (n == size if len(some) < MANY else n & size)]
            self._read_alike([one for one in part if not one.failed], size, scanned=scanned)

    def _read_alike(self, some: Sequence[Waiting], size: int, *, scanned: bool) -> None:
        """Read so many ids of each of these, those whose states fit together in one call."""
        groups: dict[object, list[tuple[Waiting, State]]] = {}
        try:
            states = (
                self._model.language_model.pad_states([one.reading.state for one in some]) if len(some) > 1 else None
            )
            for i, one in enumerate(some):
                state = states[i] if states is not None else one.reading.state
                groups.setdefault(shapes(state), []).append((one, state))
        except Exception as error:
            self._fail(some, error)
            return
        for group in groups.values():
            try:
                ids = np.stack([one.reading.next_ids(size) for one, _ in group])  # (B, T)
                state = concat_states([state for _, state in group])
                read, state = self._model.language_model.forward(ids, state, last=None if scanned else 1)
            except Exception as error:
                self._fail([one for one, _ in group], error)
                continue
            for i, (one, _) in enumerate(group):
                try:
                    # A copy: what is kept of one text must not hold on to what was read beside it.
                    own = state if len(group) == 1 else select_rows(state, np.array([i]))
                    one.reading.advance(size, read[i] if len(group) == 1 else read[i].copy(), own)
                except Exception as error:
                    self._fail([one], error)

    def _fail(self, some: Sequence[Waiting], error: Exception) -> None:
        """Answer some of them with an error."""
        for one in some:
            one.failed = True
        self._answers.fail([one.call for one in some], error)


def shapes(state: State) -> Shapes:
    """Of one row of a state."""
    return tuple(array.shape[1:] for array in state)
