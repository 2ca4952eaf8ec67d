"""The thread that runs one model for all its callers: what waits is taken up between two steps, and steps together.

A round reads one piece of every prompt that is not yet read, answers those who want suggestions, and steps every text
by one character. So a long text delays a short one by no more than its row in the batch costs, one that nobody waits
for any more leaves within a round, and the event loop, which runs elsewhere, is always free to answer. What is written
is what `Completer.complete` writes, whoever else is in the batch.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from kammil.completion import Completer
from kammil.decoding import Draft, searching
from kammil.models.base import Ids, LogProbabilities, State, joined, rows
from kammil.prefixes import Reading
from kammil.server.engine.calls import Call, Learning, Scanning, Scoring, Suggesting, Writing
from kammil.server.engine.choosing import choose
from kammil.suggestion import WIDTH, Search, spelled

ROWS = 64
"""Rows stepped in one call at most: each costs less than the one before, but everybody waits for all of them. What is
more makes a second batch, which takes turns with the first."""
PROMPTS = 32
"""Prompts of which a piece is read in one round at most; those who write wait meanwhile."""
MANY = 3
"""Prompts that are read in pieces of common sizes; the calls for fewer would take longer than what is shared."""
SCANNED = 4
"""The same of texts that are scored: there every place costs, not only the last."""

Answer = TypeVar("Answer")
Shapes = tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class Batch:
    """Texts that step together."""

    writings: list[Writing]
    log_probabilities: LogProbabilities
    """(B, V): of what may follow each live text of the writings, one after the other."""
    state: State
    """Of the runner there, B rows."""


@dataclass(eq=False)
class Waiting:
    """A call whose text is still being read."""

    call: Writing | Suggesting | Scoring
    reading: Reading | Scanning
    failed: bool = False


@dataclass
class Tally:
    """What an engine has done, for whoever watches; written by its thread alone."""

    steps: int = 0
    rows: int = 0
    """Rows of all steps."""
    live: int = 0
    """Texts being written now."""
    waiting: int = 0
    """Calls whose text is being read, or that nobody has looked at."""
    told: tuple[int, int] = (0, 0)
    """Steps and rows that were counted elsewhere; whoever watches writes it."""


class Engine:
    """Runs a model on a thread of its own.

    Args:
        model: nobody else may use it.
        rows: texts stepped in one call at most; 1 for no micro-batching.
    """

    def __init__(self, model: Completer, *, rows: int = ROWS) -> None:
        """Start the thread; it waits."""
        self.model, self.tally = model, Tally()
        self._most = rows
        self._inbox: deque[Call[Any]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._waiting: list[Waiting] = []
        self._batches: list[Batch] = []
        self._searches: list[tuple[Writing, Generator[None, None, list[Draft]]]] = []
        self._out: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []
        self._thread = threading.Thread(target=self._run, name="kammil-engine", daemon=True)
        self._thread.start()

    def submit(self, call: Call[Answer]) -> Call[Answer]:
        """Take up a call; its `answer` comes on the loop that made it."""
        with self._wake:
            self._inbox.append(call)
            self._wake.notify()
        return call

    async def ask(self, call: Call[Answer]) -> Answer:
        """Take up a call and wait for the answer; whoever stops waiting frees its rows."""
        self.submit(call)
        try:
            return await call.answer
        finally:
            call.left = True

    def close(self) -> None:
        """Finish what was taken up, then end the thread; returns at once."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended; `TimeoutError` if it does not."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError("the engine does not end")

    def _run(self) -> None:
        """The thread: rounds, as long as there is something to do."""
        while True:
            with self._wake:
                while not (self._inbox or self._busy or self._closing):
                    self._wake.wait()
                taken = list(self._inbox)
                self._inbox.clear()
            if not (taken or self._busy):
                return
            for call in taken:
                self._take_up(call)
            self._batches = self._packed(self._batches, self._read())
            self._batches = [batch for batch in self._batches if self._step(batch)]
            self._searches = [one for one in self._searches if self._search(*one)]
            self.tally.live = sum(len(batch.log_probabilities) for batch in self._batches)
            self.tally.waiting = len(self._waiting) + len(self._inbox)
            self._hand_out()

    @property
    def _busy(self) -> bool:
        return bool(self._waiting or self._batches or self._searches)

    def _take_up(self, call: Call[Any]) -> None:
        """Begin with a call."""
        call.begun = time.monotonic()
        if call.left:
            return
        try:
            match call:
                case Learning():
                    self._settle(call, call.act())
                case Scoring():
                    self._waiting.append(Waiting(call, call.scanning))
                case Suggesting():
                    self._waiting.append(Waiting(call, call.prefixes.reading(call.ids)))
                case Writing() if call.scanning is not None:
                    self._waiting.append(Waiting(call, call.scanning))
                case Writing() if call.live:
                    self._waiting.append(Waiting(call, call.prefixes.reading(call.ids)))
                case Writing():
                    self._note(call)
                    self._settle(call, call.written())
                case _:
                    raise TypeError(f"no such call: {call}")
        except Exception as error:
            self._fail([call], error)

    def _read(self) -> list[Batch]:
        """Read a piece of what waits; those writings whose prompts are read, each a batch of its own."""
        self._waiting = [one for one in self._waiting if self._wanted(one.call)]
        for scanned, most in ((False, PROMPTS), (True, SCANNED)):
            some = [one for one in self._waiting if isinstance(one.reading, Scanning) is scanned and one.reading.due]
            if self._most == 1:
                some = some[:1]
            if some:
                self._read_pieces(some[:most], scanned=scanned)
        ready = [one for one in self._waiting if not one.failed and not one.reading.due]
        self._waiting = [one for one in self._waiting if not one.failed and one.reading.due]
        begun: list[Batch] = []
        suggesting: list[tuple[Suggesting, LogProbabilities, State]] = []
        for one in ready:
            match one.call, one.reading:
                case Scoring() as call, Scanning() as scanning:
                    self._settle(call, scanning.tokens)
                case Suggesting() as call, Reading() as reading:
                    suggesting.append((call, *reading.known))
                case Writing() as call, reading:
                    begun.extend(self._begun(call, *reading.known))
                case _:
                    raise TypeError("no such call waits")
        self._suggest(suggesting)
        return begun

    def _read_pieces(self, some: Sequence[Waiting], *, scanned: bool) -> None:
        """Read the next piece of each of these.

        Texts of many lengths share their calls when each is read in pieces whose sizes are powers of two: 45 ids are
        32, 8, 4 and 1. A few texts are read sooner one by one.
        """
        due = [one.reading.due for one in some]
        sizes = set(due) if len(some) < MANY else {1 << bit for bit in range(max(due).bit_length())}
        for size in sorted(sizes, reverse=True):
            part = [one for one, n in zip(some, due, strict=True) if (n == size if len(some) < MANY else n & size)]
            self._read_alike([one for one in part if not one.failed], size, scanned=scanned)

    def _read_alike(self, some: Sequence[Waiting], size: int, *, scanned: bool) -> None:
        """Read so many ids of each of these, those whose states fit together in one call."""
        groups: dict[object, list[tuple[Waiting, State]]] = {}
        states = self.model.runner.aligned([one.reading.state for one in some]) if len(some) > 1 else None
        for i, one in enumerate(some):
            state = states[i] if states is not None else one.reading.state
            groups.setdefault(_shapes(state), []).append((one, state))
        for group in groups.values():
            try:
                ids = np.stack([one.reading.piece(size) for one, _ in group])  # (B, T)
                state = joined([state for _, state in group])
                read, state = self.model.runner.read(ids, state, last=None if scanned else 1)
                for i, (one, _) in enumerate(group):
                    # A copy: what is kept of one text must not hold on to what was read beside it.
                    own = state if len(group) == 1 else rows(state, np.array([i]))
                    one.reading.take(size, read[i] if len(group) == 1 else read[i].copy(), own)
            except Exception as error:
                for one, _ in group:
                    one.failed = True
                self._fail([one.call for one, _ in group], error)

    def _begun(self, call: Writing, log_probabilities: LogProbabilities, state: State) -> list[Batch]:
        """A writing whose prompt is read, ready to step."""
        if not call.live:
            self._note(call)
            self._settle(call, call.written())
            return []
        many = len(call.live)
        if call.guide.options.beams > 1:
            steps = searching(self.model.runner, call.guide, log_probabilities, state, call.n)
            self._searches.append((call, steps))
            return []
        if many > 1:
            log_probabilities, state = log_probabilities.repeat(many, axis=0), rows(state, np.zeros(many, np.int64))
        return [Batch([call], log_probabilities, state)]

    def _suggest(self, some: Sequence[tuple[Suggesting, LogProbabilities, State]]) -> None:
        """Search for words after these prefixes, those that ask for the same together."""
        groups: dict[object, list[tuple[Suggesting, LogProbabilities, State]]] = {}
        states = self.model.runner.aligned([state for _, _, state in some]) if some else []
        for (call, log_probabilities, _), state in zip(some, states, strict=True):
            alone = id(call) if self._most == 1 else None
            key = (call.k, call.threshold, alone, _shapes(state))
            groups.setdefault(key, []).append((call, log_probabilities, state))
        for group in groups.values():
            calls = [call for call, _, _ in group]
            try:
                runner, k = self.model.runner, calls[0].k
                search = Search(runner, self.model.letters, k, calls[0].threshold, max(WIDTH, k))
                found = search.run(
                    [call.seen for call in calls],
                    np.concatenate([log_probabilities for _, log_probabilities, _ in group]),
                    joined([state for _, _, state in group]),
                )
                for call, words in zip(calls, found, strict=True):
                    self._settle(call, spelled(self.model.vocabulary, call.seen, words))
            except Exception as error:
                self._fail(calls, error)

    def _packed(self, old: list[Batch], new: list[Batch]) -> list[Batch]:
        """The batches after new ones have come: as few as their states and the bound allow."""
        if not new:
            return old
        every = [*old, *new]
        states = self.model.runner.aligned([batch.state for batch in every])
        open_: dict[Shapes, list[Batch]] = {}
        full: list[list[Batch]] = []
        for batch, state in zip(every, states, strict=True):
            batch.state = state
            key = _shapes(state)
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
                joined([batch.state for batch in group]),
            )
            for group in [*full, *open_.values()]
        ]

    def _step(self, batch: Batch) -> bool:
        """Write one more character of every text; whether there is more to write."""
        try:
            wanted = [self._wanted(writing) for writing in batch.writings]
            if not all(wanted):
                self._drop(batch)
            if not batch.writings:
                return False
            ids = choose(batch.writings, batch.log_probabilities)
            for writing in batch.writings:
                self._note(writing)
                if all(job.draft.reason is not None for job in writing.live):
                    self._settle(writing, writing.written())
            kept = self._drop(batch)
            if not batch.writings:
                return False
            batch.log_probabilities, batch.state = self.model.runner.step(ids[kept], batch.state)
            self.tally.steps += 1
            self.tally.rows += len(kept)
        except Exception as error:
            self._fail(batch.writings, error)
            return False
        return True

    def _search(self, writing: Writing, steps: Generator[None, None, list[Draft]]) -> bool:
        """One more step of a beam search; whether there are more."""
        try:
            if not self._wanted(writing):
                return False
            next(steps)
        except StopIteration as end:
            writing.found(end.value)
            self._note(writing)
            self._settle(writing, writing.written())
            return False
        except Exception as error:
            self._fail([writing], error)
            return False
        return True

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
                writing.memory = writing.memory.rows(np.array(stay, np.int64))
        which = np.array(kept, np.int64)
        if len(which) < row:
            batch.writings = [writing for writing in batch.writings if writing.live]
            batch.log_probabilities, batch.state = batch.log_probabilities[which], rows(batch.state, which)
        return which

    def _note(self, writing: Writing) -> None:
        """Tell whoever follows a writing what is new."""
        if writing.progress is not None and (pieces := writing.pieces()):
            self._out.append((writing.loop, partial(writing.progress, pieces)))

    def _wanted(self, call: Call[Any]) -> bool:
        """Whether a call is still to be worked on; one whose time is over is answered with what there is."""
        if call.left:
            call.settled = True
        elif call.late:
            if isinstance(call, Writing):
                self._settle(call, call.written())
            else:
                self._fail([call], TimeoutError())
        return not call.settled

    def _settle(self, call: Call[Any], answer: object) -> None:
        """Answer a call, with the other answers of this round."""
        call.settled, call.finished = True, time.monotonic()
        self._out.append((call.loop, partial(call.settle, answer)))

    def _fail(self, calls: Sequence[Call[Any]], error: Exception) -> None:
        """Answer calls with an error."""
        for call in calls:
            call.settled = True
            self._out.append((call.loop, partial(call.fail, error)))

    def _hand_out(self) -> None:
        """Bring the answers of a round to their event loops, all in one go."""
        out, self._out = self._out, []
        for loop in {loop for loop, _ in out}:
            some = [act for one, act in out if one is loop]
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_all, some)


def _all(acts: Sequence[Callable[[], None]]) -> None:
    for act in acts:
        act()


def _shapes(state: State) -> Shapes:
    """Of one row of a state."""
    return tuple(array.shape[1:] for array in state)
