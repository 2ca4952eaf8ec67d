"""The contract of every model family: a distribution over the next id, on a learning and a running side.

The learning side is a `torch.nn.Module` with `forward(ids: (B, T)) -> logits (B, T, V)`, or a function from texts to
counts. The running side is a `LanguageModel`, without PyTorch, its state in plain arrays. Both predict at position t
the id after ids[:, :t+1], and one test binds them for every family. A model computes no loss and picks no optimiser.

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
"""State after the ids read so far; axis 0 of every array is the batch."""

MAX_SCORES, MAX_STATE_NUMBERS = 1 << 22, 1 << 24
"""Maximum number of scores and of state entries held at once; one position of one row is always read."""
_MAX_POSITIONS = 4096
"""Maximum number of positions at once, for the memory of ids and look-ups."""

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
DOCUMENTS = (CONFIG, TOKENIZER)
"""Files beside a pretrained model's weights, in Hugging Face's formats."""
_MAX_DEPTH = 100
"""Maximum nesting in `DOCUMENTS`; published models have about ten levels."""


class Settings(BaseModel):
    """Base of the settings of an architecture, stored in `model.json`; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Artifacts:
    """A model but for its settings."""

    weights: Mapping[str, NDArray[np.generic]]
    documents: Mapping[str, str] = field(default_factory=dict[str, str])
    """JSON texts by the names in `DOCUMENTS`."""

    def document(self, name: str) -> dict[str, Any]:
        """Parse a document; `KeyError` where there is none, `ValueError` for no JSON object or one too deep."""
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
    """Changes whenever learning changes the predictions for texts already read."""

    vocabulary_size: int

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """Return the state of `batch` rows before BOS."""

    @abstractmethod
    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read ids (B, T), T >= 1; predict the next id at the last `last` positions, all if None.

        Returns: normalised natural log-probabilities (B, last, V); the state after ids[:, -1].
        """

    def state_size(self, length: int) -> int:
        """Return about how many numbers a row's state holds after `length` ids."""
        del length
        return sum(array.size for array in self.initial_state(1))

    def pad_states(self, states: Sequence[State]) -> Sequence[State]:
        """Pad states that grow with the text to equal shapes."""
        return states

    @final
    def step(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        """Read one id a row, (B,); return log-probabilities (B, V) and the new state."""
        log_probabilities, state = self.forward(ids[:, None], state, last=1)  # (B, 1, V)
        return log_probabilities[:, 0], state


class SavedModel(LanguageModel):
    """A model that opens from the files of a folder."""

    @classmethod
    @abstractmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a model; `ValidationError`, `KeyError` or `ValueError` for settings or arrays that do not fit."""


class AdaptiveModel(LanguageModel):
    """A model that learns and forgets texts while it runs, without training."""

    @abstractmethod
    def learn(self, ids: Ids) -> None:
        """Learn a text, (T,), without specials; the next prediction knows it."""

    def learn_all(self, texts: Sequence[Ids]) -> None:
        """Learn texts as `learn` does one by one."""
        for ids in texts:
            self.learn(ids)

    @abstractmethod
    def forget(self, *texts: Ids) -> bool:
        """Undo one `learn` of each of these ids; return false if one was not learnt."""

    @abstractmethod
    def fork(self, *, learnt: bool = False) -> Self:
        """Return a model that shares the weights and has learnt nothing, or, if `learnt`, what this one has."""

    @abstractmethod
    def after(self, end: Ids) -> Self:
        """Return a fork with what this one has learnt, for texts that follow others: its initial state has heard
        `end`, (T,), BOS first."""


class BulkSampler(ABC):
    """A model that samples many ids in one call, without options but temperature and refusals."""

    def can_sample(self, temperature: float) -> bool:
        """Return whether `sample` is faster than stepping at this temperature."""
        del temperature
        return True

    @abstractmethod
    def sample(
        self, state: State, chances: NDArray[np.float64], *, temperature: float, refused: NDArray[np.float64]
    ) -> tuple[Ids, LogProbabilities, State]:
        """Sample n ids, each read before the next.

        Args:
            state: of one row.
            chances: (n,), uniform in [0, 1): id i is the first at which the cumulative probability exceeds chance i.
            temperature: as in `decoding.options`; at 0 the chances are not used.
            refused: (V,), 0 or minus infinity, added to the log-probabilities.

        Returns: the ids (n,), fewer after EOS; their log-probabilities without refusals and temperature; the state
        after them. Where every id is refused, a refused id or NaN.
        """


class ExpertAttribution(ABC):
    """A model whose scores are a sum over experts, which it returns."""

    @property
    @abstractmethod
    def experts(self) -> tuple[str, ...]:
        """Names of the K experts: `network`, or source and context, such as `counts o5` or `background w1`."""

    @abstractmethod
    def expert_scores(self, ids: Ids, state: State) -> tuple[NDArray[np.float32], State]:
        """Read ids (B, T); return what each expert adds to each score, (B, T, K, V), and the new state.

        `forward` returns the log-softmax of the sum over K, in a K-th of the memory: read in pieces.
        """


def max_positions(count: int, size: int) -> int:
    """Return how many of `count` positions of `size` numbers each to compute at once; at least 1."""
    return max(1, min(count, _MAX_POSITIONS, MAX_SCORES // max(1, size)))


def max_rows(model: LanguageModel, count: int, length: int, *, each: int = 1) -> int:
    """Return how many of `count` texts, of `length` ids and `each` rows, to step at once; at least 1."""
    positions = max_positions(count, each * model.vocabulary_size)
    return max(1, min(positions, MAX_STATE_NUMBERS // max(1, each * model.state_size(length))))


def forward_in_pieces(model: LanguageModel, ids: Ids) -> Iterator[tuple[slice, slice, LogProbabilities]]:
    """Read texts (B, T) in bounded memory; yield rows, positions, and log-probabilities there."""
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
    """Read ids (B, T) as `LanguageModel.forward` does, in bounded memory: `read` takes `piece` positions at a time."""
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
    """Return the chosen rows in the given order; one may repeat, for many samples of one prompt."""
    return tuple(array[which] for array in state)
