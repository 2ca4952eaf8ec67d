"""What may be asked of an engine, and where the answer goes. Shapes: T time, V vocabulary."""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import Phrase
from kammil.completion.state_cache import EVERY, StateCache
from kammil.completion.suggestions import Suggestion
from kammil.decoding import Constraints, FinishReason, Hypothesis, keep_best
from kammil.decoding.constraints import ConstraintState
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError
from kammil.language_model import Ids, LogProbabilities, State, max_positions
from kammil.vocabulary import UNK

Answer = TypeVar("Answer")


class EngineError(Exception):
    """An engine failed, whatever the call was; its log says why."""


class RoundError(EngineError):
    """A round failed, and with it all that it worked on."""


class EndedError(EngineError):
    """The engine's thread has ended: nothing that is asked of it comes back."""


@dataclass(frozen=True)
class Token:
    """One decision: a character that was written or read, or the end of a text."""

    id: int
    log_probability: float
    """Natural, under the unfiltered model; an unknown character is charged in full."""
    top: tuple[tuple[int, float], ...]
    """The most probable ids, best first, and their log-probabilities."""


class Call(Generic[Answer]):
    """One thing asked of an engine. The engine's thread owns it; the loop's side reads `answer` and sets `left`.

    Args:
        deadline: of `time.monotonic`; what is not answered by then ends with what there is, or with `TimeoutError`.
    """

    def __init__(self, deadline: float) -> None:
        """To be made on the event loop that waits for the answer."""
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = self.loop.create_future()
        self.deadline = deadline
        self.left = False
        """Nobody waits for it any more: its rows leave before the next step."""
        self.settled = False
        """It is answered, or nobody waits; the engine's thread alone sets it."""
        self.arrived = time.monotonic()
        self.begun: float | None = None
        """When the engine took it up."""
        self.finished: float | None = None
        """When it was answered."""

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() > self.deadline

    def settle(self, answer: Answer) -> None:
        """Give the answer; on the loop's side."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Give an error instead; on the loop's side."""
        traceback.clear_frames(error.__traceback__)  # they hold the states of all that failed together
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # looked at: that nobody waits any more is nothing to be warned of


class Scanning:
    """A text that is read for what the model thought of each of its characters, piece by piece.

    Args:
        ids: (T,), BOS in front.
        top: how many of the most probable ids are wanted at each place.
        unknown: natural logarithm of the choice among unknown characters.
        state: of the runner before anything was read, one row.
        every: ids of a piece at most.
    """

    def __init__(self, ids: Ids, top: int, unknown: float, state: State, every: int = EVERY) -> None:
        """Nothing read."""
        self._ids, self._top, self._unknown, self.state = ids, top, unknown, state
        self._read, self._every = 0, every
        self.tokens: list[Token] = []
        """Of the ids after BOS."""
        self.last: LogProbabilities | None = None
        """(1, V): what may follow all of them."""

    @property
    def result(self) -> tuple[LogProbabilities, State]:
        """What may follow the whole text, once all of it is read, and the state there."""
        assert self.last is not None
        return self.last, self.state

    @property
    def remaining(self) -> int:
        """How many ids are to be read next; 0 when all are read."""
        return min(self._every, len(self._ids) - self._read)

    def next_ids(self, size: int) -> Ids:
        """The next ids, (size,)."""
        return self._ids[self._read : self._read + size]

    def advance(self, size: int, log_probabilities: LogProbabilities, state: State) -> None:
        """What follows each place of a piece, (size, V), and the state after it."""
        if not np.isfinite(log_probabilities.max(axis=-1)).all():
            raise FolderError(NO_PROBABILITIES)
        self._read += size
        true = self._ids[self._read - size + 1 : self._read + 1]
        tops = best_ids(log_probabilities[: len(true)], self._top)
        for row, id, top in zip(log_probabilities, true.tolist(), tops, strict=False):
            self.tokens.append(Token(id, float(row[id]) - (self._unknown if id == UNK else 0), top))
        self.state, self.last = state, log_probabilities[-1:]


class Writing(Call["list[Written]"]):
    """Texts to be written after one prompt.

    Args:
        deadline: see `Call`.
        model: writes.
        ids: of the prompt, (T,), BOS in front.
        guide: the rules.
        n: texts wanted.
        top: how many alternatives of every token are wanted; None for no tokens at all.
        echo: whether the prompt's own tokens are wanted too.
        prefixes: where what was read is kept; the model's own if None.
        progress: is called on the event loop with what is new, whenever there is something; None to wait for the end.
    """

    def __init__(
        self,
        deadline: float,
        model: Completer,
        ids: Ids,
        guide: Constraints,
        n: int,
        *,
        top: int | None = None,
        echo: bool = False,
        prefixes: StateCache | None = None,
        progress: Callable[[list[Piece]], None] | None = None,
    ) -> None:
        """Nothing read."""
        super().__init__(deadline)
        self.ids, self.guide, self.n, self.top, self.progress = ids, guide, n, top, progress
        self.prefixes = model.prefixes if prefixes is None else prefixes
        options = guide.options
        self.plain = guide.static_mask
        self.jobs = [Job(options.seed, i, Hypothesis(options)) for i in range(max(n, options.best_of))]
        self.live = self.jobs.copy() if options.length else []
        self.memory: ConstraintState = guide.initial_state(len(self.jobs))
        self.scanning: Scanning | None = None
        if echo and top is not None:
            unknown = model.vocabulary.unknown_bits * math.log(2)
            every = max_positions(EVERY, model.vocabulary.size)
            self.scanning = Scanning(ids, top, unknown, model.language_model.initial_state(1), every)

    def found(self, drafts: list[Hypothesis]) -> None:
        """Take the texts that a search has found, best first."""
        seed = self.guide.options.seed
        self.jobs = [Job(seed, i, draft, decided=len(draft.bits)) for i, draft in enumerate(drafts)]
        self.live = []

    def pieces(self) -> list[Piece]:
        """What has come since the last time."""
        return [piece for job in self.live or self.jobs if (piece := job.piece()) is not None]

    def written(self) -> list[Written]:
        """The texts as they stand now, the best first where there were more than are wanted."""
        jobs = self.jobs
        if len(jobs) > self.n:
            order = {id(draft): i for i, draft in enumerate(keep_best([job.draft for job in jobs], self.n))}
            jobs = sorted((job for job in jobs if id(job.draft) in order), key=lambda job: order[id(job.draft)])
        return [job.written() for job in jobs]


@dataclass(eq=False, slots=True)
class Job:
    """One text of a writing."""

    seed: int
    index: int
    draft: Hypothesis
    tokens: list[Token] = field(default_factory=list[Token])
    decided: int = 0
    """Decisions so far: characters, and the end."""
    sent: int = 0
    """Characters that have left."""
    told: int = 0
    """Tokens that have left."""
    ended: bool = False
    """Why the text ends has left."""
    generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Each text has a generator of its own, that of `decoding.draw`."""
        self.rewind()

    def rewind(self) -> None:
        """Put the generator where the next decision begins, each of which draws one number."""
        self.generator = np.random.default_rng([self.seed, self.index])
        self.generator.random(self.decided)

    def piece(self) -> Piece | None:
        """What has come since the last time; None if nothing has."""
        draft, begin = self.draft, self.sent
        safe = draft.safe()
        if self.ended or (draft.reason is None and safe == begin):
            return None
        told = len(self.tokens) if draft.reason is not None else safe
        tokens = tuple(self.tokens[self.told : told])
        self.sent, self.told, self.ended = safe, told, draft.reason is not None
        return Piece(self.index, draft.text[begin:safe], tokens, draft.reason)

    def written(self) -> Written:
        """The text as it stands now: whole graphemes, and nothing that may still be cut off."""
        draft = self.draft
        return Written(draft.text[: draft.safe()], draft.reason or "length", self.decided, tuple(self.tokens))


@dataclass(frozen=True)
class Piece:
    """Some more of one text."""

    index: int
    text: str
    """Whole graphemes that nothing to come can change."""
    tokens: tuple[Token, ...]
    finish_reason: FinishReason | None


@dataclass(frozen=True)
class Written:
    """One text, as far as it came."""

    text: str
    finish_reason: FinishReason
    """`length` also for one that ran out of time."""
    decided: int
    """Decisions made: characters, and the end."""
    tokens: tuple[Token, ...]
    """One for each decision, those that were cut off the text too; empty unless asked for."""


class Suggesting(Call[tuple[list[Suggestion], Phrase | None]]):
    """Words that may come next, and a phrase of them, if it may have words.

    Args:
        deadline: see `Call`.
        prefixes: where what was read is kept.
        seen: the prefix as the model sees it.
        ids: the same, (T,), BOS in front.
        k: words at most.
        threshold: least probability.
        words: of the phrase at most; 0 for none.
    """

    def __init__(
        self, deadline: float, prefixes: StateCache, seen: str, ids: Ids, k: int, threshold: float, words: int = 0
    ) -> None:
        """Nothing read."""
        super().__init__(deadline)
        self.prefixes, self.seen, self.ids = prefixes, seen, ids
        self.k, self.threshold, self.words = k, threshold, words


class Scoring(Call[list[Token]]):
    """What the model thinks of each character of a text, and of its end.

    Args:
        deadline: see `Call`.
        model: reads it.
        ids: of the text, BOS in front and the end behind, (T,).
        top: alternatives wanted.
    """

    def __init__(self, deadline: float, model: Completer, ids: Ids, top: int) -> None:
        """Nothing read."""
        super().__init__(deadline)
        unknown, every = model.vocabulary.unknown_bits * math.log(2), max_positions(EVERY, model.vocabulary.size)
        self.scanning = Scanning(ids, top, unknown, model.language_model.initial_state(1), every)


class Learning(Call[Answer]):
    """Something done to the model between two steps, such as learning a text."""

    def __init__(self, deadline: float, act: Callable[[], Answer]) -> None:
        """`act` runs on the engine's thread; what it returns is the answer, or the `KammilError` that it raises."""
        super().__init__(deadline)
        self.act = act


def best_ids(log_probabilities: NDArray[np.floating], k: int) -> list[tuple[tuple[int, float], ...]]:
    """Of each row, (N, V), the k most probable ids, best first, and their log-probabilities."""
    if k == 0:
        return [()] * len(log_probabilities)
    order = np.argsort(-log_probabilities, axis=-1, kind="stable")[:, :k]
    values = np.take_along_axis(log_probabilities, order, axis=-1)
    return [tuple(zip(*pair, strict=True)) for pair in zip(order.tolist(), values.tolist(), strict=True)]
