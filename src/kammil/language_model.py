"""The contract of every model family: one distribution over the next id, on two sides.

The learning side is a `torch.nn.Module` with `forward(ids: (B, T)) -> logits (B, T, V)`, or, for a family that counts,
a function from texts to counts. The running side is a `LanguageModel`: no PyTorch, state in plain arrays. Both give, at
position t, the distribution of what follows ids[:, :t+1]; one test binds them for every family. A model never computes
its loss, samples, prints, or picks an optimiser.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Ids = NDArray[np.int64]
LogProbabilities = NDArray[np.float32]

State = tuple[NDArray[np.generic], ...]
"""What a runner remembers of the ids read so far; axis 0 of every array is the batch."""

MAX_SCORES, MAX_STATE_NUMBERS = 1 << 22, 1 << 24
"""Numbers at once at most: of what is said of all positions, and of the states of all rows. A small folder may have a
vocabulary of hundreds of thousands, or states of megabytes; one position of one row is read of any."""
_MAX_POSITIONS = 4096
"""Positions at once at most: the ids themselves, and what is looked up for each, take memory as well."""


class Settings(BaseModel):
    """What defines an architecture: plain numbers, stored in `model.json`. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Artifacts:
    """What a trained model leaves behind, apart from its settings: all that its running side needs."""

    weights: Mapping[str, NDArray[np.generic]]
    """Named arrays, for `weights.safetensors`."""


class LanguageModel(ABC):
    """The running side of a model."""

    version = 0
    """Another number whenever the runner has come to say something else of what it has read already."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """V."""

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """The state before anything was read, B rows. The first id to read is BOS."""

    @abstractmethod
    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T), T >= 1; natural log-probabilities of the next id at the last `last` positions (all if None).

        Returns: log-probabilities (B, last, V) whose exponentials sum to one, and the state after ids[:, -1].
        """

    def state_size(self, length: int) -> int:
        """Numbers of the state of one row after so many ids, about."""
        del length
        return sum(array.size for array in self.initial_state(1))

    def pad_states(self, states: Sequence[State]) -> Sequence[State]:
        """The same states, so that those after texts of different lengths fit into one batch, as far as they can.

        A family whose states do not grow has nothing to do.
        """
        return states

    @final
    def step(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        """Read one id for each row, (B,); log-probabilities (B, V) of the next, and the new state."""
        log_probabilities, state = self.forward(ids[:, None], state, last=1)  # (B, 1, V)
        return log_probabilities[:, 0], state


class SavedModel(LanguageModel):
    """The running side of a family, made of what its learning side left behind."""

    @classmethod
    @abstractmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a model; `ValidationError`, `KeyError` or `ValueError` for settings or arrays that do not fit."""


class AdaptiveModel(ABC):
    """A running side that learns texts while it runs, without training, and forgets them."""

    @abstractmethod
    def learn(self, ids: Ids) -> None:
        """Take in a text, (T,), without specials; what the runner says next knows it."""

    def learn_all(self, texts: Sequence[Ids]) -> None:
        """Take in many texts, as `learn` would one by one."""
        for ids in texts:
            self.learn(ids)

    @abstractmethod
    def forget(self, ids: Ids) -> bool:
        """Undo one `learn` of the same ids; false for a text that was not learnt."""


class BulkSampler(ABC):
    """A running side that draws what follows by itself, many ids in a call, where nothing but chance has a say."""

    def can_sample(self, temperature: float) -> bool:
        """Whether it does so now, rather than step by step."""
        del temperature
        return True

    @abstractmethod
    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Draw the id that follows, read it, draw the next, and so on: n of them.

        Args:
            state: of one text, one row.
            chances: (n,) between 0 and 1: draw i is the first id where the shares summed up exceed this part of all.
            temperature: as in `decoding.Decoding`; at 0 the chances do not matter.
            refused: (V,), 0 or minus infinity, added to every log-probability.

        Returns: the ids (n,), their log-probabilities (n,) without refusals and temperature, and the state after them;
        fewer where an end of text is the last of them.
        Where there was nothing to choose, a refused id or NaN.
        """


class ExpertAttribution(ABC):
    """A running side whose scores are a sum over experts, and which can say what each of them adds."""

    @property
    @abstractmethod
    def experts(self) -> tuple[str, ...]:
        """Names of the experts, K: `network`, or a source and a kind of context, such as `counts o5`, `background w1`
        or `this text o3`."""

    @abstractmethod
    def expert_scores(self, ids: Ids, state: State) -> tuple[NDArray[np.float32], State]:
        """Read ids (B, T); what each expert adds to the score of each next id, (B, T, K, V), and the state after them.

        Their sum over experts, normalised, is what `read` says. It takes K times the memory: give a piece at a time.
        """


def max_positions(most: int, size: int) -> int:
    """How many of `most` positions may be worked on together, where something of so many numbers is made of each."""
    return max(1, min(most, _MAX_POSITIONS, MAX_SCORES // max(1, size)))


def max_rows(runner: LanguageModel, most: int, length: int, *, each: int = 1) -> int:
    """How many of `most` texts of so many ids may be stepped together, where a text may become `each` rows."""
    said = max_positions(most, each * runner.vocabulary_size)
    return max(1, min(said, MAX_STATE_NUMBERS // max(1, each * runner.state_size(length))))


def forward_in_pieces(runner: LanguageModel, ids: Ids) -> Iterator[tuple[slice, slice, LogProbabilities]]:
    """Read whole texts, (B, T), in bounded memory: which rows and which positions, and the log-probabilities there."""
    batch, time = ids.shape
    together = max_rows(runner, batch, time)
    for top in range(0, batch, together):
        some = slice(top, min(top + together, batch))
        many = some.stop - top
        piece = max(1, max_positions(many * time, runner.vocabulary_size) // many)
        state = runner.initial_state(many)
        for begin in range(0, time, piece):
            part = slice(begin, min(begin + piece, time))
            log_probabilities, state = runner.forward(ids[some, part], state)
            yield some, part, log_probabilities


def read_in_pieces(
    read: Callable[[Ids, State, int], tuple[LogProbabilities, State]],
    ids: Ids,
    state: State,
    last: int | None,
    piece: int,
) -> tuple[LogProbabilities, State]:
    """Read ids (B, T), `piece` of them at a time, which bounds the memory of a long read; as `LanguageModel.forward`.

    `read`: reads (ids, state, last) at once.
    """
    time = ids.shape[1]
    first = 0 if last is None else time - last
    made: list[LogProbabilities] = []
    for begin in range(0, time, piece):
        part = ids[:, begin : begin + piece]
        out, state = read(part, state, max(0, begin + part.shape[1] - max(begin, first)))
        made.append(out)
    return made[0] if len(made) == 1 else np.concatenate(made, axis=1), state


def concat_states(states: Sequence[State]) -> State:
    """Several states of equal shapes as one: their rows, one after the other."""
    return states[0] if len(states) == 1 else tuple(np.concatenate(arrays) for arrays in zip(*states, strict=True))


def select_rows(state: State, which: Ids) -> State:
    """The state of the chosen rows, in the order given: rows may repeat, so that one prompt feeds many samples."""
    return tuple(array[which] for array in state)
