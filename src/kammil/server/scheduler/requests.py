"""Requests to a scheduler and their results. Shapes: B batch, T time, V vocabulary."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import Phrase
from kammil.completion.state_cache import STRIDE, Prefill, StateCache
from kammil.completion.stock_phrases import choose
from kammil.completion.suggestions import Query, Suggestion
from kammil.decoding.constraints import Constraints
from kammil.decoding.hypothesis import FinishReason, Hypothesis
from kammil.decoding.sampling import NO_PROBABILITIES, SequenceGroup
from kammil.errors import FolderError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State, max_positions
from kammil.vocabulary import BOS, PAD, UNK

Answer = TypeVar("Answer")

log = logging.getLogger("kammil.server")


class SchedulerError(Exception):
    """A scheduler failed and logged why."""


class RoundError(SchedulerError):
    """A round failed with all its requests."""


class StoppedError(SchedulerError):
    """The scheduler's thread has ended."""


@dataclass(frozen=True)
class TokenLogprobs:
    """A character or the end of a text, with natural logarithms before any filter."""

    id: int
    log_probability: float
    """Includes the cost of an unknown character."""
    top: tuple[tuple[int, float], ...]
    """Best first."""


class EngineRequest(Generic[Answer]):
    """A request, created on the event loop that awaits `future`, then owned by the scheduler's thread.

    At the `deadline` of `time.monotonic`, a generation ends with its text so far, others with `TimeoutError`.
    """

    def __init__(self, deadline: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Answer] = self.loop.create_future()
        self.deadline, self.submitted_at = deadline, time.monotonic()
        self.started_at: float | None = None
        self.answered_at: float | None = None
        self.abandoned = False
        """Set on the event loop when the client leaves."""
        self.answered = False
        """Set on the scheduler's thread with a result, or when abandoned."""

    @property
    def timed_out(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def resolve(self, answer: Answer) -> None:
        """Set the result, on the event loop."""
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Set an exception, on the event loop."""
        traceback.clear_frames(error.__traceback__)  # frames hold the states of the whole batch
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # retrieved, so that asyncio does not warn


class PromptScorer:
    """Scores a text, (T,) from BOS on, while it is read in pieces."""

    def __init__(self, completer: Completer, ids: Ids, num_top: int) -> None:
        self._ids, self._num_top, self._num_read = ids, num_top, 0
        self._unknown_nats = completer.vocabulary.unknown_bits * math.log(2)
        self._max_ids = max_positions(STRIDE, completer.vocabulary.size)
        self.state: State = completer.language_model.initial_state(1)
        self.tokens: list[TokenLogprobs] = []
        """One for each id after BOS."""
        self.result: tuple[LogProbabilities, State]
        """Log-probabilities after the text, (1, V), and the state; set once some of it is read."""

    @property
    def remaining(self) -> int:
        """Number of ids to read next."""
        return min(self._max_ids, len(self._ids) - self._num_read)

    def next_ids(self, size: int) -> Ids:
        """Return the next ids, (size,)."""
        return self._ids[self._num_read : self._num_read + size]

    def advance(self, size: int, log_probabilities: LogProbabilities, state: State) -> None:
        """Take log-probabilities after each id, (size, V), and the last state; `FolderError` without finite ones."""
        if not np.isfinite(log_probabilities.max(axis=-1)).all():
            raise FolderError(NO_PROBABILITIES)
        self._num_read += size
        true = self._ids[self._num_read - size + 1 : self._num_read + 1]
        tops = top_ids(log_probabilities[: len(true)], self._num_top)
        for row, id, top in zip(log_probabilities, true.tolist(), tops, strict=False):
            self.tokens.append(TokenLogprobs(id, float(row[id]) - (self._unknown_nats if id == UNK else 0), top))
        self.state, self.result = state, (log_probabilities[-1:], state)


class Generation(EngineRequest["list[TextPart]"]):
    """Generates the texts of `constraints` after a prompt, (T,) from BOS on.

    Tokens are reported only with `num_top`, those of the prompt only with `echo` too. The event loop calls `on_parts`
    with new text.
    """

    def __init__(
        self,
        deadline: float,
        completer: Completer,
        ids: Ids,
        constraints: Constraints,
        *,
        num_top: int | None = None,
        echo: bool = False,
        state_cache: StateCache | None = None,
        on_parts: Callable[[list[TextPart]], None] | None = None,
    ) -> None:
        super().__init__(deadline)
        self.ids, self.constraints, self.n = ids, constraints, constraints.n
        self.num_top, self.on_parts = num_top, on_parts
        self.state_cache = completer.state_cache if state_cache is None else state_cache
        options = constraints.options
        self.sequences = [TextSequence(i, constraints.hypothesis()) for i in range(max(self.n, options.best_of))]
        self.live = self.sequences.copy() if options.length else []
        self.group = SequenceGroup(constraints, [sequence.hypothesis for sequence in self.live])
        self.stock: list[TextSequence] = []
        self.scorer = PromptScorer(completer, ids, num_top) if echo and num_top is not None else None

    def reader(self) -> Prefill | PromptScorer:
        """Return what reads the prompt."""
        return self.scorer or self.state_cache.prefill(self.ids)

    def set_hypotheses(self, hypotheses: list[Hypothesis]) -> None:
        """Take the results of a beam search."""
        self.sequences = [TextSequence(i, one, num_decisions=len(one.bits)) for i, one in enumerate(hypotheses)]
        self.live = []

    def add_stock(
        self, hypotheses: Sequence[Hypothesis], model: LanguageModel, first: LogProbabilities, state: State
    ) -> None:
        """Add stock phrases; `first`, (1, V), and `state` follow the prompt."""
        for hypothesis in hypotheses:
            sequence = TextSequence(-1, hypothesis)
            if self.num_top is not None:
                ids = self.constraints.vocabulary.encode(hypothesis.text)
                following, _ = model.forward(ids[None], state)  # (1, T, V)
                rows = np.concatenate([first, following[0, :-1]])
                tops = top_ids(rows, self.num_top)
                chosen = zip(ids.tolist(), rows[np.arange(len(ids)), ids].tolist(), tops, strict=True)
                sequence.tokens = [TokenLogprobs(*token) for token in chosen]
            self.stock.append(sequence)

    def append(self, ids: Ids, log_probabilities: LogProbabilities, chosen: LogProbabilities) -> None:
        """Record the live texts' ids and `chosen` log-probabilities, (B,), of the `log_probabilities`, (B, V)."""
        tops = top_ids(log_probabilities, self.num_top) if self.num_top is not None else None
        for i, sequence in enumerate(self.live):
            sequence.num_decisions += 1
            if tops is not None:
                sequence.tokens.append(TokenLogprobs(int(ids[i]), float(chosen[i]), tops[i]))

    def keep(self, rows: list[int]) -> None:
        """Keep only these live texts."""
        self.live = [self.live[row] for row in rows]
        self.group.select(rows)

    def new_parts(self) -> list[TextPart]:
        """Return new text; none where the best texts are chosen at the end."""
        if len(self.sequences) > self.n:
            return []
        return [part for sequence in self.live or self.sequences if (part := sequence.new_part()) is not None]

    def texts(self) -> list[TextPart]:
        """Return the texts so far, or the best `n`."""
        sequences = self.sequences
        if len(sequences) > self.n:
            owners = {id(sequence.hypothesis): sequence for sequence in [*sequences, *self.stock]}
            drawn, stock = ([one.hypothesis for one in ones] for ones in (sequences, self.stock))
            chosen = choose(drawn, stock, self.constraints)
            sequences = [owners[id(hypothesis)] for hypothesis in chosen]
        return [sequence.whole() for sequence in sequences]


@dataclass(eq=False, slots=True)
class TextSequence:
    """A text of a generation."""

    index: int
    hypothesis: Hypothesis
    tokens: list[TokenLogprobs] = field(default_factory=list[TokenLogprobs])
    num_decisions: int = 0
    """Characters so far and the end."""
    num_sent: int = 0
    """Characters, and tokens until the end."""
    end_sent: bool = False

    @property
    def ended(self) -> bool:
        """Whether the text is complete."""
        return self.hypothesis.reason is not None

    def new_part(self) -> TextPart | None:
        """Return new text since the last call, if any."""
        begin, num_safe = self.num_sent, self.hypothesis.safe()
        if self.end_sent or (not self.ended and num_safe == begin):
            return None
        num_tokens = len(self.tokens) if self.ended else num_safe
        tokens = tuple(self.tokens[begin:num_tokens])
        self.num_sent, self.end_sent = num_safe, self.ended
        return TextPart(self.index, self.hypothesis.text[begin:num_safe], tokens, self.hypothesis.reason)

    def whole(self) -> TextPart:
        """Return the text so far, without the possible beginning of a stop string."""
        hypothesis = self.hypothesis
        text, stock = hypothesis.text[: hypothesis.safe()], hypothesis.likeness is not None
        return TextPart(self.index, text, tuple(self.tokens), hypothesis.reason or "length", stock)


@dataclass(frozen=True)
class TextPart:
    """A generated text or a part of it."""

    index: int
    text: str
    """Whole graphemes that no later character can change."""
    tokens: tuple[TokenLogprobs, ...]
    """One per decision, even if cut off; empty unless asked for."""
    finish_reason: FinishReason | None
    stock: bool = False
    """Whether it is a stock phrase."""


class SuggestCall(EngineRequest[tuple[list[Suggestion], Phrase | None]]):
    """Suggests words and, if `ghost`, ghost text."""

    def __init__(self, deadline: float, state_cache: StateCache, query: Query, *, ghost: bool = False) -> None:
        super().__init__(deadline)
        self.state_cache, self.query, self.ghost = state_cache, query, ghost
        self.ids = query.text.ids

    def reader(self) -> Prefill:
        """Return what reads the text."""
        return self.state_cache.prefill(self.ids)


class ScoreCall(EngineRequest[list[TokenLogprobs]]):
    """Scores a text, (T,), from BOS to EOS."""

    def __init__(self, deadline: float, completer: Completer, ids: Ids, num_top: int) -> None:
        super().__init__(deadline)
        self.scorer = PromptScorer(completer, ids, num_top)

    def reader(self) -> PromptScorer:
        """Return what reads the text."""
        return self.scorer


class ModelUpdate(EngineRequest[Answer]):
    """Runs `action` between two steps; its result is the answer."""

    def __init__(self, deadline: float, action: Callable[[], Answer]) -> None:
        super().__init__(deadline)
        self.action = action


ReadingRequest = Generation | SuggestCall | ScoreCall
"""Requests with a text to read."""


def top_ids(log_probabilities: NDArray[np.floating], k: int) -> list[tuple[tuple[int, float], ...]]:
    """Return the k most probable ids of each row, (B, V), best first, without special tokens but EOS."""
    if k == 0:
        return [()] * len(log_probabilities)
    hidden = (PAD, UNK, BOS)
    order = np.argsort(-log_probabilities, axis=-1, kind="stable")[:, : k + len(hidden)]
    values = np.take_along_axis(log_probabilities, order, axis=-1)
    ranked = (zip(*pair, strict=True) for pair in zip(order.tolist(), values.tolist(), strict=True))
    return [tuple(each for each in row if each[0] not in hidden)[:k] for row in ranked]


class ReplyQueue:
    """Carries results from the scheduler's thread to the event loops that await them."""

    def __init__(self) -> None:
        self._outgoing: list[tuple[EngineRequest[Any], Callable[[], None]]] = []
        self.unanswered: set[EngineRequest[Any]] = set()
        """Requests with unsent results."""

    def still_wanted(self, call: EngineRequest[Any]) -> bool:
        """Whether to go on with a request; answer it if its deadline has passed."""
        if call.abandoned:
            call.answered = True
            self.unanswered.discard(call)
        elif call.timed_out and not call.answered:
            with self.failing([call]):
                if not isinstance(call, Generation):
                    raise TimeoutError
                self.resolve(call, call.texts())
        return not call.answered

    def send_parts(self, generation: Generation) -> None:
        """Send new text to the generation's callback."""
        if generation.on_parts is not None and (parts := generation.new_parts()):
            self._outgoing.append((generation, partial(generation.on_parts, parts)))

    def finish(self, generation: Generation) -> None:
        """Answer a complete generation."""
        self.send_parts(generation)
        self.resolve(generation, generation.texts())

    def resolve(self, call: EngineRequest[Any], answer: object) -> None:
        """Answer a request at the end of the round."""
        call.answered, call.answered_at = True, time.monotonic()
        self._outgoing.append((call, partial(call.resolve, answer)))

    def fail(self, calls: Iterable[EngineRequest[Any]], error: Exception) -> None:
        """Answer requests with an error."""
        for call in calls:
            call.answered = True
            self._outgoing.append((call, partial(call.fail, error)))

    @contextmanager
    def failing(self, calls: Iterable[EngineRequest[Any]]) -> Generator[None]:
        """Answer these requests with the block's error, if any."""
        try:
            yield
        except Exception as error:
            self.fail(calls, error)

    def flush(self) -> None:
        """Send all results, in one call per event loop; a failed call is repeated next time."""
        for loop in {call.loop for call, _ in self._outgoing}:
            sent = [pair for pair in self._outgoing if pair[0].loop is loop]
            remaining = [pair for pair in self._outgoing if pair[0].loop is not loop]
            with suppress(RuntimeError):  # a closed loop, where no client waits
                loop.call_soon_threadsafe(_run_all, [action for _, action in sent])
            self._outgoing = remaining
            self.unanswered.difference_update(call for call, _ in sent if call.answered)


def _run_all(actions: Sequence[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception as error:  # the other results go on
            log.error("a result could not be delivered", exc_info=error)
