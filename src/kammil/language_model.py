"""The contract of every model family: a distribution over the next id, on a learning and a running side.

The learning side is a `torch.nn.Module` with `forward(ids: (B, T)) -> logits (B, T, V)`, or, for a family that counts,
a function from texts to counts. The running side is a `LanguageModel`: no PyTorch, state in plain arrays. Both give, at
position t, the distribution of what follows ids[:, :t+1]; one test binds them for every family. A model never computes
its loss, samples, prints, or picks an optimiser.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast, final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Ids = NDArray[np.int64]
LogProbabilities = NDArray[np.float32]

State = tuple[NDArray[np.generic], ...]
"""State of a model after the ids read so far; axis 0 of every array is the batch."""

MAX_SCORES, MAX_STATE_NUMBERS = 1 << 22, 1 << 24
"""Maximum numbers in memory at once, of the scores of all positions and of the states of all rows: a small folder may
have a large vocabulary or large states. A single position of a row is always read."""
_MAX_POSITIONS = 4096
"""Maximum number of positions at once: their ids and look-ups take memory as well."""

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
DOCUMENTS = (CONFIG, TOKENIZER)
"""Files of a pretrained model beside its weights, in Hugging Face's formats."""
_MAX_DEPTH = 100
"""Maximum number of levels of their nesting; published models have about ten."""


class Settings(BaseModel):
    """Base of the settings that define an architecture, stored in `model.json`. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Artifacts:
    """What the running side of a model needs beside its settings."""

    weights: Mapping[str, NDArray[np.generic]]
    """Named arrays, for `weights.safetensors`."""
    documents: Mapping[str, str] = field(default_factory=dict[str, str])
    """JSON texts by file name, of the names in `DOCUMENTS`."""

    def document(self, name: str) -> dict[str, Any]:
        """Parse a document; `KeyError` where there is none, `ValueError` for no JSON object or a too deep one."""
        try:
            found: object = json.loads(self.documents[name])
        except RecursionError as error:
            raise ValueError(f"{name} is nested too deeply") from error
        if not isinstance(found, dict):
            raise ValueError(f"{name} holds no JSON object")
        level: list[object] = [found]
        for _ in range(_MAX_DEPTH):
            level = [child for node in level for child in _children(node)]
        if level:
            raise ValueError(f"{name} is nested too deeply")
        return cast(dict[str, Any], found)


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return cast(dict[str, object], node).values()
    return cast(list[object], node) if isinstance(node, list) else ()


class LanguageModel(ABC):
    """The running side of a model."""

    version = 0
    """Changes whenever learning changes the predictions for texts that were read before."""

    vocabulary_size: int
    """Number of ids, V."""

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """Return the state of `batch` rows before any id. The first id to read is BOS."""

    @abstractmethod
    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T), T >= 1; predict the next id at the last `last` positions, all if None.

        Returns: natural log-probabilities (B, last, V), whose exponentials sum to one; the state after ids[:, -1].
        """

    def state_size(self, length: int) -> int:
        """Return about the number of numbers in the state of a row after `length` ids."""
        del length
        return sum(array.size for array in self.initial_state(1))

    def pad_states(self, states: Sequence[State]) -> Sequence[State]:
        """Pad states after texts of different lengths to equal shapes, where they grow."""
        return states

    @final
    def step(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        """Read one id a row, (B,); return log-probabilities (B, V) of the next, and the new state."""
        log_probabilities, state = self.forward(ids[:, None], state, last=1)  # (B, 1, V)
        return log_probabilities[:, 0], state


class SavedModel(LanguageModel):
    """The running side of a family."""

    @classmethod
    @abstractmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a model; `ValidationError`, `KeyError` or `ValueError` for settings or arrays that do not fit."""


class AdaptiveModel(ABC):
    """A model that learns texts while it runs, without training, and forgets them."""

    @abstractmethod
    def learn(self, ids: Ids) -> None:
        """Learn a text, (T,), without specials; the next prediction knows it."""

    def learn_all(self, texts: Sequence[Ids]) -> None:
        """Learn many texts, as `learn` would one by one."""
        for ids in texts:
            self.learn(ids)

    @abstractmethod
    def forget(self, ids: Ids) -> bool:
        """Undo one `learn` of the same ids; return false for a text that was not learnt."""

    @abstractmethod
    def fork(self, *, learnt: bool = False) -> Self:
        """Return a model with the same weights, in the same memory, that has learnt nothing, or what this one has."""


class BulkSampler(ABC):
    """A model that samples many ids in one call, by temperature and refused ids alone."""

    def can_sample(self, temperature: float) -> bool:
        """Return whether `sample` is faster than stepping at this temperature."""
        del temperature
        return True

    @abstractmethod
    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Sample the next id, read it, sample the next, and so on: n times.

        Args:
            state: state of one text, one row.
            chances: (n,), uniform in [0, 1): id i is the first at which the cumulative probability exceeds chance i.
            temperature: as in `decoding.options`; at 0 the chances are not used.
            refused: (V,), 0 or minus infinity, added to the log-probabilities.

        Returns: the ids (n,), their log-probabilities (n,) without refusals and temperature, and the state after them;
        fewer than n if EOS was sampled. Where every id was refused, a refused id or NaN.
        """


class ExpertAttribution(ABC):
    """A model whose scores are a sum over experts, and which returns the summands."""

    @property
    @abstractmethod
    def experts(self) -> tuple[str, ...]:
        """Names of the experts, K: `network`, or a source and a kind of context, such as `counts o5`, `background w1`
        or `this text o3`."""

    @abstractmethod
    def expert_scores(self, ids: Ids, state: State) -> tuple[NDArray[np.float32], State]:
        """Read ids (B, T); return what each expert adds to the score of each next id, (B, T, K, V), and the new state.

        The log-softmax of their sum over experts is what `forward` returns. Takes K times its memory: read in pieces.
        """


def max_positions(count: int, size: int) -> int:
    """Return how many of `count` positions may be computed at once, if each takes `size` numbers; at least 1."""
    return max(1, min(count, _MAX_POSITIONS, MAX_SCORES // max(1, size)))


def max_rows(model: LanguageModel, count: int, length: int, *, each: int = 1) -> int:
    """Return how many of `count` texts of `length` ids may be stepped at once, each of `each` rows; at least 1."""
    positions = max_positions(count, each * model.vocabulary_size)
    return max(1, min(positions, MAX_STATE_NUMBERS // max(1, each * model.state_size(length))))


def forward_in_pieces(model: LanguageModel, ids: Ids) -> Iterator[tuple[slice, slice, LogProbabilities]]:
    """Read texts (B, T) in bounded memory: yield rows, positions, and the log-probabilities there."""
    batch, time = ids.shape
    height = max_rows(model, batch, time)
    for top in range(0, batch, height):
        rows = slice(top, min(top + height, batch))
        size = rows.stop - top
        width = max(1, max_positions(size * time, model.vocabulary_size) // size)
        state = model.initial_state(size)
        for begin in range(0, time, width):
            positions = slice(begin, min(begin + width, time))
            log_probabilities, state = model.forward(ids[rows, positions], state)
            yield rows, positions, log_probabilities


def read_in_pieces(
    read: Callable[[Ids, State, int], tuple[LogProbabilities, State]],
    ids: Ids,
    state: State,
    last: int | None,
    piece: int,
) -> tuple[LogProbabilities, State]:
    """Read ids (B, T) as `LanguageModel.forward` does, `piece` positions at a time, which bounds the memory.

    `read(ids, state, last)` reads a piece.
    """
    time = ids.shape[1]
    first = 0 if last is None else time - last
    outputs: list[LogProbabilities] = []
    for begin in range(0, time, piece):
        part = ids[:, begin : begin + piece]
        output, state = read(part, state, max(0, begin + part.shape[1] - max(begin, first)))
        outputs.append(output)
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1), state


def concat_states(states: Sequence[State]) -> State:
    """Concatenate the rows of states of equal shapes."""
    return states[0] if len(states) == 1 else tuple(np.concatenate(arrays) for arrays in zip(*states, strict=True))


def select_rows(state: State, which: Ids) -> State:
    """Return the state of the chosen rows, in the given order; rows may repeat, so that one prompt has many samples."""
    return tuple(array[which] for array in state)
