"""The thread that runs one model for all its callers: what waits is taken up between two steps, and steps together.

A round reads one piece of every prompt that is not yet read, answers those who want suggestions, and steps every text
by one character. So a long text delays a short one by no more than its row in the batch costs, one that nobody waits
for any more leaves within a round, and the event loop, which runs elsewhere, is always free to answer. What is written
is what `Completer.complete` writes, whoever else is in the batch.

What goes wrong with one call is its answer, and what goes wrong with many at once is the answer of these; the thread
goes on. If it ends all the same, all that wait are told so at once.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import phrase
from kammil.completion.state_cache import EVERY, Prefill
from kammil.completion.suggestions import MAX_STATES, WordSearch, to_suggestions
from kammil.decoding import Hypothesis, beam_steps
from kammil.language_model import Ids, LogProbabilities, State, concat_states, max_rows, select_rows
from kammil.server.memory import give_back
from kammil.server.scheduler.decode import Batch, Batches
from kammil.server.scheduler.prefill import Prompts, shapes
from kammil.server.scheduler.replies import Answers
from kammil.server.scheduler.requests import (
    Call,
    EndedError,
    Learning,
    RoundError,
    Scanning,
    Scoring,
    Suggesting,
    Writing,
)

ROWS = 64
"""Rows stepped in one call at most: each costs less than the one before, but everybody waits for all of them. What is
more makes a second batch, which takes turns with the first."""
TIDY = 5.0
"""Seconds after which memory that is free goes back to the system, while there is work and once after it."""

Answer = TypeVar("Answer")

log = logging.getLogger("kammil.server")


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


@dataclass(eq=False)
class Searching:
    """A writing by beam search; see `decoding.searching`."""

    writing: Writing
    steps: Generator[Callable[[], list[Hypothesis]], None, list[Hypothesis]]
    so_far: Callable[[], list[Hypothesis]] | None = None
    """Tells the best texts after the last step."""


class Engine:
    """Runs a model on a thread of its own.

    Args:
        model: nobody else may use it.
        rows: texts stepped in one call at most; 1 for no micro-batching.
    """

    def __init__(self, model: Completer, *, rows: int = ROWS) -> None:
        """Start the thread; it waits."""
        self.model, self.tally = model, Tally()
        self._alone = rows == 1
        self._inbox: deque[Call[Any]] = deque()
        self._wake = threading.Condition()
        self._closing = self._ended = False
        self._answers = Answers()
        self._prompts = Prompts(model, self._answers, together=not self._alone)
        self._batches = Batches(model, self._answers, max_rows(model.language_model, rows, EVERY))
        self._searches: list[Searching] = []
        self._tidied, self._used = time.monotonic(), False
        self._thread = threading.Thread(target=self._run, name="kammil-engine", daemon=True)
        self._thread.start()

    def submit(self, call: Call[Answer]) -> Call[Answer]:
        """Take up a call; its `answer` comes on the loop that made it, where this is to be called."""
        with self._wake:
            if not self._ended:
                self._inbox.append(call)
                self._wake.notify()
                return call
        call.fail(EndedError())
        return call

    async def ask(self, call: Call[Answer]) -> Answer:
        """Take up a call and wait for the answer; whoever stops waiting frees its rows."""
        self.submit(call)
        try:
            return await call.answer
        finally:
            call.left = True

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._ended

    def bury(self) -> None:
        """Fail whatever an ended thread has left unanswered. The thread does it as its last act; anybody may repeat it
        afterwards, in case that failed too."""
        with self._wake:
            self._ended = True
            left = [*self._answers.due, *self._inbox]
            self._inbox.clear()
        for call in left:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                call.loop.call_soon_threadsafe(call.fail, EndedError())
        self._let_go()

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
        try:
            while self._turn():
                pass
        except BaseException as error:
            log.critical("the thread of a model has ended", exc_info=error)
        finally:
            self.bury()

    def _turn(self) -> bool:
        """Wait for something to do, and do a round of it; whether there may be more. A round that fails takes with it
        what it worked on, and nothing else."""
        try:
            with self._wake:
                self._wake.wait_for(lambda: self._inbox or self._busy or self._closing, TIDY if self._used else None)
                self._answers.take_up(self._inbox)
                taken = list(self._inbox)
                self._inbox.clear()
                if self._closing and not (taken or self._busy):
                    return False
            if taken or self._busy:
                self._round(taken)
                self._used = True
            if self._used and time.monotonic() >= self._tidied + TIDY:
                give_back()
                self._tidied, self._used = time.monotonic(), False
        except Exception as error:
            log.error("a round failed, and with it all that it worked on", exc_info=error)
            self._abandon(MemoryError() if isinstance(error, MemoryError) else RoundError())
        return True

    def _abandon(self, error: Exception) -> None:
        """Answer all calls at work with an error, and let go of what they held."""
        calls = [call for call in self._answers.due if not call.settled]
        self._let_go()
        for prefixes in {call.prefixes for call in calls if isinstance(call, Writing | Suggesting)}:
            prefixes.clear()  # who knows what of it is whole
        self._answers.fail(calls, error)
        self._count()
        self._answers.hand_out()

    def _let_go(self) -> None:
        """Drop all that is at work."""
        self._prompts.clear()
        self._batches.clear()
        self._searches = []

    def _round(self, taken: Sequence[Call[Any]]) -> None:
        """Take up calls, read a piece of every prompt, and write one more character of every text."""
        for call in taken:
            self._take_up(call)
        self._batches.step(self._read())
        self._searches = [one for one in self._searches if self._search(one)]
        self._count()
        self._answers.hand_out()

    @property
    def _busy(self) -> bool:
        return bool(self._prompts or self._batches or self._searches)

    def _count(self) -> None:
        """Say what was done."""
        self.tally.steps, self.tally.rows = self._batches.steps, self._batches.rows
        self.tally.live = self._batches.live
        self.tally.waiting = len(self._prompts) + len(self._inbox)

    def _take_up(self, call: Call[Any]) -> None:
        """Begin with a call."""
        call.begun = time.monotonic()
        if call.left and not self._answers.wanted(call):
            return
        try:
            match call:
                case Learning():
                    self._answers.settle(call, call.act())
                case Scoring():
                    self._prompts.add(call, call.scanning)
                case Suggesting():
                    self._prompts.add(call, call.prefixes.prefill(call.ids))
                case Writing() if call.scanning is not None:
                    self._prompts.add(call, call.scanning)
                case Writing() if call.live:
                    self._prompts.add(call, call.prefixes.prefill(call.ids))
                case Writing():
                    self._finish(call)
                case _:
                    raise TypeError(f"no such call: {call}")
        except Exception as error:
            self._answers.fail([call], error)

    def _read(self) -> list[Batch]:
        """Read a piece of every prompt and answer what is answered by that; the writings whose prompts are read, each a
        batch of its own."""
        begun: list[Batch] = []
        suggesting: list[tuple[Suggesting, LogProbabilities, State]] = []
        for call, reading in self._prompts.read():
            try:
                match call, reading:
                    case Scoring(), Scanning():
                        self._answers.settle(call, reading.tokens)
                    case Suggesting(), Prefill():
                        suggesting.append((call, *reading.result))
                    case Writing(), _:
                        begun.extend(self._begun(call, *reading.result))
                    case _:
                        raise TypeError("no such call waits")
            except Exception as error:
                self._answers.fail([call], error)
        if suggesting:
            self._suggest(suggesting)
        return begun

    def _finish(self, call: Writing) -> None:
        """Answer with texts that are all there."""
        self._answers.note(call)
        self._answers.settle(call, call.written())

    def _begun(self, call: Writing, log_probabilities: LogProbabilities, state: State) -> list[Batch]:
        """A writing whose prompt is read, ready to step."""
        if not call.live:
            self._finish(call)
            return []
        many = len(call.live)
        if call.guide.options.beams > 1:
            steps = beam_steps(self.model.language_model, call.guide, log_probabilities, state, call.n)
            self._searches.append(Searching(call, steps))
            return []
        if many > 1:
            log_probabilities, state = (
                log_probabilities.repeat(many, axis=0),
                select_rows(state, np.zeros(many, np.int64)),
            )
        return [Batch([call], log_probabilities, state)]

    def _suggest(self, some: Sequence[tuple[Suggesting, LogProbabilities, State]]) -> None:
        """Search for words after these prefixes, those that ask for the same together."""
        groups: dict[object, list[tuple[Suggesting, LogProbabilities, State]]] = {}
        try:
            states = self.model.language_model.pad_states([state for _, _, state in some])
            for (call, log_probabilities, _), state in zip(some, states, strict=True):
                alone = id(call) if self._alone else None
                key = (call.k, call.threshold, alone, shapes(state))
                groups.setdefault(key, []).append((call, log_probabilities, state))
        except Exception as error:
            self._answers.fail([call for call, _, _ in some], error)
            return
        for group in groups.values():
            calls = [call for call, _, _ in group]
            try:
                runner, k = self.model.language_model, calls[0].k
                search = WordSearch(runner, self.model.character_classes, k, calls[0].threshold, max(MAX_STATES, k))
                found = search.run(
                    [call.seen for call in calls],
                    np.concatenate([log_probabilities for _, log_probabilities, _ in group]),
                    concat_states([state for _, _, state in group]),
                )
            except Exception as error:
                self._answers.fail(calls, error)
                continue
            for (call, log_probabilities, state), words in zip(group, found, strict=True):
                if not call.words or self._answers.wanted(call):  # since each phrase takes its time
                    self._settle_words(call, words, log_probabilities, state)

    def _settle_words(
        self, call: Suggesting, words: Sequence[tuple[Ids, float]], log_probabilities: LogProbabilities, state: State
    ) -> None:
        """Answer with words that were found, and with a phrase, if it was asked for."""
        model = self.model
        try:
            ghost = None
            if call.words:
                ghost = phrase(
                    model.language_model,
                    model.vocabulary,
                    model.character_classes,
                    call.seen,
                    log_probabilities,
                    state,
                    words=call.words,
                )
            self._answers.settle(call, (to_suggestions(model.vocabulary, call.seen, words), ghost))
        except Exception as error:
            self._answers.fail([call], error)

    def _search(self, search: Searching) -> bool:
        """One more step of a beam search; whether there are more."""
        writing = search.writing
        try:
            if writing.late and search.so_far is not None:
                writing.found(search.so_far())
            if not self._answers.wanted(writing):
                return False
            try:
                search.so_far = next(search.steps)
            except StopIteration as end:
                writing.found(end.value)
                self._finish(writing)
                return False
        except Exception as error:
            self._answers.fail([writing], error)
            return False
        return True
